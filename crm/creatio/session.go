package creatio

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/crm"
)

const loginPath = "/ServiceModel/AuthService.svc/Login"

// session is one connection's standing with its site. All calls of the
// connection share it, because parallel sessions of one user are licensed
// (wire/creatio.md §2.3). Its methods are safe for concurrent use.
type session struct {
	http *http.Client
	now  func() time.Time
	conn crm.Connection
	root string // of the site, without /0

	signing chan struct{} // holds one token: whoever takes it may sign in

	mu           sync.Mutex
	prefix       string // "/0" or "", once prefixKnown
	prefixKnown  bool
	current      credential
	noBatchUntil time.Time            // the site has shown that it does not take $batch
	ids          map[string]uuid.UUID // of rows that never change, by what they are for
}

// credential is what one sign-in gave. Generation 0 is none.
type credential struct {
	generation int
	cookies    map[string]string
	token      string
	until      time.Time // the token's end; zero: unknown
}

func newSession(client *http.Client, now func() time.Time, conn crm.Connection) *session {
	root := strings.TrimSuffix(strings.TrimRight(conn.URL, "/"), "/0")
	s := &session{http: client, now: now, conn: conn, root: strings.TrimRight(root, "/"), signing: make(chan struct{}, 1), ids: map[string]uuid.UUID{}}
	if conn.Prefix == "" || conn.Prefix == "/0" {
		s.prefix, s.prefixKnown = conn.Prefix, true
	}
	s.signing <- struct{}{}
	return s
}

// credential returns one that is newer than the stale generation, signing in if
// there is none. Of many callers whose call was answered 401 at once only the
// first signs in; the others find its result.
func (s *session) credential(ctx context.Context, stale int) (credential, error) {
	if c, ok := s.fresh(stale); ok {
		return c, nil
	}
	select {
	case <-s.signing:
	case <-ctx.Done():
		return credential{}, unavailable("the CRM did not answer the sign-in in time", ctx.Err())
	}
	defer func() { s.signing <- struct{}{} }()
	if c, ok := s.fresh(stale); ok {
		return c, nil
	}
	c, err := s.signIn(ctx)
	if err != nil {
		return credential{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.generation = s.current.generation + 1
	s.current = c
	return c, nil
}

func (s *session) fresh(stale int) (credential, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.current
	return c, c.generation > stale && (c.until.IsZero() || s.now().Before(c.until))
}

func (s *session) signIn(ctx context.Context) (credential, error) {
	switch s.conn.Auth {
	case crm.OAuth:
		return s.requestToken(ctx)
	case crm.APIKey:
		return credential{}, nil // the key itself is sent with every call
	default:
		return s.logIn(ctx)
	}
}

// logIn signs in with login and password, always at the site's root and never
// below /0 (wire/creatio.md §1). Right and wrong are both HTTP 200: Code tells
// (§2.1). Failure policy: refused is final until an administrator acts, so only
// the site's own word counts as that; everything else, a proxy's 401 included,
// is unavailable and passes by itself.
func (s *session) logIn(ctx context.Context) (credential, error) {
	body, err := json.Marshal(map[string]string{"UserName": s.conn.Login, "UserPassword": s.conn.Password})
	if err != nil {
		return credential{}, unavailable("the sign-in could not be written", nil)
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "ForceUseSession": {"true"}}
	a, err := s.exchange(ctx, http.MethodPost, s.root+loginPath, header, body)
	if err != nil {
		return credential{}, err
	}
	var result struct{ Code *int }
	switch {
	case a.status != http.StatusOK || a.isHTML() || json.Unmarshal(a.body, &result) != nil || result.Code == nil:
		return credential{}, s.failed(a, "signing in")
	case *result.Code != 0:
		return credential{}, refused("the CRM does not accept the login and password")
	}
	c := credential{cookies: map[string]string{}}
	c.take(a)
	if len(c.cookies) == 0 {
		return credential{}, unavailable("the CRM accepted the login but opened no session", nil)
	}
	return c, nil
}

// requestToken gets an OAuth token by client credentials from the identity
// service, which is a site of its own (wire/creatio.md §2.2). Failure policy as
// for logIn.
func (s *session) requestToken(ctx context.Context) (credential, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.conn.ClientID}, "client_secret": {s.conn.ClientSecret}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	address := strings.TrimSuffix(strings.TrimRight(s.conn.IdentityURL, "/"), "/connect/token") + "/connect/token"
	a, err := s.exchange(ctx, http.MethodPost, address, header, []byte(form.Encode()))
	if err != nil {
		return credential{}, err
	}
	var token struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
		Error       string  `json:"error"` // invalid_client, unauthorized_client, … (RFC 6749 §5.2)
	}
	err = json.Unmarshal(a.body, &token)
	switch {
	case err == nil && token.Error != "" && a.status/100 == 4:
		return credential{}, refused("the CRM's identity service does not accept the client id and secret")
	case a.status != http.StatusOK || err != nil || token.AccessToken == "":
		return credential{}, s.failed(a, "asking the identity service for a token")
	}
	c := credential{token: token.AccessToken}
	if token.ExpiresIn > 0 {
		// A little early, so that a token does not end on its way.
		c.until = s.now().Add(time.Duration(token.ExpiresIn*0.9) * time.Second)
	}
	return c, nil
}

