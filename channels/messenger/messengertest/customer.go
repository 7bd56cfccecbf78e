package messengertest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Customer is one person as one page knows him: the id is page-scoped.
type Customer struct {
	PSID string

	p *Page

	// Everything below is guarded by s.Mu.
	first, last string
	hidden      bool
	blocked     bool
	wroteAt     time.Time // zero: never wrote
	owner       string    // app id; empty: idle
	ownedUntil  time.Time
	inbox       []Received
}

// Received is one message a customer got.
type Received struct {
	MID      string
	Text     string
	Metadata string
	App      string // who sent it; empty: a person on the page
	File     []byte
	FileName string
	FileKind string // image, video, audio, file
	FileMIME string
	At       time.Time
}

// Customer returns the page's customer with this page-scoped id. He is known to the page once he writes.
func (p *Page) Customer(psid, first, last string) *Customer {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	k := p.s.customers[psid]
	if k == nil {
		k = &Customer{PSID: psid, p: p, first: first, last: last}
		p.s.customers[psid] = k
	}
	return k
}

// HideProfile makes his profile unreadable, as some are (§6).
func (k *Customer) HideProfile() { k.set(func() { k.hidden = true }) }

// Block makes the page unable to reach him.
func (k *Customer) Block() { k.set(func() { k.blocked = true }) }

func (k *Customer) set(change func()) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	change()
}

// Write sends a text to the page and returns its mid.
func (k *Customer) Write(text string) string { return k.Send(object{"text": text}) }

// Reply answers a message.
func (k *Customer) Reply(to, text string) string {
	return k.Send(object{"text": text, "reply_to": object{"mid": to}})
}

// Choose presses a quick reply.
func (k *Customer) Choose(text, payload string) string {
	return k.Send(object{"text": text, "quick_reply": object{"payload": payload}})
}

// SendFile sends a file; kind is image, video, audio or file.
func (k *Customer) SendFile(kind, name string, data []byte) string {
	k.p.s.Mu.Lock()
	address := k.p.s.keep(name, data)
	k.p.s.Mu.Unlock()
	return k.Send(object{"attachments": []object{{"type": kind, "payload": object{"url": address}}}})
}

// SendPictures sends pictures as one message, with a text; without any it is a text alone.
func (k *Customer) SendPictures(text string, pictures ...[]byte) string {
	if len(pictures) == 0 {
		return k.Write(text)
	}
	attachments := []object{}
	k.p.s.Mu.Lock()
	for _, data := range pictures {
		attachments = append(attachments, object{"type": "image", "payload": object{"url": k.p.s.keep("picture.jpg", data)}})
	}
	k.p.s.Mu.Unlock()
	content := object{"attachments": attachments}
	if text != "" {
		content["text"] = text
	}
	return k.Send(content)
}

// Send sends a message with any content fields of §3 and returns its mid.
func (k *Customer) Send(content map[string]any) string {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	m := maps.Clone(object(content))
	mid := k.p.s.mid()
	m["mid"] = mid
	k.wrote()
	k.tell("messages", object{"timestamp": k.now(), "message": m})
	return mid
}

// wrote opens the window, and gives a conversation that is nobody's to the page's default app. The caller holds the lock.
func (k *Customer) wrote() {
	k.wroteAt, k.blocked = k.p.s.Clock.Now(), false
	if k.holder() == "" && k.p.fallback != nil {
		k.hand(k.p.fallback.ID)
	}
}

// Edit changes the text of an own message.
func (k *Customer) Edit(mid, text string, n int) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.tell("message_edits", object{"timestamp": k.now(), "message_edit": object{"mid": mid, "text": text, "num_edit": n}})
}

// React puts an emoji on a message.
func (k *Customer) React(mid, emoji string) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.tell("message_reactions", object{"timestamp": k.now(), "reaction": object{"mid": mid, "reaction": "love", "emoji": emoji, "action": "react"}})
}

// Press presses a button of a template or the menu.
func (k *Customer) Press(title, payload string) string {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	mid := k.p.s.mid()
	k.wrote()
	k.tell("messaging_postbacks", object{"timestamp": k.now(), "postback": object{"mid": mid, "title": title, "payload": payload}})
	return mid
}

// Arrive reports that all messages so far have arrived; with ids where Facebook gives them, which it need not (§3).
func (k *Customer) Arrive(mids ...string) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	delivery := object{"watermark": k.now()}
	if len(mids) > 0 {
		delivery["mids"] = mids
	}
	k.tell("message_deliveries", object{"delivery": delivery})
}

// Read reports that all messages so far were read.
func (k *Customer) Read() {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.tell("message_reads", object{"timestamp": k.now(), "read": object{"watermark": k.now()}})
}

// Inbox lists what the customer got, in order.
func (k *Customer) Inbox() []Received {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	return append([]Received(nil), k.inbox...)
}

// WaitFor blocks until the customer has n messages and returns all he has.
func (k *Customer) WaitFor(ctx context.Context, n int) ([]Received, error) {
	err := k.p.s.Wait(ctx, "messages of the page", func() bool { return len(k.inbox) >= n })
	return k.Inbox(), err
}

func (k *Customer) now() int64 { return k.p.s.Clock.Now().UnixMilli() }

// tell delivers an event of the customer to every subscribed app. The caller holds the lock.
func (k *Customer) tell(field string, event object) {
	event["sender"], event["recipient"] = object{"id": k.PSID}, object{"id": k.p.ID}
	k.spread(field, event)
}

// spread delivers an event to every app subscribed to its field: as messaging to the owner, or to all if there is none, and
// as standby to the others that want it (§3, §5). The caller holds the lock.
func (k *Customer) spread(field string, event object) {
	owner := k.holder()
	for a, fields := range k.p.subscriptions {
		switch {
		case !fields[field]:
		case owner == "" || owner == a.ID:
			a.push(k.p, "messaging", event)
		case fields["standby"]:
			a.push(k.p, "standby", stripped(event))
		}
	}
}

// stripped is an event as others than the owner see it: without payloads (§3 standby).
func stripped(event object) object {
	event = maps.Clone(event)
	if pressed, ok := event["postback"].(object); ok {
		pressed = maps.Clone(pressed)
		delete(pressed, "payload")
		event["postback"] = pressed
	}
	if m, ok := event["message"].(object); ok && m["quick_reply"] != nil {
		m = maps.Clone(m)
		delete(m, "quick_reply")
		event["message"] = m
	}
	return event
}

func (s *Server) mid() string { return fmt.Sprintf("m_%06d-AbC_dEf", s.number()) }

// profile is GET /{psid} (§6).
func (s *Server) profile(q *query, t *token) (any, *graphError) {
	k := s.customers[q.node]
	if k.p != t.page || k.hidden {
		return nil, unsupported(q)
	}
	if !t.scopes["pages_messaging"] {
		return nil, noMessaging()
	}
	answer := object{"id": k.PSID}
	for _, f := range strings.Split(q.args["fields"], ",") {
		switch f {
		case "first_name":
			answer[f] = k.first
		case "last_name":
			answer[f] = k.last
		case "name":
			answer[f] = strings.TrimSpace(k.first + " " + k.last)
		}
	}
	return answer, nil
}
