package media

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// each runs f on every place where files can be kept.
func each(t *testing.T, f func(t *testing.T, s *Store)) {
	t.Run("folder", func(t *testing.T) {
		s, err := Open("file://" + t.TempDir() + "/made/here")
		require.NoError(t, err)
		f(t, s)
	})
	t.Run("bucket", func(t *testing.T) { f(t, newBucket(t, &s3Double{objects: map[string][]byte{}})) })
}

func newBucket(t *testing.T, d *s3Double) *Store {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s, err := Open("s3://files/waggle?region=eu-central-1&endpoint=" + d.start(t))
	require.NoError(t, err)
	return s
}

func read(t *testing.T, s *Store, key string, from int64) string {
	t.Helper()
	r, err := s.Open(context.Background(), key, from)
	require.NoError(t, err)
	defer r.Close()
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(all)
}

func TestKeeping(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := context.Background()
		long := strings.Repeat("0123456789", 100_000)
		for _, size := range []int64{-1, int64(len(long))} {
			kept, err := s.Put(ctx, "env/a", strings.NewReader(long), size, Limit)
			require.NoError(t, err)
			require.Equal(t, Kept{Size: int64(len(long)), MIME: "text/plain"}, kept)
			require.Equal(t, long, read(t, s, "env/a", 0))
			require.Equal(t, "6789", read(t, s, "env/a", int64(len(long)-4)))
		}
		kept, err := s.Put(ctx, "env/a", strings.NewReader("short"), -1, Limit)
		require.NoError(t, err)
		require.EqualValues(t, 5, kept.Size)
		require.Equal(t, "short", read(t, s, "env/a", 0), "what was there is replaced")

		require.NoError(t, s.Remove(ctx, "env/a"))
		require.NoError(t, s.Remove(ctx, "env/a"), "twice is once")
		_, err = s.Open(ctx, "env/a", 0)
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func TestWhatIsNotWholeIsNotKept(t *testing.T) {
	broke := errors.New("it broke off")
	bytesOf := func(n int, then ...io.Reader) func() io.Reader {
		return func() io.Reader {
			return io.MultiReader(append([]io.Reader{bytes.NewReader(make([]byte, n))}, then...)...)
		}
	}
	for name, c := range map[string]struct {
		content func() io.Reader
		size    int64
		err     error
	}{
		"said to be too large: not even read":      {bytesOf(0, iotest.ErrReader(broke)), 2 << 30, ErrTooLarge},
		"too large, and nothing said":              {bytesOf(10_001), -1, ErrTooLarge},
		"shorter than said":                        {bytesOf(8_000), 9_000, io.ErrUnexpectedEOF},
		"empty":                                    {bytesOf(0), 0, ErrEmpty},
		"the source breaks off in the first bytes": {bytesOf(3, iotest.ErrReader(broke)), -1, broke},
		"the source breaks off later":              {bytesOf(9_000, iotest.ErrReader(broke)), 9_500, broke},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *Store) {
				_, err := s.Put(context.Background(), "env/a", c.content(), c.size, 10_000)
				require.ErrorIs(t, err, c.err)
				require.NotErrorIs(t, err, ErrNotFound)
				_, err = s.Open(context.Background(), "env/a", 0)
				require.ErrorIs(t, err, ErrNotFound)
			})
		})
	}
}

func TestAStoreThatFails(t *testing.T) {
	s := newBucket(t, &s3Double{broken: true})
	_, err := s.Put(context.Background(), "env/a", strings.NewReader("hello"), 5, Limit)
	require.ErrorIs(t, err, ErrStore)
	require.NotContains(t, err.Error(), "secret")
	_, err = s.Open(context.Background(), "env/a", 0)
	require.ErrorIs(t, err, ErrStore)
}

// A bucket that is not there, or not yet, is nobody's lost file.
func TestABucketThatIsMissing(t *testing.T) {
	s := newBucket(t, &s3Double{absent: true})
	_, err := s.Open(context.Background(), "env/a", 0)
	require.ErrorIs(t, err, ErrStore)
	require.NotErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.Check(context.Background()), ErrStore)
}

func TestCheck(t *testing.T) {
	d := &s3Double{objects: map[string][]byte{}}
	require.NoError(t, newBucket(t, d).Check(context.Background()))
	require.Empty(t, d.objects, "nothing is left of it")
	require.ErrorIs(t, newBucket(t, &s3Double{broken: true}).Check(context.Background()), ErrStore)

	root := t.TempDir()
	s, err := Open("file://" + root)
	require.NoError(t, err)
	require.NoError(t, s.Check(context.Background()))
	left, err := filepath.Glob(root + "/check*")
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left of it")
}

func TestAddresses(t *testing.T) {
	for address, says := range map[string]string{
		"": "file:///", "/var/lib": "file:///", "file://host/x": "three slashes", "ftp://x": "s3://", "s3:///x": "s3://bucket", "s3://k:s@bucket": "AWS_ACCESS_KEY_ID",
		"s3://b?endpoint=minio:9000": "https://", "s3://b?endpoint=https://example.com/storage/s3": "without a path", "s3://b?colour=red": "but endpoint and region", "\x00": "MEDIA_URL",
		// Each of these meant something else than what it was read as.
		"file:///a#b": "%23", "file:///a?b": "%3F", "file://u@/a": "three slashes", "s3://b/a#b?endpoint=https://h": "%23", "s3://minio:9000/b": "s3://bucket",
		"s3://b?endpoint=": "https://", "s3://b:": "s3://bucket", "s3://b?endpoint=https://h;region=x": "%3B", "s3://b?endpoint=%zz": "%25", "s3://b?region=x&region=y": "twice", "s3://b?endpoint=https://k:s@h": "without a path",
	} {
		_, err := Open(address)
		require.ErrorContains(t, err, says, "%q", address)
	}
}

