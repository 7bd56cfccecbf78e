// Package channelstest holds the one suite every kind of channel has to pass: what the contract in package channels
// promises, tried against the kind's double.
package channelstest

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/guard"
)

// Harness plugs a kind of channel into the suite.
type Harness struct {
	// New starts a fresh double and an adapter whose every outgoing call goes through client.
	New func(t *testing.T, client *http.Client) Subject
}

// Subject is an adapter with the double it talks to.
type Subject struct {
	Adapter channels.Adapter
	Channel channels.Channel // credentials the double takes; HookURL and HookSecret filled
	Hosts   []string         // "host:port" of every address the adapter may call
	Secrets []string         // what no error may show, beside the channel's secret fields and the texts of messages

	// What comes in. All requests carry the proof the kind wants, but for Forge's.
	Message func(text string) channels.Request            // a customer's new message, another one at each call
	Edit    func(text string) channels.Request            // a customer's change of a message; nil if the kind reports none
	Sign    func(body []byte) channels.Request            // any body
	Forge   func(body []byte) map[string]channels.Request // any body with a missing or wrong proof, by what is wrong
	Ignored map[string]channels.Request                   // what Waggle has no use for, by name

	Reports Reports // what it tells beside words
	Files   Files   // what it carries beside words
	Threads Threads // who holds a conversation

	// What goes out.
	UserID   string                      // a customer who may be written to
	Inbox    func() []string             // the texts this customer has received, oldest first
	Faults   []Fault                     // what can go wrong with Send, and what it must mean
	Refusals map[string]channels.Channel // channels that Verify must refuse, by what is wrong

	// Replace changes the account's credentials at the messenger and is the channel with the new ones (S3.48, S4.14).
	Replace func() channels.Channel
}

// Fault is a misbehaviour of the double and what the adapter must make of it.
type Fault struct {
	Name  string
	Set   func() // from now on, for at least the next call
	Want  channels.Outcome
	Timed bool // RetryAt must say when
	Whole bool // RetryAt must be for the whole channel
	Block bool // Permanent must say that the customer takes no messages
	Hangs bool // the double does not answer: the suite gives it little time
}

// patience is how long the suite waits for a double that answers, impatience for one that does not.
const (
	patience   = 10 * time.Second
	impatience = 100 * time.Millisecond
)

// Run tries everything the contract promises.
func Run(t *testing.T, h Harness) {
	logged := catchLogs(t)
	t.Run("Describe", func(t *testing.T) { describe(t, start(t, h)) })
	t.Run("Verify", func(t *testing.T) { verify(t, h) })
	t.Run("Connect", func(t *testing.T) { connect(t, start(t, h)) })
	t.Run("Webhook", func(t *testing.T) { webhook(t, h) })
	t.Run("Send", func(t *testing.T) { send(t, h) })
	t.Run("Reports", func(t *testing.T) { reports(t, h) })
	t.Run("Files", func(t *testing.T) { files(t, h) })
	t.Run("Threads", func(t *testing.T) { threads(t, h) })
	t.Run("Credentials", func(t *testing.T) { credentials(t, start(t, h)) })
	t.Run("Check", func(t *testing.T) { check(t, start(t, h)) })
	t.Run("Log", func(t *testing.T) {
		for _, secret := range append(secrets(start(t, h)), text, fileName) {
			assert.NotContains(t, logged(), secret, "an adapter tells by its errors, not by the log")
		}
	})
}

// start builds a subject and, at the test's end, checks that no other host was called than those it named.
func start(t *testing.T, h Harness) Subject {
	t.Helper()
	client, err := guard.New(guard.Policy{AllowHosts: []string{"127.0.0.1"}})
	require.NoError(t, err)
	hosts := &hostRecorder{next: client.Transport}
	t.Cleanup(client.CloseIdleConnections)
	client = &http.Client{Transport: hosts, CheckRedirect: client.CheckRedirect, Timeout: client.Timeout}
	s := h.New(t, client)
	t.Cleanup(func() {
		for _, host := range hosts.seen() {
			assert.Contains(t, s.Hosts, host, "a host nobody configured was called")
		}
	})
	return s
}

// hostRecorder notes the hosts a client calls.
type hostRecorder struct {
	next  http.RoundTripper
	mu    sync.Mutex
	hosts []string
}

func (r *hostRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.hosts = append(r.hosts, req.URL.Host)
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

func (r *hostRecorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.hosts)
}

// within returns a context that ends with the test or after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// requireOutcome demands an *Error of this outcome that shows no secret and none of the texts.
func requireOutcome(t *testing.T, s Subject, err error, want channels.Outcome, texts ...string) *channels.Error {
	t.Helper()
	var e *channels.Error
	require.ErrorAs(t, err, &e, "not an *Error but %T", err)
	assert.Equal(t, want, e.Outcome, "%v", err)
	assert.NotEmpty(t, e.Reason)
	for _, secret := range append(secrets(s), texts...) {
		for _, spelling := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			assert.NotContains(t, e.Error(), spelling)
			assert.NotContains(t, e.Reason, spelling)
		}
	}
	return e
}

