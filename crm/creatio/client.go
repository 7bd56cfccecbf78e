package creatio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"waggle/crm"
	"waggle/guard"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// callLimit is the longest one call may take where ctx allows more.
const callLimit = 30 * time.Second

// limitedPause is how long to wait where a limited answer does not say.
const limitedPause = time.Minute

// longestPause is the longest wait taken for meant.
const longestPause = 24 * time.Hour

// byteOrderMark is what .NET may write before a text in UTF-8, and JSON does not know.
var byteOrderMark = []byte("\ufeff")

// answer is an HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) isHTML() bool {
	return bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

// signedOut tells an answer to a call without a living session: 401, 403, a
// redirect to the login page, or that page itself with 200 (wire/creatio.md
// §2.3).
func (a answer) signedOut() bool {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
		return true
	}
	return a.status == http.StatusOK && a.isHTML()
}

// withoutRedirects copies a client so that redirects are answers: following one
// to the login page would look like success.
func withoutRedirects(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	return &c
}

// call makes one signed call below the app's prefix. A call without a living
// session is repeated once after signing in anew; it was not done, so that the
// repetition is safe for a write too. The deadline is ctx's, or callLimit where
// that is sooner. Failure policy: a *crm.Error for what concerns the connection;
// every other answer is returned for the caller to judge.
func (s *session) call(ctx context.Context, method, path string, header http.Header, body []byte) (answer, error) {
	prefix, err := s.appPrefix(ctx)
	if err != nil {
		return answer{}, err
	}
	var a answer
	stale := 0
	for range 2 {
		c, err := s.credential(ctx, stale)
		if err != nil {
			return answer{}, err
		}
		signed := header.Clone()
		signed.Set("Accept", "application/json")
		if body != nil {
			signed.Set("Content-Type", "application/json; charset=utf-8; IEEE754Compatible=true")
		}
		s.sign(signed, c)
		if a, err = s.exchange(ctx, method, s.root+prefix+path, signed, body); err != nil {
			return answer{}, err
		}
		s.remember(c.generation, a)
		if a.status == http.StatusMovedPermanently || a.status == http.StatusPermanentRedirect {
			return a, unavailable("the CRM's address has moved: the site redirects elsewhere", nil)
		}
		if !a.signedOut() {
			return a, nil
		}
		stale = c.generation
	}
	switch {
	case a.status == http.StatusForbidden && problemOf(a).fromOData:
		return a, nil // the session lives: the account may not touch this object
	case (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) && s.conn.Auth == crm.APIKey:
		return a, refused(s.accountRefused(a.status))
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		// The sign-in a moment ago was accepted: it may be the site's state as well as the account's rights, and only the
		// first passes by itself. A probe later tells.
		return a, unavailable(s.accountRefused(a.status), nil)
	}
	return a, unavailable(fmt.Sprintf("the CRM answers with its login page (HTTP %d)", a.status), nil)
}

func (s *session) accountRefused(status int) string {
	what := map[crm.Auth]string{crm.OAuth: "the OAuth client", crm.APIKey: "the API key (is a package installed that takes it?)"}[s.conn.Auth]
	if what == "" {
		what = "the account; it may lack rights"
	}
	return fmt.Sprintf("the CRM does not accept %s (HTTP %d)", what, status)
}

// exchange sends one request and reads the answer. Its error never holds the
// request's headers, query or body.
func (s *session) exchange(ctx context.Context, method, address string, header http.Header, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, unavailable("the CRM's address is not a URL", nil)
	}
	request.Header = header
	response, err := s.http.Do(request)
	if errors.Is(err, guard.ErrBlocked) {
		return answer{}, unavailable(guard.WithoutURL(err).Error(), nil) // a sentence for the operator
	}
	if err != nil {
		return answer{}, unavailable("the CRM cannot be reached", guard.WithoutURL(err)) // a query may hold a phone or an e-mail
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, unavailable("the CRM's answer broke off", err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: bytes.TrimPrefix(read, byteOrderMark)}, nil
}

// failed turns an answer that is no success into an error of the connection.
func (s *session) failed(a answer, doing string) error {
	switch {
	case a.status == http.StatusTooManyRequests:
		return &crm.Error{Cause: crm.Limited, At: s.retryAt(a), Reason: "the CRM limits the calls while " + doing}
	case a.status == http.StatusForbidden && problemOf(a).fromOData:
		return refused(fmt.Sprintf("the CRM's account has no right for %s (HTTP %d)", doing, a.status))
	}
	return unavailable(fmt.Sprintf("the CRM answered HTTP %d while %s", a.status, doing), nil)
}

// retryAt reads Retry-After, in seconds or as a date. Longer than longestPause counts as that: a slip of the CRM's must not
// stop the environment for years.
func (s *session) retryAt(a answer) time.Time {
	text, now := a.header.Get("Retry-After"), s.now()
	at, latest := now.Add(limitedPause), now.Add(longestPause)
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		at = now.Add(time.Duration(min(seconds, int(longestPause/time.Second))) * time.Second)
	} else if date, err := http.ParseTime(text); err == nil {
		at = date
	}
	if at.After(latest) {
		return latest
	}
	return at
}

// errNoService: the site does not have the service.
var errNoService = errors.New("the CRM does not have the service")

// service calls a DataService or ServiceModel method: POST with JSON, answer
// into out.
func (s *session) service(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return unavailable("the call to "+path+" could not be written", nil)
	}
	a, err := s.call(ctx, http.MethodPost, path, http.Header{}, body)
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound {
		return errNoService
	}
	if a.status != http.StatusOK {
		return s.failed(a, "calling "+path)
	}
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	if err := decoder.Decode(out); err != nil {
		return unavailable("the CRM's answer to "+path+" is not JSON", nil)
	}
	return nil
}

func unavailable(reason string, err error) *crm.Error {
	return &crm.Error{Cause: crm.Unavailable, Reason: reason, Err: err}
}

func refused(reason string) *crm.Error {
	return &crm.Error{Cause: crm.Refused, Reason: reason}
}
