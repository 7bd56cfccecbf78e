package jobs_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/guard"
	"waggle/media"
	"waggle/store"
)

const jpeg = "\xff\xd8\xff\xe0\x00\x10JFIF and the rest of the picture"

// gives makes the messenger give this for every file.
func (w *laneWorld) gives(content string) {
	w.givesBy(func(context.Context, string) (channels.File, error) {
		return channels.File{ReadCloser: io.NopCloser(strings.NewReader(content)), Size: int64(len(content))}, nil
	})
}

func (w *laneWorld) givesBy(file func(ctx context.Context, ref string) (channels.File, error)) {
	w.messenger.mu.Lock()
	defer w.messenger.mu.Unlock()
	w.messenger.file = file
}

func (w *laneWorld) refuses(err error) {
	w.givesBy(func(context.Context, string) (channels.File, error) { return channels.File{}, err })
}

// attaches lets a customer send files and returns the message.
func (w *laneWorld) attaches(channel uuid.UUID, user string, files ...channels.Attachment) uuid.UUID {
	w.Helper()
	ch := new(store.Channel)
	require.NoError(w, w.db.NewSelect().Model(ch).Where("id = ?", channel).Scan(w.ctx))
	key := nextKey()
	out := w.store.Receive(w.ctx, []store.Inbound{{EnvironmentID: ch.EnvironmentID, ChannelID: channel, AccountID: ch.AccountID, Event: channels.Event{
		Kind: channels.Message, Key: key, MessageID: "m" + key, Text: "look", Attachments: files, User: channels.User{ID: user},
	}}})
	require.NoError(w, out[0].Err)
	entries, err := w.store.Timeline(w.ctx, ch.EnvironmentID, out[0].ChatID, out[0].Seq-1, 1)
	require.NoError(w, err)
	return entries[0].ID
}

func photo(ref string) channels.Attachment {
	return channels.Attachment{Kind: "photo", Name: "photo.jpg", MIME: "image/jpeg", Ref: ref}
}

func (w *laneWorld) fetch(env uuid.UUID) int {
	w.Helper()
	n, err := w.jobs.Fetch(w.ctx, env)
	require.NoError(w, err)
	return n
}

func (w *laneWorld) file(message uuid.UUID, n int) *store.StoredFile {
	w.Helper()
	f := new(store.StoredFile)
	require.NoError(w, w.db.NewSelect().Model(f).Where("entry_id = ?", message).Where("n = ?", n).Scan(w.ctx))
	return f
}

func (w *laneWorld) stored(f *store.StoredFile) string {
	w.Helper()
	r, err := w.jobs.Media.Open(w.ctx, f.Key(), 0)
	require.NoError(w, err)
	defer r.Close()
	all, err := io.ReadAll(r)
	require.NoError(w, err)
	return string(all)
}

func TestFilesAreFetchedAfterTheirMessage(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.gives(jpeg)
		m := w.attaches(w.channel, "ann", photo("a"), channels.Attachment{Kind: "location", Name: "geo:1,2"}, photo("b"))
		require.Equal(w, chat.FileWaiting, w.file(m, 0).State, "stored with the message, before it is answered")
		due, err := w.jobs.FetchDue(w.ctx)
		require.NoError(w, err)
		require.Equal(w, []uuid.UUID{w.env}, due)
		require.Equal(w, 2, w.fetch(w.env), "a location is no file")
		for _, n := range []int{0, 2} {
			f := w.file(m, n)
			require.Equal(w, chat.FileStored, f.State)
			require.Equal(w, "image/jpeg", f.MIME)
			require.EqualValues(w, len(jpeg), f.Size)
			require.Equal(w, jpeg, w.stored(f))
		}
		require.Equal(w, 2, w.hints.count("message"), "the browser hears of each")
		require.Zero(w, w.fetch(w.env))
		messages, err := w.store.Messages(w.ctx, w.env, w.file(m, 0).ChatID, 0, 10)
		require.NoError(w, err)
		require.NotNil(w, messages[0].Now().Files[0].Stored)
		require.Nil(w, messages[0].Now().Files[1].Stored)
	})
}