// What a crash leaves of a file in mid-write does not stay: a day after its last byte it is removed, and nothing else is.
func TestWhatACrashLeavesIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s, err := Open("file://" + dir)
	require.NoError(t, err)
	require.NoError(t, s.Tidy(), "nothing was ever written")
	_, err = s.Put(context.Background(), "env/whole", strings.NewReader("hello"), 5, Limit)
	require.NoError(t, err)
	content, w := io.Pipe()
	broken := make(chan error, 1)
	go func() {
		_, err := s.Put(context.Background(), "env/broken", content, -1, Limit)
		broken <- err
	}()
	_, err = w.Write(make([]byte, 1<<20)) // more than tells its type: it is being written
	require.NoError(t, err)
	left := func() (found []string) {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if !d.IsDir() {
				found = append(found, path)
			}
			return err
		}))
		return found
	}
	written := func() bool {
		paths := left()
		return len(paths) == 2 && slices.ContainsFunc(paths, func(path string) bool {
			about, err := os.Stat(path)
			return err == nil && about.Size() == 1<<20
		})
	}
	require.Eventually(t, written, time.Minute, time.Millisecond)
	require.NoError(t, s.Tidy())
	require.Len(t, left(), 2, "it may still be written to")
	long := time.Now().Add(-keepUnfinished - time.Minute)
	for _, path := range left() {
		require.NoError(t, os.Chtimes(path, long, long))
	}
	require.NoError(t, s.Tidy())
	require.Equal(t, []string{filepath.Join(dir, "env", "whole")}, left())
	require.Equal(t, "hello", read(t, s, "env/whole", 0))
	require.NoError(t, w.Close())
	require.ErrorIs(t, <-broken, ErrStore, "whoever lost it does not take it for kept")
}

// What a file is called, and what its sender says it is, is not believed.
func TestTypes(t *testing.T) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	inside, err := w.Create("a.txt")
	require.NoError(t, err)
	_, err = inside.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	mp4 := "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
	for name, c := range map[string]struct {
		content                   string
		mime, shown, photo, sends string
		inline, sendable          bool
	}{
		"a JPEG":               {"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg", "image/jpeg", "photo", "photo", true, true},
		"a PNG":                {"\x89PNG\r\n\x1a\n", "image/png", "image/png", "photo", "photo", true, true},
		"a film":               {mp4, "video/mp4", "video/mp4", "document", "video", true, true},
		"a voice":              {"OggS\x00\x02" + strings.Repeat("\x00", 22) + "OpusHead\x01", "audio/ogg", "audio/ogg", "document", "voice", true, true},
		"a zip named .jpg":     {archive.String(), "application/zip", "application/octet-stream", "document", "document", false, true},
		"a page named .jpg":    {"<!DOCTYPE html><script>alert(1)</script>", "text/html", "application/octet-stream", "document", "document", false, false},
		"a picture of scripts": {`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`, "image/svg+xml", "application/octet-stream", "document", "document", false, false},
		"a program":            {"MZ\x90\x00\x03", "application/vnd.microsoft.portable-executable", "application/octet-stream", "document", "document", false, false},
		"a PDF":                {"%PDF-1.7", "application/pdf", "application/pdf", "document", "document", false, true},
		"words":                {"hello", "text/plain", "text/plain", "document", "document", false, true},
		"noise":                {"\x01\x02\x03", "application/octet-stream", "application/octet-stream", "document", "document", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.mime, TypeOf([]byte(c.content)))
			assert.Equal(t, c.shown, Shown(c.mime))
			assert.Equal(t, c.photo, Truly("photo", c.mime), "an image that is not one")
			assert.Equal(t, c.sends, KindOf(c.mime))
			assert.Equal(t, c.inline, Inline(c.mime))
			assert.Equal(t, c.sendable, Sendable(c.mime))
		})
	}
}

// zeros is a long file that is nowhere in memory. It looks at the heap as it is read.
type zeros struct {
	left int64
	most uint64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	if z.left/(4<<20) != (z.left-n)/(4<<20) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		z.most = max(z.most, m.HeapAlloc)
	}
	z.left -= n
	return int(n), nil
}

// Issue 4: a 20 MB file passes with at most 8 MB of extra memory.
func TestAFileIsNeverWholeInMemory(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *Store{
		"folder": func(t *testing.T) *Store {
			s, err := Open((&url.URL{Scheme: "file", Path: t.TempDir()}).String()) // its name has a #
			require.NoError(t, err)
			return s
		},
		"bucket": func(t *testing.T) *Store { return newBucket(t, &s3Double{}) },
	} {
		for _, size := range []int64{20 << 20, -1} {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				runtime.GC()
				var before runtime.MemStats
				runtime.ReadMemStats(&before)
				content := &zeros{left: 20 << 20}
				kept, err := s.Put(context.Background(), "env/a", content, size, Limit)
				require.NoError(t, err)
				require.EqualValues(t, 20<<20, kept.Size)
				require.Less(t, content.most-min(before.HeapAlloc, content.most), uint64(8<<20))
			})
		}
	}
}
