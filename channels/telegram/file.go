package telegram

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"waggle/channels"
	"waggle/guard"
)

const fileLimit = 20 << 20 // bytes, wire/telegram.md §2 getFile

// OpenFile streams a file by its file_id. The link to it contains the token, so only the bytes leave here; ctx bounds
// their whole transfer.
func (a *Adapter) OpenFile(ctx context.Context, ch channels.Channel, ref string) (channels.File, error) {
	token, err := tokenOf(ch)
	if err != nil {
		return channels.File{}, err
	}
	var f struct {
		Path string `json:"file_path"`
	}
	if fail := a.api.call(ctx, token, "getFile", map[string]string{"file_id": ref}, &f); fail != nil {
		return channels.File{}, fileError(fail)
	}
	path, ok := linkPath(f.Path)
	if !ok {
		return channels.File{}, &channels.Error{Outcome: channels.Permanent, Reason: "the Bot API server gave no link to the file"}
	}
	res, fail := a.api.do(guard.WithBodyLimit(ctx, fileLimit), token, http.MethodGet, "/file/bot"+token+"/"+path, nil)
	if fail != nil {
		return channels.File{}, setupError(fail)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return channels.File{}, setupError(&failure{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"))})
	}
	return channels.File{ReadCloser: res.Body, Size: res.ContentLength}, nil
}

// fileError: a file that Telegram refuses stays refused (too big, gone).
func fileError(f *failure) *channels.Error {
	if f.api && f.status == http.StatusBadRequest {
		return &channels.Error{Outcome: channels.Permanent, Reason: "Telegram does not hand out this file: " + f.description, Err: f}
	}
	return setupError(f)
}

// linkPath escapes a file_path for an address. A server in local mode answers with a path of its own disk; that and
// anything that climbs is no link.
func linkPath(path string) (string, bool) {
	if path == "" || strings.HasPrefix(path, "/") {
		return "", false
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part == ".." || part == "." || part == "" {
			return "", false
		}
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/"), true
}
