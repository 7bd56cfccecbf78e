// Package xtest plays X: an honest double of its API v2 for Direct Messages and of its webhooks, built to wire/x.md and not to
// our client. It verifies every OAuth 1.0a signature by the full algorithm, keeps X's limits and answers with its error bodies.
package xtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"waggle/channels/double"
)

// Option changes how New builds a Server.
type Option func(*Server)

// WithClock replaces the wall clock.
func WithClock(c double.Clock) Option { return func(s *Server) { s.Clock = c } }

// WithAddr listens on addr ("127.0.0.1:8083") instead of a free loopback port.
func WithAddr(addr string) Option { return func(s *Server) { s.Addr = addr } }

// WithAnyHook takes webhooks that X refuses: plain http, a port. Tests and demos need it, as they have no public address.
func WithAnyHook() Option { return func(s *Server) { s.anyHook = true } }

// WithoutLimits keeps no budgets: X's are far below what a proof of anything else sends.
func WithoutLimits() Option { return func(s *Server) { s.unlimited = true } }

// WithPatience delivers an event again until it is taken. What X does after its first attempts is not documented.
func WithPatience() Option { return func(s *Server) { s.patient = true } }

// Server is X with any number of apps and accounts. All methods may be called from any goroutine.
type Server struct {
	double.Base // its URL is the API's base address
	*double.Faults

	anyHook   bool
	unlimited bool
	patient   bool

	mux *http.ServeMux

	apps     []*App
	accounts map[string]*Account // by id
	nonces   map[string]bool
	files    map[string][]byte
	lastID   int64
}

// New starts a double. Close it when done. It panics if it cannot listen: a test or a demo cannot go on then.
func New(opts ...Option) *Server {
	s := &Server{
		mux: http.NewServeMux(), accounts: map[string]*Account{}, nonces: map[string]bool{}, files: map[string][]byte{},
	}
	s.Faults = double.NewFaults(&s.Base)
	for _, o := range opts {
		o(s)
	}
	s.route()
	s.Start("xtest", s.mux, 10*time.Second) // §5.3
	return s
}

func (s *Server) route() {
	s.on("me", "GET /2/users/me", byUser, (*call).me)
	s.on("send", "POST /2/dm_conversations/with/{participant}/messages", byUser, (*call).send)
	s.on("events", "GET /2/dm_events", byUser, (*call).events)
	s.on("webhooks", "GET /2/webhooks", byApp, (*call).listHooks)
	s.on("createWebhook", "POST /2/webhooks", byApp, (*call).createHook)
	s.on("validateWebhook", "PUT /2/webhooks/{hook}", byApp, (*call).validateHook)
	s.on("deleteWebhook", "DELETE /2/webhooks/{hook}", byApp, (*call).deleteHook)
	s.on("subscribe", "POST /2/account_activity/webhooks/{hook}/subscriptions/all", byUser, (*call).subscribe)
	s.on("subscribed", "GET /2/account_activity/webhooks/{hook}/subscriptions/all", byUser, (*call).subscribed)
	s.on("subscriptions", "GET /2/account_activity/webhooks/{hook}/subscriptions/all/list", byApp, (*call).listSubscriptions)
	s.on("unsubscribe", "DELETE /2/account_activity/webhooks/{hook}/subscriptions/{user}/all", byApp, (*call).unsubscribe)
	s.on("activity", "GET /2/activity/subscriptions", byApp, (*call).listActivity)
	s.on("createActivity", "POST /2/activity/subscriptions", byUser, (*call).createActivity)
	s.on("updateActivity", "PUT /2/activity/subscriptions/{subscription}", byApp, (*call).updateActivity)
	s.on("deleteActivity", "DELETE /2/activity/subscriptions/{subscription}", byApp, (*call).deleteActivity)
	s.on("upload", "POST /2/media/upload", byUser, (*call).upload)
	s.on("uploadStatus", "GET /2/media/upload", byUser, (*call).uploadStatus)
	s.on("uploadInitialize", "POST /2/media/upload/initialize", byUser, (*call).uploadInitialize)
	s.on("uploadAppend", "POST /2/media/upload/{media}/append", byUser, (*call).uploadAppend)
	s.on("uploadFinalize", "POST /2/media/upload/{media}/finalize", byUser, (*call).uploadFinalize)
	s.on("file", "GET /files/{file}", byUser, (*call).file)
}

// call is one request of a client that has proved who it is.
type call struct {
	*Server
	r       *http.Request
	body    []byte
	header  http.Header // of the answer
	app     *App
	account *Account // of a user's call
}

// answer is a status and a JSON body, or raw bytes.
type answer struct {
	status int
	body   any
	raw    []byte
}

type object map[string]any

// on mounts one operation under the name that faults and counts know it by.
func (s *Server) on(name, pattern string, who func(*call) *answer, do func(*call) answer) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Clock.Now().UTC().Format(http.TimeFormat))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
		if err != nil {
			write(w, answer{status: http.StatusRequestEntityTooLarge, body: object{"title": "Request Entity Too Large", "type": "about:blank", "status": 413}})
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c := &call{Server: s, r: r, body: body, header: w.Header()}
		fault, faulty := s.Take(name)
		if faulty && !fault.Accepts() {
			s.Spoil(w, r.Context(), fault)
			return
		}
		a := c.run(name, who, do)
		if faulty {
			s.Spoil(w, r.Context(), fault)
			return
		}
		write(w, a)
	})
}

func (c *call) run(name string, who func(*call) *answer, do func(*call) answer) answer {
	if refused := who(c); refused != nil {
		return *refused
	}
	c.Mu.Lock()
	refused := c.limited(name)
	c.Mu.Unlock()
	if refused != nil {
		return *refused
	}
	defer func() {
		c.Mu.Lock()
		c.Announce()
		c.Mu.Unlock()
	}()
	return do(c)
}

func write(w http.ResponseWriter, a answer) {
	if a.raw != nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(a.raw)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client is gone if this fails
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

// newID makes ids as X does: the millisecond above 22 other bits, each larger than the one before. The caller holds s.Mu.
func (s *Server) newID() string {
	s.lastID = max(s.lastID+1, idAt(s.Clock.Now()))
	return strconv.FormatInt(s.lastID, 10)
}

// idAt is the least id of what is made in this millisecond.
func idAt(t time.Time) int64 { return (t.UnixMilli() - 1288834974657) << 22 }
