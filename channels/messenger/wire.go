package messenger

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"waggle/channels"
)

// entry is what happened on one page (wire/messenger.md §3).
type entry struct {
	Page      id    `json:"id"`
	Time      int64 `json:"time"` // ms
	Messaging list  `json:"messaging"`
	Standby   list  `json:"standby"` // while another app holds the conversation
}

// event is one of an entry's events: exactly one of its fields beside sender, recipient and timestamp.
type event struct {
	Sender    party `json:"sender"`
	Recipient party `json:"recipient"`
	Timestamp int64 `json:"timestamp"` // ms; a delivery has none

	Message  *message  `json:"message"`
	Edit     *edit     `json:"message_edit"`
	Postback *postback `json:"postback"`
	Delivery *receipt  `json:"delivery"`
	Read     *receipt  `json:"read"`
	Pass     *control  `json:"pass_thread_control"`
	Take     *control  `json:"take_thread_control"`
	Request  *control  `json:"request_thread_control"`

	// What Waggle has no use for.
	Roles    json.RawMessage `json:"app_roles"`
	Reaction json.RawMessage `json:"reaction"`
	Referral json.RawMessage `json:"referral"`
	Optin    json.RawMessage `json:"optin"`
}

type party struct {
	ID id `json:"id"`
}

// message is what a customer wrote, or with is_echo what was written to him.
type message struct {
	ID       string `json:"mid"`
	Text     string `json:"text"`
	Echo     bool   `json:"is_echo"`
	Deleted  bool   `json:"is_deleted"`
	App      id     `json:"app_id"`   // of an echo: who sent it
	Metadata string `json:"metadata"` // of an echo: what the sender gave along
	ReplyTo  struct {
		ID string `json:"mid"`
	} `json:"reply_to"`
	Attachments list `json:"attachments"`
}

type attachment struct {
	Type    string `json:"type"` // image, video, audio, file, location, fallback, template, reel, ig_reel
	Title   label  `json:"title"`
	URL     label  `json:"url"` // of a fallback
	Payload struct {
		URL         string `json:"url"`
		Title       label  `json:"title"`
		Sticker     id     `json:"sticker_id"`
		Coordinates *struct {
			Latitude  float64 `json:"lat"`
			Longitude float64 `json:"long"`
		} `json:"coordinates"`
	} `json:"payload"`
}

// label is a text beside what is wanted. Of another type it is none: it must not take a customer's file with it.
type label string

// UnmarshalJSONFrom takes anything.
func (l *label) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = ""
	if d.PeekKind() != '"' {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	*l = label(token.String())
	return err
}

// edit is a customer's change of his message (field names UNVERIFIED).
type edit struct {
	ID   string `json:"mid"`
	Text string `json:"text"`
	N    int64  `json:"num_edit"`
}

// postback is a pressed button. On standby its payload is left out.
type postback struct {
	ID      string `json:"mid"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// receipt is a delivery or read receipt: everything up to the watermark, and for a delivery sometimes the ids as well.
type receipt struct {
	IDs       list  `json:"mids"`
	Watermark int64 `json:"watermark"` // ms
}

// control is a change of the conversation's owner, or the wish for one.
type control struct {
	Previous  id `json:"previous_owner_app_id"`
	Owner     id `json:"new_owner_app_id"`
	Requested id `json:"requested_owner_app_id"`
}

// id is an id of Facebook's. It comes as a string or as a number, even for one field, and null means none.
type id string

var errNoID = errors.New("neither a string nor a whole number")

// UnmarshalJSONFrom takes both forms.
func (i *id) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case 'n':
		*i = ""
		return nil
	case '"':
		*i = id(token.String())
		return nil
	case '0':
		*i = id(token.String())
	default:
		return errNoID
	}
	if strings.ContainsFunc(string(*i), func(r rune) bool { return r < '0' || r > '9' }) {
		return errNoID
	}
	return nil
}

// list is a list whose items are read one by one: one that cannot be read spoils no other.
type list []json.RawMessage

const longestList = 1000 // a batch has no more events; a longer list of next to nothing would cost much memory

var errLongList = errors.New("the list is too long")

// UnmarshalJSONFrom fails for what is no list, and for one that is too long before it has cost anything.
func (l *list) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = nil
	if d.PeekKind() == '[' {
		*l = list{}
	}
	return channels.List(d, func() error {
		if len(*l) == longestList {
			return errLongList
		}
		item, err := d.ReadValue()
		*l = append(*l, json.RawMessage(item.Clone()))
		return err
	})
}

// milliseconds reads a time of the wire; years that cannot be written end in 9999.
func milliseconds(ms int64) time.Time {
	const latest = 253402300799999
	return time.UnixMilli(min(ms, latest)).UTC()
}
