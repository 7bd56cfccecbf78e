package x

import (
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"waggle/channels"
)

// hookMedia is the file of a message as webhooks bring it (the old shape, wire/x.md §5.4).
type hookMedia struct {
	Type  string `json:"type"` // photo, animated_gif, video
	Link  string `json:"url"`  // how the text names it
	URL   string `json:"media_url_https"`
	Video struct {
		Best bestVariant `json:"variants"`
	} `json:"video_info"`
}

// pollMedia is the file of a message as dm_events brings it (§3).
type pollMedia struct {
	Key  string      `json:"media_key"`
	Type string      `json:"type"`
	URL  string      `json:"url"`
	Best bestVariant `json:"variants"`
}

// bestVariant is the one of a video's files that is the most.
type bestVariant struct {
	URL     string
	bitrate int64
}

// UnmarshalJSONFrom looks at the variants one by one and keeps the best MP4.
func (b *bestVariant) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '[' {
		return d.SkipValue()
	}
	n := 0
	return channels.Each(d, func(v *struct {
		URL     string `json:"url"`
		Type    string `json:"content_type"`
		Bitrate int64  `json:"bitrate"` // webhooks
		BitRate int64  `json:"bit_rate"`
	}) error {
		if n++; n > listLimit {
			return errList
		}
		if rate := max(v.Bitrate, v.BitRate); v.Type == "video/mp4" && (b.URL == "" || rate > b.bitrate) {
			b.URL, b.bitrate = v.URL, rate
		}
		return nil
	})
}

func (m hookMedia) attachments() []channels.Attachment {
	return attachments(m.Type, m.URL, m.Video.Best.URL)
}

func (m pollMedia) attachments() []channels.Attachment { return attachments(m.Type, m.URL, m.Best.URL) }

// attachments is the one file a message may have. One whose address X does not tell is shown without being opened.
func attachments(kind, picture, video string) []channels.Attachment {
	switch kind {
	case "":
		return nil
	case "photo":
		name, mime := "photo.jpg", "image/jpeg"
		if u, err := url.Parse(picture); err == nil && strings.HasSuffix(u.Path, ".png") {
			name, mime = "photo.png", "image/png"
		}
		return []channels.Attachment{{Kind: "photo", Name: name, MIME: mime, Ref: picture}}
	case "video", "animated_gif":
		return []channels.Attachment{{Kind: "video", Name: "video.mp4", MIME: "video/mp4", Ref: video}}
	}
	return []channels.Attachment{{Kind: "document", Name: "file", MIME: "application/octet-stream"}}
}
