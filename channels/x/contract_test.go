package x

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/x/xtest"
)

func TestContract(t *testing.T) {
	channelstest.Run(t, channelstest.Harness{New: subject})
}

// subject plugs the double into the suite. What comes in is what the double really posts to a webhook.
func subject(t *testing.T, client *http.Client) channelstest.Subject {
	f := setUp(t)
	f.api = newClient(client, f.server.URL)
	f.still()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	gone := xtest.New() // an address where nobody is any more
	gone.Close()
	push := func(event string, payload map[string]any) channels.Request {
		f.shop.Push(event, payload)
		return <-f.posted
	}
	sign := func(body []byte) channels.Request { return delivery(string(body), f.app.Sign(body)) }
	sending := func(fault xtest.Fault) func() { return func() { f.server.FailNext("send", fault) } }
	return channelstest.Subject{
		Adapter: f.Adapter, Channel: f.ch, Hosts: []string{strings.TrimPrefix(f.server.URL, "http://"), strings.TrimPrefix(gone.URL, "http://")},
		Message: func(text string) channels.Request {
			f.clock.advance(time.Millisecond)
			f.ann.Write(text)
			return <-f.posted
		},
		Sign: sign,
		Forge: func(body []byte) map[string]channels.Request {
			good := f.app.Sign(body)
			return map[string]channels.Request{
				"no signature":       delivery(string(body), ""),
				"of another body":    delivery(string(body)+" ", good),
				"half a signature":   delivery(string(body), good[:20]),
				"without its scheme": delivery(string(body), strings.TrimPrefix(good, "sha256=")),
				"of the bearer":      delivery(string(body), signature(testBearer, body)),
			}
		},
		Ignored: map[string]channels.Request{
			"typing":     push("dm.indicate_typing", map[string]any{"direct_message_indicate_typing_events": []any{map[string]any{"sender_id": annID}}}),
			"a post":     push("post.create", map[string]any{"tweet_create_events": []any{map[string]any{"id": 1}}}),
			"revocation": sign([]byte(`{"user_event":{"revoke":{"date_time":"2018-05-24T09:48:12+00:00","target":{"app_id":"1"},"source":{"user_id":"1"}}}}`)),
		},
		UserID: annID,
		Inbox: func() (texts []string) {
			for _, m := range f.ann.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
		Faults: []channelstest.Fault{
			{Name: "429", Set: func() { f.shop.UseUp("send", false) }, Want: channels.RetryAt, Timed: true, Whole: true},
			{Name: "401", Set: func() { f.shop.Regenerate("1-x", "y", true) }, Want: channels.Broken},
			{Name: "402 A", Set: func() { f.app.SpendCredits(xtest.NoCreditsOld) }, Want: channels.Broken},
			{Name: "402 B", Set: func() { f.app.SpendCredits(xtest.NoCreditsNew) }, Want: channels.Broken},
			{Name: "403 permission", Set: func() { f.shop.Regenerate(testToken, testSecret, false) }, Want: channels.Broken},
			{Name: "403 recipient", Set: f.ann.Refuse, Want: channels.Permanent},
			{Name: "503", Set: sending(xtest.ServerError()), Want: channels.Unknown},
			{Name: "502 with HTML", Set: sending(xtest.BadGateway()), Want: channels.Unknown},
			{Name: "no answer", Set: sending(xtest.Hang()), Want: channels.Unknown, Hangs: true},
			{Name: "no answer though taken", Set: sending(xtest.AfterAccepting(xtest.Hang())), Want: channels.Unknown, Hangs: true},
			{Name: "connection lost", Set: sending(xtest.Drop()), Want: channels.Unknown},
			{Name: "400 that repeats the text", Set: sending(xtest.Refuse(400, `{"errors":[{"message":"text: [the customer's own business]"}]}`)), Want: channels.Permanent},
			{Name: "nobody there", Set: func() { f.api.base = gone.URL }, Want: channels.RetryAt},
		},
		Refusals: map[string]channels.Channel{
			"an unknown token":  with(f.ch, map[string]string{FieldAccessToken: "1-unknown"}),
			"a wrong secret":    with(f.ch, map[string]string{FieldAccessSecret: "wrong"}),
			"a wrong bearer":    with(f.ch, map[string]string{FieldBearerToken: "wrong"}),
			"no consumer key":   with(f.ch, map[string]string{FieldConsumerKey: ""}),
			"a key with breaks": with(f.ch, map[string]string{FieldConsumerSecret: "a\nb"}),
		},
	}
}

func delivery(body, proof string) channels.Request {
	return channels.Request{
		Method: http.MethodPost, Body: []byte(body), Query: func(string) string { return "" },
		Header: func(name string) string { return map[string]string{signatureHeader: proof}[name] },
	}
}