func TestWhatAFileIsItSaysItself(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		for content, want := range map[string][2]string{
			jpeg:                                {"photo", "image/jpeg"},
			"<html><script>alert(1)</script>":   {"document", "text/html"},
			"PK\x05\x06" + zeroBytes(18):        {"document", "application/zip"},
			"\x89PNG\r\n\x1a\n" + zeroBytes(60): {"photo", "image/png"},
		} {
			w.gives(content)
			m := w.attaches(w.channel, "ann", photo("a"))
			w.fetch(w.env)
			f := w.file(m, 0)
			require.Equal(w, want, [2]string{f.Kind, f.MIME}, "an image that is not one, a zip named .jpg")
		}
	})
}

func zeroBytes(n int) string { return strings.Repeat("\x00", n) }

func TestWhatBecomesOfAFileThatIsNotGiven(t *testing.T) {
	at := time.Now().Add(10 * time.Minute)
	reading := func(size int64, r io.Reader) func(context.Context, string) (channels.File, error) {
		return func(context.Context, string) (channels.File, error) {
			return channels.File{ReadCloser: io.NopCloser(r), Size: size}, nil
		}
	}
	failing := func(err error) func(context.Context, string) (channels.File, error) {
		return func(context.Context, string) (channels.File, error) { return channels.File{}, err }
	}
	eachLane(t, func(w *laneWorld) {
		for name, c := range map[string]struct {
			file  func(context.Context, string) (channels.File, error)
			state chat.FileState
			says  string
			wait  time.Duration // at least; at most twice that
		}{
			"gone":                            {failing(&channels.Error{Outcome: channels.Permanent, Reason: "such links expire"}), chat.FileFailed, "expire", 0},
			"a limit":                         {failing(&channels.Error{Outcome: channels.RetryAt, At: at, Reason: "wait"}), chat.FileWaiting, "wait", 9 * time.Minute},
			"refused for now":                 {failing(&channels.Error{Outcome: channels.Refused, Reason: "the token"}), chat.FileWaiting, "the token", time.Second / 2},
			"nothing is known":                {failing(errors.New("secret")), chat.FileWaiting, "broke off", time.Second / 2},
			"2 GB of Content-Length":          {reading(2<<30, strings.NewReader("x")), chat.FileFailed, "50 MB", 0},
			"more than is said":               {reading(-1, io.LimitReader(endless{}, media.Limit+1)), chat.FileFailed, "50 MB", 0},
			"more than the guard reads":       {reading(-1, io.MultiReader(strings.NewReader("x"), failingReader{guard.ErrTooLarge})), chat.FileFailed, "50 MB", 0},
			"empty":                           {reading(0, strings.NewReader("")), chat.FileFailed, "empty", 0},
			"broken off":                      {reading(-1, io.MultiReader(strings.NewReader("x"), failingReader{io.ErrUnexpectedEOF})), chat.FileWaiting, "broke off", time.Second / 2},
			"less than is said is broken off": {reading(10, strings.NewReader("x")), chat.FileWaiting, "broke off", time.Second / 2},
		} {
			w.givesBy(c.file)
			m := w.attaches(w.channel, "ann", photo("a"))
			before := time.Now()
			require.Equal(w, 1, w.fetch(w.env), name)
			f := w.file(m, 0)
			require.Equal(w, c.state, f.State, name)
			require.Contains(w, f.Error, c.says, name)
			require.NotContains(w, f.Error, "secret", name)
			if c.wait > 0 {
				require.WithinRange(w, f.DueAt.Time, before.Add(c.wait), time.Now().Add(2*c.wait), name)
			} else {
				require.True(w, f.DueAt.IsZero(), name)
			}
			w.set("files", "due_at = NULL")
		}
	})
}

