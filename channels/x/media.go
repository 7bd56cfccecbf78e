package x

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"waggle/channels"
)

// The largest files X takes, in bytes (wire/x.md §4).
const (
	imageLimit = 5 << 20
	gifLimit   = 15 << 20
	videoLimit = 512 << 20
	chunk      = 4 << 20 // of a file that goes up in pieces
)

// sorts are the kinds of file X takes in Direct Messages.
var sorts = map[string]struct {
	category string
	limit    int64
}{
	"image/jpeg":      {"dm_image", imageLimit},
	"image/png":       {"dm_image", imageLimit},
	"image/webp":      {"dm_image", imageLimit},
	"image/gif":       {"dm_gif", gifLimit},
	"video/mp4":       {"dm_video", videoLimit},
	"video/quicktime": {"dm_video", videoLimit},
}

// media is X's word on a file that was given to it.
type media struct {
	Data struct {
		ID         string `json:"id"`
		Processing *struct {
			State string `json:"state"` // pending, in_progress, succeeded, failed
			After int    `json:"check_after_secs"`
		} `json:"processing_info"`
	} `json:"data"`
}

// upload gives X a file and returns its media id once it may be sent. Nothing reaches the customer by this.
func (a *Adapter) upload(ctx context.Context, c credentials, f *channels.Upload) (string, error) {
	sort, ok := sorts[f.MIME]
	if !ok {
		return "", refusedFile("X takes pictures (JPEG, PNG, WebP, GIF) and videos (MP4, MOV) in Direct Messages, and no other files")
	}
	if f.Size <= 0 || f.Size > sort.limit {
		return "", refusedFile(fmt.Sprintf("the file is empty or larger than the %d MB X takes of this kind", sort.limit>>20))
	}
	content, err := f.Open(ctx)
	if err != nil {
		return "", &channels.Error{Outcome: channels.RetryAt, Reason: "the file to be sent could not be opened", Err: err}
	}
	defer content.Close()
	u := upload{a: a, as: c.user(), file: f, content: content, category: sort.category}
	var m media
	if sort.category == "dm_image" {
		m, err = u.whole(ctx)
	} else {
		m, err = u.pieces(ctx)
	}
	if err != nil {
		return "", err
	}
	return u.processed(ctx, m)
}

func refusedFile(why string) error {
	return &channels.Error{Outcome: channels.Permanent, Reason: why}
}

// upload is one file on its way.
type upload struct {
	a        *Adapter
	as       signer
	file     *channels.Upload
	content  io.Reader
	category string
}

// whole gives the file in one call.
func (u upload) whole(ctx context.Context) (m media, err error) {
	return m, u.form(ctx, "/2/media/upload", [][2]string{{"media_category", u.category}, {"media_type", u.file.MIME}}, u.file.Size, &m)
}

// pieces gives it chunk by chunk.
func (u upload) pieces(ctx context.Context) (m media, err error) {
	if err := u.call(ctx, request{verb: http.MethodPost, path: "/2/media/upload/initialize", result: &m}.payload(map[string]any{
		"media_type": u.file.MIME, "total_bytes": u.file.Size, "media_category": u.category,
	})); err != nil {
		return m, err
	}
	if !userID.MatchString(m.Data.ID) {
		return m, u.a.uploadError(&failure{status: http.StatusOK})
	}
	path := "/2/media/upload/" + m.Data.ID
	for i, left := 0, u.file.Size; left > 0; i++ {
		size := min(left, chunk)
		if err := u.form(ctx, path+"/append", [][2]string{{"segment_index", strconv.Itoa(i)}}, size, nil); err != nil {
			return m, err
		}
		left -= size
	}
	return m, u.call(ctx, request{verb: http.MethodPost, path: path + "/finalize", result: &m})
}

// form posts size bytes of the content as multipart, which is not signed (§1).
func (u upload) form(ctx context.Context, path string, fields [][2]string, size int64, result any) error {
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame)
	for _, f := range fields {
		_ = w.WriteField(f[0], f[1]) // a buffer never fails
	}
	_, _ = w.CreateFormFile("media", "media")
	head := frame.Len()
	_ = w.Close()
	body := io.MultiReader(bytes.NewReader(frame.Bytes()[:head]), io.LimitReader(u.content, size), bytes.NewReader(frame.Bytes()[head:]))
	return u.call(ctx, request{
		verb: http.MethodPost, path: path, body: body, contentType: w.FormDataContentType(), length: int64(frame.Len()) + size, result: result, timeout: fileTimeout,
	})
}

func (u upload) call(ctx context.Context, r request) error {
	r.as = u.as
	if fail := u.a.api.call(ctx, r); fail != nil {
		return u.a.uploadError(fail)
	}
	return nil
}

// processed waits until X has looked through the file, as long as ctx allows.
func (u upload) processed(ctx context.Context, m media) (string, error) {
	for m.Data.Processing != nil && m.Data.Processing.State != "succeeded" {
		if m.Data.Processing.State == "failed" {
			return "", refusedFile("X could not process the file; it may be damaged or of a form X does not take")
		}
		after := time.Duration(min(max(m.Data.Processing.After, 1), 60)) * time.Second
		if err := u.a.wait(ctx, after); err != nil {
			return "", u.a.uploadError(&failure{err: err})
		}
		next := media{}
		query := url.Values{"command": {"STATUS"}, "media_id": {m.Data.ID}}
		if err := u.call(ctx, request{verb: http.MethodGet, path: "/2/media/upload", query: query, result: &next}); err != nil {
			return "", err
		}
		m.Data.Processing = next.Data.Processing
	}
	if !userID.MatchString(m.Data.ID) {
		return "", u.a.uploadError(&failure{status: http.StatusOK})
	}
	return m.Data.ID, nil
}
