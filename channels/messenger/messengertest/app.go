package messengertest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// App is one Meta app: ours, or a bot's.
type App struct {
	ID     string
	Secret string

	s *Server

	// Everything below is guarded by s.Mu.
	requireProof bool
	hook         *hook
}

// AddApp registers an app.
func (s *Server) AddApp(id, secret string) *App {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	a := &App{ID: id, Secret: secret, s: s}
	s.apps[id] = a
	return a
}

// RequireProof switches "Require app secret" on: calls without appsecret_proof are refused (§2).
func (a *App) RequireProof() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.requireProof = true
}

// token is an access token: a page's, or a person's.
type token struct {
	value   string
	app     *App
	page    *Page   // nil: a person's
	person  *Person // nil: a page's that was made by hand
	scopes  map[string]bool
	expires time.Time // zero: never
	dead    bool
}

// allScopes are the permissions an app may ask for (§6).
var allScopes = []string{"pages_show_list", "pages_messaging", "pages_manage_metadata", "pages_read_engagement", "business_management"}

// mint makes a token. The caller holds the lock.
func (s *Server) mint(t token) *token {
	t.value = fmt.Sprintf("EAAB%dZC%x", s.number(), sha256.Sum256([]byte(fmt.Sprint("token ", s.last))))[:48]
	s.tokens[t.value] = &t
	return &t
}

func scopeSet(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set
}

// authorise finds the token a call is made with. The caller holds the lock.
func (s *Server) authorise(q *query) (*token, *graphError) {
	given := q.args["access_token"]
	if given == "" {
		return nil, refuse(104, 0, "An access token is required to request this resource.")
	}
	t := s.tokens[given]
	if t == nil {
		return nil, refuse(190, 0, "Invalid OAuth access token - Cannot parse access token")
	}
	if t.dead || !t.expires.IsZero() && s.Clock.Now().After(t.expires) {
		return nil, refuse(190, 460, "Error validating access token: The session has been invalidated because the user changed their password.")
	}
	switch proof, ok := q.args["appsecret_proof"]; {
	case ok && proof != t.app.proof(t.value):
		return nil, invalid("Invalid appsecret_proof provided in the API argument")
	case !ok && t.app.requireProof:
		return nil, invalid("API calls from the server require an appsecret_proof argument")
	}
	return t, nil
}

// proof is §2 appsecret_proof.
func (a *App) proof(token string) string { return a.mac(token) }

func (a *App) mac(text string) string {
	h := hmac.New(sha256.New, []byte(a.Secret))
	_, _ = io.WriteString(h, text)
	return hex.EncodeToString(h.Sum(nil))
}

// appOf finds the app of an app access token "id|secret". The caller holds the lock.
func (s *Server) appOf(id, secret string) (*App, *graphError) {
	a := s.apps[id]
	if a == nil {
		return nil, refuse(101, 0, "Error validating application. Cannot get application info due to a system error.")
	}
	if a.Secret != secret {
		return nil, refuse(1, 0, "Error validating client secret.")
	}
	return a, nil
}

// debugToken is §6 GET /debug_token.
func (s *Server) debugToken(q *query) (any, *graphError) {
	id, secret, _ := strings.Cut(q.args["access_token"], "|")
	a := s.apps[id]
	if a == nil || a.Secret != secret {
		return nil, refuse(190, 0, "Invalid OAuth access token signature.")
	}
	t := s.tokens[q.args["input_token"]]
	if t == nil {
		return object{"data": object{"is_valid": false, "scopes": []string{}, "error": object{"code": 190, "message": "Invalid OAuth access token."}}}, nil
	}
	if t.app != a {
		return nil, invalid("You must provide an app access token, or a user access token that is an owner or developer of the app")
	}
	data := object{
		"app_id": t.app.ID, "application": "Double", "type": "USER", "is_valid": !t.dead, "scopes": slices.Sorted(maps.Keys(t.scopes)), "expires_at": 0,
	}
	if !t.expires.IsZero() {
		data["expires_at"] = t.expires.Unix()
	}
	if t.page != nil {
		data["type"], data["profile_id"] = "PAGE", t.page.ID
	}
	return object{"data": data}, nil
}
