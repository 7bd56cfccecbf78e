// Package telegramtest plays the Telegram Bot API: an honest double, built to wire/telegram.md and not to our
// client. It keeps the real server's state (webhook, pending updates, chats, files), its limits and its error
// bodies, and it never dedupes anything for the client (§8).
//
// It plays the server's local mode: webhooks may be plain http on any port and address. WithCloudRules refuses
// what api.telegram.org refuses.
package telegramtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Clock is the time the double lives by: message dates, expiry, long polls, webhook retries.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Option changes how New builds a Server.
type Option func(*Server)

// WithClock replaces the wall clock.
func WithClock(c Clock) Option { return func(s *Server) { s.clock = c } }

// WithAddr listens on addr ("127.0.0.1:8081") instead of a free loopback port.
func WithAddr(addr string) Option { return func(s *Server) { s.addr = addr } }

// WithCloudRules refuses webhook URLs that api.telegram.org refuses: no https, a port other than 80, 88, 443 or
// 8443, a reserved address (wire/telegram.md §2 setWebhook).
func WithCloudRules() Option { return func(s *Server) { s.cloud = true } }

// Server is one Bot API server with any number of bots. All methods may be called from any goroutine.
type Server struct {
	// URL is the base address without a slash at its end; the API is at URL + "/bot<token>/<method>".
	URL string

	clock Clock
	addr  string
	cloud bool

	http    *http.Server
	outward *http.Client // delivers webhooks and fetches files given by URL
	ctx     context.Context
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever anything a waiter may look at changes
	bots    map[string]*Bot
}

// New starts a double. Close it when done. It panics if it cannot listen: a test or a demo cannot go on then.
func New(opts ...Option) *Server {
	s := &Server{
		clock: wallClock{}, addr: "127.0.0.1:0",
		bots: map[string]*Bot{}, changed: make(chan struct{}),
		outward: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // §4: 3xx is a failure
			Timeout:       60 * time.Second,                                                              // §4: HttpOutboundConnection(0, 50, 60)
		},
	}
	for _, o := range opts {
		o(s)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		panic(fmt.Sprintf("telegramtest: listen on %s: %v", s.addr, err))
	}
	s.URL = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.workers.Go(func() { _ = s.http.Serve(listener) })
	return s
}

// Close stops deliveries and the listener and waits until nothing of the double runs any more.
func (s *Server) Close() {
	s.mu.Lock() // after this deliver starts no worker
	s.stop()
	s.mu.Unlock()
	_ = s.http.Close()
	s.workers.Wait()
	s.outward.CloseIdleConnections()
}

// ServeHTTP answers /bot<token>/<method> and /file/bot<token>/<path>.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/file/bot"); ok {
		s.serveFile(w, rest)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/bot")
	token, method, slash := strings.Cut(rest, "/")
	if !ok || !slash {
		writeError(w, &apiError{Code: 404, Description: "Not Found"}) // §1: path does not start with /bot
		return
	}
	bot, fail := s.authorise(token)
	if fail != nil {
		writeError(w, fail)
		return
	}
	q, fail := readQuery(w, r, method)
	if fail != nil {
		writeError(w, fail)
		return
	}
	bot.answer(w, q)
}

// authorise is §1 "Token shape" and the first rows of its error catalogue.
func (s *Server) authorise(token string) (*Bot, *apiError) {
	id, _, colon := strings.Cut(token, ":")
	if strings.HasPrefix(token, "0") || len(token) > 80 || strings.Contains(token, "/") || !colon {
		return nil, &apiError{Code: 401, Description: "Unauthorized: invalid token specified"}
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, &apiError{Code: 421, Description: "Misdirected Request: unallowed token specified"}
	}
	if n <= 0 || n >= 1<<54 {
		return nil, &apiError{Code: 401, Description: "Unauthorized: invalid token specified"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bot := s.bots[token]
	if bot == nil {
		return nil, &apiError{Code: 401, Description: "Unauthorized"}
	}
	return bot, nil
}

// announce wakes everybody who waits for a state. The caller holds s.mu.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait blocks until cond, read under the lock, holds.
func (s *Server) wait(ctx context.Context, what string, cond func() bool) error {
	for {
		s.mu.Lock()
		done, changed := cond(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return errors.New("telegramtest: closed while waiting for " + what)
		case <-ctx.Done():
			return fmt.Errorf("telegramtest: waiting for %s: %w", what, ctx.Err())
		}
	}
}

// apiError is a refusal as the Bot API words it (§1 "Failure").
type apiError struct {
	Code        int
	Description string
	RetryAfter  int   // seconds; also sent as header
	MigrateTo   int64 // the supergroup a group became
}

func badRequest(text string) *apiError {
	return &apiError{Code: 400, Description: "Bad Request: " + text}
}

func forbidden(text string) *apiError { return &apiError{Code: 403, Description: "Forbidden: " + text} }

func conflict(text string) *apiError { return &apiError{Code: 409, Description: "Conflict: " + text} }

func tooMany(seconds int) *apiError {
	return &apiError{Code: 429, Description: fmt.Sprintf("Too Many Requests: retry after %d", seconds), RetryAfter: seconds}
}

// object is any JSON object of the wire.
type object map[string]any

func writeError(w http.ResponseWriter, e *apiError) {
	body := object{"ok": false, "error_code": e.Code, "description": e.Description}
	params := object{}
	if e.RetryAfter > 0 {
		params["retry_after"] = e.RetryAfter
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	if e.MigrateTo != 0 {
		params["migrate_to_chat_id"] = e.MigrateTo
	}
	if len(params) > 0 {
		body["parameters"] = params
	}
	writeJSON(w, e.Code, body)
}

func writeResult(w http.ResponseWriter, result any, description string) {
	body := object{"ok": true, "result": result}
	if description != "" {
		body["description"] = description
	}
	writeJSON(w, http.StatusOK, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
