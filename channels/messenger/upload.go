package messenger

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"waggle/channels"
)

const uploadTimeout = 5 * time.Minute // the largest file over a slow line; a caller's shorter deadline wins

// upload gives Facebook a file ahead of its message. Until then nothing was sent: whatever goes wrong here may be repeated.
func (a *Adapter) upload(ctx context.Context, ch channels.Channel, u channels.Upload, attempt int) (*outAttachment, error) {
	if u.Size > fileLimit {
		return nil, &channels.Error{Outcome: channels.Permanent, Reason: "the file is larger than the 25 MB Facebook takes"}
	}
	q, bad := a.call(ch, http.MethodPost, "/message_attachments")
	if bad != nil {
		bad.Outcome = channels.Broken
		return nil, bad
	}
	content, err := u.Open(ctx)
	if err != nil {
		return nil, &channels.Error{Outcome: channels.RetryAt, Reason: "the file cannot be read", Err: err}
	}
	defer content.Close()
	file := outAttachment{Type: attachmentType(u.Kind), Payload: outPayload{Reusable: true}}
	q.file, q.patience = &upload{Upload: u, content: content, attachment: file}, uploadTimeout
	var kept struct {
		ID string `json:"attachment_id"`
	}
	fail := a.api.do(ctx, q, &kept)
	if fail == nil && kept.ID == "" {
		fail = &failure{status: http.StatusOK}
	}
	if fail != nil {
		e := sendError(fail, attempt)
		if e.Outcome == channels.Unknown {
			e.Outcome, e.Reason = channels.RetryAt, "Facebook did not take the file"
		}
		return nil, e
	}
	file.Payload = outPayload{ID: kept.ID}
	return &file, nil
}

// attachmentType is Facebook's word for how a file is shown.
func attachmentType(kind string) string {
	switch kind {
	case "photo":
		return "image"
	case "voice", "audio":
		return "audio"
	case "video":
		return "video"
	}
	return "file"
}

// upload is a file on its way.
type upload struct {
	channels.Upload
	content    io.Reader
	attachment outAttachment
}

// body is the file as multipart/form-data, streamed: what stands before and after it is all that is held in memory.
func (u *upload) body(context.Context) (io.Reader, string, int64, error) {
	message, err := json.Marshal(map[string]any{"attachment": u.attachment})
	if err != nil {
		return nil, "", 0, err
	}
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	if err := form.WriteField("message", string(message)); err != nil {
		return nil, "", 0, err
	}
	if _, err := form.CreatePart(u.FormHeader("filedata")); err != nil {
		return nil, "", 0, err
	}
	before := bytes.Clone(frame.Bytes())
	frame.Reset()
	if err := form.Close(); err != nil {
		return nil, "", 0, err
	}
	after := frame.Bytes()
	size := int64(-1)
	if u.Size > 0 {
		size = int64(len(before)) + u.Size + int64(len(after))
	}
	return io.MultiReader(bytes.NewReader(before), u.content, bytes.NewReader(after)), form.FormDataContentType(), size, nil
}
