// Package customtest plays a company's own messenger: an honest double, built to channels/custom/PROTOCOL.md and not to our
// client. It is strict with what Waggle sends, keeps what its users could not yet deliver and repeats it when asked, and
// never dedupes anything for Waggle.
package customtest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// webhookPath is where Waggle's requests go; everything else but the files is 404.
const webhookPath = "/waggle/webhook"

// Option changes how New builds a Messenger.
type Option func(*Messenger)

// WithAddr listens on addr instead of a free loopback port.
func WithAddr(addr string) Option { return func(m *Messenger) { m.addr = addr } }

// WithName is what the messenger calls itself; "Acme Messenger" otherwise.
func WithName(name string) Option { return func(m *Messenger) { m.name = name } }

// WithClock replaces the wall clock for the times of messages.
func WithClock(now func() time.Time) Option { return func(m *Messenger) { m.now = now } }

// Messenger is one company's messenger with any number of users. All methods may be called from any goroutine.
type Messenger struct {
	code string
	name string
	addr string
	now  func() time.Time

	outward *http.Client // calls Waggle's hook
	ctx     context.Context
	stop    context.CancelFunc
	serving sync.WaitGroup

	mu        sync.Mutex
	http      *http.Server  // nil while connections are refused
	changed   chan struct{} // closed and replaced whenever anything a waiter may look at changes
	hook      string
	channel   string // the channel's id, once connected
	connects  int
	faults    []Fault
	broken    *Fault // answers everything until Heal
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
		code: code, name: "Acme Messenger", addr: "127.0.0.1:0", now: time.Now,
		changed: make(chan struct{}), customers: map[string]*Customer{}, parts: map[string]*part{}, files: map[string]file{},
		outward: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       30 * time.Second, // PROTOCOL.md §2: at least 10 s
		},
	}
	for _, o := range opts {
		o(m)
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.Listen()
	return m
}

// Close stops the messenger and waits until nothing of it runs any more.
func (m *Messenger) Close() {
	m.stop()
	m.RefuseConnections()
	m.outward.CloseIdleConnections()
}

// Listen accepts connections again after RefuseConnections, at the same address.
func (m *Messenger) Listen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.http != nil {
		return
	}
	listener, err := net.Listen("tcp", m.addr)
	if err != nil {
		panic(fmt.Sprintf("customtest: listen on %s: %v", m.addr, err))
	}
	m.addr = listener.Addr().String()
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	m.http = server
	m.serving.Go(func() { _ = server.Serve(listener) })
}

// RefuseConnections closes the listener and every connection, as a messenger whose host is up and whose program is not.
func (m *Messenger) RefuseConnections() {
	m.mu.Lock()
	server := m.http
	m.http = nil
	m.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	m.serving.Wait()
}

// WebhookURL is what the administrator enters in Waggle's field Webhook.
func (m *Messenger) WebhookURL() string { return m.base() + webhookPath }

func (m *Messenger) base() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return "http://" + m.addr
}

// SetHook tells the messenger where Waggle listens; "connect" does the same.
func (m *Messenger) SetHook(url string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = url
}

// Hook is where the messenger sends; empty before it was told.
func (m *Messenger) Hook() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hook
}

// SetCode changes the confirmation code on the messenger's side, for both directions.
func (m *Messenger) SetCode(code string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.code = code
}

// Connects is how many "connect" requests were answered 200.
func (m *Messenger) Connects() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.connects
}

// Wrong lists the requests that broke the protocol, each as a sentence. A right Waggle leaves it empty; a wrong code is not
// among them, since administrators mistype codes.
func (m *Messenger) Wrong() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.wrong...)
}

// Repeats is how often Waggle sent the part with this id beyond the first time.
func (m *Messenger) Repeats(id string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.parts[id]; p != nil {
		return p.repeats
	}
	return 0
}

// announce wakes the waiters. The caller holds mu.
func (m *Messenger) announce() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// encodeCode is PROTOCOL.md §2's percent-encoding; decodeCode its inverse.
func encodeCode(code string) string { return strings.ReplaceAll(url.QueryEscape(code), "+", "%20") }

func decodeCode(header string) (string, bool) {
	code, err := url.PathUnescape(header)
	return code, err == nil
}
