package xtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"waggle/channels/double"
)

// App is a developer's app with its webhooks and subscriptions.
type App struct {
	s                                   *Server
	consumerKey, consumerSecret, bearer string

	// Everything below is guarded by s.Mu.
	noCredits  string // body of the 402; empty: there are credits
	retired    bool   // no Account Activity API
	hookLimit  int
	hooks      []*hook
	activity   []*activity
	duplicates int
	doubled    int
	failures   []string
	posting    int                   // deliveries under way
	queue      []func() (again bool) // each tells whether it was an event's second delivery, and taken
	draining   bool
	order      double.Order
}

// AddApp registers an app by its Consumer Key, Secret Key and Bearer Token.
func (s *Server) AddApp(consumerKey, consumerSecret, bearer string) *App {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	a := &App{s: s, consumerKey: consumerKey, consumerSecret: consumerSecret, bearer: bearer, hookLimit: 1} // §5.4: pay-per-use has one
	s.apps = append(s.apps, a)
	return a
}

// ReplaceSecret gives the app another Secret Key, as Regenerate in X's console does.
func (a *App) ReplaceSecret(consumerSecret string) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.consumerSecret = consumerSecret
}

// RetireAccountActivity takes the Account Activity API away from the app, as X means to.
func (a *App) RetireAccountActivity() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.retired = true
}

// Account is the company's account on X, with a token for one app.
type Account struct {
	ID, Username string

	s   *Server
	app *App

	// Everything below is guarded by s.Mu.
	token, secret string
	noMessages    bool // the token was made before the app's permission was
	messages      []*message
	listed        int
	people        map[string]*Customer
	used          map[string]window
	uploads       map[string]*upload
}

// AddAccount lets an account use the app with an access token that may use Direct Messages.
func (a *App) AddAccount(id, username, token, secret string) *Account {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	account := &Account{
		ID: id, Username: username, s: a.s, app: a, token: token, secret: secret, people: map[string]*Customer{}, used: map[string]window{}, uploads: map[string]*upload{},
	}
	a.s.accounts[id] = account
	return account
}

// Regenerate gives the account another token; the old one is worth nothing any more. Without messages it is one that was made
// before the app had the permission “Read and write and Direct message”.
func (a *Account) Regenerate(token, secret string, messages bool) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.token, a.secret, a.noMessages = token, secret, !messages
}

// Listed is how many messages were shown in lists so far, the same one as often as it was: X takes money for each (§7).
func (a *Account) Listed() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return a.listed
}

// Customer is a person who writes to the account.
type Customer struct {
	ID, Name, Username string

	a *Account

	// Everything below is guarded by s.Mu.
	refuses bool
	inbox   []Received
}

// Received is a message of the account in a customer's app.
type Received struct {
	ID, Text  string
	Media     []byte // of an attachment
	MediaKind string // photo, animated_gif, video
	MediaMIME string
}

// message is one of an account's Direct Messages.
type message struct {
	id, sender, recipient, text string
	appID                       string
	at                          time.Time
	file                        string // name under /files; empty: none
	kind, mime                  string // of the file: photo, video; its type as the account told it
	group                       string // id of a conversation of many
}

// Customer returns the person with this id.
func (a *Account) Customer(id, name, username string) *Customer {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	if a.people[id] == nil {
		a.people[id] = &Customer{ID: id, Name: name, Username: username, a: a}
	}
	return a.people[id]
}

// Write sends a message to the account and returns its id.
func (c *Customer) Write(text string) string {
	return c.a.add(&message{sender: c.ID, recipient: c.a.ID, text: text})
}

// Wrote puts a message of the past into the account's list. It was delivered then.
func (c *Customer) Wrote(at time.Time, text string) {
	a := c.a
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	m := &message{id: strconv.FormatInt(idAt(at)+int64(len(a.messages)), 10), at: at, sender: c.ID, recipient: a.ID, text: text}
	later := slices.IndexFunc(a.messages, func(m *message) bool { return m.at.After(at) })
	if later < 0 {
		later = len(a.messages)
	}
	a.messages = slices.Insert(a.messages, later, m)
}

// SendFile sends a photo or a video, with a text.
func (c *Customer) SendFile(kind string, data []byte, text string) string {
	s := c.a.s
	s.Mu.Lock()
	name := fmt.Sprintf("%d.bin", len(s.files))
	s.files[name] = data
	s.Mu.Unlock()
	return c.a.add(&message{sender: c.ID, recipient: c.a.ID, text: text, file: name, kind: kind})
}

// WriteInGroup sends a message to a conversation of several people the account is in.
func (c *Customer) WriteInGroup(text string) string {
	return c.a.add(&message{sender: c.ID, recipient: c.a.ID, text: text, group: "1578398451921985538"})
}

// WriteByHand is the account's own people writing to the customer in X's app.
func (a *Account) WriteByHand(c *Customer, text string) string {
	return a.add(&message{sender: a.ID, recipient: c.ID, text: text, appID: "13090192"})
}

