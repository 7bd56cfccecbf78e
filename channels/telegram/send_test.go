package telegram

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/telegram/telegramtest"
	"waggle/guard"
)

func TestSend(t *testing.T) {
	f := setUp(t)
	ann := f.bot.Customer(5, "Ann")
	first := ann.Start()
	_, err := f.Send(t.Context(), f.ch, channels.Part{Key: "a", UserID: "5", Text: "<b>& _no_ *markup*"})
	require.NoError(t, err)
	sent, err := f.Send(t.Context(), f.ch, channels.Part{Key: "b", UserID: "5", Text: strings.Repeat("😀", 2048), ReplyTo: "1"})
	require.NoError(t, err)
	assert.Equal(t, "3", sent.MessageID)
	_, err = f.Send(t.Context(), f.ch, channels.Part{Key: "c", UserID: "5", Text: "answer to what is gone", ReplyTo: "999"})
	require.NoError(t, err, "allow_sending_without_reply")
	got := ann.Inbox()
	require.Len(t, got, 3)
	assert.Equal(t, "<b>& _no_ *markup*", got[0].Text)
	assert.Equal(t, first, got[1].ReplyTo)
	assert.Zero(t, got[2].ReplyTo)
}

// What Telegram quotes of a message stands in no error; what it says is understood all the same.
func TestTextStaysOutOfErrors(t *testing.T) {
	f := setUp(t)
	f.bot.Customer(5, "Ann").Start()
	text := "blocked by the user, " + strings.Repeat("again and ", 50)
	for method, file := range map[string]*channels.Upload{"sendMessage": nil, "sendDocument": {
		Kind: "file", Name: "a.txt", MIME: "text/plain", Size: 1, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("a")), nil },
	}} {
		f.bot.FailNext(method, telegramtest.Refuse(400, "Bad Request: what is '"+text+"'?"), telegramtest.Refuse(403, "Forbidden: bot was blocked by the user"))
		_, err := f.Send(t.Context(), f.ch, channels.Part{Key: "a", UserID: "5", Text: text, File: file})
		assert.NotContains(t, asError(t, err).Error(), "again", method)
		_, err = f.Send(t.Context(), f.ch, channels.Part{Key: "b", UserID: "5", Text: "blocked by the user", File: file})
		assert.True(t, asError(t, err).Blocked, method)
	}
	f.bot.FailNext("sendMessage", telegramtest.Refuse(404, "Not Found: method not found"))
	_, err := f.Send(t.Context(), f.ch, channels.Part{Key: "c", UserID: "5", Text: "method"})
	assert.Equal(t, channels.Permanent, asError(t, err).Outcome, "what is quoted of a text is no word of Telegram's that is missing")
}

// A text that is a piece of the token hides none of the rest of it from being hidden.
func TestATextIsHiddenAfterTheToken(t *testing.T) {
	const token = "111:AAsecretOfTheBot"
	fail := understand(&http.Response{StatusCode: 404}, []byte(`{"ok":false,"error_code":404,"description":"no such path: /bot`+token+`/x"}`), token, nil, "111:AAsec")
	assert.Equal(t, "no such path: /bot…/x", fail.description)
}

// The error catalogue of wire/telegram.md §1 as rows.
func TestSendOutcomes(t *testing.T) {
	refuse := telegramtest.Refuse
	for _, row := range []struct {
		name   string
		fault  double.Fault
		want   channels.Outcome
		reason string
	}{
		{"§1 401 invalid", refuse(401, "Unauthorized: invalid token specified"), channels.Broken, "token"},
		{"§1 S3.48 401 revoked", refuse(401, "Unauthorized"), channels.Broken, "@BotFather"},
		{"§1 404 of the front", refuse(404, "Not Found"), channels.Broken, "token"},
		{"§1 421", refuse(421, "Misdirected Request: unallowed token specified"), channels.Broken, "token"},
		{"§1 400 chat not found", refuse(400, "Bad Request: chat not found"), channels.Permanent, "does not know this customer"},
		{"§1 400 private chat not found", refuse(400, "Bad Request: private chat not found"), channels.Permanent, "does not know this customer"},
		{"§1 400 empty", refuse(400, "Bad Request: message text is empty"), channels.Permanent, "empty"},
		{"§1 400 too long", refuse(400, "Bad Request: message is too long"), channels.Permanent, "longer"},
		{"§1 400 anything else", refuse(400, "Bad Request: PEER_ID_INVALID"), channels.Permanent, "PEER_ID_INVALID"},
		{"§1 400 migrated", telegramtest.Migrated(-1001), channels.Permanent, "supergroup"},
		{"§1 403 blocked", refuse(403, "Forbidden: bot was blocked by the user"), channels.Permanent, "blocked"},
		{"§1 403 deactivated", refuse(403, "Forbidden: user is deactivated"), channels.Permanent, "no longer exists"},
		{"§1 403 never started", refuse(403, "Forbidden: bot can't initiate conversation with a user"), channels.Permanent, "has not started"},
		{"§1 403 kicked", refuse(403, "Forbidden: bot was kicked from the group chat"), channels.Permanent, "kicked"},
		{"§1 413", refuse(413, "Request Entity Too Large"), channels.Permanent, "50 MB"},
		{"§1 409", refuse(409, "Conflict: terminated by other setWebhook"), channels.RetryAt, "busy"},
		{"§1 500", telegramtest.ServerError(), channels.Unknown, "may or may not"},
		{"§1 502 with HTML", double.BadGateway(), channels.Unknown, "may or may not"},
		{"§5 connection lost", double.Drop(), channels.Unknown, "may or may not"},
		{"§5 connection lost after it was taken", double.AfterAccepting(double.Drop()), channels.Unknown, "may or may not"},
		{"§1 a token in a description", refuse(400, "Bad Request: "+testToken), channels.Permanent, "…"},
		{"§1 an endless description", refuse(400, strings.Repeat("x", 1000)), channels.Permanent, "x…"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := setUp(t)
			f.bot.Customer(5, "Ann").Start()
			f.bot.FailNext("send", row.fault)
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "do not show me"})
			e := asError(t, err)
			assert.Equal(t, row.want, e.Outcome)
			assert.Contains(t, e.Reason, row.reason)
			assert.Equal(t, row.name == "§1 403 blocked" || row.name == "§1 403 deactivated", e.Blocked)
			assert.NotContains(t, err.Error(), "do not show me")
			assert.Less(t, len(err.Error()), 1000)
			assert.Equal(t, 1, f.bot.Calls("sendMessage"), "sent once, never repeated")
		})
	}
}

func TestSendObeysTelegramsWait(t *testing.T) {
	f := setUp(t)
	f.bot.Customer(5, "Ann").Start()
	f.bot.FailNext("send", telegramtest.TooManyRequests(17))
	_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "x"})
	e := asError(t, err)
	assert.Equal(t, channels.RetryAt, e.Outcome)
	assert.True(t, e.WholeChannel)
	assert.WithinDuration(t, time.Now().Add(17*time.Second), e.At, 5*time.Second)
}

func TestSendTimesOutAfterItWasTaken(t *testing.T) {
	f := setUp(t)
	ann := f.bot.Customer(5, "Ann")
	ann.Start()
	f.bot.FailNext("send", double.AfterAccepting(double.Hang()))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := f.Send(ctx, f.ch, channels.Part{UserID: "5", Text: "x"})
		failed <- err
	}()
	_, err := ann.WaitFor(t.Context(), 1)
	require.NoError(t, err)
	cancel()
	err = <-failed
	assert.Equal(t, channels.Unknown, asError(t, err).Outcome)
	require.ErrorIs(t, err, context.Canceled)
}

// Without a connection nothing was sent: that is certain, and may be repeated.
func TestSendWithoutConnection(t *testing.T) {
	f := setUp(t)
	f.server.Close()
	_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "x"})
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
	_, err = f.Verify(t.Context(), f.ch)
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)

	client, err := guard.New(guard.Policy{})
	require.NoError(t, err)
	a := New(client, "https://127.0.0.1:1")
	_, err = a.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "x"})
	assert.Equal(t, channels.Broken, asError(t, err).Outcome, "an address that is not permitted stays so")
	require.ErrorIs(t, err, guard.ErrBlocked)
	_, err = a.Verify(t.Context(), f.ch)
	assert.Equal(t, channels.Refused, asError(t, err).Outcome)
}

// What is no answer of the Bot API must neither panic nor count as sent.
func TestStrangeAnswers(t *testing.T) {
	for _, row := range []struct {
		name, body string
		status     int
		want       channels.Outcome
	}{
		{"empty 200", ``, 200, channels.Unknown},
		{"cut off", `{"ok":true,"resu`, 200, channels.Unknown},
		{"ok without result", `{"ok":true}`, 200, channels.Unknown},
		{"ok with another result", `{"ok":true,"result":true}`, 200, channels.Unknown},
		{"ok with message 0", `{"ok":true,"result":{"message_id":0}}`, 200, channels.Unknown},
		{"null", `null`, 200, channels.Unknown},
		{"array", `[]`, 200, channels.Unknown},
		{"ok with an error status", `{"ok":true,"result":{"message_id":4}}`, 500, channels.Unknown},
		{"not ok with 200", `{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}`, 200, channels.Permanent},
		{"HTML 404", `<html>`, 404, channels.Unknown},
		{"redirect", ``, 307, channels.Unknown},
		{"429 of a proxy", `slow down`, 429, channels.RetryAt},
		{"429 for ever", `{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":9223372036854775807}}`, 429, channels.RetryAt},
	} {
		t.Run(row.name, func(t *testing.T) {
			calls := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.body))
			}))
			defer s.Close()
			f := setUp(t)
			a := New(s.Client(), s.URL)
			_, err := a.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "x"})
			e := asError(t, err)
			assert.Equal(t, row.want, e.Outcome)
			assert.Equal(t, 1, calls, "no redirect is followed")
			if e.Outcome == channels.RetryAt {
				assert.True(t, e.At.After(time.Now()))
			}
		})
	}
}

func TestSendToNobody(t *testing.T) {
	f := setUp(t)
	_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "@ann", Text: "x"})
	assert.Equal(t, channels.Permanent, asError(t, err).Outcome)
	f.ch.Fields = nil
	_, err = f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "x"})
	assert.Equal(t, channels.Broken, asError(t, err).Outcome)
	assert.Zero(t, f.bot.Calls("sendMessage"))
}

// The token is in every address; no error of net/http may carry it out.
func TestErrorsNeverHoldTheToken(t *testing.T) {
	for name, dial := range map[string]error{
		"a plain error":             errors.New("cannot dial"),
		"one that names an address": errors.New("Post \"https://api.telegram.org/bot" + testToken + "/sendMessage\": EOF"),
		"an escaped address":        errors.New("https://api.telegram.org/bot111%3AAAsecret/x"),
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			h := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, dial }}}
			_, err := New(h, "http://telegram.example").Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "x"})
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "AAsecret")
			assert.Equal(t, channels.RetryAt, channels.AsError(err).Outcome)
		})
	}
}
