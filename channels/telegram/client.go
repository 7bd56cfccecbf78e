package telegram

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"waggle/guard"
)

const (
	callTimeout = 30 * time.Second // of one call; a caller's shorter deadline wins
	answerLimit = 16 << 20         // bytes of one answer: a page of 100 updates is far below
)

// client calls the Bot API (wire/telegram.md §1): JSON by POST, one deadline per call, every failure a *failure.
type client struct {
	http *http.Client
	base string // without a slash at its end
}

func newClient(h *http.Client, base string) client {
	mine := *h
	// The Bot API never redirects, and a redirected request would carry the token elsewhere.
	mine.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client{http: &mine, base: strings.TrimRight(base, "/")}
}

// failure is a call without a good answer. It never holds the token or the address, which contains the token.
type failure struct {
	method      string        // what was called; empty: a file
	status      int           // HTTP status; 0 where err says why there was no answer
	api         bool          // the answer was the Bot API's own refusal, not a proxy's page
	official    bool          // Telegram's own server was called: a page there is a proxy's
	other       bool          // the answer was a JSON object in a form that is not the Bot API's
	description string        // the server's words, for people
	words       string        // the same with what they may quote of a message: to be understood by, and never to be shown
	retryAfter  time.Duration // how long Telegram wants us to wait; 0: it did not say
	unsent      bool          // certainly nothing happened: no connection was made, or half a request
	unread      bool          // the file to be sent could not be read
	err         error         // what went wrong on the way; may be nil
}

func (f *failure) Error() string {
	switch {
	case f.api:
		return fmt.Sprintf("Telegram answered %d: %s", f.status, f.description)
	case f.err != nil:
		return f.err.Error()
	}
	return fmt.Sprintf("an answer with status %d that is not the Bot API's%s", f.status, f.said())
}

func (f *failure) Unwrap() error { return f.err }

// said is what the server said beside its status, in parentheses.
func (f *failure) said() string {
	if f.description == "" {
		return ""
	}
	return " (" + f.description + ")"
}

// noMethod tells that the server does not have what was called: in Telegram's words (wire/telegram.md §1), or as servers say it
// that only resemble Telegram's. A gateway's 502, 503 or 504 says nothing of the kind, nor does a page that comes with a 500.
func (f *failure) noMethod() bool {
	switch f.status {
	case http.StatusNotFound:
		return f.method != "" && (!f.api || strings.Contains(f.words, "method not found"))
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return f.method != ""
	case http.StatusInternalServerError:
		return f.method != "" && f.other
	}
	return false
}

// envelope is every answer of the Bot API (§1).
type envelope struct {
	OK          *bool           `json:"ok"`
	Result      json.RawMessage `json:"result"`
	ErrorCode   int             `json:"error_code"`
	Description string          `json:"description"`
	Message     string          `json:"message"` // where other servers say why
	Parameters  struct {
		RetryAfter int `json:"retry_after"` // seconds
	} `json:"parameters"`
}

// call runs one method and decodes its result into result unless that is nil. It is never repeated here. No error shows what is
// quiet: a message's text, should the server quote the whole of it.
func (c client) call(ctx context.Context, token, method string, params, result any, quiet ...string) *failure {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(params)
	if err != nil {
		return &failure{unsent: true, err: err}
	}
	return c.run(ctx, token, method, payload{bytes.NewReader(body), "application/json", int64(len(body))}, result, quiet...)
}

// payload is the body of a call.
type payload struct {
	io.Reader
	kind string // its MIME type
	size int64  // bytes; -1: not known
}

func (c client) run(ctx context.Context, token, method string, p payload, result any, quiet ...string) *failure {
	res, fail := c.do(ctx, token, http.MethodPost, "/bot"+token+"/"+method, p)
	if fail != nil {
		return fail
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return &failure{err: guard.Scrubbed(err, token)}
	}
	if fail = understand(res, body, token, result, quiet...); fail != nil {
		fail.method, fail.official = method, c.base == DefaultAPI
	}
	return fail
}

// do makes one request. If it fails before it had a connection, nothing can have reached Telegram.
func (c client) do(ctx context.Context, token, verb, path string, p payload) (*http.Response, *failure) {
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), verb, c.base+path, p.Reader)
	if err != nil {
		return nil, &failure{unsent: true, err: guard.Scrubbed(err, token)}
	}
	if p.Reader != nil {
		r.Header.Set("Content-Type", p.kind)
		r.ContentLength = p.size
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, &failure{unsent: !connected, err: guard.Scrubbed(err, token)}
	}
	return res, nil
}

// understand reads one answer: the Bot API's, or whatever a proxy in front of it said (§1, last line).
func understand(res *http.Response, body []byte, token string, result any, quiet ...string) *failure {
	fail := &failure{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"))}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return fail
	}
	hidden := append([]string{token}, quiet...) // the token first: a text may be a piece of it
	if e.OK == nil && e.ErrorCode == 0 {
		fail.other, fail.description = true, guard.Quoted(cmp.Or(e.Description, e.Message), hidden...)
		return fail
	}
	if e.OK != nil && *e.OK && res.StatusCode == http.StatusOK {
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(e.Result, result); err != nil {
			return fail
		}
		return nil
	}
	if e.ErrorCode != 0 {
		fail.status = e.ErrorCode
	}
	fail.api = true
	fail.description, fail.words = guard.Quoted(e.Description, hidden...), guard.Quoted(e.Description, token)
	fail.retryAfter = max(fail.retryAfter, seconds(e.Parameters.RetryAfter))
	return fail
}

func retryAfter(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil {
		return 0
	}
	return seconds(n)
}

// seconds reads a wait; more than a day is none that a Bot API server asks for.
func seconds(n int) time.Duration {
	const day = 24 * 60 * 60
	return time.Duration(min(max(n, 0), day)) * time.Second
}
