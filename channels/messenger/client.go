package messenger

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

const (
	callTimeout = 30 * time.Second // of one call; a caller's shorter deadline wins
	answerLimit = 4 << 20          // bytes of one answer: a page of /me/accounts is far below
)

// client calls the Graph API (wire/messenger.md §4, §6): one deadline per call, every failure a *failure.
type client struct {
	http *http.Client
	base string // with the version, without a slash at its end
}

func newClient(h *http.Client, base string) client {
	mine := *h
	// The Graph API never redirects what we call, and a redirected request would carry the token elsewhere.
	mine.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client{http: &mine, base: strings.TrimRight(base, "/")}
}

// call is one request. The token travels as the parameter access_token, as wire/messenger.md §4 and §6 have it: no log of ours holds
// an address, and no error shows the token.
type call struct {
	verb, path string
	params     url.Values // in the address
	json       any        // in the body; a POST has one of json and file, or none
	file       *upload
	token      string
	secret     string // the app secret, for the proof that we may use the token; empty: without a proof
	quiet      string // what no error shows beside the secrets: a message's text, should Facebook quote the whole of it
	patience   time.Duration
}

// secrets are what no error about this call may show.
func (q call) secrets() []string {
	_, ofApp, _ := strings.Cut(q.token, "|") // an app's own token is its id and its secret
	found := []string{q.token, ofApp, q.secret, proof(q.secret, q.token)}
	for _, name := range []string{"input_token", "client_secret", "code", "fb_exchange_token"} {
		found = append(found, q.params.Get(name))
	}
	return found
}

// proof is appsecret_proof (wire/messenger.md §2): that who uses the token also knows the app secret.
func proof(secret, token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, token)
	return hex.EncodeToString(mac.Sum(nil))
}

// failure is a call without a good answer. It never holds a token, a secret or the address.
type failure struct {
	status     int           // HTTP status; 0 where err says why there was no answer
	api        bool          // the answer was the Graph API's own refusal, not a proxy's page
	code       reply         // the Graph API's error code and subcode
	message    string        // the Graph API's words, for people
	words      string        // the same with what they may quote of a message: to be understood by, and never to be shown
	retryAfter time.Duration // how long we are told to wait; 0: not said
	unsent     bool          // no connection was made: certainly nothing happened
	err        error         // what went wrong on the way; may be nil
}

func (f *failure) Error() string {
	switch {
	case f.api:
		return fmt.Sprintf("Facebook answered %d with error %d/%d: %s", f.status, f.code.code, f.code.subcode, f.message)
	case f.err != nil:
		return f.err.Error()
	}
	return fmt.Sprintf("an answer with status %d that is not the Graph API's", f.status)
}

func (f *failure) Unwrap() error { return f.err }

// unsupported tells that the server does not have what was called (wire/messenger.md §4).
func (f *failure) unsupported() bool { return f.code == reply{100, 33} }

// do makes one call and decodes its answer into result unless that is nil. It is never repeated here.
func (c client) do(ctx context.Context, q call, result any) *failure {
	ctx, cancel := context.WithTimeout(ctx, max(q.patience, callTimeout))
	defer cancel()
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	r, err := c.request(httptrace.WithClientTrace(ctx, trace), q)
	if err != nil {
		return &failure{unsent: true, err: guard.Scrubbed(err, q.secrets()...)}
	}
	res, err := c.http.Do(r)
	if err != nil {
		return &failure{unsent: !connected, err: guard.Scrubbed(err, q.secrets()...)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return &failure{err: guard.Scrubbed(err, q.secrets()...)}
	}
	return understand(res, body, q, result)
}

func (c client) request(ctx context.Context, q call) (*http.Request, error) {
	params := url.Values{}
	for name, values := range q.params {
		params[name] = values
	}
	if q.token != "" {
		params.Set("access_token", q.token)
	}
	if q.secret != "" {
		params.Set("appsecret_proof", proof(q.secret, q.token))
	}
	body, kind, size, err := q.body(ctx)
	if err != nil {
		return nil, err
	}
	address := c.base + q.path
	if len(params) > 0 {
		address += "?" + params.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.verb, address, body)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
		r.ContentLength = size
	}
	return r, nil
}

// body is what the call carries, its type and its length in bytes.
func (q call) body(ctx context.Context) (io.Reader, string, int64, error) {
	switch {
	case q.file != nil:
		return q.file.body(ctx)
	case q.json != nil:
		data, err := json.Marshal(q.json)
		return bytes.NewReader(data), "application/json", int64(len(data)), err
	}
	return nil, "", 0, nil
}

// understand reads one answer: the Graph API's, or whatever a proxy in front of it said. An error comes mostly with status
// 400; its code says more than the status (wire/messenger.md §4).
func understand(res *http.Response, body []byte, q call, result any) *failure {
	fail := &failure{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"))}
	var e struct {
		Error *struct {
			Message string `json:"message"`
			Code    int    `json:"code"`
			Subcode int    `json:"error_subcode"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return fail
	}
	if e.Error != nil && e.Error.Code != 0 {
		fail.api, fail.code = true, reply{e.Error.Code, e.Error.Subcode}
		fail.message, fail.words = guard.Quoted(e.Error.Message, append(q.secrets(), q.quiet)...), guard.Quoted(e.Error.Message, q.secrets()...)
		return fail
	}
	if res.StatusCode != http.StatusOK || e.Error != nil {
		return fail
	}
	if result == nil {
		return nil
	}
	if err := channels.Decode(body, result); err != nil {
		return fail
	}
	return nil
}

func retryAfter(header string) time.Duration {
	const day = 24 * 60 * 60 // seconds; nobody is asked to wait longer
	n, err := strconv.Atoi(header)
	if err != nil {
		return 0
	}
	return time.Duration(min(max(n, 0), day)) * time.Second
}
