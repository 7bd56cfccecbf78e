package messenger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"waggle/channels"
)

const (
	idLimit   = 256               // bytes of an id that becomes a key
	pageInbox = "263902037430900" // the app that people answer in at Facebook (wire/messenger.md §5)
)

// batch reads the entries of one delivery for one page.
type batch struct {
	page, app string
	events    int // read so far, of use or not
	delivery  channels.Delivery
}

func (b *batch) ignore(what string) {
	if b.delivery.Ignored == nil {
		b.delivery.Ignored = map[string]int{}
	}
	b.delivery.Ignored[what]++
}

// entry adds an entry's events.
func (b *batch) entry(raw json.RawMessage) {
	var e entry
	switch err := channels.Decode(raw, &e); {
	case err != nil || e.Page == "":
		b.ignore("unreadable")
	case string(e.Page) != b.page:
		b.ignore("other_page")
	case len(e.Messaging)+len(e.Standby) == 0:
		b.ignore("changes") // of the page's feed: nobody asked for them
	default:
		b.delivery.Events = slices.Grow(b.delivery.Events, len(e.Messaging)+len(e.Standby))
		for _, one := range e.Messaging {
			b.event(one, e.Time, false)
		}
		for _, one := range e.Standby {
			b.event(one, e.Time, true)
		}
	}
}

// event adds one event; at, in ms, stands in for a timestamp it lacks.
func (b *batch) event(raw json.RawMessage, at int64, standby bool) {
	b.events++
	var in event
	if channels.Decode(raw, &in) != nil {
		b.ignore("unreadable")
		return
	}
	if in.Timestamp <= 0 {
		in.Timestamp = at
	}
	out, ignored := b.read(in)
	switch {
	case ignored != "":
		b.ignore(ignored)
	case !usable(out):
		b.ignore("unreadable")
	default:
		out.Standby = standby
		b.delivery.Events = append(b.delivery.Events, out)
	}
}

// read turns an event into the contract's form, or names why it is ignored.
func (b *batch) read(in event) (channels.Event, string) {
	out := channels.Event{User: channels.User{ID: string(in.Sender.ID)}, At: milliseconds(in.Timestamp)}
	own := in.Sender.ID == id(b.page)
	if own { // what the page itself did is reported the other way round
		out.User.ID = string(in.Recipient.ID)
	}
	switch {
	case in.Message != nil && in.Message.Echo:
		return in.Message.echo(out, b.app), ""
	case in.Message != nil && in.Message.Deleted:
		return out, "deleted"
	case own && (in.Message != nil || in.Edit != nil || in.Postback != nil):
		return out, "own"
	case in.Message != nil:
		return in.Message.from(out), ""
	case in.Edit != nil:
		return in.Edit.event(out), ""
	case in.Postback != nil:
		return in.Postback.event(out), ""
	case in.Delivery != nil:
		return in.Delivery.event(out, false), ""
	case in.Read != nil:
		return in.Read.event(out, true), ""
	case in.Pass != nil, in.Take != nil, in.Request != nil:
		return b.control(in, out), ""
	}
	return out, in.useless()
}

// useless names an event that Waggle has no use for.
func (in event) useless() string {
	switch {
	case in.Reaction != nil:
		return "reaction"
	case in.Roles != nil:
		return "app_roles"
	case in.Referral != nil:
		return "referral"
	case in.Optin != nil:
		return "optin"
	}
	return "other"
}

// usable says whether an event can be known again and belongs to somebody.
func usable(e channels.Event) bool {
	fits := func(s string) bool {
		return s != "" && len(s) <= idLimit && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\uFFFD' })
	}
	if e.Kind == channels.Receipt && e.Receipt.Until.IsZero() && len(e.Receipt.MessageIDs) == 0 {
		return false
	}
	needsID := e.Kind == channels.Message || e.Kind == channels.Edit || e.Kind == channels.Echo
	return fits(e.User.ID) && (!needsID || fits(e.MessageID))
}

