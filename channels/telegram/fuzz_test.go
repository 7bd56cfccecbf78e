package telegram

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
)

// Whatever answers a call, the Bot API or what stands before it, is success or a failure that jobs know what to do with. TOKEN in a
// body is the bot's token, which nobody is shown.
func FuzzAnswers(f *testing.F) {
	for status, descriptions := range map[int][]string{
		400: {"Bad Request: chat not found", "Bad Request: message is too long", "Bad Request: file is too big", "Bad Request: wrong file_id or the file is temporarily unavailable"},
		401: {"Unauthorized", "Unauthorized: invalid token specified: TOKEN"},
		403: {"Forbidden: bot was blocked by the user", "Forbidden: bot can't initiate conversation with a user"},
		404: {"Not Found", "Not Found: method not found"},
		409: {
			"Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
			"Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
		},
		421: {"Misdirected Request: unallowed token specified"},
		500: {"Internal Server Error: restart"},
	} {
		for _, d := range descriptions {
			f.Add(status, "", `{"ok":false,"error_code":`+strconv.Itoa(status)+`,"description":"`+d+`"}`)
		}
	}
	f.Add(429, "17", `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 17","parameters":{"retry_after":17}}`)
	f.Add(429, "-1", `{"ok":false,"parameters":{"retry_after":-9223372036854775808}}`)
	f.Add(429, "9223372036854775807", `{"ok":false,"parameters":{"retry_after":9223372036854775807}}`)
	f.Add(200, "", `{"ok":true,"result":{"message_id":15,"id":111,"is_bot":true,"first_name":"B","username":"b_bot","file_path":"photos/file_0.jpg"}}`)
	f.Add(200, "", `{"ok":true,"result":{"url":"https://a.example/h","pending_update_count":-1,"last_error_message":"TOKEN","last_error_date":1780000000}}`)
	f.Add(200, "", `{"ok":true,"result":[{"update_id":700000001,"message":{"message_id":15,"chat":{"id":5,"type":"private"},"from":{"id":5,"first_name":"Ann"},"text":"hi"}}]}`)
	f.Add(200, "", `{"ok":true,"result":[{"update_id":9223372036854775807,"poll":{}}]}`)
	f.Add(200, "", `{"ok":true,"result":[{"update_id":1,"callback_query":{"id":"1","from":{"id":5}}}]}`)
	f.Add(200, "", `{"ok":true,"result":{"url":"https://`+strings.Repeat("a", 2000)+`"}}`)
	f.Add(200, "", `{"ok":true,"result":{"url":"https://%ff"}}`)
	f.Add(200, "", `{"ok":true}`)
	f.Add(200, "", `{"error_code":-1}`)
	f.Add(500, "", `{"message":"no such method of /bot`+"111%3AAAsecret"+`"}`)
	f.Add(0, "", ``)
	f.Add(502, "3", `<html>`)
	f.Add(-1, "", `malformed HTTP response "TOKEN"`)
	ch := channels.Channel{AccountID: "111", Fields: map[string]string{FieldToken: testToken}, HookURL: "https://waggle.example/hooks/telegram/1", HookSecret: testSecret}
	f.Fuzz(func(t *testing.T, status int, retry, body string) {
		secrets := []string{testToken, "111%3AAAsecret"}
		body = strings.ReplaceAll(body, "TOKEN", testToken)
		for _, server := range []string{DefaultAPI, "https://resembling.example"} {
			answering := func(body string) *Adapter {
				a := New(&http.Client{Transport: channelstest.Answer{Status: status, Header: http.Header{"Retry-After": {retry}}, Body: body}}, server)
				a.pause = func(context.Context, time.Duration) error { return nil }
				return a
			}
			send := func(a *Adapter) (channels.Sent, error) {
				return a.Send(t.Context(), ch, channels.Part{UserID: "5", Text: "hi"})
			}
			began, a := time.Now(), answering(body)
			meant := func(err error) { channelstest.Meant(t, err, time.Now, 24*time.Hour, secrets...) }
			sent, err := send(a)
			meant(err)
			require.Equal(t, err == nil, sent.MessageID != "")
			if e := channels.AsError(err); err != nil && !e.At.IsZero() {
				require.True(t, e.At.After(began), "a limit is waited for")
			}
			if err != nil && status >= 0 && !json.Valid([]byte(body)) {
				_, empty := send(answering(""))
				require.EqualError(t, err, empty.Error(), "a page is not quoted")
			}
			_, err = a.Verify(t.Context(), ch)
			meant(err)
			_, next, err := a.Poll(t.Context(), ch, "7")
			meant(err)
			offset, failed := strconv.ParseInt(next, 10, 64)
			require.NoError(t, failed)
			require.Positive(t, offset, "another would drop what is waiting")
			checkup, err := a.Check(t.Context(), ch)
			meant(err)
			require.GreaterOrEqual(t, checkup.Pending, 0)
			require.NotContains(t, checkup.LastError, testToken)
			require.True(t, utf8.ValidString(checkup.Wrong+checkup.LastError))
			require.LessOrEqual(t, len(checkup.Wrong), 1000)
			meant(a.Connect(t.Context(), ch, channels.ConnectOptions{}))
			file, err := a.OpenFile(t.Context(), ch, "AgACs")
			meant(err)
			if err == nil {
				require.NoError(t, file.Close())
			}
		}
	})
}
