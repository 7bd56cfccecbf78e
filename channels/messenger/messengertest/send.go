package messengertest

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	textLimit     = 2000 // characters (§4)
	metadataLimit = 1000 // characters
	window        = 24 * time.Hour
	humanWindow   = 7 * 24 * time.Hour
)

var attachmentKinds = []string{"image", "video", "audio", "file"}

// outgoing is a message as an app sends it.
type outgoing struct {
	Text       string `json:"text"`
	Metadata   string `json:"metadata"`
	Attachment *struct {
		Type    string `json:"type"`
		Payload struct {
			ID string `json:"attachment_id"`
		} `json:"payload"`
	} `json:"attachment"`
}

func noMessaging() *graphError {
	return refuse(230, 0, "(#230) Requires pages_messaging permission to manage the object")
}

// messages is §4 POST /{page-id}/messages.
func (p *Page) messages(q *query, t *token) (any, *graphError) {
	if !t.scopes["pages_messaging"] {
		return nil, noMessaging()
	}
	k, fail := p.recipient(q)
	if fail != nil {
		return nil, fail
	}
	var m outgoing
	if !q.object("message", &m) {
		return nil, invalid("Param message must be an object")
	}
	got, fail := p.s.check(m, q)
	if fail != nil {
		return nil, fail
	}
	if fail := k.mayGet(q, t.app); fail != nil {
		return nil, fail
	}
	got.App = t.app.ID
	return object{"recipient_id": k.PSID, "message_id": k.receive(got)}, nil
}

// recipient is the rows of §4 about whom a call is for.
func (p *Page) recipient(q *query) (*Customer, *graphError) {
	var who struct {
		ID string `json:"id"`
	}
	if !q.object("recipient", &who) || who.ID == "" {
		return nil, invalid("The parameter recipient is required")
	}
	k := p.s.customers[who.ID]
	if k == nil || k.p != p {
		return nil, refuse(100, 2018001, "(#100) No matching user found")
	}
	return k, nil
}

// check is what a message may contain. The caller holds the lock.
func (s *Server) check(m outgoing, q *query) (Received, *graphError) {
	got := Received{Text: m.Text, Metadata: m.Metadata}
	switch {
	case m.Text != "" && m.Attachment != nil:
		return got, invalid("Message cannot contain both text and an attachment")
	case m.Text == "" && m.Attachment == nil:
		return got, invalid("Message cannot be empty, must provide valid attachment or text")
	case utf8.RuneCountInString(m.Text) > textLimit:
		return got, invalid("Length of param message[text] must be less than or equal to 2000")
	case utf8.RuneCountInString(m.Metadata) > metadataLimit:
		return got, invalid("Length of param message[metadata] must be less than or equal to 1000")
	case m.Attachment == nil:
		return got, nil
	}
	up, known := s.uploads[m.Attachment.Payload.ID]
	if m.Attachment.Payload.ID == "" && q.file.Data != nil {
		up, known = upload{q.file, m.Attachment.Type}, true
	}
	if !known || up.kind != m.Attachment.Type {
		return got, refuse(100, 2018074, "(#100) Invalid attachment ID")
	}
	got.File, got.FileName, got.FileKind, got.FileMIME = up.Data, up.Name, up.kind, up.MIME
	return got, nil
}

// mayGet is the rows of §4 and §5 about whether the customer may be written to now. The caller holds the lock.
func (k *Customer) mayGet(q *query, a *App) *graphError {
	open := window
	switch q.args["messaging_type"] {
	case "RESPONSE", "UPDATE", "":
	case "MESSAGE_TAG":
		if q.args["tag"] == "HUMAN_AGENT" {
			open = humanWindow
		}
	case "UTILITY":
	default:
		return invalid("Param messaging_type must be one of {MESSAGE_TAG, RESPONSE, UPDATE, UTILITY}")
	}
	owner := k.holder()
	switch {
	case k.blocked:
		return refuse(551, 1545041, "(#551) This person isn't available right now.")
	case owner != "" && owner != a.ID:
		return refuse(10, 2018300, "(#10) Message not sent. Another app is controlling this thread now.")
	case k.wroteAt.IsZero() || k.p.s.Clock.Now().Sub(k.wroteAt) > open:
		return refuse(10, 2018278, "(#10) This message is sent outside of allowed window.")
	}
	k.hand(a.ID) // who answers takes control
	return nil
}

// receive puts a message into the customer's inbox and tells the apps about it. The caller holds the lock.
func (k *Customer) receive(got Received) string {
	got.MID, got.At = k.p.s.mid(), k.p.s.Clock.Now()
	k.inbox = append(k.inbox, got)
	m := object{"is_echo": true, "mid": got.MID}
	if got.App != "" {
		m["app_id"] = number(got.App)
	}
	if got.Metadata != "" {
		m["metadata"] = got.Metadata
	}
	if got.Text != "" {
		m["text"] = got.Text
	}
	if got.File != nil {
		m["attachments"] = []object{{"type": got.FileKind, "payload": object{"url": k.p.s.keep(got.FileName, got.File)}}}
	}
	k.spread("message_echoes", object{
		"sender": object{"id": k.p.ID}, "recipient": object{"id": k.PSID}, "timestamp": got.At.UnixMilli(), "message": m,
	})
	k.p.s.Announce()
	return got.MID
}

// Answer lets another app (a bot) write to the customer through the API. It fails as the API would.
func (k *Customer) Answer(a *App, text string) error {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	if fail := k.mayGet(&query{args: map[string]string{}}, a); fail != nil {
		return fmt.Errorf("messengertest: error %d/%d: %s", fail.code, fail.subcode, fail.message)
	}
	k.receive(Received{Text: text, App: a.ID})
	return nil
}

// Type lets a person on the page write to the customer: its echo names no app (§3, UNVERIFIED).
func (k *Customer) Type(text string) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.receive(Received{Text: text})
}

// attachments is §4 POST /me/message_attachments.
func (p *Page) attachments(q *query, t *token) (any, *graphError) {
	var m outgoing
	switch {
	case !t.scopes["pages_messaging"]:
		return nil, noMessaging()
	case !q.object("message", &m) || m.Attachment == nil || !slices.Contains(attachmentKinds, m.Attachment.Type):
		return nil, invalid("Param message[attachment][type] must be one of {audio, file, image, video}")
	case len(q.file.Data) == 0:
		return nil, refuse(100, 2018047, "(#100) Upload attachment failure.")
	case len(q.file.Data) > maxUpload:
		return nil, refuse(100, 2018109, "(#100) Attachment size exceeds allowable limit")
	}
	id := fmt.Sprint(1857777770000000 + p.s.number())
	p.s.uploads[id] = upload{q.file, m.Attachment.Type}
	return object{"attachment_id": id}, nil
}