// Read is the customer having read everything.
func (c *Customer) Read() {
	a := c.a
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	last := a.messages[len(a.messages)-1].id
	a.push(c.ID, "dm.read", object{"direct_message_mark_read_events": []object{{
		"created_timestamp": milli(a.s.Clock.Now()), "sender_id": c.ID, "target": object{"recipient_id": a.ID}, "last_read_event_id": last,
	}}})
}

// Type is the customer beginning to write.
func (c *Customer) Type() {
	c.a.Push("dm.indicate_typing", map[string]any{"direct_message_indicate_typing_events": []object{{
		"created_timestamp": milli(c.a.s.Clock.Now()), "sender_id": c.ID, "target": object{"recipient_id": c.a.ID},
	}}})
}

// Refuse makes the customer take no messages of the account any more.
func (c *Customer) Refuse() {
	c.a.s.Mu.Lock()
	defer c.a.s.Mu.Unlock()
	c.refuses = true
}

// Inbox lists what the account sent, oldest first.
func (c *Customer) Inbox() []Received {
	c.a.s.Mu.Lock()
	defer c.a.s.Mu.Unlock()
	return slices.Clone(c.inbox)
}

// WaitFor blocks until the customer has n messages of the account and returns all he has.
func (c *Customer) WaitFor(ctx context.Context, n int) ([]Received, error) {
	err := c.a.s.Wait(ctx, "messages of the account", func() bool { return len(c.inbox) >= n })
	return c.Inbox(), err
}

// add keeps a message and tells the app of it.
func (a *Account) add(m *message) string {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	m.id, m.at = a.s.newID(), a.s.Clock.Now()
	a.messages = append(a.messages, m)
	if c := a.people[m.recipient]; c != nil {
		c.inbox = append(c.inbox, Received{ID: m.id, Text: m.text, Media: a.s.files[m.file], MediaKind: m.kind, MediaMIME: m.mime})
	}
	event := "dm.received"
	if m.sender == a.ID {
		event = "dm.sent"
	}
	if m.group == "" {
		a.push(m.sender, event, a.payload(m))
	}
	a.s.Announce()
	return m.id
}

// payload is §5.4's direct_message_events.
func (a *Account) payload(m *message) object {
	text, urls := m.shown()
	data := object{"text": text, "entities": object{"hashtags": []any{}, "symbols": []any{}, "user_mentions": []any{}, "urls": urls}}
	if m.file != "" {
		file := object{"id": 1, "type": m.kind, "url": m.fileLink(), "media_url_https": a.s.URL + "/files/" + m.file}
		if m.kind != "photo" {
			file["video_info"] = object{"variants": []object{
				{"content_type": "application/x-mpegURL", "url": a.s.URL + "/files/none"},
				{"content_type": "video/mp4", "bitrate": 256000, "url": a.s.URL + "/files/none"},
				{"content_type": "video/mp4", "bitrate": 832000, "url": a.s.URL + "/files/" + m.file},
			}}
		}
		data["attachment"] = object{"type": "media", "media": file}
	}
	return object{
		"direct_message_events": []object{{
			"type": "message_create", "id": m.id, "created_timestamp": milli(m.at), "message_create": object{
				"target": object{"recipient_id": m.recipient}, "sender_id": m.sender, "source_app_id": m.appID, "message_data": data,
			},
		}},
		"apps":  object{"13090192": object{"id": "13090192", "name": "Twitter Web Client", "url": "https://x.com"}},
		"users": a.users(m),
	}
}

func (a *Account) users(m *message) object {
	users := object{a.ID: object{"id": a.ID, "name": a.Username, "screen_name": a.Username}}
	for _, id := range []string{m.sender, m.recipient} {
		if c := a.people[id]; c != nil {
			users[id] = object{"id": id, "created_timestamp": "1422556069340", "name": c.Name, "screen_name": c.Username, "protected": false}
		}
	}
	return users
}

func milli(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func (c *call) me() answer {
	return ok(object{"data": object{"id": c.account.ID, "name": c.account.Username, "username": c.account.Username}})
}

// permitted is the 403 of a token without the right to Direct Messages (§6).
func (c *call) permitted() *answer {
	if !c.account.noMessages {
		return nil
	}
	return &answer{status: http.StatusForbidden, body: object{
		"detail": "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.", "status": 403,
		"title": "Forbidden", "type": "https://api.x.com/2/problems/oauth1-permissions",
	}}
}

func invalid(detail string) answer {
	return answer{status: http.StatusBadRequest, body: object{
		"errors": []object{{"parameters": object{}, "message": detail}}, "title": "Invalid Request",
		"detail": "One or more parameters to your request was invalid.", "type": "https://api.twitter.com/2/problems/invalid-request",
	}}
}

// decode reads a JSON body that may have these members only (§2: additionalProperties is false).
func (c *call) decode(into any) bool {
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	return strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") && d.Decode(into) == nil
}
