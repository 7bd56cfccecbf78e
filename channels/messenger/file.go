package messenger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"waggle/channels"
	"waggle/guard"
)

const downloadLimit = 50 << 20 // bytes; customers may send more than pages

// mayFetch says whether a file's address is Facebook's CDN, or what serves the Graph API itself.
func (a *Adapter) mayFetch(u *url.URL) bool {
	if own, err := url.Parse(a.api.base); err == nil && u.Scheme == own.Scheme && u.Host == own.Host {
		return true
	}
	host := strings.ToLower(u.Hostname())
	return u.Scheme == "https" && u.User == nil && (u.Port() == "" || u.Port() == "443") &&
		(strings.HasSuffix(host, ".fbcdn.net") || strings.HasSuffix(host, ".fbsbx.com"))
}

var errElsewhere = errors.New("the file is not on Facebook's servers")

// fileClient follows redirects only to where files may be fetched from.
func (a *Adapter) fileClient(h *http.Client) *http.Client {
	mine := *h
	mine.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if !a.mayFetch(r.URL) {
			return errElsewhere
		}
		if h.CheckRedirect != nil {
			return h.CheckRedirect(r, via)
		}
		return nil
	}
	return &mine
}

// OpenFile streams the file of an attachment. Its address holds all the proof it needs, so no token goes along; it expires,
// so a file that was not fetched in time is gone (wire/messenger.md §3). ctx bounds the whole transfer.
func (a *Adapter) OpenFile(ctx context.Context, _ channels.Channel, ref string) (channels.File, error) {
	gone := &channels.Error{Outcome: channels.Permanent, Reason: "the attachment's address is none of Facebook's", Err: errElsewhere}
	u, err := url.Parse(ref)
	if err != nil || !a.mayFetch(u) {
		return channels.File{}, gone
	}
	r, err := http.NewRequestWithContext(guard.WithBodyLimit(ctx, downloadLimit), http.MethodGet, ref, nil)
	if err != nil {
		return channels.File{}, gone
	}
	res, err := a.files.Do(r)
	if errors.Is(err, errElsewhere) {
		return channels.File{}, gone
	}
	if err != nil {
		return channels.File{}, repeatable(&failure{err: guard.Scrubbed(err, ref)})
	}
	if e := unusable(res); e != nil {
		_ = res.Body.Close()
		return channels.File{}, e
	}
	return channels.File{ReadCloser: res.Body, Size: res.ContentLength}, nil
}

// unusable says why an answer is not the file.
func unusable(res *http.Response) *channels.Error {
	switch {
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= http.StatusInternalServerError:
		return repeatable(&failure{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"))})
	case res.StatusCode != http.StatusOK:
		return &channels.Error{Outcome: channels.Permanent, Reason: fmt.Sprintf("Facebook no longer gives this file (%d); such links expire", res.StatusCode)}
	case res.ContentLength > downloadLimit:
		return &channels.Error{Outcome: channels.Permanent, Reason: "the file is larger than 50 MB"}
	}
	return nil
}
