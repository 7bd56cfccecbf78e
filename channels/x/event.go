package x

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"waggle/channels"
)

// messageEvent is one Direct Message as webhooks bring it (wire/x.md §5.4).
type messageEvent struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Created string `json:"created_timestamp"` // milliseconds
	Message struct {
		Target struct {
			RecipientID string `json:"recipient_id"`
		} `json:"target"`
		SenderID string `json:"sender_id"`
		AppID    string `json:"source_app_id"`
		Data     struct {
			Text       string `json:"text"`
			Links      links  `json:"entities"`
			Attachment struct {
				Media hookMedia `json:"media"`
			} `json:"attachment"`
		} `json:"message_data"`
	} `json:"message_create"`
}

// readEvent says how far somebody has read.
type readEvent struct {
	Created  string `json:"created_timestamp"`
	SenderID string `json:"sender_id"` // who has read
	LastRead string `json:"last_read_event_id"`
}

// person is one entry of users; the X Activity API wraps it in data.
type person struct {
	Name       string  `json:"name"`
	ScreenName string  `json:"screen_name"`
	Username   string  `json:"username"`
	Data       *person `json:"data"`
}

func (p person) user(id string) channels.User {
	if p.Data != nil {
		p = *p.Data
	}
	if p.ScreenName == "" {
		p.ScreenName = p.Username
	}
	return channels.User{ID: id, Name: p.Name, Username: p.ScreenName}
}

// message is a Direct Message between two, whichever way it came.
type message struct {
	id, sender, recipient, text, app string
	at                               time.Time
	files                            []channels.Attachment
}

// into adds the messages and receipts to the delivery.
func (what activity) into(d *channels.Delivery, account string) {
	wanted := map[string]bool{}
	for _, e := range what.Messages {
		wanted[e.Message.SenderID], wanted[e.Message.Target.RecipientID], wanted[e.Message.AppID] = true, true, true
	}
	people := pick[person](what.Users, wanted)
	apps := pick[person](what.Apps, wanted)
	for _, e := range what.Messages {
		media := e.Message.Data.Attachment.Media
		m := message{
			id: e.ID, sender: e.Message.SenderID, recipient: e.Message.Target.RecipientID, app: apps[e.Message.AppID].Name,
			at: milliseconds(e.Created), files: media.attachments(),
		}
		m.text = e.Message.Data.Links.written(e.Message.Data.Text, func(k link) bool { return k.Short == media.Link || len(m.files) > 0 && k.opensFile(m.id) })
		if e.Type != "message_create" {
			ignore(d, "other")
			continue
		}
		m.into(d, account, people)
	}
	for _, e := range what.Reads {
		e.into(d, account)
	}
}

// into adds a message as the customer's, or as an echo of what the account sent, from here or from anywhere else.
func (m message) into(d *channels.Delivery, account string, people map[string]person) {
	other, kind := m.sender, channels.Message
	if m.sender == account {
		other, kind = m.recipient, channels.Echo
	}
	switch {
	case !userID.MatchString(m.id) || !userID.MatchString(other):
		ignore(d, "malformed")
		return
	case m.sender != account && m.recipient != account:
		ignore(d, "group")
		return
	case m.sender == m.recipient:
		ignore(d, "self")
		return
	case m.text == "" && len(m.files) == 0:
		ignore(d, "empty")
		return
	}
	e := channels.Event{
		Kind: kind, Key: "m:" + m.id, User: people[other].user(other), MessageID: m.id, Text: m.text, Attachments: m.files, At: m.at,
	}
	if e.At.IsZero() || kind == channels.Echo { // receipts of what we sent are by its id
		e.At = bornAt(m.id)
	}
	if kind == channels.Echo {
		e.Echo = &channels.EchoNote{App: m.app}
	}
	d.Events = append(d.Events, e)
}

// into adds a receipt: everything sent up to the last message that was read has been read.
func (e readEvent) into(d *channels.Delivery, account string) {
	switch {
	case e.SenderID == account:
		ignore(d, "own_read")
	case !userID.MatchString(e.SenderID) || !userID.MatchString(e.LastRead):
		ignore(d, "malformed")
	default:
		at := milliseconds(e.Created)
		if at.IsZero() {
			at = bornAt(e.LastRead)
		}
		d.Events = append(d.Events, channels.Event{
			Kind: channels.Receipt, Key: "r:" + e.SenderID + ":" + e.LastRead, User: channels.User{ID: e.SenderID}, At: at,
			Receipt: &channels.ReceiptNote{Read: true, MessageIDs: []string{e.LastRead}, Until: bornAt(e.LastRead)},
		})
	}
}

// milliseconds reads a time; zero where there is none or none of our days.
func milliseconds(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < xEpoch || n > 1<<42 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// X's ids hold the millisecond they were made in, counted from xEpoch, above 22 other bits (checked on the documented event
// of wire/x.md §5.4); a later message has a larger one.
const (
	xEpoch  = 1288834974657 // ms
	idShift = 22
)

func bornAt(id string) time.Time {
	n, _ := strconv.ParseInt(id, 10, 64) // an id has at most 19 digits; the few above 2^63 become its largest
	return time.UnixMilli(n>>idShift + xEpoch).UTC()
}

// idAt is smaller than the id of everything that was made at t or later, and larger than those from before.
func idAt(t time.Time) string {
	return strconv.FormatInt(max(t.UnixMilli()-xEpoch, 1)<<idShift-1, 10)
}

// later reports whether a is the id of a later message than b.
func later(a, b string) bool { return compareIDs(a, b) > 0 }

// compareIDs compares ids, which are numbers without leading zeros.
func compareIDs(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
