package telegram

import (
	"path"
	"strconv"
	"strings"

	"waggle/channels"
)

// file is one file of a message under the name and kind it is shown with.
type file struct {
	media
	kind, name, mime string
}

// content is what the customer said: his text or caption, or words for what has none, and the attachments.
func (m *message) content() (string, []channels.Attachment) {
	text := m.Text
	if text == "" {
		text = m.Caption
	}
	var found []channels.Attachment
	for _, f := range m.files() {
		found = append(found, channels.Attachment{Kind: f.kind, Name: f.name, MIME: f.mime, Size: f.Size, Ref: f.FileID})
	}
	if m.Sticker != nil && text == "" {
		text = m.Sticker.Emoji
	}
	if m.Location != nil {
		where := coordinate(m.Location.Latitude) + "," + coordinate(m.Location.Longitude)
		found = append(found, channels.Attachment{Kind: "location", Name: "geo:" + where}) // RFC 5870
		text = m.place(where)
	}
	if m.Contact != nil {
		name := fullName(m.Contact.FirstName, m.Contact.LastName)
		found = append(found, channels.Attachment{Kind: "contact", Name: strings.TrimSpace(name + " " + m.Contact.Phone)})
		text = "Contact: " + strings.Trim(name+", "+m.Contact.Phone, ", ")
	}
	if text == "" && len(found) == 0 {
		text = m.otherwise()
	}
	return text, found
}

// otherwise is words for what has neither a text nor a file we can show; "" for Telegram's own notices (a pinned message,
// a changed timer), which nobody said.
func (m *message) otherwise() string {
	switch {
	case m.Dice != nil:
		return m.Dice.Emoji + " " + strconv.Itoa(m.Dice.Value)
	case m.Poll != nil:
		return "Poll: " + m.Poll.Question
	case m.Story != nil:
		return "(a story, which cannot be shown here)"
	case m.PaidMedia != nil:
		return "(paid media, which cannot be shown here)"
	case m.Checklist != nil:
		return "(a checklist, which cannot be shown here)"
	case m.Game != nil:
		return "(a game, which cannot be shown here)"
	}
	return ""
}

func (m *message) place(where string) string {
	if m.Venue == nil {
		return "Location: " + where
	}
	return "Location: " + strings.Trim(m.Venue.Title+", "+m.Venue.Address, ", ") + " (" + where + ")"
}

func coordinate(degrees float64) string { return strconv.FormatFloat(degrees, 'f', -1, 64) }

// files lists the message's files. An animation is also a document and a photo is several sizes: each counts once.
func (m *message) files() []file {
	document := m.Document
	if m.Animation != nil {
		document = nil
	}
	var found []file
	add := func(kind, name, mime string, f *media) {
		if f == nil || f.FileID == "" {
			return
		}
		if f.MIME != "" {
			mime = f.MIME
		}
		if f.FileName != "" {
			name = baseName(f.FileName)
		}
		found = append(found, file{media: *f, kind: kind, name: name, mime: mime})
	}
	if n := len(m.Photo); n > 0 {
		add("photo", "photo.jpg", "image/jpeg", &m.Photo[n-1])
	}
	add("document", "document", "application/octet-stream", document)
	add("audio", "audio.mp3", "audio/mpeg", m.Audio)
	add("voice", "voice.ogg", "audio/ogg", m.Voice)
	add("video", "video.mp4", "video/mp4", m.Video)
	add("video", "video_note.mp4", "video/mp4", m.VideoNote)
	add("video", "animation.mp4", "video/mp4", m.Animation)
	if m.Sticker != nil {
		name, mime := m.Sticker.look()
		add("sticker", name, mime, m.Sticker)
	}
	return found
}

// look is a sticker's file: it comes without a name and a type.
func (s media) look() (name, mime string) {
	switch {
	case s.Animated:
		return "sticker.tgs", "application/x-tgsticker"
	case s.Video:
		return "sticker.webm", "video/webm"
	}
	return "sticker.webp", "image/webp"
}

// baseName keeps a sender's file name from naming a folder.
func baseName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name == "." || name == "/" || name == ".." {
		return "file"
	}
	return name
}