func TestTriesGrowRarerAndEnd(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.refuses(&channels.Error{Outcome: channels.RetryAt, Reason: "the messenger is away"})
		m := w.attaches(w.channel, "ann", photo("a"))
		var waits []time.Duration
		for w.file(m, 0).State == chat.FileWaiting {
			w.set("files", "due_at = 1")
			require.Equal(w, 1, w.fetch(w.env))
			if f := w.file(m, 0); f.State == chat.FileWaiting {
				waits = append(waits, time.Until(f.DueAt.Time).Round(time.Second))
			}
		}
		require.Equal(w, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, waits[:3])
		require.Equal(w, 30*time.Minute, waits[len(waits)-1])
		require.Contains(w, w.file(m, 0).Error, "for about a day")

		w.gives(jpeg)
		_, err := w.jobs.RetryFile(w.ctx, w.env, m, 0)
		require.NoError(w, err)
		require.Equal(w, 1, w.fetch(w.env), "tried again by a person")
		require.Equal(w, chat.FileStored, w.file(m, 0).State)
		_, err = w.jobs.RetryFile(w.ctx, w.env, m, 0)
		require.ErrorIs(w, err, store.ErrConflict)
		_, err = w.jobs.RetryFile(w.ctx, uuid.New(), m, 0)
		require.ErrorIs(w, err, store.ErrNotFound)
	})
}

// A file that hangs keeps neither the text, nor the CRM, nor the other files of its environment waiting.
func TestAFileThatHangsTakesItsPlaceOnly(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		ctx, stop := context.WithCancel(w.ctx)
		hanging := make(chan struct{})
		var once sync.Once
		w.givesBy(func(ctx context.Context, ref string) (channels.File, error) {
			if ref == "hangs" {
				once.Do(func() { close(hanging) })
				return channels.File{}, hang(ctx)
			}
			return channels.File{ReadCloser: io.NopCloser(strings.NewReader(jpeg)), Size: int64(len(jpeg))}, nil
		})
		slow := w.attaches(w.channel, "ann", photo("hangs"))
		done := make(chan struct{})
		go func() { defer close(done); _, _ = w.jobs.Fetch(ctx, w.env) }()
		<-hanging
		w.push(w.env)
		require.Len(w, w.crm.messages(w.file(slow, 0).ChatID), 1, "text is never held back")
		quick := w.attaches(w.channel, "bob", photo("a"))
		require.Eventually(w, func() bool { return w.file(quick, 0).State == chat.FileStored }, time.Minute, 20*time.Millisecond)
		stop()
		<-done
		f := w.file(slow, 0)
		require.Equal(w, chat.FileWaiting, f.State, "what a stop breaks off is tried again")
	})
}

func TestALostLeaseWritesNothing(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		m := w.attaches(w.channel, "ann", photo("a"))
		w.givesBy(func(context.Context, string) (channels.File, error) {
			w.set("files", "fence = fence + 1") // somebody else has claimed it
			return channels.File{}, &channels.Error{Outcome: channels.Permanent, Reason: "gone"}
		})
		w.fetch(w.env)
		require.Equal(w, chat.FileWaiting, w.file(m, 0).State)
	})
}

// failingReader fails.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// endless gives zeros for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// watched notes the most memory in use while it is read.
type watched struct {
	io.Reader
	most uint64
	read int64
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.read/(4<<20) != (r.read+int64(n))/(4<<20) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		r.most = max(r.most, m.HeapAlloc)
	}
	r.read += int64(n)
	return n, err
}

// Issue 4: a 20 MB file passes with at most 8 MB of extra memory.
func TestA20MBFileIsFetchedWithLittleMemory(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		m := w.attaches(w.channel, "ann", photo("a"))
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		content := &watched{Reader: io.LimitReader(endless{}, 20<<20)}
		w.givesBy(func(context.Context, string) (channels.File, error) {
			return channels.File{ReadCloser: io.NopCloser(content), Size: 20 << 20}, nil
		})
		w.fetch(w.env)
		require.EqualValues(w, 20<<20, w.file(m, 0).Size)
		require.Less(w, content.most-min(before.HeapAlloc, content.most), uint64(8<<20))
	})
}
