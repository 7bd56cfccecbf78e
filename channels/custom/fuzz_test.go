package custom_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/custom"
)

// refusing is how a refusal reads, with a word of PROTOCOL.md §4 at most.
var refusing = regexp.MustCompile(`^(permanent|refused): the (messenger|user|text) [a-z ]+(: [a-z][a-z0-9_]{0,39})?$`)

// Whatever a stranger's messenger answers is success or a failure that jobs know what to do with, and nothing of it is
// shown but an error's name. CODE in an answer is the confirmation code as it came.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "", `{"message_id":"m-1002","name":"Shop"}`)
	f.Add(200, "", `{"message_id":"`+strings.Repeat("m", 129)+`"}`)
	f.Add(200, "", `{"message_id":"\u0000"}`)
	f.Add(200, "", `{}`)
	f.Add(200, "", `[]`)
	f.Add(200, "", `<html>CODE`)
	for _, name := range []string{"user_unknown", "user_blocked", "text_too_long", "not_supported", "another_word", "No word: CODE", ""} {
		f.Add(400, "", `{"error":"`+name+`"}`)
	}
	f.Add(413, "", `{"error":7}`)
	f.Add(401, "", `CODE`)
	f.Add(404, "", ``)
	f.Add(429, "17", ``)
	f.Add(429, "3601", ``)
	f.Add(503, "Fri, 31 Dec 9999 23:59:59 GMT", ``)
	f.Add(503, "Thu, 01 Jan 1970 00:00:00 GMT", ``)
	f.Add(503, "99999999999999999999", `x`)
	f.Add(429, "-1", ``)
	f.Add(408, "", ``)
	f.Add(301, "", ``)
	f.Add(0, "", ``)
	f.Add(500, "", ``)
	f.Add(-1, "", `malformed HTTP response "CODE"`)
	f.Fuzz(func(t *testing.T, status int, retry, body string) {
		body = strings.ReplaceAll(body, "CODE", encodedCode)
		ch := channels.Channel{ID: uuid.Nil, Fields: map[string]string{custom.FieldWebhook: "https://shop.example/waggle", custom.FieldCode: code}}
		ch.HookURL = "https://waggle.example/hooks/custom/1"
		answering := func(body string) *custom.Adapter {
			return custom.New(&http.Client{Transport: channelstest.Answer{Status: status, Header: http.Header{"Retry-After": {retry}}, Body: body}}, clock)
		}
		meant := func(err error) {
			channelstest.Meant(t, err, clock, time.Hour, encodedCode, code)
			if err == nil {
				require.Equal(t, http.StatusOK, status)
				require.True(t, json.Valid([]byte(body)))
			} else if e := channels.AsError(err); !e.At.IsZero() {
				require.False(t, e.At.Before(noon))
			}
		}
		send := func(a *custom.Adapter) (channels.Sent, error) {
			return a.Send(t.Context(), ch, channels.Part{Key: "part-1", UserID: "ann-42", Text: "Good morning"})
		}
		a := answering(body)
		sent, err := send(a)
		meant(err)
		switch {
		case err == nil:
			require.NotEmpty(t, sent.MessageID)
			require.LessOrEqual(t, len(sent.MessageID), 128, "PROTOCOL.md §2")
			require.False(t, strings.ContainsFunc(sent.MessageID, unicode.IsControl), "PROTOCOL.md §2")
		case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
			require.Regexp(t, refusing, err.Error())
		default:
			_, empty := send(answering(""))
			require.EqualError(t, err, empty.Error(), "nothing of the answer is shown")
		}
		account, err := a.Verify(t.Context(), ch)
		meant(err)
		if err == nil {
			require.Equal(t, "https://shop.example/waggle", account.ID)
			require.NotEmpty(t, account.Name)
		}
		meant(a.Connect(t.Context(), ch, channels.ConnectOptions{}))
	})
}
