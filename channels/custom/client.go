package custom

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

const (
	codeHeader    = "X-Confirmation-Code"
	answerTimeout = 10 * time.Second // PROTOCOL.md §2
	answerLimit   = 64 << 10         // bytes of an answer that are read
	longestRetry  = time.Hour        // PROTOCOL.md §6: a longer Retry-After counts as this
)

// greeting is the body of "check" and "connect" (PROTOCOL.md §3).
type greeting struct {
	Type        string `json:"type"`
	Channel     string `json:"channel"`
	CompanyURL  string `json:"company_url"`
	HookURL     string `json:"hook_url,omitempty"`
	DropPending bool   `json:"drop_pending,omitempty"`
}

// outgoing is the body of "message" (PROTOCOL.md §4).
type outgoing struct {
	Type    string        `json:"type"`
	Channel string        `json:"channel"`
	ID      string        `json:"id"`
	User    outgoingUser  `json:"user"`
	Text    string        `json:"text"`
	ReplyTo string        `json:"reply_to,omitempty"`
	File    *outgoingFile `json:"file,omitempty"`
}

type outgoingUser struct {
	ID string `json:"id"`
}

// post sends one body to the channel's webhook and reads the JSON object it answers. Its error says what the failure means
// for a message; Field names the setting that is at fault if every request fails like that.
func (a *Adapter) post(ctx context.Context, ch channels.Channel, message any, file *channels.Upload, answer any) *channels.Error {
	raw, err := json.Marshal(message)
	if err != nil {
		return &channels.Error{Outcome: channels.Permanent, Reason: "the message cannot be written as JSON", Err: err}
	}
	// A messenger that does not answer in time is asked again: each request may be repeated (PROTOCOL.md §6).
	if file == nil { // a file takes the time that the caller gives it
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTimeout)
		defer cancel()
	}
	b, bad := bodyOf(ctx, raw, file)
	if bad != nil {
		return bad
	}
	defer func() { _ = b.close() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, ch.Fields[FieldWebhook], b)
	if err != nil {
		return &channels.Error{Outcome: channels.Broken, Field: FieldWebhook, Reason: "the webhook is not a URL that can be called"}
	}
	r.ContentLength = b.length
	r.Header.Set("Content-Type", b.contentType)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "Waggle")
	r.Header.Set(codeHeader, encodeCode(ch.Fields[FieldCode]))
	resp, err := a.client.Do(r)
	if err != nil {
		return a.unreachable(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	if resp.StatusCode != http.StatusOK {
		return a.refused(resp, read) // the status speaks even if the body broke off
	}
	if err != nil {
		return a.unreachable(err)
	}
	if len(read) > answerLimit || !isObject(read) || json.Unmarshal(read, answer) != nil {
		return &channels.Error{Outcome: channels.RetryAt, Field: FieldWebhook, Reason: "the webhook answers 200 without the protocol’s JSON object"}
	}
	return nil
}

func isObject(raw []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// unreachable says what a call without an answer means. Whether the messenger took the request is unknown, but its key
// makes repeating safe, so it is repeated.
func (a *Adapter) unreachable(err error) *channels.Error {
	err = guard.WithoutURL(err)
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, guard.ErrBlocked):
		return &channels.Error{Outcome: channels.Broken, Field: FieldWebhook, Reason: err.Error()}
	case errors.As(err, &op) && op.Op == "dial":
		return &channels.Error{Outcome: channels.RetryAt, WholeChannel: true, Reason: "the messenger cannot be reached", Err: op}
	case errors.As(err, &cert):
		return &channels.Error{Outcome: channels.RetryAt, WholeChannel: true, Reason: "the certificate of the messenger’s server is not trusted", Err: cert}
	case errors.Is(err, context.DeadlineExceeded):
		return &channels.Error{Outcome: channels.RetryAt, Reason: "the messenger did not answer in time", Err: context.DeadlineExceeded}
	case errors.Is(err, context.Canceled):
		return &channels.Error{Outcome: channels.RetryAt, Reason: "the call was interrupted", Err: context.Canceled}
	default: // net/http's other errors may quote the answer, and the answer may quote our request
		return &channels.Error{Outcome: channels.RetryAt, Reason: "the connection to the messenger broke"}
	}
}

// refused says what an answer other than 200 means (PROTOCOL.md §6).
func (a *Adapter) refused(resp *http.Response, body []byte) *channels.Error {
	switch code := resp.StatusCode; {
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge:
		reason := refusalReason(body)
		return &channels.Error{Outcome: channels.Permanent, Field: FieldWebhook, Reason: reason, Blocked: reason == refusalReasons[userBlocked]}
	case code == http.StatusUnauthorized:
		return &channels.Error{Outcome: channels.Broken, Field: FieldCode, Reason: "the messenger does not accept the confirmation code (401); enter the code from the messenger’s settings"}
	case code == http.StatusNotFound:
		return &channels.Error{Outcome: channels.Broken, Field: FieldWebhook, Reason: "the messenger knows no such channel (404); copy the webhook from the messenger’s settings again"}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return &channels.Error{
			Outcome: channels.RetryAt, At: a.retryAfter(resp.Header.Get("Retry-After")), WholeChannel: true,
			Reason: fmt.Sprintf("the messenger asks to wait (%d)", code),
		}
	case code >= 500, code == http.StatusRequestTimeout:
		return &channels.Error{Outcome: channels.RetryAt, Reason: fmt.Sprintf("the messenger failed (%d)", code)}
	case code >= 300 && code < 400:
		return &channels.Error{Outcome: channels.Broken, Field: FieldWebhook, Reason: fmt.Sprintf("the webhook redirects (%d); enter the address it leads to", code)}
	default:
		return &channels.Error{Outcome: channels.Broken, Field: FieldWebhook, Reason: fmt.Sprintf("the webhook answers %d, which the protocol does not know", code)}
	}
}

const userBlocked = "user_blocked"

// refusalReasons explains PROTOCOL.md §4's errors.
var refusalReasons = map[string]string{
	"user_unknown":  "the messenger does not know this user",
	userBlocked:     "the user does not want messages from the company",
	"text_too_long": "the text is too long for the messenger",
	"not_supported": "the messenger does not support this",
}

var errorName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// refusalReason reads the error's name of a 400. Free text is not shown: it might quote the message.
func refusalReason(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // an answer without a name is a refusal all the same
	switch reason, known := refusalReasons[answer.Error]; {
	case known:
		return reason
	case errorName.MatchString(answer.Error):
		return "the messenger refuses the request: " + answer.Error
	default:
		return "the messenger refuses the request"
	}
}

// retryAfter turns Retry-After, in seconds or as a date, into a time; zero if there is none that can be read.
func (a *Adapter) retryAfter(value string) time.Time {
	now := a.now()
	var wait time.Duration
	if seconds, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = max(at.Sub(now), 0)
	} else {
		return time.Time{}
	}
	return now.Add(min(wait, longestRetry))
}

// encodeCode percent-encodes everything but RFC 3986's unreserved characters.
func encodeCode(code string) string { return strings.ReplaceAll(url.QueryEscape(code), "+", "%20") }
