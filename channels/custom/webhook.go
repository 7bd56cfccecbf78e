package custom

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"waggle/channels"
	"waggle/guard"
)

// The limits of PROTOCOL.md §5.
const (
	bodyLimit      = 1 << 20 // bytes
	idLimit        = 128     // bytes of an id
	maxAttachments = 20
)

// incoming is the body of a webhook call (PROTOCOL.md §5).
type incoming struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	User struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Username string `json:"username"`
		Language string `json:"language"`
		Phone    string `json:"phone"`
		Email    string `json:"email"`
	} `json:"user"`
	MessageID   string              `json:"message_id"` // edits only
	ReplyTo     string              `json:"reply_to"`
	Text        string              `json:"text"`
	Attachments incomingAttachments `json:"attachments"`
	At          time.Time           `json:"at"`
}

type incomingAttachment struct {
	Name string `json:"name"`
	MIME string `json:"mime"`
	Size int64  `json:"size"`
	URL  string `json:"url"`
}

// incomingAttachments are as many as may be, and one more.
type incomingAttachments []incomingAttachment

// UnmarshalJSONFrom reads the attachments one by one and keeps no crowd of them.
func (l *incomingAttachments) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = (*l)[:0]
	return channels.Each(d, func(one *incomingAttachment) error {
		if len(*l) <= maxAttachments {
			*l = append(*l, *one)
		}
		return nil
	})
}

// Webhook checks the confirmation code before it looks at anything else, then reads the one event of the body.
func (a *Adapter) Webhook(_ context.Context, ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	if !sameCode(r.Header(codeHeader), ch.Fields[FieldCode]) {
		return channels.Delivery{}, channels.Because(channels.ErrUnauthorized, codeHeader+" is not the channel's confirmation code, percent-encoded")
	}
	if r.Method != http.MethodPost {
		return channels.Delivery{}, malformed("the method must be POST")
	}
	if len(r.Body) > bodyLimit {
		return channels.Delivery{}, malformed("the body is larger than 1 MiB")
	}
	var in incoming
	if err := channels.Decode(r.Body, &in); err != nil || !isObject(r.Body) {
		return channels.Delivery{}, malformed("the body is not a JSON object with the protocol's types")
	}
	switch in.Type {
	case "":
		return channels.Delivery{}, malformed("type is missing")
	case string(channels.Message), string(channels.Edit):
		e, err := in.event()
		if err != nil {
			return channels.Delivery{}, err
		}
		if e.At.IsZero() {
			e.At = a.now()
		}
		return channels.Delivery{Events: []channels.Event{e}}, nil
	default: // a later version of the protocol; its name is not ours to count by
		return channels.Delivery{Ignored: map[string]int{"unknown": 1}}, nil
	}
}

// sameCode compares the percent-encoded header with the code, in a time that tells nothing about either.
func sameCode(header, code string) bool {
	given, err := url.PathUnescape(header)
	want, got := sha256.Sum256([]byte(code)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && err == nil && code != ""
}

func malformed(why string) error { return channels.Because(channels.ErrMalformed, why) }

// event checks the body and turns it into the contract's form.
func (in incoming) event() (channels.Event, error) {
	e := channels.Event{
		Kind: channels.EventKind(in.Type),
		User: channels.User{
			ID: in.User.ID, Name: in.User.Name, Username: in.User.Username, Language: in.User.Language,
			Phone: in.User.Phone, Email: in.User.Email, // the company vouches for its own users (PROTOCOL.md §5)
		},
		MessageID: in.ID,
		ReplyTo:   in.ReplyTo,
		Text:      in.Text,
		At:        in.At,
	}
	if e.Kind == channels.Edit {
		e.MessageID, e.MessageKey = in.MessageID, in.key(channels.Message, in.MessageID)
	}
	for _, id := range []struct {
		name, value string
		optional    bool
	}{{"id", in.ID, false}, {"user.id", in.User.ID, false}, {"message_id", e.MessageID, false}, {"reply_to", in.ReplyTo, true}} {
		if !(id.optional && id.value == "") && !validID(id.value) {
			return channels.Event{}, malformed(id.name + " must be a string of 1 to 128 bytes without control characters")
		}
	}
	var err error
	if e.Attachments, err = in.attachments(); err != nil {
		return channels.Event{}, err
	}
	if e.Text == "" && len(e.Attachments) == 0 {
		return channels.Event{}, malformed("there is neither text nor an attachment")
	}
	e.Key = in.key(e.Kind, in.ID)
	return e, nil
}

// key decides a repeat. Messages and edits are numbered apart, and each user's apart, so that a messenger may number as it
// likes. The id comes first, as it may grow (see channels.Event.Key).
func (in incoming) key(kind channels.EventKind, id string) string {
	return string(kind) + "/" + url.PathEscape(id) + "/" + url.PathEscape(in.User.ID)
}

func validID(id string) bool {
	return id != "" && len(id) <= idLimit && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

func (in incoming) attachments() ([]channels.Attachment, error) {
	if len(in.Attachments) > maxAttachments {
		return nil, malformed("there are more than 20 attachments")
	}
	var out []channels.Attachment
	for _, at := range in.Attachments {
		if err := guard.CheckURL(at.URL); err != nil {
			return nil, malformed("an attachment's url cannot be used: " + err.Error())
		}
		if at.Size < 0 {
			return nil, malformed("an attachment's size is negative")
		}
		if at.Name == "" {
			at.Name = "file"
		}
		out = append(out, channels.Attachment{Kind: kindOf(at.MIME), Name: at.Name, MIME: at.MIME, Size: at.Size, Ref: at.URL})
	}
	return out, nil
}

// kindOf names an attachment by its MIME type.
func kindOf(mimeType string) string {
	media, _, err := mime.ParseMediaType(mimeType)
	if err != nil {
		return "document"
	}
	switch top, _, _ := strings.Cut(media, "/"); top {
	case "image":
		return "photo"
	case "audio", "video":
		return top
	default:
		return "document"
	}
}
