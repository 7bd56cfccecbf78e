package x

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

const (
	callTimeout = 30 * time.Second // of one call; a caller's shorter deadline wins
	answerLimit = 4 << 20          // bytes of one answer: a page of 100 messages of 10,000 characters fits
)

// client calls the X API (wire/x.md): one deadline per call, every failure a *failure, nothing repeated.
type client struct {
	http *http.Client
	base string // without a slash at its end
	now  func() time.Time
}

func newClient(h *http.Client, base string) client {
	mine := *h
	// The API never redirects, and a redirected request would carry a signature or the bearer elsewhere.
	mine.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client{http: &mine, base: strings.TrimRight(base, "/"), now: time.Now}
}

// request is one call.
type request struct {
	verb, path  string
	query       url.Values
	body        io.Reader
	contentType string
	length      int64         // of body, in bytes
	as          signer        // whose call it is
	address     string        // instead of base and path: of a file
	quiet       []string      // what no error may show beside the credentials: a message's text, should X quote the whole of it
	result      any           // what to decode a good answer into; may be nil
	rest        *time.Time    // set to when the limit ends that a good answer says is used up; may be nil
	timeout     time.Duration // 0: callTimeout
}

// signer is who calls: the account by OAuth 1.0a, or the app by its bearer. Only app-level calls take the bearer (§0).
type signer struct {
	credentials
	app bool
}

func (s signer) authorize(r *http.Request, at time.Time) {
	if s.app {
		r.Header.Set("Authorization", "Bearer "+s.bearer)
		return
	}
	s.credentials.authorize(r, at)
}

// failure is a call without a good answer. It never holds a credential or an address.
type failure struct {
	status  int       // HTTP status; 0 where err says why there was no answer
	api     bool      // the answer was X's own refusal, not a proxy's page
	problem string    // the last part of the problem's type: "oauth1-permissions"; empty: X named none
	text    string    // X's words, for people
	words   string    // the same with what they may quote of a message: to be understood by, and never to be shown
	codes   []int     // of errors in the old shape
	reset   time.Time // when the limit that was hit ends, by our clock; zero: X did not say
	unsent  bool      // no connection was made: certainly nothing happened
	err     error     // what went wrong on the way; may be nil
}

func (f *failure) Error() string {
	switch {
	case f.api:
		return fmt.Sprintf("X answered %d: %s", f.status, f.text)
	case f.err != nil:
		return f.err.Error()
	}
	return fmt.Sprintf("an answer with status %d that is not the X API's", f.status)
}

func (f *failure) Unwrap() error { return f.err }

// says tells whether X's refusal names this reason ("WebhookLimitExceeded"), wherever it puts it.
func (f *failure) says(reason string) bool {
	return f.api && (strings.Contains(f.words, reason) || f.problem == reason)
}

// payload makes a JSON body of a request.
func (r request) payload(body any) request {
	raw, _ := json.Marshal(body) // only our own structs and maps of strings come here
	r.body, r.length, r.contentType = bytes.NewReader(raw), int64(len(raw)), "application/json"
	return r
}

// call makes a request and decodes its answer.
func (c client) call(ctx context.Context, r request) *failure {
	timeout := callTimeout
	if r.timeout != 0 {
		timeout = r.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res, fail := c.do(ctx, r)
	if fail != nil {
		return fail
	}
	defer res.Body.Close()
	return c.understand(res, r)
}

// do makes one request. If it fails before it had a connection, nothing can have reached X.
func (c client) do(ctx context.Context, r request) (*http.Response, *failure) {
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	address := r.address
	if address == "" {
		address = c.base + r.path
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), r.verb, address, r.body)
	if err != nil {
		return nil, &failure{unsent: true, err: guard.Scrubbed(err, r.secrets()...)}
	}
	if r.body != nil {
		req.ContentLength = r.length
		req.Header.Set("Content-Type", r.contentType)
	}
	r.as.authorize(req, c.now())
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &failure{unsent: !connected, err: guard.Scrubbed(err, r.secrets()...)}
	}
	return res, nil
}

// understand reads one answer.
func (c client) understand(res *http.Response, r request) *failure {
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return &failure{err: guard.Scrubbed(err, r.secrets()...)}
	}
	if res.StatusCode/100 != 2 {
		return c.refusal(res, body, r)
	}
	if r.rest != nil {
		*r.rest = limitEnds(res.Header, false, c.now())
	}
	if r.result == nil {
		return nil
	}
	if err := channels.Decode(body, r.result); err != nil {
		return &failure{status: res.StatusCode}
	}
	return nil
}

// refusal is an answer that is no 2xx (§6): the problem itself, or errors[] of problems or of the old codes. The account_id
// of a 402 is larger than what a float holds, so it is not looked at.
func (c client) refusal(res *http.Response, body []byte, r request) *failure {
	type problem struct {
		Type    string `json:"type"`
		Title   string `json:"title"`
		Detail  string `json:"detail"`
		Message string `json:"message"`
		Reason  string `json:"reason"`
		Code    int    `json:"code"`
	}
	var p struct {
		problem
		Errors []problem `json:"errors"`
	}
	f := &failure{status: res.StatusCode, reset: limitEnds(res.Header, true, c.now())}
	if json.Unmarshal(body, &p) != nil {
		return f
	}
	var words []string
	for _, one := range append([]problem{p.problem}, p.Errors[:min(len(p.Errors), 3)]...) {
		f.api = f.api || one != problem{}
		if one.Code != 0 {
			f.codes = append(f.codes, one.Code)
		}
		if f.problem == "" && one.Type != "" && one.Type != "about:blank" {
			f.problem = path.Base(one.Type)
		}
		for _, w := range []string{one.Title, one.Detail, one.Message, one.Reason} {
			if w != "" && !strings.Contains(strings.Join(words, ": "), w) {
				words = append(words, w)
			}
		}
	}
	said := strings.Join(words, ": ")
	f.text, f.words = guard.Quoted(said, r.secrets()...), guard.Quoted(said, r.as.credentials.secrets()...)
	return f
}

// limitEnds is when the limit ends, by our clock, that an answer which came now says is used up; zero: none is. A refusal is
// because of one, whatever it says remains. Where the 24 hours' budget is used up, that is the one (§3).
func limitEnds(h http.Header, refused bool, now time.Time) (ends time.Time) {
	if refused || h.Get("X-Rate-Limit-Remaining") == "0" {
		ends = unix(h.Get("X-Rate-Limit-Reset"))
	}
	for _, who := range []string{"User", "App"} {
		if h.Get("X-"+who+"-Limit-24hour-Remaining") != "0" {
			continue
		}
		if at := unix(h.Get("X-" + who + "-Limit-24hour-Reset")); at.After(ends) {
			ends = at
		}
	}
	// It is told by X's clock. Ours may be wrong by minutes, which we would wait too long, or be refused again.
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil && !ends.IsZero() {
		ends = ends.Add(now.Sub(theirs))
	}
	return ends
}

func unix(header string) time.Time {
	n, err := strconv.ParseInt(header, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// secrets are what must not be shown, should the other side repeat it.
func (r request) secrets() []string { return append(r.as.credentials.secrets(), r.quiet...) }

func (c credentials) secrets() []string {
	return []string{c.accessToken, c.accessSecret, c.consumerKey, c.consumerSecret, c.bearer}
}
