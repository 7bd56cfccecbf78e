package messengertest

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Page is one public page.
type Page struct {
	ID   string
	Name string

	s *Server

	// Everything below is guarded by s.Mu.
	subscriptions map[*App]map[string]bool // fields by app
	fallback      *App                     // the default app of Conversation Routing (§5); nil: none
}

// AddPage makes a page.
func (s *Server) AddPage(id, name string) *Page {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	p := &Page{ID: id, Name: name, s: s, subscriptions: map[*App]map[string]bool{}}
	s.pages[id] = p
	return p
}

// Token makes a page token for an app with these permissions; without any, with all of them.
func (p *Page) Token(a *App, scopes ...string) string {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	if len(scopes) == 0 {
		scopes = allScopes
	}
	return p.s.mint(token{app: a, page: p, scopes: scopeSet(scopes...)}).value
}

// Forbid takes a permission away from all tokens of the page: the administrator restricted the app.
func (p *Page) Forbid(scope string) {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	for _, t := range p.s.tokens {
		if t.page == p {
			delete(t.scopes, scope)
		}
	}
}

// Revoke kills all tokens of the page: a password or a role has changed (§6).
func (p *Page) Revoke() {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	for _, t := range p.s.tokens {
		if t.page == p {
			t.dead = true
		}
	}
}

// Default makes an app the page's default app: it gets the new conversations (§5). Nil: nobody does.
func (p *Page) Default(a *App) {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	p.fallback = a
}

// Subscribe subscribes an app by hand, as a bot's own set-up would.
func (p *Page) Subscribe(a *App, fields ...string) {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	p.subscriptions[a] = scopeSet(fields...)
}

// Subscribed lists the fields an app is subscribed to; nil: it is not.
func (p *Page) Subscribed(a *App) []string {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	if p.subscriptions[a] == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.subscriptions[a]))
}

// WaitSubscribed blocks until an app is subscribed, or no longer.
func (p *Page) WaitSubscribed(ctx context.Context, a *App, want bool) error {
	return p.s.Wait(ctx, "a subscription", func() bool { return (p.subscriptions[a] != nil) == want })
}

// node is GET /{page-id}.
func (p *Page) node(q *query, _ *token) (any, *graphError) {
	answer := object{"id": p.ID}
	for _, field := range strings.Split(q.args["fields"], ",") {
		if field == "name" {
			answer["name"] = p.Name
		}
	}
	return answer, nil
}

// allFields are what a page can be subscribed to (§3), as far as the double sends them.
var allFields = []string{
	"messages", "message_edits", "message_echoes", "message_deliveries", "message_reads", "message_reactions", "messaging_postbacks",
	"messaging_handovers", "messaging_referrals", "messaging_optins", "standby",
}

func (p *Page) subscribe(q *query, t *token) (any, *graphError) {
	if !t.scopes["pages_manage_metadata"] {
		return nil, refuse(200, 0, "(#200) To subscribe to this page's events, the user must grant the permission pages_manage_metadata.")
	}
	fields := strings.Split(q.args["subscribed_fields"], ",")
	for _, f := range fields {
		if !slices.Contains(allFields, f) {
			return nil, invalid("Param subscribed_fields[0] must be one of {" + strings.Join(allFields, ", ") + "} - got \"" + f + "\".")
		}
	}
	p.subscriptions[t.app] = scopeSet(fields...)
	p.s.Announce()
	return object{"success": true}, nil
}

func (p *Page) subscribers(*query, *token) (any, *graphError) {
	data := []object{}
	for a, fields := range p.subscriptions {
		data = append(data, object{"id": a.ID, "name": "Double", "subscribed_fields": slices.Sorted(maps.Keys(fields))})
	}
	return object{"data": data}, nil
}

func (p *Page) unsubscribe(_ *query, t *token) (any, *graphError) {
	delete(p.subscriptions, t.app)
	p.s.Announce()
	return object{"success": true}, nil
}
