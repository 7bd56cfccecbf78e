// Package telegramtest plays the Telegram Bot API: an honest double, built to wire/telegram.md and not to our
// client. It keeps the real server's state (webhook, pending updates, chats, files), its limits and its error
// bodies, and it never dedupes anything for the client (§8).
//
// It plays the server's local mode: webhooks may be plain http on any port and address. WithCloudRules refuses
// what api.telegram.org refuses.
package telegramtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waggle/channels/double"
)

// Option changes how New builds a Server.
type Option func(*Server)

// WithClock replaces the wall clock.
func WithClock(c double.Clock) Option { return func(s *Server) { s.Clock = c } }

// WithAddr listens on addr ("127.0.0.1:8081") instead of a free loopback port.
func WithAddr(addr string) Option { return func(s *Server) { s.Addr = addr } }

// WithCloudRules refuses webhook URLs that api.telegram.org refuses: no https, a port other than 80, 88, 443 or
// 8443, a reserved address (wire/telegram.md §2 setWebhook).
func WithCloudRules() Option { return func(s *Server) { s.cloud = true } }

// Server is one Bot API server with any number of bots. All methods may be called from any goroutine.
type Server struct {
	double.Base // the API is at its URL + "/bot<token>/<method>"

	cloud bool
	bots  map[string]*Bot
}

// New starts a double. Close it when done. It panics if it cannot listen: a test or a demo cannot go on then.
func New(opts ...Option) *Server {
	s := &Server{bots: map[string]*Bot{}}
	for _, o := range opts {
		o(s)
	}
	s.Start("telegramtest", s, time.Minute) // §4: HttpOutboundConnection(0, 50, 60); 3xx is a failure
	return s
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
	s.Mu.Lock()
	defer s.Mu.Unlock()
	bot := s.bots[token]
	if bot == nil {
		return nil, &apiError{Code: 401, Description: "Unauthorized"}
	}
	return bot, nil
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
