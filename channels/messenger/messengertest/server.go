// Package messengertest plays Facebook's Graph API with its login window and its webhooks: an honest double, built to
// wire/messenger.md and not to our client. It keeps the platform's state (apps, pages, conversations and their owners,
// tokens), its limits and its error bodies. What the wire page marks UNVERIFIED is so here too.
package messengertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"waggle/channels/double"
)

// Option changes how New builds a Server.
type Option func(*Server)

// WithClock replaces the wall clock.
func WithClock(c double.Clock) Option { return func(s *Server) { s.Clock = c } }

// WithAddr listens on addr ("127.0.0.1:8082") instead of a free loopback port.
func WithAddr(addr string) Option { return func(s *Server) { s.Addr = addr } }

// Server is Facebook with any number of apps, pages and people. All methods may be called from any goroutine.
type Server struct {
	// Base's URL is the address: the Graph API is at URL + "/v25.0" (any version, or none), the login window at the same with
	// "/dialog/oauth".
	double.Base
	*double.Faults // by edge: "messages", "subscribed_apps"; "node" for a page or a profile, "cdn" for a file that was sent

	apps      map[string]*App
	pages     map[string]*Page
	customers map[string]*Customer // by page-scoped id
	tokens    map[string]*token
	codes     map[string]*code
	files     map[string][]byte // by path
	uploads   map[string]upload // by attachment_id
	atDialog  *Person
	last      int // the last number given out
}

// New starts a double. Close it when done. It panics if it cannot listen: a test or a demo cannot go on then.
func New(opts ...Option) *Server {
	s := &Server{
		apps: map[string]*App{}, pages: map[string]*Page{}, customers: map[string]*Customer{}, tokens: map[string]*token{}, codes: map[string]*code{},
		files: map[string][]byte{}, uploads: map[string]upload{},
	}
	s.Faults = double.NewFaults(&s.Base)
	for _, o := range opts {
		o(s)
	}
	s.Start("messengertest", s, 20*time.Second) // wire/messenger.md §3
	return s
}

// number gives out the next number. The caller holds the lock.
func (s *Server) number() int {
	s.last++
	return s.last
}

var version = regexp.MustCompile(`^/v[0-9]+\.[0-9]+/`)

// ServeHTTP answers the Graph API, the login window and the files.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := version.ReplaceAllString(r.URL.Path, "/")
	switch {
	case strings.HasPrefix(path, "/cdn/"):
		s.serveFile(w, r, path)
		return
	case path == "/dialog/oauth":
		s.dialog(w, r)
		return
	}
	q, fail := readQuery(w, r, strings.Trim(path, "/"))
	if fail != nil {
		writeError(w, fail)
		return
	}
	s.answer(w, q)
}

// answer runs one call, with the fault a test asked for in between.
func (s *Server) answer(w http.ResponseWriter, q *query) {
	name := q.name()
	fault, faulty := s.Take(name)
	if faulty && !fault.Accepts() {
		s.Spoil(w, q.ctx, fault)
		return
	}
	s.Mu.Lock()
	result, fail := s.run(q, name)
	s.Mu.Unlock()
	switch {
	case fail != nil:
		writeError(w, fail)
	case faulty:
		s.Spoil(w, q.ctx, fault)
	default:
		writeJSON(w, http.StatusOK, result)
	}
}

// run dispatches a call. The caller holds the lock.
func (s *Server) run(q *query, name string) (any, *graphError) {
	switch name {
	case "debug_token":
		return s.debugToken(q)
	case "oauth/access_token":
		return s.exchange(q)
	}
	t, fail := s.authorise(q)
	if fail != nil {
		return nil, fail
	}
	if name == "accounts" {
		return s.accounts(q, t)
	}
	if name == "node" && s.customers[q.node] != nil {
		return s.profile(q, t)
	}
	p := s.pages[q.node]
	if q.node == "me" {
		p = t.page
	}
	edge := edges[q.verb+" "+name]
	if p == nil || p != t.page && name != "node" || edge == nil {
		return nil, unsupported(q)
	}
	return edge(p, q, t)
}

var edges = map[string]func(*Page, *query, *token) (any, *graphError){
	"GET node":                    (*Page).node,
	"POST subscribed_apps":        (*Page).subscribe,
	"GET subscribed_apps":         (*Page).subscribers,
	"DELETE subscribed_apps":      (*Page).unsubscribe,
	"POST messages":               (*Page).messages,
	"POST message_attachments":    (*Page).attachments,
	"POST pass_thread_control":    (*Page).passThread,
	"POST take_thread_control":    (*Page).takeThread,
	"POST request_thread_control": (*Page).requestThread,
	"POST release_thread_control": (*Page).releaseThread,
	"GET thread_owner":            (*Page).threadOwner,
}

// object is any JSON object of the wire.
type object map[string]any

// graphError is a refusal as the Graph API words it (§4 "Errors").
type graphError struct {
	status        int // 0: 400, as mostly
	code, subcode int
	kind, message string
}

func refuse(code, subcode int, message string) *graphError {
	return &graphError{code: code, subcode: subcode, kind: "OAuthException", message: message}
}

func invalid(message string) *graphError { return refuse(100, 0, "(#100) "+message) }

func unsupported(q *query) *graphError {
	e := refuse(100, 33, fmt.Sprintf("Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, or does not support this operation.",
		strings.ToLower(q.verb), q.node))
	e.kind = "GraphMethodException"
	return e
}

func writeError(w http.ResponseWriter, e *graphError) {
	body := object{"message": e.message, "type": e.kind, "code": e.code, "fbtrace_id": "BLBz/WZt8dN"}
	if e.subcode != 0 {
		body["error_subcode"] = e.subcode
	}
	status := e.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	writeJSON(w, status, object{"error": body})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
