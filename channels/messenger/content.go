package messenger

import (
	"mime"
	"net/url"
	"path"
	"strconv"
	"strings"

	"waggle/channels"
)

// look is how a kind of attachment is shown where its address tells no more.
type look struct{ kind, name, mime string }

var looks = map[string]look{
	"image":   {"photo", "photo.jpg", "image/jpeg"},
	"sticker": {"sticker", "sticker.png", "image/png"},
	"audio":   {"audio", "audio.mp3", "audio/mpeg"},
	"video":   {"video", "video.mp4", "video/mp4"},
	"reel":    {"video", "reel.mp4", "video/mp4"},
	"ig_reel": {"video", "reel.mp4", "video/mp4"},
	"file":    {"document", "document", "application/octet-stream"},
}

// content is what a message says: its text, or words for what cannot be shown, and its attachments.
func (m message) content() (string, []channels.Attachment) {
	words, found := []string{}, []channels.Attachment(nil)
	if m.Text != "" {
		words = append(words, m.Text)
	}
	for _, raw := range m.Attachments {
		var at attachment
		_ = channels.Decode(raw, &at) // what cannot be read cannot be shown, and that is said
		shown, said := at.shown(m.Text)
		if shown.Kind != "" {
			found = append(found, shown)
		}
		if said != "" {
			words = append(words, said)
		}
	}
	if len(words) == 0 && len(found) == 0 {
		words = append(words, "(a message that cannot be shown here)")
	}
	return strings.Join(words, "\n"), found
}

// shown is an attachment as a file, and what is to be said about it; beside is the text it came with.
func (at attachment) shown(beside string) (channels.Attachment, string) {
	p := at.Payload
	if p.Coordinates != nil {
		where := degrees(p.Coordinates.Latitude) + "," + degrees(p.Coordinates.Longitude)
		return channels.Attachment{Kind: "location", Name: "geo:" + where}, "Location: " + where // RFC 5870
	}
	kind := at.Type
	if p.Sticker != "" {
		kind = "sticker"
	}
	if l, ok := looks[kind]; ok && p.URL != "" {
		return l.file(p.URL), ""
	}
	switch at.Type {
	case "fallback": // a shared link; the text mostly holds it already
		return channels.Attachment{}, at.link(beside)
	case "template":
		return channels.Attachment{}, "(a card, which cannot be shown here)"
	}
	return channels.Attachment{}, "(an attachment that cannot be shown here)"
}

func (at attachment) link(beside string) string {
	title, address := string(at.Title), string(at.URL)
	if title == "" {
		title = string(at.Payload.Title)
	}
	if address == "" {
		address = at.Payload.URL
	}
	if address != "" && strings.Contains(beside, address) {
		return ""
	}
	return strings.TrimSpace(title + " " + address)
}

// file names a file by its address, which is all Facebook tells of it.
func (l look) file(address string) channels.Attachment {
	found := channels.Attachment{Kind: l.kind, Name: l.name, MIME: l.mime, Ref: address}
	u, err := url.Parse(address)
	if err != nil {
		return found
	}
	name := path.Base(strings.ReplaceAll(u.Path, `\`, "/"))
	extension := path.Ext(name)
	if extension == "" || extension == name || len(name) > 200 {
		return found
	}
	found.Name = name
	if known := mime.TypeByExtension(extension); known != "" {
		found.MIME, _, _ = strings.Cut(known, ";")
	}
	return found
}

func degrees(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }
