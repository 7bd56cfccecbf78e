package telegram

import (
	"context"
	"io"
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
)

// polling is a fixture that polls; its clock moves past the double's "repeated too fast" rules between polls.
func polling(t *testing.T) (fixture, func(offset string) ([]string, string)) {
	f := setUp(t)
	f.ch.Receive, f.ch.HookURL = channels.Polling, ""
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	return f, func(offset string) ([]string, string) {
		f.clock.advance(4 * time.Second)
		d, next, err := f.Poll(t.Context(), f.ch, offset)
		require.NoError(t, err)
		var texts []string
		for _, e := range d.Events {
			texts = append(texts, e.Text)
		}
		return texts, next
	}
}

// S3.42: polling works without a public URL; nothing is confirmed before the next call says so.
func TestPoll(t *testing.T) {
	f, poll := polling(t)
	texts, next := poll("")
	assert.Empty(t, texts)
	assert.Empty(t, next, "S3.42 nothing yet, nothing to confirm")

	ann := f.bot.Customer(5, "Ann")
	ann.Write("1")
	ann.Write("2")
	texts, next = poll("")
	assert.Equal(t, []string{"1", "2"}, texts)
	again, same := poll("")
	assert.Equal(t, texts, again, "a crash before the commit brings them again")
	assert.Equal(t, next, same)
	ann.Write("3")
	texts, next = poll(next)
	assert.Equal(t, []string{"3"}, texts)
	texts, unchanged := poll(next)
	assert.Empty(t, texts)
	assert.Equal(t, next, unchanged)
	assert.Zero(t, f.bot.Webhook().Pending)
}

func TestPollPassesWhatItCannotRead(t *testing.T) {
	f, poll := polling(t)
	ann := f.bot.Customer(5, "Ann")
	ann.Write("1")
	f.bot.Push("message", map[string]any{"message_id": "no number", "chat": map[string]any{"id": 5}})
	ann.Write("2")
	texts, next := poll("")
	assert.Equal(t, []string{"1", "2"}, texts)
	texts, _ = poll(next)
	assert.Empty(t, texts)
}

func TestPollErrors(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault double.Fault
		want  channels.Outcome
	}{
		{"§1 409 webhook", telegramtest.Refuse(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"), channels.Foreign},
		{"§1 409 other poller", telegramtest.Refuse(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"), channels.RetryAt},
		{"§1 S3.48 401", telegramtest.Refuse(401, "Unauthorized"), channels.Refused},
		{"§1 429", telegramtest.TooManyRequests(9), channels.RetryAt},
		{"§1 500", telegramtest.ServerError(), channels.RetryAt},
		{"§1 502 with HTML", double.BadGateway(), channels.RetryAt},
		{"connection lost", double.Drop(), channels.RetryAt},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, _ := polling(t)
			f.bot.FailNext("getUpdates", row.fault)
			_, next, err := f.Poll(t.Context(), f.ch, "77")
			assert.Equal(t, row.want, asError(t, err).Outcome)
			assert.Equal(t, "77", next, "nothing is confirmed by a failure")
		})
	}
}

// A webhook somebody set behind our back is met as the real 409.
func TestPollMeetsAWebhook(t *testing.T) {
	f, _ := polling(t)
	other := f.ch
	other.Receive, other.HookURL = channels.Webhook, "http://127.0.0.1:1/x"
	require.NoError(t, f.Connect(t.Context(), other, channels.ConnectOptions{}))
	_, _, err := f.Poll(t.Context(), f.ch, "")
	assert.Equal(t, channels.Foreign, asError(t, err).Outcome)
}

func TestPollLeavesTheAnswerTime(t *testing.T) {
	for _, row := range []struct {
		left, want time.Duration
	}{{time.Hour, pollWait}, {10 * time.Second, 5 * time.Second}, {time.Second, 0}, {-time.Second, 0}} {
		ctx, cancel := context.WithTimeout(t.Context(), row.left)
		assert.InDelta(t, row.want.Seconds(), pollTimeout(ctx).Seconds(), 1)
		cancel()
	}
	assert.Equal(t, pollWait, pollTimeout(t.Context()))
}

func TestOpenFileRefused(t *testing.T) {
	f, _ := polling(t)
	open := func(ref string) *channels.Error {
		_, err := f.OpenFile(t.Context(), f.ch, ref)
		return asError(t, err)
	}
	assert.Equal(t, channels.RetryAt, open("nothing").Outcome, "it may be there later: Telegram says \"wrong or temporarily unavailable\"")
	f.bot.Customer(5, "Ann").SendBigDocument("a.iso", "x/y", []byte("x"), 20<<20+1)
	d, _, err := f.Poll(t.Context(), f.ch, "")
	require.NoError(t, err)
	big := open(d.Events[0].Attachments[0].Ref)
	assert.Equal(t, channels.Permanent, big.Outcome)
	assert.Contains(t, big.Reason, "20 MB")
	f.bot.FailNext("getFile", telegramtest.ServerError())
	assert.Equal(t, channels.RetryAt, open("x").Outcome)
	f.bot.Revoke()
	assert.Equal(t, channels.Refused, open("x").Outcome)
}

// What another Bot API server may answer: a path of its own disk, a link that is gone.
func TestOpenFileWithoutLink(t *testing.T) {
	for path, want := range map[string]channels.Outcome{"/var/lib/x": channels.Permanent, "": channels.Permanent, "photos/x.jpg": channels.RetryAt} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/file/") {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, `{"ok":true,"result":{"file_path":"`+path+`"}}`)
		}))
		f := setUp(t)
		_, err := New(s.Client(), s.URL).OpenFile(t.Context(), f.ch, "x")
		e := asError(t, err)
		assert.Equal(t, want, e.Outcome, path)
		assert.NotContains(t, e.Error(), "/var/lib", "the path holds the token")
		s.Close()
	}
}

func TestPause(t *testing.T) {
	require.NoError(t, pause(t.Context(), time.Nanosecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, pause(ctx, time.Hour), context.Canceled)
}

func TestLinkPath(t *testing.T) {
	for path, want := range map[string]string{
		"photos/file_0.jpg": "photos/file_0.jpg", "a b/c?d": "a%20b/c%3Fd", "": "", "/var/lib/x": "", "a/../b": "", "a//b": "", "./a": "",
	} {
		got, ok := linkPath(path)
		assert.Equal(t, want, got, path)
		assert.Equal(t, want != "", ok, path)
	}
}
