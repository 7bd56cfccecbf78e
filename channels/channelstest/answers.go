package channelstest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// Answer is a transport that gives every call this answer, without a server. With a status below zero, which no server can send,
// the connection breaks instead, and Body is why.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// RoundTrip implements http.RoundTripper.
func (a Answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if a.Status < 0 {
		return nil, errors.New(a.Body)
	}
	return &http.Response{
		StatusCode: a.Status, Header: a.Header, Request: r, ContentLength: int64(len(a.Body)), Body: io.NopCloser(strings.NewReader(a.Body)),
	}, nil
}

// reasonLimit is more than any sentence of ours with the messenger's own words in it, in characters.
const reasonLimit = 1000

// Meant requires what came of a call to be success or a failure as the contract has it: of an outcome jobs know, with a sentence for
// people, to be tried again between now, from when the call was made, and longest, and without a secret.
func Meant(t *testing.T, err error, now func() time.Time, longest time.Duration, secrets ...string) {
	t.Helper()
	if err == nil {
		return
	}
	var e *channels.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, []channels.Outcome{
		channels.RetryAt, channels.Permanent, channels.Broken, channels.Unknown, channels.Refused, channels.Elsewhere, channels.Foreign,
	}, e.Outcome)
	require.NotEmpty(t, e.Reason)
	require.True(t, utf8.ValidString(e.Reason))
	require.LessOrEqual(t, utf8.RuneCountInString(e.Reason), reasonLimit)
	if e.Outcome != channels.RetryAt {
		require.Zero(t, e.At)
		require.False(t, e.WholeChannel, "only a limit is the channel's")
	}
	if !e.At.IsZero() {
		require.False(t, e.At.After(now().Add(longest)), "waits longer than %s", longest)
	}
	require.True(t, e.Outcome == channels.Permanent || !e.Blocked)
	require.True(t, e.Outcome == channels.Refused || e.Field == "")
	if e.Err != nil {
		_ = e.Err.Error() // fmt would hide that it panics
	}
	for _, secret := range secrets {
		require.NotContains(t, err.Error(), secret)
	}
}
