package custom

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"waggle/channels"
	"waggle/guard"
)

// fileLimit is how much of a file is read, in bytes (PROTOCOL.md §5).
const fileLimit = 50 << 20

// OpenFile fetches the attachment at ref (PROTOCOL.md §5). The confirmation code goes along only to the webhook's own
// origin; the guarded client takes it away on a redirect elsewhere.
func (a *Adapter) OpenFile(ctx context.Context, ch channels.Channel, ref string) (channels.File, error) {
	if err := guard.CheckURL(ref); err != nil {
		return channels.File{}, &channels.Error{Outcome: channels.Permanent, Reason: "the file’s address cannot be called", Err: err}
	}
	r, err := http.NewRequestWithContext(guard.WithBodyLimit(ctx, fileLimit), http.MethodGet, ref, nil)
	if err != nil {
		return channels.File{}, &channels.Error{Outcome: channels.Permanent, Reason: "the file’s address cannot be called"}
	}
	r.Header.Set("User-Agent", "Waggle")
	webhook, err := url.Parse(ch.Fields[FieldWebhook])
	own := err == nil && webhook.Scheme == r.URL.Scheme && webhook.Host == r.URL.Host
	if own {
		r.Header.Set(codeHeader, encodeCode(ch.Fields[FieldCode]))
	}
	resp, err := a.client.Do(r)
	if err != nil {
		e := a.unreachable(err)
		if e.Outcome == channels.Broken {
			e = &channels.Error{Outcome: channels.Permanent, Reason: e.Reason}
		}
		return channels.File{}, e
	}
	if e := a.unusable(resp, own); e != nil {
		_ = resp.Body.Close()
		return channels.File{}, e
	}
	return channels.File{ReadCloser: resp.Body, Size: resp.ContentLength}, nil
}

// unusable says why an answer is not the file; own: it was asked for with the confirmation code.
func (a *Adapter) unusable(resp *http.Response, own bool) *channels.Error {
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized && own: // not for good: the right code opens it
		return &channels.Error{Outcome: channels.Refused, Field: FieldCode, Reason: "the messenger does not accept the confirmation code"}
	case code == http.StatusTooManyRequests || code >= 500:
		return &channels.Error{Outcome: channels.RetryAt, At: a.retryAfter(resp.Header.Get("Retry-After")), Reason: fmt.Sprintf("the messenger could not give the file (%d)", code)}
	case code != http.StatusOK:
		return &channels.Error{Outcome: channels.Permanent, Reason: fmt.Sprintf("the messenger no longer gives this file (%d)", code)}
	case resp.ContentLength > fileLimit:
		return &channels.Error{Outcome: channels.Permanent, Reason: "the file is larger than 50 MiB"}
	}
	return nil
}
