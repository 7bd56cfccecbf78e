package customtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"sync"
	"time"
)

// Profile is what the messenger tells about a user (PROTOCOL.md §5).
type Profile struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	Language string `json:"language,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Email    string `json:"email,omitempty"`
}

// Attachment is a file of a message.
type Attachment struct {
	Name string `json:"name"`
	MIME string `json:"mime"`
	Size int64  `json:"size"`
	URL  string `json:"url"`
}

// Received is a message of an agent as its user sees it.
type Received struct {
	ID      string // the messenger's id
	Key     string // Waggle's id, the idempotency key
	Text    string
	ReplyTo string
	File    *SentFile // nil: none
}

// SentFile is a file an agent sent.
type SentFile struct {
	Kind, Name, MIME string
	Content          []byte
}

// Customer is one user of the messenger.
type Customer struct {
	m       *Messenger
	profile Profile

	sending sync.Mutex // one event at a time, in order (PROTOCOL.md §5)

	// guarded by m.mu
	inbox   []Received
	outbox  [][]byte // events Waggle has not taken yet, oldest first
	blocked bool
	edits   int
}

// Customer returns the user with this id, signing him up with the profile if he is new.
func (m *Messenger) Customer(p Profile) *Customer {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	c := m.customers[p.ID]
	if c == nil {
		c = &Customer{m: m, profile: p}
		m.customers[p.ID] = c
	}
	return c
}

// event is the body of "message" and "edit" (PROTOCOL.md §5).
type event struct {
	Type        string       `json:"type"`
	ID          string       `json:"id"`
	MessageID   string       `json:"message_id,omitempty"`
	User        Profile      `json:"user"`
	Text        string       `json:"text,omitempty"`
	ReplyTo     string       `json:"reply_to,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	At          time.Time    `json:"at"`
}

// Write sends a message and returns its id. The message stays in the outbox until Waggle answers 200; the error says why
// it is still there.
func (c *Customer) Write(ctx context.Context, text string, files ...Attachment) (string, error) {
	return c.Reply(ctx, "", text, files...)
}

// Reply is Write with the id of the message it answers.
func (c *Customer) Reply(ctx context.Context, to, text string, files ...Attachment) (string, error) {
	c.m.Mu.Lock()
	e := event{Type: "message", ID: c.m.nextID("m"), User: c.profile, Text: text, ReplyTo: to, Attachments: files, At: c.m.Clock.Now().UTC()}
	c.queue(e)
	c.m.Mu.Unlock()
	return e.ID, c.flush(ctx)
}

// Edit changes the text of a message the customer wrote.
func (c *Customer) Edit(ctx context.Context, messageID, text string) error {
	c.m.Mu.Lock()
	c.edits++
	c.queue(event{Type: "edit", ID: fmt.Sprintf("e-%d", c.edits), MessageID: messageID, User: c.profile, Text: text, At: c.m.Clock.Now().UTC()})
	c.m.Mu.Unlock()
	return c.flush(ctx)
}

// queue puts an event into the outbox. The caller holds m.Mu.
func (c *Customer) queue(e event) {
	body, _ := json.Marshal(e) // strings, numbers and a time of this millennium cannot fail
	c.outbox = append(c.outbox, body)
}

// Block makes the messenger refuse messages to this user with user_blocked.
func (c *Customer) Block(blocked bool) {
	c.m.Mu.Lock()
	defer c.m.Mu.Unlock()
	c.blocked = blocked
}

// Inbox is what the user has received, oldest first.
func (c *Customer) Inbox() []Received {
	c.m.Mu.Lock()
	defer c.m.Mu.Unlock()
	return append([]Received(nil), c.inbox...)
}

// WaitFor returns the inbox once it holds at least n messages, or what it holds when ctx ends.
func (c *Customer) WaitFor(ctx context.Context, n int) ([]Received, error) {
	err := c.m.Wait(ctx, fmt.Sprintf("message %d of %s", n, c.profile.ID), func() bool { return len(c.inbox) >= n })
	return c.Inbox(), err
}

// Pending is how many events Waggle has not taken yet.
func (m *Messenger) Pending() int {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	n := 0
	for _, c := range m.customers {
		n += len(c.outbox)
	}
	return n
}

// Retry repeats everything pending, user by user. A real messenger does it by itself after a while (PROTOCOL.md §6); here
// whoever holds the double says when. The error is that of the users who still could not deliver.
func (m *Messenger) Retry(ctx context.Context) error {
	m.Mu.Lock()
	var all []*Customer
	for _, c := range m.customers {
		all = append(all, c)
	}
	m.Mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].profile.ID < all[j].profile.ID })
	var errs []error
	for _, c := range all {
		errs = append(errs, c.flush(ctx))
	}
	return errors.Join(errs...)
}

// flush delivers the outbox in order and stops at the first event that is not taken.
func (c *Customer) flush(ctx context.Context) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	for {
		c.m.Mu.Lock()
		hook, code := c.m.hook, c.m.code
		if len(c.outbox) == 0 {
			c.m.Mu.Unlock()
			return nil
		}
		body := c.outbox[0]
		c.m.Mu.Unlock()

		status, err := c.m.Post(ctx, hook, code, body)
		switch {
		case err != nil:
			return err
		case status != http.StatusOK && status != http.StatusBadRequest: // §6: repeat later
			return fmt.Errorf("customtest: Waggle answered %d", status)
		}
		c.m.Mu.Lock()
		if len(c.outbox) > 0 && bytes.Equal(c.outbox[0], body) { // else a connect has dropped it meanwhile
			c.outbox = c.outbox[1:]
		}
		c.m.Announce()
		c.m.Mu.Unlock()
		if status == http.StatusBadRequest {
			return errors.New("customtest: Waggle answered 400, the event is given up")
		}
	}
}

// Post sends any body to a hook under any code and returns the status: for what an honest messenger would not send.
func (m *Messenger) Post(ctx context.Context, hook, code string, body []byte) (status int, err error) {
	if hook == "" {
		return 0, errors.New("customtest: nobody has told where Waggle listens")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Confirmation-Code", encodeCode(code))
	resp, err := m.Outward.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	if resp.StatusCode == http.StatusOK && json.Unmarshal(answer, &map[string]any{}) != nil {
		return 0, errors.New("customtest: Waggle answered 200 without a JSON object (PROTOCOL.md §5)")
	}
	return resp.StatusCode, nil
}