// messageKey is a message's key: mid is what Facebook itself names to tell repeats by (wire/messenger.md §3).
func messageKey(mid string) string { return "m:" + mid }

func (m message) from(e channels.Event) channels.Event {
	e.Kind, e.Key, e.MessageID, e.ReplyTo = channels.Message, messageKey(m.ID), m.ID, m.ReplyTo.ID
	e.Text, e.Attachments = m.content()
	return e
}

// echo is a message to the customer. Our metadata is ours only under our app's name: another app may send what it likes.
func (m message) echo(e channels.Event, app string) channels.Event {
	e.Kind, e.Key, e.MessageID, e.ReplyTo = channels.Echo, "o:"+m.ID, m.ID, m.ReplyTo.ID
	e.Text, e.Attachments = m.content()
	e.Echo = &channels.EchoNote{App: string(m.App), Bot: m.App != "" && string(m.App) != app && m.App != pageInbox}
	if m.App == "" || string(m.App) == app {
		e.Echo.PartKey = m.Metadata
	}
	return e
}

func (d edit) event(e channels.Event) channels.Event {
	e.Kind, e.MessageID, e.MessageKey, e.Text = channels.Edit, d.ID, messageKey(d.ID), d.Text
	e.Key = fmt.Sprintf("e:%s:%d:%d", d.ID, d.N, e.At.UnixMilli())
	return e
}

// event shows a pressed button as the words on it.
func (p postback) event(e channels.Event) channels.Event {
	e.Kind, e.MessageID, e.Text = channels.Message, p.ID, p.Title
	if e.MessageID == "" {
		e.MessageID = fmt.Sprintf("p:%s:%d:%s", e.User.ID, e.At.UnixMilli(), digest(p.Title, p.Payload))
	}
	if e.Text == "" {
		e.Text = p.Payload
	}
	if e.Text == "" {
		e.Text = "(a button)"
	}
	e.Key = messageKey(e.MessageID)
	return e
}

func (r receipt) event(e channels.Event, read bool) channels.Event {
	e.Kind, e.Receipt = channels.Receipt, &channels.ReceiptNote{Read: read}
	for _, raw := range r.IDs {
		var mid string
		if channels.Decode(raw, &mid) == nil && mid != "" {
			e.Receipt.MessageIDs = append(e.Receipt.MessageIDs, mid)
		}
	}
	if r.Watermark > 0 {
		e.Receipt.Until = milliseconds(r.Watermark)
	}
	kind := "d"
	if read {
		kind = "r"
	}
	e.Key = fmt.Sprintf("%s:%s:%d:%s", kind, e.User.ID, r.Watermark, digest(e.Receipt.MessageIDs...))
	return e
}

// control tells who holds the conversation now. One that is passed to no app is anybody's; one that was taken, perhaps
// without a word by whom, is not ours.
func (b *batch) control(in event, e channels.Event) channels.Event {
	e.Kind, e.Control = channels.Control, &channels.ControlNote{}
	kind, c := "pass", in.Pass
	switch {
	case in.Take != nil:
		kind, c = "take", in.Take
	case in.Request != nil:
		kind, c = "request", in.Request
	}
	e.Control.App = string(c.Owner)
	switch {
	case kind == "request":
		e.Control.Owner, e.Control.App = channels.Asked, string(c.Requested)
	case kind == "pass" && c.Owner == "":
		e.Control.Owner = channels.OwnedByNobody
	case string(c.Owner) == b.app:
		e.Control.Owner = channels.OwnedByUs
	default:
		e.Control.Owner = channels.OwnedByOther
	}
	e.Key = fmt.Sprintf("c:%s:%s:%d:%s", kind, e.User.ID, e.At.UnixMilli(), digest(e.Control.App, string(c.Previous)))
	return e
}

// digest makes a key's last part of what tells two events of one moment apart.
func digest(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:8])
}
