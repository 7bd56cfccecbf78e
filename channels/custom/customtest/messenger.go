// Package customtest plays a company's own messenger: an honest double, built to channels/custom/PROTOCOL.md and not to our
// client. It is strict with what Waggle sends, keeps what its users could not yet deliver and repeats it when asked, and
// never dedupes anything for Waggle.
package customtest

import (
	"net/url"
	"strings"
	"time"

	"waggle/channels/double"
)

// webhookPath is where Waggle's requests go; everything else but the files is 404.
const webhookPath = "/waggle/webhook"

// Option changes how New builds a Messenger.
type Option func(*Messenger)

// WithAddr listens on addr instead of a free loopback port.
func WithAddr(addr string) Option { return func(m *Messenger) { m.Addr = addr } }

// WithName is what the messenger calls itself; "Acme Messenger" otherwise.
func WithName(name string) Option { return func(m *Messenger) { m.name = name } }

// Messenger is one company's messenger with any number of users. All methods may be called from any goroutine.
type Messenger struct {
	double.Base

	code string
	name string

	hook      string
	channel   string // the channel's id, once connected
	connects  int
	faults    []double.Fault
	broken    *double.Fault // answers everything until Heal
	customers map[string]*Customer
	parts     map[string]*part // by Waggle's id
	wrong     []string
	files     map[string]file
	lastID    int
}

// part is one message of Waggle, by its idempotency key.
type part struct {
	messageID string
	body      string
	repeats   int
}

// New starts a messenger with this confirmation code. Close it when done. It panics if it cannot listen: a test or a demo
// cannot go on then.
func New(code string, opts ...Option) *Messenger {
	m := &Messenger{
		code: code, name: "Acme Messenger",
		customers: map[string]*Customer{}, parts: map[string]*part{}, files: map[string]file{},
	}
	for _, o := range opts {
		o(m)
	}
	m.Start("customtest", m, 30*time.Second) // PROTOCOL.md §2: at least 10 s
	return m
}

// WebhookURL is what the administrator enters in Waggle's field Webhook.
func (m *Messenger) WebhookURL() string { return m.URL + webhookPath }

// SetHook tells the messenger where Waggle listens; "connect" does the same.
func (m *Messenger) SetHook(url string) {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	m.hook = url
}

// Hook is where the messenger sends; empty before it was told.
func (m *Messenger) Hook() string {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	return m.hook
}

// SetCode changes the confirmation code on the messenger's side, for both directions.
func (m *Messenger) SetCode(code string) {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	m.code = code
}

// Connects is how many "connect" requests were answered 200.
func (m *Messenger) Connects() int {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	return m.connects
}

// Wrong lists the requests that broke the protocol, each as a sentence. A right Waggle leaves it empty; a wrong code is not
// among them, since administrators mistype codes.
func (m *Messenger) Wrong() []string {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	return append([]string(nil), m.wrong...)
}

// Repeats is how often Waggle sent the part with this id beyond the first time.
func (m *Messenger) Repeats(id string) int {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	if p := m.parts[id]; p != nil {
		return p.repeats
	}
	return 0
}

// encodeCode is PROTOCOL.md §2's percent-encoding; decodeCode its inverse.
func encodeCode(code string) string { return strings.ReplaceAll(url.QueryEscape(code), "+", "%20") }

func decodeCode(header string) (string, bool) {
	code, err := url.PathUnescape(header)
	return code, err == nil
}
