package x

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
)

// Whatever answers a call, X or what stands before it, is success or a failure that jobs know what to do with. KEYS in a body are the
// account's and the app's, TEXT is what was to be sent: nobody is shown them.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []struct {
		status int
		body   string
	}{
		{400, `{"errors":[{"parameters":{},"message":"KEYS"}],"title":"Invalid Request","detail":"One or more parameters to your request was invalid.","type":"https://api.twitter.com/2/problems/invalid-request"}`},
		{401, `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`},
		{403, `{"detail":"Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.","status":403,"title":"Forbidden","type":"https://api.x.com/2/problems/oauth1-permissions"}`},
		{403, `{"title":"Unsupported Authentication","detail":"TEXT","type":"https://api.twitter.com/2/problems/unsupported-authentication","status":403}`},
		{403, `{"errors":[{"code":349,"message":"You cannot send messages to this user."},{"code":93}]}`},
		{402, `{"account_id":2016521302417547264,"title":"CreditsDepleted","detail":"Your enrolled account [2016521302417547264] does not have any credits to fulfill this request.","type":"https://api.twitter.com/2/problems/credits"}`},
		{402, `{"detail":"credits depleted","status":402,"title":"Payment Required","type":"https://api.x.com/2/problems/credits-depleted"}`},
		{429, `{"errors":[{"code":88,"message":"Rate limit exceeded"}]}`},
		{429, `{"title":"Too Many Requests","detail":"Too Many Requests","type":"about:blank","status":429}`},
		{201, `{"data":{"dm_conversation_id":"123-456","dm_event_id":"9999999999999999999"}}`},
		{200, `{"data":{"id":"4337869213","username":"shop","dm_event_id":"-","processing_info":{"state":"pending","check_after_secs":-1}}}`},
		{200, `{"data":[{"id":"1","url":"https://` + strings.Repeat("a", 2000) + `"}]}`},
		{200, `{"data":[{"id":"1","url":"https://%ff/","valid":false}]}`},
		{200, `{"data":[{"id":"1","url":"https://waggle.example/hooks/x/1","valid":false}]}`},
		{200, `{"data":[{"id":"5","event_type":"MessageCreate","text":"Hi","sender_id":"3001969357","dm_conversation_id":"3001969357-4337869213","created_at":"2022-10-19T20:58:00.000Z"}],"meta":{"next_token":"x"}}`},
		{404, `null`}, {500, `{}`}, {503, `<html>`}, {0, ``}, {-1, `malformed HTTP response "KEYS TEXT"`},
	} {
		f.Add(seed.status, "14", "1780000900", "1439", "", seed.body)
		f.Add(seed.status, "0", "9223372036854775807", "0", "-1", seed.body)
		f.Add(seed.status, "0", "1780000001", "0", "1780086399", seed.body)
	}
	const text = "what Ann is told"
	now := time.Unix(1780000000, 0)
	ch := channels.Channel{
		AccountID: shopID, Fields: keys(), Receive: channels.Webhook, HookURL: "https://waggle.example/hooks/x/1", HookSecret: strings.Repeat("s", 43), Since: now,
	}
	var secrets []string
	for _, key := range keys() {
		secrets = append(secrets, key, url.QueryEscape(key))
	}
	plain := strings.NewReplacer("KEYS", strings.Join(secrets, " "), "TEXT", text)
	f.Fuzz(func(t *testing.T, status int, remaining, reset, dayRemaining, dayReset, body string) {
		body = plain.Replace(body)
		limits := http.Header{}
		limits.Set("x-rate-limit-remaining", remaining)
		limits.Set("x-rate-limit-reset", reset)
		limits.Set("x-user-limit-24hour-remaining", dayRemaining)
		limits.Set("x-user-limit-24hour-reset", dayReset)
		answering := func(body string) *Adapter {
			a := New(&http.Client{Transport: channelstest.Answer{Status: status, Header: limits, Body: body}}, DefaultAPI)
			a.api.now = func() time.Time { return now }
			a.wait = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
			return a
		}
		a := answering(body)
		meant := func(err error) {
			channelstest.Meant(t, err, a.api.now, waitLongest, secrets...)
			if e := channels.AsError(err); err != nil && !e.At.IsZero() {
				require.True(t, e.At.After(now), "a limit is waited for")
			}
		}
		send := func(a *Adapter) (channels.Sent, error) {
			return a.Send(t.Context(), ch, channels.Part{UserID: annID, Text: text})
		}
		sent, err := send(a)
		meant(err)
		if err != nil {
			require.NotContains(t, err.Error(), text)
		}
		require.Equal(t, err == nil, sent.MessageID != "")
		require.Less(t, sent.At.Year(), 10000)
		if !sent.Rest.IsZero() {
			require.True(t, sent.Rest.After(now))
			require.False(t, sent.Rest.After(now.Add(waitLongest)))
		}
		if err != nil && status >= 0 && !json.Valid([]byte(body)) {
			_, empty := send(answering(""))
			require.EqualError(t, err, empty.Error(), "a page is not quoted")
		}
		for _, mime := range []string{"image/png", "video/mp4"} {
			_, err := a.Send(t.Context(), ch, channels.Part{UserID: annID, Text: text, File: &channels.Upload{
				MIME: mime, Size: 3, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("abc"))), nil },
			}})
			meant(err)
		}
		_, err = a.Verify(t.Context(), ch)
		meant(err)
		checkup, err := a.Check(t.Context(), ch)
		meant(err)
		require.True(t, utf8.ValidString(checkup.Wrong))
		require.LessOrEqual(t, len(checkup.Wrong), 1000)
		meant(a.Connect(t.Context(), ch, channels.ConnectOptions{}))
		_, _, err = a.Poll(t.Context(), ch, "")
		meant(err)
	})
}
