package messengertest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Person is somebody who can log in at Facebook's window.
type Person struct {
	ID   string
	Name string

	// Everything below is guarded by the server's lock.
	roles    []role
	declines []string
	refuses  bool
}

type role struct {
	page  *Page
	tasks []string
}

// AddPerson makes a person; who logs in is set by LogIn.
func (s *Server) AddPerson(id, name string) *Person { return &Person{ID: id, Name: name} }

// Manages gives the person a role on a page; without tasks, all of them.
func (h *Person) Manages(p *Page, tasks ...string) *Person {
	if len(tasks) == 0 {
		tasks = []string{"ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE"}
	}
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	h.roles = append(h.roles, role{page: p, tasks: tasks})
	return h
}

// LogIn seats the person at the window: from now on it answers for him. He declines these permissions and grants the others.
func (s *Server) LogIn(h *Person, declines ...string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	h.declines, h.refuses, s.atDialog = declines, false, h
}

// Cancel makes whoever is at the window close it.
func (s *Server) Cancel(h *Person) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	h.refuses, s.atDialog = true, h
}

// code is what the window gives, to be exchanged once.
type code struct {
	app      *App
	person   *Person
	redirect string
	scopes   []string
}

// dialog is the login window: it redirects back with a code, or with the refusal (§6).
func (s *Server) dialog(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	s.Mu.Lock()
	defer s.Mu.Unlock()
	a := s.apps[q.Get("client_id")]
	if a == nil || err != nil || back.Host == "" || s.atDialog == nil {
		http.Error(w, "Invalid App ID", http.StatusBadRequest)
		return
	}
	answer := back.Query()
	answer.Set("state", q.Get("state"))
	if s.atDialog.refuses {
		answer.Set("error", "access_denied")
		answer.Set("error_reason", "user_denied")
		answer.Set("error_description", "Permissions error.")
	} else {
		granted := slices.DeleteFunc(strings.Split(q.Get("scope"), ","), func(scope string) bool {
			return !slices.Contains(allScopes, scope) || slices.Contains(s.atDialog.declines, scope)
		})
		value := fmt.Sprintf("AQ%d-code", s.number())
		s.codes[value] = &code{app: a, person: s.atDialog, redirect: q.Get("redirect_uri"), scopes: granted}
		answer.Set("code", value)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// exchange is §6 /oauth/access_token: a code for a token, or a token for one that lasts 60 days.
func (s *Server) exchange(q *query) (any, *graphError) {
	if q.verb != http.MethodGet {
		return nil, unsupported(q)
	}
	a, fail := s.appOf(q.args["client_id"], q.args["client_secret"])
	if fail != nil {
		return nil, fail
	}
	const short, long = 2 * time.Hour, 60 * 24 * time.Hour
	if q.args["grant_type"] == "fb_exchange_token" {
		t := s.tokens[q.args["fb_exchange_token"]]
		if t == nil || t.app != a || t.page != nil {
			return nil, refuse(190, 0, "Invalid OAuth access token.")
		}
		return s.give(token{app: a, person: t.person, scopes: t.scopes}, long), nil
	}
	c := s.codes[q.args["code"]]
	switch {
	case c == nil || c.app != a:
		return nil, refuse(100, 36009, "This authorization code has been used.")
	case c.redirect != q.args["redirect_uri"]:
		return nil, refuse(100, 36008, "Error validating verification code. Please make sure your redirect_uri is identical to the one you used in the OAuth dialog request")
	}
	delete(s.codes, q.args["code"])
	return s.give(token{app: a, person: c.person, scopes: scopeSet(c.scopes...)}, short), nil
}

func (s *Server) give(t token, life time.Duration) object {
	t.expires = s.Clock.Now().Add(life)
	return object{"access_token": s.mint(t).value, "token_type": "bearer", "expires_in": int(life.Seconds())}
}

// accounts is §6 GET /me/accounts, in pages of limit. Its "next" holds the token, as the real one's does.
func (s *Server) accounts(q *query, t *token) (any, *graphError) {
	if t.person == nil || q.node != "me" {
		return nil, unsupported(q)
	}
	if !t.scopes["pages_show_list"] {
		return object{"data": []object{}}, nil
	}
	limit, err := strconv.Atoi(q.args["limit"])
	if err != nil || limit < 1 || limit > 100 {
		limit = 25
	}
	after, _ := strconv.Atoi(q.args["after"])
	roles := t.person.roles[min(max(after, 0), len(t.person.roles)):]
	data := []object{}
	for _, r := range roles[:min(limit, len(roles))] {
		data = append(data, object{
			"id": r.page.ID, "name": r.page.Name, "category": "Shop", "tasks": r.tasks,
			"access_token": s.mint(token{app: t.app, page: r.page, person: t.person, scopes: t.scopes}).value,
		})
	}
	cursor := strconv.Itoa(after + len(data))
	paging := object{"cursors": object{"before": strconv.Itoa(after), "after": cursor}}
	if len(roles) > limit {
		paging["next"] = s.URL + "/me/accounts?" + url.Values{"access_token": {t.value}, "limit": {strconv.Itoa(limit)}, "after": {cursor}}.Encode()
	}
	return object{"data": data, "paging": paging}, nil
}

// Tokens are all that were given out so far.
func (s *Server) Tokens() (values []string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for value := range s.tokens {
		values = append(values, value)
	}
	return values
}
