package x

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"waggle/channels"
	"waggle/guard"
)

const (
	fileLimit   = 50 << 20        // bytes of one file a customer sent
	fileTimeout = 5 * time.Minute // of giving X one piece of a file; the caller's deadline is shorter
)

// OpenFile streams the file behind an attachment: its Ref is X's address of it, which is called as the account, and only
// where X keeps files.
func (a *Adapter) OpenFile(ctx context.Context, ch channels.Channel, ref string) (channels.File, error) {
	c, err := credentialsOf(ch)
	if err != nil {
		return channels.File{}, err
	}
	if !a.xKeeps(ref) {
		return channels.File{}, &channels.Error{Outcome: channels.Permanent, Reason: "X gave no address of the file that it keeps files at"}
	}
	r := request{verb: http.MethodGet, address: ref, as: c.user()}
	res, fail := a.api.do(guard.WithBodyLimit(ctx, fileLimit), r)
	if fail != nil {
		return channels.File{}, a.setupError(fail, false)
	}
	if res.StatusCode == http.StatusOK {
		return channels.File{ReadCloser: res.Body, Size: res.ContentLength}, nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, answerLimit)) // the status speaks even if the body broke off
	return channels.File{}, a.fileError(a.api.refusal(res, body, r))
}

// fileError: a file that X refuses stays refused, unless it is the account that X refuses, for its keys, credits or limits.
func (a *Adapter) fileError(f *failure) *channels.Error {
	if a.common(f) == nil && f.status < http.StatusInternalServerError && f.status != http.StatusUnauthorized {
		return &channels.Error{Outcome: channels.Permanent, Reason: "X does not hand out this file", Err: f}
	}
	return a.setupError(f, false)
}

// xKeeps tells whether an address is on one of X's hosts for files, or on the API's own.
func (a *Adapter) xKeeps(ref string) bool {
	u, err := url.Parse(ref)
	if err != nil || u.User != nil || u.Host == "" {
		return false
	}
	if api, err := url.Parse(a.api.base); err == nil && u.Scheme == api.Scheme && u.Host == api.Host {
		return true
	}
	return u.Scheme == "https" && slices.Contains(mediaHosts, u.Host)
}
