package telegram

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// resembling is a Bot API server of another make: it has the answers given to it by method, and no other methods.
type resembling struct {
	*Adapter
	ch    channels.Channel
	calls []string
}

type answer struct {
	status int
	body   string
}

func resembles(t *testing.T, has map[string]string, missing answer) *resembling {
	t.Helper()
	r := &resembling{ch: channels.Channel{
		ID: uuid.Max, AccountID: "111", Fields: map[string]string{FieldToken: testToken}, Receive: channels.Webhook,
		HookURL: "http://127.0.0.1:1/hooks/telegram/" + uuid.Max.String(), HookSecret: testSecret,
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		method := strings.TrimPrefix(q.URL.Path, "/bot"+testToken+"/")
		r.calls = append(r.calls, method)
		body, ok := has[method]
		if !ok {
			w.WriteHeader(missing.status)
			body = missing.body
		}
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r.Adapter = New(&http.Client{Transport: transport}, server.URL)
	return r
}

// The ways in which a server says that it does not have a method.
var withoutMethod = map[string]answer{
	"as Telegram's own":       {404, `{"ok":false,"error_code":404,"description":"Not Found: method not found"}`},
	"as telegram-test-api":    {500, `{"message":"API method 'x' is not supported."}`},
	"as a router of requests": {404, "404 page not found"},
	"not implemented":         {501, ""},
}

// S3.44, S3.47: what only tells more, and what a server that resembles Telegram's leaves out, stops no connection.
func TestS3_44_ServerThatResemblesTelegrams(t *testing.T) {
	for name, missing := range withoutMethod {
		t.Run(name, func(t *testing.T) {
			r := resembles(t, map[string]string{
				"getMe":      `{"ok":true,"result":{"id":666,"first_name":"Test","username":"TestNameBot"}}`,
				"setWebhook": `{"ok":true,"result":null}`, "deleteWebhook": `{"ok":true,"result":true}`,
			}, missing)
			account, err := r.Verify(t.Context(), r.ch)
			require.NoError(t, err)
			assert.Equal(t, channels.Account{ID: "111", Name: "@TestNameBot"}, account, "the token names the bot")
			require.NoError(t, r.Connect(t.Context(), r.ch, channels.ConnectOptions{}))
			_, err = r.Check(t.Context(), r.ch)
			assert.Equal(t, channels.RetryAt, asError(t, err).Outcome, "nothing is known: the health stays what it is")
			require.NoError(t, r.Disconnect(t.Context(), r.ch))
			assert.Equal(t, []string{"getMe", "getWebhookInfo", "setWebhook", "getWebhookInfo", "getWebhookInfo", "deleteWebhook"}, r.calls)
		})
	}
}

func TestVerifyRefusesWhatIsNoBot(t *testing.T) {
	for _, me := range []string{`{"id":111,"is_bot":false,"first_name":"Ann"}`, `{}`, `null`} {
		r := resembles(t, map[string]string{"getMe": `{"ok":true,"result":` + me + `}`}, answer{})
		_, err := r.Verify(t.Context(), r.ch)
		assert.Equal(t, channels.Refused, asError(t, err).Outcome, me)
	}
}

// S3.47: a webhook that is only not known at the moment may be somebody's.
func TestS3_47_AnAnswerThatFailedIsNoMissingMethod(t *testing.T) {
	for name, failed := range map[string]answer{
		"a gateway":               {502, `{"message":"An invalid response was received from the upstream server"}`},
		"a page":                  {500, `<html>`},
		"Telegram's own restart":  {500, `{"ok":false,"error_code":500,"description":"Internal Server Error: restart"}`},
		"without the code, as it": {500, `{"ok":false,"description":"Internal Server Error"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := resembles(t, map[string]string{"setWebhook": `{"ok":true,"result":true}`}, failed)
			assert.Equal(t, channels.RetryAt, asError(t, r.Connect(t.Context(), r.ch, channels.ConnectOptions{})).Outcome)
			assert.NotContains(t, r.calls, "setWebhook")
		})
	}
}

// What a connection cannot do without is named, and what a message needs fails that message alone.
func TestMissingMethodIsNamed(t *testing.T) {
	for name, missing := range withoutMethod {
		t.Run(name, func(t *testing.T) {
			r := resembles(t, nil, missing)
			_, err := r.Verify(t.Context(), r.ch)
			e := asError(t, err)
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Contains(t, e.Reason, "getMe")
			assert.Contains(t, e.Reason, "TELEGRAM_API_URL")
		})
	}
	r := resembles(t, nil, withoutMethod["as Telegram's own"])
	_, err := r.Send(t.Context(), r.ch, channels.Part{UserID: "5", Text: "hi"})
	e := asError(t, err)
	assert.Equal(t, channels.Permanent, e.Outcome)
	assert.Contains(t, e.Reason, "sendMessage")

	r = resembles(t, nil, withoutMethod["as telegram-test-api"])
	_, err = r.Send(t.Context(), r.ch, channels.Part{UserID: "5", Text: "hi"})
	e = asError(t, err)
	assert.Equal(t, channels.Unknown, e.Outcome, "it may have failed after the sending")
	assert.NotContains(t, e.Reason, "is not supported", "a stranger's words may repeat what was sent")
}

// Telegram's own server has every method: a page that says otherwise is a proxy's, and no answer.
func TestPageOfAProxyIsNoAnswerOfTelegrams(t *testing.T) {
	f := &failure{method: "getWebhookInfo", status: http.StatusNotFound, official: true}
	assert.Equal(t, channels.RetryAt, setupError(f).Outcome)
	f.official = false
	assert.Equal(t, channels.Refused, setupError(f).Outcome)
}

// A server that does not hold an empty poll is not asked without a pause.
func TestPollTakesABreathWhereTheServerDoesNotHoldIt(t *testing.T) {
	r := resembles(t, map[string]string{"getUpdates": `{"ok":true,"result":[]}`}, answer{})
	var rested time.Duration
	r.pause = pauseInto(&rested)
	_, _, err := r.Poll(t.Context(), r.ch, "7")
	require.NoError(t, err)
	assert.Positive(t, rested)

	r = resembles(t, map[string]string{"getUpdates": `{"ok":true,"result":[{"update_id":1}]}`}, answer{})
	rested = 0
	r.pause = pauseInto(&rested)
	_, _, err = r.Poll(t.Context(), r.ch, "")
	require.NoError(t, err)
	assert.Zero(t, rested, "what comes is not made to wait")
}

func pauseInto(rested *time.Duration) func(context.Context, time.Duration) error {
	return func(_ context.Context, d time.Duration) error { *rested += d; return nil }
}
