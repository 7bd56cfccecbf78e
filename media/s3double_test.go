package media

import (
	"bufio"
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
	case d.broken:
		s3Error(w, http.StatusForbidden, "AccessDenied")
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+accessKey+"/") || !strings.HasPrefix(r.URL.Path, "/files/waggle/env/"):
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

// take reads an object or a piece of one; a body that breaks off leaves nothing.
func (d *s3Double) take(w http.ResponseWriter, r *http.Request, piece bool) {
	size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	body := io.Reader(r.Body)
	if err == nil {
		body = &signedChunks{r: bufio.NewReader(r.Body)}
	} else {
		size = r.ContentLength
	}
	var content []byte
	var n int64
	if d.objects == nil {
		n, err = io.Copy(io.Discard, body)
	} else {
		content, err = io.ReadAll(body)
		n = int64(len(content))
	}
	if err != nil || n != size {
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

// signedChunks undresses a body in aws-chunked: lines of "size in hex;chunk-signature=…", each before that many bytes.
type signedChunks struct {
	r    *bufio.Reader
	left int64
}

func (s *signedChunks) Read(p []byte) (int, error) {
	if s.left == 0 {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		if strings.TrimSpace(line) == "" { // behind the bytes of the chunk before
			return 0, nil
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		if s.left, err = strconv.ParseInt(size, 16, 64); err != nil {
			return 0, err
		}
		if s.left == 0 {
			_, _ = io.Copy(io.Discard, s.r)
			return 0, io.EOF
		}
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}
