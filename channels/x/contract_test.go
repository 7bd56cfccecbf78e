package x

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/double"
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
	failing := func(operation string, faults ...double.Fault) func() {
		return func() { f.server.FailNext(operation, faults...) }
	}
	sending := func(fault double.Fault) func() { return failing("send", fault) }
	refused := xtest.Refuse(400, `{"errors":[{"message":"media type unrecognized"}],"title":"Invalid Request","type":"https://api.twitter.com/2/problems/invalid-request"}`)
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
		Reports: channelstest.Reports{
			Echo:      func() channels.Request { return <-f.posted },
			Lose:      sending(double.AfterAccepting(double.Drop())),
			Elsewhere: func(text string) channels.Request { f.shop.WriteByHand(f.ann, text); return <-f.posted },
			Read:      func() channels.Request { f.ann.Read(); return <-f.posted },
		},
		Files: channelstest.Files{
			Send: func(caption string, pictures ...[]byte) []channels.Request {
				f.clock.advance(time.Millisecond)
				f.ann.SendFile("photo", pictures[0], caption) // X takes one with a message
				return []channels.Request{<-f.posted}
			},
			Lost: []channelstest.Fault{
				{Name: "gone", Set: failing("file", xtest.Refuse(404, `{"title":"Not Found","type":"about:blank","status":404}`)), Want: channels.Permanent},
				{Name: "refused", Set: failing("file", xtest.Refuse(403, `{"title":"Forbidden","type":"about:blank","status":403}`)), Want: channels.Permanent},
				{Name: "429", Set: failing("file", xtest.Refuse(429, `{"title":"Too Many Requests","status":429}`)), Want: channels.RetryAt, Timed: true, Whole: true},
				{Name: "402", Set: failing("file", xtest.Refuse(402, xtest.NoCreditsNew)), Want: channels.Refused},
				{Name: "401 as a page", Set: failing("file", xtest.Refuse(401, "<html></html>")), Want: channels.RetryAt},
				{Name: "503", Set: failing("file", xtest.ServerError()), Want: channels.RetryAt},
				{Name: "no answer", Set: failing("file", double.Hang()), Want: channels.RetryAt, Hangs: true},
				{Name: "connection lost", Set: failing("file", double.Drop(), double.Drop()), Want: channels.RetryAt}, // net/http repeats a GET once
			},
			Received: func() (files []channelstest.File) {
				for _, m := range f.ann.Inbox() {
					if m.Media != nil {
						files = append(files, channelstest.File{As: m.MediaKind, MIME: m.MediaMIME, Caption: m.Text, Content: m.Media})
					}
				}
				return files
			},
			Shown: map[string]string{"photo": "photo", "video": "video"},
			Faults: []channelstest.Fault{
				{Name: "400 for the file", Set: failing("upload", refused), Want: channels.Permanent},
				{Name: "429 for the file", Set: failing("upload", xtest.Refuse(429, `{"title":"Too Many Requests","status":429}`)), Want: channels.RetryAt, Timed: true, Whole: true},
				{Name: "503 for the file", Set: failing("upload", xtest.ServerError()), Want: channels.RetryAt},
				{Name: "connection lost with the file", Set: failing("upload", double.Drop()), Want: channels.RetryAt},
				{Name: "connection lost though the file was taken", Set: failing("upload", double.AfterAccepting(double.Drop())), Want: channels.RetryAt},
				{Name: "connection lost though all was taken", Set: sending(double.AfterAccepting(double.Drop())), Want: channels.Unknown},
			},
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
			{Name: "403 recipient", Set: f.ann.Refuse, Want: channels.Permanent, Block: true},
			{Name: "503", Set: sending(xtest.ServerError()), Want: channels.Unknown},
			{Name: "502 with HTML", Set: sending(double.BadGateway()), Want: channels.Unknown},
			{Name: "no answer", Set: sending(double.Hang()), Want: channels.Unknown, Hangs: true},
			{Name: "no answer though taken", Set: sending(double.AfterAccepting(double.Hang())), Want: channels.Unknown, Hangs: true},
			{Name: "connection lost", Set: sending(double.Drop()), Want: channels.Unknown},
			{Name: "400 that repeats the text", Set: sending(xtest.Refuse(400, `{"errors":[{"message":"text: [the customer's own business]"}]}`)), Want: channels.Permanent},
			{Name: "nobody there", Set: func() { f.api.base = gone.URL }, Want: channels.RetryAt},
		},
		Replace: func() channels.Channel {
			f.shop.Regenerate(shopID+"-renewed", "renewed", true)
			return with(f.ch, map[string]string{FieldAccessToken: shopID + "-renewed", FieldAccessSecret: "renewed"})
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
