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
		return channels.File{}, &channels.Error{Outcome: channels.Permanent, Reason: noLink}
	}
	res, fail := a.api.do(guard.WithBodyLimit(ctx, fileLimit), token, http.MethodGet, "/file/bot"+token+"/"+path, payload{})
	if fail != nil {
		return channels.File{}, setupError(fail)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return channels.File{}, setupError(&failure{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"))})
	}
	return channels.File{ReadCloser: res.Body, Size: res.ContentLength}, nil
}

// noLink tells of a file_path that is no link; the path itself, which may hold the token, is not shown.
const noLink = "the Bot API server gives no link to its files: it runs in local mode (--local), where it keeps them on its own disk; " +
	"its operator should run it without that"

// fileError: a file that Telegram refuses stays refused, but for one that is "temporarily unavailable".
func fileError(f *failure) *channels.Error {
	switch {
	case !f.api || f.status != http.StatusBadRequest:
		return setupError(f)
	case strings.Contains(f.words, "file is too big"):
		return &channels.Error{Outcome: channels.Permanent, Err: f, Reason: "the file is larger than the 20 MB that Telegram gives to bots; " +
			"the customer can send it in another way, or in parts"}
	case strings.Contains(f.words, "temporarily unavailable"):
		return &channels.Error{Outcome: channels.RetryAt, Err: f, Reason: "Telegram does not have the file at hand, or does not know it"}
	}
	return &channels.Error{Outcome: channels.Permanent, Err: f, Reason: "Telegram does not hand out this file: " + f.description}
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
