package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"sync/atomic"
	"time"

	"waggle/channels"
)

const uploadTimeout = 5 * time.Minute // the largest file over a slow line; a caller's shorter deadline wins

// form is a file with its message, as multipart/form-data.
type form struct {
	kind   string // photo, document, voice, video, audio
	fields [][2]string
	file   channels.Upload
}

func newForm(chat int64, kind string, p channels.Part) form {
	f := form{kind: kind, file: *p.File, fields: [][2]string{{"chat_id", number(chat)}}}
	if p.Text != "" {
		f.fields = append(f.fields, [2]string{"caption", p.Text})
	}
	if reply := newReply(p); reply != nil {
		text, _ := json.Marshal(reply) // numbers and truths are always JSON
		f.fields = append(f.fields, [2]string{"reply_parameters", string(text)})
	}
	return f
}

// upload runs the send method of a form's kind. What was broken off before the whole of the file had been read was certainly not
// sent: Telegram does not act on half a request.
func (c client) upload(ctx context.Context, token string, f form, result any, quiet ...string) *failure {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	content, err := f.file.Open(ctx)
	if err != nil {
		return &failure{unsent: true, unread: true, err: errors.New("the file cannot be opened")}
	}
	defer func() { _ = content.Close() }()
	read := &watched{Reader: content, left: f.size()}
	before, after, contentType, err := f.frame()
	if err != nil {
		return &failure{unsent: true, err: err}
	}
	size := f.size()
	if size >= 0 {
		size += int64(len(before)) + int64(len(after))
	}
	body := io.MultiReader(bytes.NewReader(before), read, bytes.NewReader(after))
	fail := c.run(ctx, token, "send"+strings.ToUpper(f.kind[:1])+f.kind[1:], payload{body, contentType, size}, result, quiet...)
	if fail != nil && fail.status == 0 && !read.whole.Load() {
		fail.unsent, fail.unread = true, read.broken.Load()
	}
	return fail
}

// size is how long the file is, in bytes; -1: not known.
func (f form) size() int64 {
	if f.file.Size > 0 {
		return f.file.Size
	}
	return -1
}

// frame is what stands before and after the file: all of a form that is held in memory.
func (f form) frame() (before, after []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, field := range f.fields {
		if err := w.WriteField(field[0], field[1]); err != nil {
			return nil, nil, "", err
		}
	}
	if _, err := w.CreatePart(f.file.FormHeader(f.kind)); err != nil {
		return nil, nil, "", err
	}
	before = bytes.Clone(b.Bytes())
	b.Reset()
	if err := w.Close(); err != nil {
		return nil, nil, "", err
	}
	return before, b.Bytes(), w.FormDataContentType(), nil
}

// watched notes how far a file was read, and lets none that is too short pass for a whole one. The transport reads it in a goroutine
// of its own.
type watched struct {
	io.Reader
	left          int64 // bytes; below 0: not known
	whole, broken atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.left >= 0 {
		w.left -= int64(n)
	}
	switch {
	case errors.Is(err, io.EOF) && w.left > 0:
		err = io.ErrUnexpectedEOF
		w.broken.Store(true)
	case errors.Is(err, io.EOF):
		w.whole.Store(true)
	case err != nil:
		w.broken.Store(true)
	}
	return n, err
}
