package telegram

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/telegram/telegramtest"
)

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))))
	return b.Bytes()
}

func upload(kind, name, mime string, content []byte) *channels.Upload {
	return &channels.Upload{Kind: kind, Name: name, MIME: mime, Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// Issue 4: files go out as what they are; what Telegram would not show as that goes as a document (wire/telegram.md §2).
func TestSendFiles(t *testing.T) {
	large := append(picture(t, 8, 8), make([]byte, photoLimit)...)
	for name, c := range map[string]struct {
		file   *channels.Upload
		method string
	}{
		"photo":                       {upload("photo", "a.png", "image/png", picture(t, 8, 8)), "sendphoto"},
		"photo of another type":       {upload("photo", "a.webp", "image/webp", []byte("x")), "senddocument"},
		"photo over 10 MB":            {upload("photo", "a.png", "image/png", large), "senddocument"},
		"photo that is too long":      {upload("photo", "a.png", "image/png", picture(t, 210, 10)), "senddocument"},
		"photo that is none":          {upload("photo", "a.jpg", "image/jpeg", []byte("PK zip")), "senddocument"},
		"document":                    {upload("document", "a.pdf", "application/pdf", []byte("x")), "senddocument"},
		"a kind nobody knows":         {upload("hologram", "a.x", "", []byte("x")), "senddocument"},
		"voice":                       {upload("voice", "a.ogg", "audio/ogg; codecs=opus", []byte("x")), "sendvoice"},
		"voice of another type":       {upload("voice", "a.webm", "audio/webm", []byte("x")), "senddocument"},
		"audio":                       {upload("audio", "a.mp3", "audio/mpeg", []byte("x")), "sendaudio"},
		"video":                       {upload("video", "a.mp4", "Video/MP4", []byte("x")), "sendvideo"},
		"video of another type":       {upload("video", "a.avi", "video/x-msvideo", []byte("x")), "senddocument"},
		"a name that breaks a header": {upload("document", "a\"\r\nX: y\\.pdf", "text/plain\r\nX: y", []byte("x")), "senddocument"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			ann := f.bot.Customer(5, "Ann")
			ann.Start()
			caption := strings.Repeat("😀", 512) // 1024 UTF-16 units
			sent, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: caption, ReplyTo: "1", File: c.file})
			require.NoError(t, err)
			got := ann.Inbox()
			require.Len(t, got, 1)
			assert.Equal(t, c.method, got[0].Method)
			assert.Equal(t, caption, got[0].Text)
			assert.Equal(t, number(got[0].MessageID), sent.MessageID)
			assert.EqualValues(t, 1, got[0].ReplyTo)
			assert.NotEmpty(t, got[0].FileName)
			content, err := c.file.Open(t.Context())
			require.NoError(t, err)
			want, err := io.ReadAll(content)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got[0].File))
		})
	}
}

func TestSendFileOutcomes(t *testing.T) {
	refuse := telegramtest.Refuse
	for _, row := range []struct {
		name   string
		fault  double.Fault
		want   channels.Outcome
		reason string
	}{
		{"§1 403 blocked", refuse(403, "Forbidden: bot was blocked by the user"), channels.Permanent, "blocked"},
		{"§2 413", refuse(413, "Request Entity Too Large"), channels.Permanent, "50 MB"},
		{"§2 the caption", refuse(400, "Bad Request: message caption is too long"), channels.Permanent, "beside the file"},
		{"§2 an empty file", refuse(400, "Bad Request: file must be non-empty"), channels.Permanent, "empty"},
		{"no voice messages", refuse(400, "Bad Request: VOICE_MESSAGES_FORBIDDEN"), channels.Permanent, "voice"},
		{"§1 429", telegramtest.TooManyRequests(17), channels.RetryAt, "slow down"},
		{"§1 401", refuse(401, "Unauthorized"), channels.Broken, "@BotFather"},
		{"§1 502", double.BadGateway(), channels.Unknown, "may or may not"},
		{"§5 lost after it was taken", double.AfterAccepting(double.Drop()), channels.Unknown, "may or may not"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := setUp(t)
			f.bot.Customer(5, "Ann").Start()
			f.bot.FailNext("send", row.fault)
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: "do not show me", File: upload("document", "private.pdf", "x/y", []byte("x"))})
			e := asError(t, err)
			assert.Equal(t, row.want, e.Outcome)
			assert.Contains(t, e.Reason, row.reason)
			assert.NotContains(t, err.Error(), "do not show me")
			assert.NotContains(t, err.Error(), "private.pdf")
			assert.Equal(t, 1, f.bot.Calls("sendDocument"), "sent once, never repeated")
		})
	}
	t.Run("over 50 MB nothing is sent", func(t *testing.T) {
		f := setUp(t)
		file := upload("document", "a", "x/y", nil)
		file.Size = uploadLimit + 1
		_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", File: file})
		assert.Equal(t, channels.Permanent, asError(t, err).Outcome)
		assert.Zero(t, f.bot.Calls("sendDocument"))
	})
	t.Run("over 1024 units of caption it is Telegram who says no", func(t *testing.T) {
		f := setUp(t)
		f.bot.Customer(5, "Ann").Start()
		_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", Text: strings.Repeat("😀", 512) + "x", File: upload("document", "a", "x/y", []byte("x"))})
		assert.Equal(t, channels.Permanent, asError(t, err).Outcome)
	})
}

// failingReader gives n bytes and then an error.
type failingReader struct{ n int }

func (r *failingReader) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, errors.New("the disk is gone")
	}
	n := min(r.n, len(p))
	r.n -= n
	return n, nil
}

// Half a file is no message: that is certain, and may be repeated.
func TestSendFileThatCannotBeRead(t *testing.T) {
	for name, open := range map[string]func(context.Context) (io.ReadCloser, error){
		"not at all":             func(context.Context) (io.ReadCloser, error) { return nil, errors.New("gone") },
		"half of it":             func(context.Context) (io.ReadCloser, error) { return io.NopCloser(&failingReader{n: 1 << 20}), nil },
		"less than it should be": func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			ann := f.bot.Customer(5, "Ann")
			ann.Start()
			file := upload("document", "a", "x/y", nil)
			file.Size, file.Open = 2<<20, open
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "5", File: file})
			e := asError(t, err)
			assert.Equal(t, channels.RetryAt, e.Outcome)
			assert.Contains(t, e.Reason, "file could not be read")
			assert.Empty(t, ann.Inbox())
		})
	}
	t.Run("a connection that breaks on the way", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			panic(http.ErrAbortHandler)
		}))
		defer s.Close()
		f := setUp(t)
		_, err := New(s.Client(), s.URL).Send(t.Context(), f.ch, channels.Part{UserID: "5", File: upload("document", "a", "x/y", make([]byte, 20<<20))})
		e := asError(t, err)
		assert.Equal(t, channels.RetryAt, e.Outcome)
		assert.NotContains(t, e.Reason, "could not be read")
	})
}

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A 20 MB file passes with 8 MB of extra memory at most.
func TestSendFileMemory(t *testing.T) {
	const size = 20 << 20
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n < size {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"ok":true,"result":{"message_id":7}}`)
	}))
	defer s.Close()
	f := setUp(t)
	file := upload("document", "a", "x/y", nil)
	file.Size = size
	file.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sent, err := New(s.Client(), s.URL).Send(t.Context(), f.ch, channels.Part{UserID: "5", File: file})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Equal(t, "7", sent.MessageID)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}
