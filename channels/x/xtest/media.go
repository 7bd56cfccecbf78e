package xtest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// upload is a file on its way into a message (wire/x.md §4).
type upload struct {
	id, category string
	mime         string
	total        int
	data         []byte
	segments     int
	final        bool
	checks       int // how often it is still in progress
}

func (u *upload) ready() bool { return u.final && u.checks == 0 }

// categories are what may be in a message: how large, in bytes, and what it is shown as there.
var categories = map[string]struct {
	limit int
	shown string
}{"dm_image": {5 << 20, "photo"}, "dm_gif": {15 << 20, "animated_gif"}, "dm_video": {512 << 20, "video"}}

func (u *upload) answer() answer {
	data := object{"id": u.id, "media_key": "3_" + u.id, "size": len(u.data), "expires_after_secs": 86400}
	if u.final && u.category != "dm_image" {
		state := "succeeded"
		if u.checks > 0 {
			state = "in_progress"
		}
		data["processing_info"] = object{"state": state, "check_after_secs": 1}
	}
	return ok(object{"data": data})
}

// upload takes a picture in one call.
func (c *call) upload() answer {
	fields, data, err := c.form()
	category := fields["media_category"]
	if err != nil || category != "dm_image" || len(data) == 0 || len(data) > categories[category].limit {
		return invalid("media is not one picture of at most 5 MB")
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	u := &upload{id: c.newID(), category: category, mime: fields["media_type"], data: data, final: true}
	c.account.uploads[u.id] = u
	return u.answer()
}

func (c *call) uploadInitialize() answer {
	var body struct {
		Type     string `json:"media_type"`
		Total    int    `json:"total_bytes"`
		Category string `json:"media_category"`
	}
	if !c.decode(&body) || body.Type == "" || body.Total < 1 || body.Total > categories[body.Category].limit {
		return invalid("the file is not one X takes")
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	u := &upload{id: c.newID(), category: body.Category, mime: body.Type, total: body.Total, checks: 2}
	c.account.uploads[u.id] = u
	return u.answer()
}

func (c *call) uploadAppend() answer {
	fields, data, err := c.form()
	c.Mu.Lock()
	defer c.Mu.Unlock()
	u := c.account.uploads[c.r.PathValue("media")]
	if err != nil || u == nil || u.final || fields["segment_index"] != strconv.Itoa(u.segments) || len(data) > 5<<20 {
		return invalid("the segment does not follow")
	}
	u.segments++
	u.data = append(u.data, data...)
	return ok(object{"data": object{"expires_at": 1}})
}

func (c *call) uploadFinalize() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	u := c.account.uploads[c.r.PathValue("media")]
	if u == nil || len(u.data) != u.total {
		return invalid("the segments are not the whole file")
	}
	u.final = true
	return u.answer()
}

func (c *call) uploadStatus() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	u := c.account.uploads[c.r.URL.Query().Get("media_id")]
	if u == nil || c.r.URL.Query().Get("command") != "STATUS" {
		return answer{status: http.StatusNotFound, body: object{"title": "Not Found", "type": "about:blank", "status": 404}}
	}
	u.checks = max(u.checks-1, 0)
	return u.answer()
}

// form reads a multipart body: its plain fields and the file.
func (c *call) form() (fields map[string]string, file []byte, err error) {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return nil, nil, http.ErrNotMultipart
	}
	fields = map[string]string{}
	for parts := multipart.NewReader(strings.NewReader(string(c.body)), params["boundary"]); ; {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, file, nil
		}
		if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return nil, nil, err
		}
		if p.FormName() == "media" {
			file = slices.Clone(data)
		} else {
			fields[p.FormName()] = string(data)
		}
	}
}