// take keeps the cookies an answer sets; an emptied one is dropped.
func (c *credential) take(a answer) {
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Value == "" || cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
			continue
		}
		c.cookies[cookie.Name] = cookie.Value
	}
}

// remember keeps the cookies that a call's answer renewed.
func (s *session) remember(generation int, a answer) {
	if len(a.header.Values("Set-Cookie")) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.generation != generation || s.current.cookies == nil {
		return
	}
	renewed := credential{cookies: map[string]string{}}
	for name, value := range s.current.cookies {
		renewed.cookies[name] = value
	}
	renewed.take(a)
	s.current.cookies = renewed.cookies
}

// sign puts the credential on a call. Cookies go with the BPMCSRF header equal
// to the cookie of the same name; a token or a key goes without any
// (wire/creatio.md §2.1, §2.2).
func (s *session) sign(header http.Header, c credential) {
	switch s.conn.Auth {
	case crm.OAuth:
		header.Set("Authorization", "Bearer "+c.token)
	case crm.APIKey:
		header.Set("X-Api-Key", s.conn.APIKey)
	default:
		header.Set("ForceUseSession", "true")
		if csrf := c.cookies["BPMCSRF"]; csrf != "" {
			header.Set("BPMCSRF", csrf)
		}
		pairs := make([]string, 0, len(c.cookies))
		for name, value := range c.cookies {
			pairs = append(pairs, name+"="+value)
		}
		header.Set("Cookie", strings.Join(pairs, "; "))
	}
}

// appPrefix is "/0" on .NET Framework and "" on .NET; where the connection does
// not say, the site is asked (wire/creatio.md §1).
func (s *session) appPrefix(ctx context.Context) (string, error) {
	s.mu.Lock()
	prefix, known := s.prefix, s.prefixKnown
	s.mu.Unlock()
	if known {
		return prefix, nil
	}
	probes := []struct{ path, prefix string }{
		{"/0/api/HealthCheck/Ping", "/0"}, {"/api/HealthCheck/Ping", ""}, {"/0/Login/NuiLogin.aspx", "/0"}, {"/Login/Login.html", ""},
		{"/0/odata/", "/0"}, {"/odata/", ""}, // a proxy may hide the others
	}
	for _, p := range probes {
		a, err := s.exchange(ctx, http.MethodGet, s.root+p.path, http.Header{}, nil)
		if err != nil {
			return "", err
		}
		if !answersProbe(p.path, a) {
			continue
		}
		s.mu.Lock()
		s.prefix, s.prefixKnown = p.prefix, true
		s.mu.Unlock()
		return p.prefix, nil
	}
	return "", unavailable("the address does not answer like a Creatio site", nil)
}

// answersProbe tells whether the site has the page that was asked for. OData is there also where it asks who we are.
func answersProbe(path string, a answer) bool {
	switch {
	case strings.HasSuffix(path, "Ping"):
		return a.status == http.StatusOK && bytes.EqualFold(bytes.Trim(a.body, "\" \r\n"), []byte("OK"))
	case strings.HasSuffix(path, "odata/"):
		return a.status == http.StatusUnauthorized || a.status == http.StatusOK && !a.isHTML()
	}
	return a.status == http.StatusOK
}

func (s *session) knownID(name string) (uuid.UUID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known := s.ids[name]
	return id, known
}

func (s *session) rememberID(name string, id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[name] = id
}
