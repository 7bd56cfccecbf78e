package custom

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"

	"waggle/channels"
)

// outgoingFile tells of the file that a message brings (PROTOCOL.md §4).
type outgoingFile struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	MIME string `json:"mime"`
	Size int64  `json:"size"`
}

func fileOf(u *channels.Upload) *outgoingFile {
	if u == nil {
		return nil
	}
	return &outgoingFile{Kind: u.Kind, Name: u.Name, MIME: u.MIME, Size: u.Size}
}

// body is what is posted.
type body struct {
	io.Reader
	contentType string
	length      int64
	close       func() error
}

// bodyOf is a message as it is posted: JSON, or, with a file, a form of the JSON and the file, streamed.
func bodyOf(ctx context.Context, raw []byte, u *channels.Upload) (body, *channels.Error) {
	if u == nil {
		return body{bytes.NewReader(raw), "application/json", int64(len(raw)), func() error { return nil }}, nil
	}
	if u.Size > fileLimit {
		return body{}, &channels.Error{Outcome: channels.Permanent, Reason: "the file is larger than 50 MiB"}
	}
	content, err := u.Open(ctx)
	if err != nil {
		return body{}, &channels.Error{Outcome: channels.RetryAt, Reason: "the file cannot be read", Err: err}
	}
	var frame bytes.Buffer // a buffer never fails
	form := multipart.NewWriter(&frame)
	_ = form.WriteField("message", string(raw))
	plain := strings.NewReplacer("\\", "_", `"`, "_", "\r", "_", "\n", "_")
	_, _ = form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="` + plain.Replace(u.Name) + `"`}, "Content-Type": {plain.Replace(u.MIME)},
	})
	head := frame.Len()
	_ = form.Close()
	all := frame.Bytes()
	return body{
		io.MultiReader(bytes.NewReader(all[:head]), content, bytes.NewReader(all[head:])), form.FormDataContentType(), int64(len(all)) + u.Size, content.Close,
	}, nil
}
