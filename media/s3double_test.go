package media

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const accessKey = "AKIAEXAMPLE"

// s3Double answers as an S3-compatible store does where Waggle asks it: put, put in pieces, get, get from a byte on, delete. It
// keeps only what it has a map for.
type s3Double struct {
	broken bool
	absent bool // there is no such bucket

	mu      sync.Mutex
	objects map[string][]byte // nil: what comes is read and forgotten
	pieces  map[string][]byte
}

func (d *s3Double) start(t *testing.T) string {
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	return server.URL
}

func (d *s3Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case d.absent:
		s3Error(w, http.StatusNotFound, "NoSuchBucket")
	case d.broken:
		s3Error(w, http.StatusForbidden, "AccessDenied")
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+accessKey+"/") || !strings.HasPrefix(r.URL.Path, "/files/waggle/"):
		s3Error(w, http.StatusForbidden, "SignatureDoesNotMatch")
	case r.Method == http.MethodPost && q.Has("uploads"):
		_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><Bucket>files</Bucket><Key>k</Key><UploadId>7</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		d.finish(r.URL.Path)
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><Bucket>files</Bucket><Key>k</Key><ETag>"0"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodPut:
		d.take(w, r, q.Has("partNumber"))
	case r.Method == http.MethodDelete:
		d.mu.Lock()
		delete(d.objects, r.URL.Path)
		delete(d.pieces, r.URL.Path)
		d.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		d.give(w, r)
	default:
		s3Error(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

func s3Error(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

// take reads an object or a piece of one, as it comes: signed chunks are not taken apart. A body that breaks off leaves nothing.
func (d *s3Double) take(w http.ResponseWriter, r *http.Request, piece bool) {
	var content []byte
	var n int64
	var err error
	if d.objects == nil {
		n, err = io.Copy(io.Discard, r.Body)
	} else {
		content, err = io.ReadAll(r.Body)
		n = int64(len(content))
	}
	if err != nil || n != r.ContentLength {
		s3Error(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.objects == nil:
	case piece && d.pieces == nil:
		d.pieces = map[string][]byte{r.URL.Path: content}
	case piece:
		d.pieces[r.URL.Path] = append(d.pieces[r.URL.Path], content...)
	default:
		d.objects[r.URL.Path] = content
	}
	w.Header().Set("ETag", `"0"`)
}

func (d *s3Double) finish(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.objects != nil {
		d.objects[path] = d.pieces[path]
		delete(d.pieces, path)
	}
}

func (d *s3Double) give(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	content, ok := d.objects[r.URL.Path]
	d.mu.Unlock()
	if !ok {
		s3Error(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("ETag", `"0"`)
	w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT")
	if from, found := strings.CutPrefix(r.Header.Get("Range"), "bytes="); found {
		n, _ := strconv.Atoi(strings.TrimSuffix(from, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		content = content[n:]
	}
	_, _ = w.Write(content)
}