// meet lets a fault strike one call and judges what the adapter makes of it.
func (s Subject) meet(t *testing.T, f Fault, call func(context.Context) error, texts ...string) {
	t.Helper()
	d := patience
	if f.Hangs {
		d = impatience
	}
	f.Set()
	e := requireOutcome(t, s, call(within(t, d)), f.Want, texts...)
	assert.Equal(t, f.Block, e.Blocked, "the customer takes no messages")
	if f.Want != channels.RetryAt {
		return
	}
	assert.Equal(t, f.Whole, e.WholeChannel, "whole channel")
	assert.Equal(t, f.Timed, !e.At.IsZero(), "says when")
}

func secrets(s Subject) []string {
	out := append([]string{s.Channel.HookSecret}, s.Secrets...)
	for _, f := range s.Adapter.Describe().Fields {
		if f.Secret {
			out = append(out, s.Channel.Fields[f.Name])
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

func describe(t *testing.T, s Subject) {
	d := s.Adapter.Describe()
	assert.Regexp(t, `^[a-z][a-z0-9_]*$`, d.Kind)
	assert.NotEmpty(t, d.Name)
	assert.NotEmpty(t, d.Help)
	assert.Positive(t, d.Capabilities.TextLimit)
	require.NotEmpty(t, d.Receive)
	for _, r := range d.Receive {
		assert.Contains(t, []channels.Receive{channels.Webhook, channels.Polling}, r)
	}
	_, poller := s.Adapter.(channels.Poller)
	assert.Equal(t, slices.Contains(d.Receive, channels.Polling), poller, "polling is offered by those who can")
	names := map[string]bool{}
	for _, f := range d.Fields {
		assert.NotEmpty(t, f.Name)
		assert.NotEmpty(t, f.Label)
		assert.False(t, names[f.Name], "field %s appears twice", f.Name)
		names[f.Name] = true
		pattern, err := regexp.Compile(f.Pattern)
		require.NoError(t, err)
		if v, ok := s.Channel.Fields[f.Name]; ok {
			assert.True(t, pattern.MatchString(v), "the double's own value does not match %s", f.Name)
			if f.URL {
				assert.NoError(t, guard.CheckURL(v))
			}
		}
		if f.Required {
			assert.NotEmpty(t, s.Channel.Fields[f.Name], "the harness leaves out required field %s", f.Name)
		}
	}
}

func verify(t *testing.T, h Harness) {
	t.Run("the account is the same each time", func(t *testing.T) {
		s := start(t, h)
		first, err := s.Adapter.Verify(within(t, patience), s.Channel)
		require.NoError(t, err)
		assert.NotEmpty(t, first.ID)
		assert.NotEmpty(t, first.Name)
		second, err := s.Adapter.Verify(within(t, patience), s.Channel)
		require.NoError(t, err)
		assert.Equal(t, first, second)
	})
	for name := range start(t, h).Refusals {
		t.Run("refused: "+name, func(t *testing.T) {
			s := start(t, h)
			s.Channel = s.Refusals[name]
			_, err := s.Adapter.Verify(within(t, patience), s.Channel)
			e := requireOutcome(t, s, err, channels.Refused)
			if e.Field != "" {
				assert.True(t, slices.ContainsFunc(s.Adapter.Describe().Fields, func(f channels.Field) bool { return f.Name == e.Field }), "unknown field %s", e.Field)
			}
		})
	}
}

func connect(t *testing.T, s Subject) {
	for range 2 {
		require.NoError(t, s.Adapter.Connect(within(t, patience), s.Channel, channels.ConnectOptions{DropPending: true}))
	}
	for range 2 {
		require.NoError(t, s.Adapter.Disconnect(within(t, patience), s.Channel))
	}
	require.NoError(t, s.Adapter.Connect(within(t, patience), s.Channel, channels.ConnectOptions{}), "again after a disconnect")
}

// malformed are bodies no messenger sends.
var malformed = map[string][]byte{
	"empty":             nil,
	"cut off":           []byte(`{"a":`),
	"a list":            []byte(`[]`),
	"null":              []byte(`null`),
	"a string":          []byte(`"message"`),
	"a number":          []byte(`1e999`),
	"not text":          {0x00, 0xff, 0xfe},
	"HTML":              []byte(`<html></html>`),
	"two objects":       []byte(`{}{}`),
	"very deep":         []byte(strings.Repeat(`[`, 200_000)),
	"deep in an object": []byte(`{"a":` + strings.Repeat(`{"a":`, 200_000)),
}
