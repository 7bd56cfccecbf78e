package telegram

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/double"
	"waggle/channels/telegram/telegramtest"
)

func TestContract(t *testing.T) {
	channelstest.Run(t, channelstest.Harness{New: subject})
}

// subject plugs the double into the suite. What comes in is what the double really posts to a webhook.
func subject(t *testing.T, client *http.Client) channelstest.Subject {
	f := setUp(t)
	f.Adapter = New(client, f.server.URL)
	f.Adapter.pause = func(_ context.Context, d time.Duration) error { f.clock.advance(d); return nil }
	posted := make(chan channels.Request, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- channels.Request{Method: r.Method, Header: r.Header.Get, Query: r.URL.Query().Get, Body: body}
	}))
	t.Cleanup(hook.Close)
	f.ch.HookURL = hook.URL + "/hooks/telegram/" + f.ch.ID.String()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))

	ann := f.bot.Customer(5, "Ann")
	ann.Start()
	<-posted
	gone := telegramtest.New() // an address where nobody is any more, so that no open connection is left either
	gone.Close()
	last := int64(1)
	with := func(token string) channels.Channel {
		ch := f.ch
		ch.Fields = map[string]string{FieldToken: token}
		return ch
	}
	push := func(kind string, payload map[string]any) channels.Request {
		f.bot.Push(kind, payload)
		return <-posted
	}
	return channelstest.Subject{
		Adapter: f.Adapter, Channel: f.ch, Hosts: []string{strings.TrimPrefix(f.server.URL, "http://"), strings.TrimPrefix(gone.URL, "http://")},
		Message: func(text string) channels.Request { last = ann.Write(text); return <-posted },
		Edit:    func(text string) channels.Request { ann.Edit(last, text); return <-posted },
		Sign:    func(body []byte) channels.Request { return request(testSecret, string(body)) },
		Forge: func(body []byte) map[string]channels.Request {
			return map[string]channels.Request{
				"no secret":      request("", string(body)),
				"another secret": request("x"+testSecret[1:], string(body)),
				"half a secret":  request(testSecret[:20], string(body)),
			}
		},
		Ignored: map[string]channels.Request{
			"a group":      push("message", map[string]any{"message_id": 1, "date": 1, "chat": map[string]any{"id": -1, "type": "group"}, "text": "x"}),
			"a membership": push("my_chat_member", map[string]any{"chat": map[string]any{"id": -1, "type": "group"}, "new_chat_member": map[string]any{"status": "kicked"}}),
		},
		Reports: channelstest.Reports{Block: func(blocked bool) channels.Request {
			if blocked {
				ann.Block()
			} else {
				ann.Unblock()
			}
			return <-posted
		}},
		Files: channelstest.Files{
			Send: func(caption string, pictures ...[]byte) (requests []channels.Request) {
				album := []telegramtest.Picture{}
				for i, data := range pictures {
					album = append(album, telegramtest.Picture{Data: data, Caption: map[int]string{0: caption}[i]})
				}
				if len(album) == 1 {
					ann.SendPhoto(pictures[0], caption)
				} else {
					ann.SendAlbum(album...)
				}
				for range pictures {
					requests = append(requests, <-posted)
				}
				return requests
			},
			Album: true,
			Lost: []channelstest.Fault{
				{Name: "over 20 MB", Set: f.getting(telegramtest.Refuse(400, "Bad Request: file is too big")), Want: channels.Permanent},
				{Name: "an unknown id", Set: f.getting(telegramtest.Refuse(400, "Bad Request: wrong file_id or the file is temporarily unavailable")), Want: channels.RetryAt},
				{Name: "429", Set: f.getting(telegramtest.TooManyRequests(17)), Want: channels.RetryAt, Timed: true, Whole: true},
				{Name: "502 with HTML", Set: f.getting(double.BadGateway()), Want: channels.RetryAt},
				{Name: "no answer", Set: f.getting(double.Hang()), Want: channels.RetryAt, Hangs: true},
				{Name: "connection lost", Set: f.getting(double.Drop()), Want: channels.RetryAt},
			},
			Received: func() (files []channelstest.File) {
				for _, m := range ann.Inbox() {
					if m.File != nil {
						files = append(files, channelstest.File{As: m.Method, MIME: m.FileMIME, Name: m.FileName, Caption: m.Text, Content: m.File})
					}
				}
				return files
			},
			Shown: map[string]string{"photo": "sendphoto", "document": "senddocument", "voice": "sendvoice", "audio": "sendaudio", "video": "sendvideo"},
			Faults: []channelstest.Fault{
				{Name: "413", Set: f.sending(telegramtest.Refuse(413, "Request Entity Too Large")), Want: channels.Permanent},
				{Name: "an empty file", Set: f.sending(telegramtest.Refuse(400, "Bad Request: file must be non-empty")), Want: channels.Permanent},
				{Name: "connection lost though taken", Set: f.sending(double.AfterAccepting(double.Drop())), Want: channels.Unknown},
			},
		},
		UserID: "5",
		Inbox: func() (texts []string) {
			for _, m := range ann.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
		Faults: []channelstest.Fault{
			{Name: "429", Set: f.sending(telegramtest.TooManyRequests(17)), Want: channels.RetryAt, Timed: true, Whole: true},
			{Name: "401", Set: f.sending(telegramtest.Refuse(401, "Unauthorized")), Want: channels.Broken},
			{Name: "403", Set: func() { ann.Block() }, Want: channels.Permanent, Block: true},
			{Name: "500", Set: f.sending(telegramtest.ServerError()), Want: channels.Unknown},
			{Name: "502 with HTML", Set: f.sending(double.BadGateway()), Want: channels.Unknown},
			{Name: "no answer", Set: f.sending(double.Hang()), Want: channels.Unknown, Hangs: true},
			{Name: "no answer though taken", Set: f.sending(double.AfterAccepting(double.Hang())), Want: channels.Unknown, Hangs: true},
			{Name: "connection lost", Set: f.sending(double.Drop()), Want: channels.Unknown},
			{Name: "nobody there", Set: func() { f.api.base = gone.URL }, Want: channels.RetryAt},
		},
		Replace: func() channels.Channel { f.bot.ReplaceToken("111:AArenewed"); return with("111:AArenewed") },
		Refusals: map[string]channels.Channel{
			"a revoked token":     with("111:AAother"),
			"a token of no shape": with("not a token"),
			"no token":            with(""),
		},
	}
}

func (f fixture) sending(fault double.Fault) func() {
	return func() { f.bot.FailNext("send", fault) }
}

func (f fixture) getting(fault double.Fault) func() {
	return func() { f.bot.FailNext("getFile", fault) }
}
