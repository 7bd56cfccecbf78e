// Package media keeps the files that people send: in a folder of this machine or in an S3-compatible store. What a file is, it
// reads from the file itself; what somebody said of it is not believed.
package media

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
)

// Limit is the largest file that is kept, in bytes.
const Limit = 50 << 20

// sniffed is how much of a file tells what it is: what the library looks at.
const sniffed = 3072

// Errors of this package. What went wrong while the content was read from its source is returned as it is.
var (
	ErrTooLarge = errors.New("the file is larger than what is kept")
	ErrEmpty    = errors.New("the file is empty")
	ErrNotFound = errors.New("there is no such file in the file store")
	ErrStore    = errors.New("the file store failed") // wrapped with why
)

// Store is where files are kept. It is safe for concurrent use.
type Store struct{ blobs }

// blobs is a place for bytes under keys. A key is one or more words of [A-Za-z0-9-] with slashes between them.
type blobs interface {
	// put keeps what r gives under a key, whole or not at all, replacing what was there. size is -1 where it is not known.
	put(ctx context.Context, key string, r io.Reader, size int64, mime string) error
	// open streams what is kept from this byte on; ErrNotFound where nothing is.
	open(ctx context.Context, key string, from int64) (io.ReadCloser, error)
	// remove forgets a key. Removing what is not there is no error.
	remove(ctx context.Context, key string) error
	// tidy removes what puts that did not come to their end left behind before this time, where nobody else does.
	tidy(before time.Time) error
}

// Open opens the store at an address: file:///folder, which is made where it is missing, or s3://bucket/prefix; see bucketOf. It
// does not call the store.
func Open(address string) (*Store, error) {
	b, err := open(address)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_URL: %w", err)
	}
	return &Store{b}, nil
}

func open(address string) (blobs, error) {
	p, err := parse(address)
	if err != nil {
		return nil, err
	}
	if p.folder != "" {
		return openFolder(p.folder)
	}
	return openBucket(p)
}

// place is what an address says: a folder of this machine or a bucket.
type place struct {
	folder         string  // empty: a bucket
	endpoint       url.URL // the scheme and the host of the bucket's store
	bucket, prefix string
	region         string // empty: the store tells it
}

// parse reads an address. What it could not heed it refuses: files that went elsewhere would be missed late.
func parse(address string) (place, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return place{}, errors.New("it is not an address") // the error would quote it
	case strings.Contains(address, "#"):
		return place{}, errors.New("a # in it is written %23")
	case u.Scheme == "file":
		return folderOf(u)
	case u.Scheme == "s3":
		return bucketOf(u)
	}
	return place{}, errors.New("it must begin with file:/// or s3://")
}

// Kept is what a file turned out to be.
type Kept struct {
	Size int64  // bytes
	MIME string // by its content, without parameters
}

// Put keeps what r gives under a key, at most limit bytes of it, replacing what was there: all of it or, with an error, nothing.
// size is how much r gives, -1 where that is not known. However large the file, no more than a piece of it is in memory.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size, limit int64) (Kept, error) {
	if size > limit {
		return Kept{}, ErrTooLarge
	}
	from := &source{r: r, size: size, limit: limit}
	head := make([]byte, sniffed)
	n, err := io.ReadFull(from, head)
	switch {
	case from.err != nil:
		return Kept{}, from.err
	case n == 0:
		return Kept{}, ErrEmpty
	case err != nil: // all of it is in head
		size = int64(n)
	}
	head = head[:n]
	kept := Kept{MIME: TypeOf(head)}
	err = s.put(ctx, key, io.MultiReader(bytes.NewReader(head), from), size, kept.MIME)
	if from.err != nil {
		return Kept{}, from.err
	}
	if err != nil {
		return Kept{}, fmt.Errorf("%w: %w", ErrStore, err)
	}
	kept.Size = from.read
	return kept, nil
}

// Open streams a file that is kept, from this byte on. The caller closes it. ErrNotFound where there is none.
func (s *Store) Open(ctx context.Context, key string, from int64) (io.ReadCloser, error) {
	r, err := s.open(ctx, key, from)
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrStore, err)
	}
	return r, err
}

// Remove forgets a file. Removing what is not there is no error.
func (s *Store) Remove(ctx context.Context, key string) error {
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return nil
}

// Check proves that files can be kept, read back and removed, with a small one of its own.
func (s *Store) Check(ctx context.Context) error {
	key, content := "check-"+rand.Text(), []byte("Waggle")
	if _, err := s.Put(ctx, key, bytes.NewReader(content), int64(len(content)), Limit); err != nil {
		return err
	}
	return errors.Join(s.gives(ctx, key, content), s.Remove(context.WithoutCancel(ctx), key))
}

// gives proves that a file is given back as it was kept.
func (s *Store) gives(ctx context.Context, key string, content []byte) error {
	r, err := s.Open(ctx, key, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if kept, err := io.ReadAll(r); err != nil || !bytes.Equal(kept, content) {
		return errors.Join(fmt.Errorf("%w: it does not give back what it was given", ErrStore), err)
	}
	return nil
}

// keepUnfinished is far longer than any file is on its way.
const keepUnfinished = 24 * time.Hour

// Tidy removes what was left of files, a day ago or longer, when the process that wrote them died. It is to be called now and then.
func (s *Store) Tidy() error {
	if err := s.tidy(time.Now().Add(-keepUnfinished)); err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return nil
}

// TypeOf is the MIME type of the file that begins so, without parameters.
func TypeOf(head []byte) string {
	t := mimetype.Detect(head).String()
	for i, c := range t {
		if c == ';' {
			return t[:i]
		}
	}
	return t
}

// source is content on its way in. It counts, keeps to the limit, and remembers whose fault an error was.
type source struct {
	r           io.Reader
	size, limit int64
	read        int64
	err         error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	switch {
	case s.read > s.limit:
		s.err = ErrTooLarge
	case errors.Is(err, io.EOF) && s.size >= 0 && s.read < s.size:
		s.err = io.ErrUnexpectedEOF
	case err != nil && !errors.Is(err, io.EOF):
		s.err = err
	default:
		return n, err
	}
	return 0, s.err
}
