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

// content is what the customer said: his words, or words for what has none, and the attachments. Empty for Telegram's own
// notices (a pinned message, a changed timer), which nobody said.
func (m *message) content() (string, []channels.Attachment) {
	text := m.words()
	var found []channels.Attachment
	for _, f := range m.files() {
		found = append(found, channels.Attachment{Kind: f.kind, Name: f.name, MIME: f.mime, Size: f.Size, Ref: f.FileID, ID: f.UniqueID})
	}
	if m.Sticker != nil && text == "" {
		text = m.Sticker.Emoji
	}
	if m.Location != nil {
		at := channels.Place{Latitude: m.Location.Latitude, Longitude: m.Location.Longitude}
		found = append(found, channels.Attachment{Kind: "location", Name: "geo:" + coordinates(at), Place: &at}) // RFC 5870
		text = m.place(at)
	}
	if m.Contact != nil {
		name := fullName(m.Contact.FirstName, m.Contact.LastName)
		found = append(found, channels.Attachment{Kind: "contact", Name: name, Phone: m.Contact.Phone})
		text = "Contact: " + strings.Trim(name+", "+m.Contact.Phone, ", ")
	}
	if text == "" && len(found) == 0 {
		text = m.otherwise()
	}
	if text == "" && len(found) == 0 {
		return "", nil
	}
	return m.introduced(text), found
}

// words are the customer's own: a text or a caption, with the addresses hidden in it.
func (m *message) words() string {
	if m.Text != "" {
		return m.Entities.shown(m.Text)
	}
	return m.CaptionEntities.shown(m.Caption)
}

// introduced puts before the text what it refers to and whose words it is, where that would else be lost.
func (m *message) introduced(text string) string {
	var before []string
	if m.Elsewhere != nil {
		before = append(before, "In reply to "+m.Elsewhere.Origin.who()+":")
	}
	if m.Quote != nil && m.Quote.Text != "" && (m.Quote.Manual || m.Elsewhere != nil) {
		before = append(before, "> "+strings.ReplaceAll(m.Quote.Text, "\n", "\n> "))
	}
	if m.Forward != nil {
		before = append(before, "Forwarded from "+m.Forward.who()+":")
	}
	if len(before) == 0 {
		return text
	}
	return strings.Join(append(before, text), "\n")
}

// who first wrote a message, as far as Telegram tells.
func (o *origin) who() string {
	name := o.HiddenName
	switch {
	case o.User != nil:
		name = fullName(o.User.FirstName, o.User.LastName)
	case o.SenderChat != nil:
		name = o.SenderChat.Title
	case o.Channel != nil:
		name = o.Channel.Title
	}
	if o.Signature != "" {
		name += " (" + o.Signature + ")"
	}
	if name = strings.TrimSpace(name); name == "" {
		return "somebody"
	}
	return name
}

// otherwise is words for what has neither a text nor a file we can show.
func (m *message) otherwise() string {
	switch {
	case m.Dice != nil:
		return m.Dice.Emoji + " " + strconv.Itoa(m.Dice.Value)
	case m.Poll != nil:
		return "Poll: " + m.Poll.Question + string(m.Poll.Options)
	case m.Checklist != nil:
		return "Checklist: " + m.Checklist.Title + string(m.Checklist.Tasks)
	case m.Game != nil:
		return "Game: " + m.Game.Title
	case m.Invoice != nil:
		return "Invoice: " + strings.Trim(m.Invoice.Title+", "+m.Invoice.Description, ", ")
	case m.Story != nil:
		return "(a story, which cannot be shown here)"
	case m.PaidMedia != nil:
		return "(paid media, which cannot be shown here)"
	}
	return ""
}

// place tells a location so that it can be read, and looked at with one click.
func (m *message) place(at channels.Place) string {
	what := "Location: "
	if m.Location.Live > 0 {
		what = "Live location, as it was at first: "
	}
	if m.Venue != nil {
		what += strings.Trim(m.Venue.Title+", "+m.Venue.Address, ", ") + ", "
	}
	latitude, longitude := degrees(at.Latitude), degrees(at.Longitude)
	return what + coordinates(at) + "\nhttps://www.openstreetmap.org/?mlat=" + latitude + "&mlon=" + longitude
}

func coordinates(at channels.Place) string { return degrees(at.Latitude) + "," + degrees(at.Longitude) }

func degrees(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }

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
	add("photo", "photo.jpg", "image/jpeg", &m.Photo.media)
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
