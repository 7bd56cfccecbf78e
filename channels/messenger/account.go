package messenger

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"waggle/channels"
)

// permissions are what a page must permit the app (S3.35); what the login asks for besides is needed for the login alone.
var permissions = []string{"pages_messaging", "pages_manage_metadata"}

// subscribed are the kinds of events a page is asked for (wire/messenger.md §3).
var subscribed = []string{
	"messages", "message_edits", "message_echoes", "message_deliveries", "message_reads", "messaging_postbacks", "messaging_handovers", "standby",
}

// Verify asks Facebook which page this is, and whether the token is that page's, for this app and with the permissions. It
// changes nothing and may be repeated after any failure.
func (a *Adapter) Verify(ctx context.Context, ch channels.Channel) (channels.Account, error) {
	ch.AccountID = "" // the fields are to be verified, not what they were
	q, bad := a.call(ch, http.MethodGet, "")
	if bad != nil {
		return channels.Account{}, bad
	}
	q.params = url.Values{"fields": {"id,name"}}
	var found struct{ ID, Name string }
	if fail := a.api.do(ctx, q, &found); fail != nil {
		return channels.Account{}, setupError(fail)
	}
	if found.ID != page(ch) || found.Name == "" {
		return channels.Account{}, &channels.Error{Outcome: channels.Refused, Field: FieldPage, Reason: "this is not the id of a page"}
	}
	t, err := a.inspect(ctx, app{id: ch.Fields[FieldApp], secret: ch.Fields[FieldAppSecret]}, ch.Fields[FieldToken])
	if err != nil {
		return channels.Account{}, err
	}
	if bad := t.refusal(ch); bad != nil {
		return channels.Account{}, bad
	}
	return channels.Account{ID: found.ID, Name: found.Name}, nil
}

// app is the Meta app we act for.
type app struct{ id, secret string }

// tokenInfo is what /debug_token tells about a token (wire/messenger.md §6, where the answer is not described: what it leaves out is
// not held against the token).
type tokenInfo struct {
	Valid   *bool    `json:"is_valid"`
	App     id       `json:"app_id"`
	Type    string   `json:"type"`       // PAGE, USER
	Profile id       `json:"profile_id"` // the page of a page's token
	Scopes  []string `json:"scopes"`
}

// inspect asks about a token in the app's own name, which proves the app's id and secret as well. A server that does not have this
// call tells nothing.
func (a *Adapter) inspect(ctx context.Context, p app, token string) (tokenInfo, error) {
	if !idShape.MatchString(p.id) {
		return tokenInfo{}, &channels.Error{Outcome: channels.Refused, Field: FieldApp, Reason: "an app's id is a number"}
	}
	var answer struct {
		Data tokenInfo `json:"data"`
	}
	fail := a.api.do(ctx, call{
		verb: http.MethodGet, path: "/debug_token", token: p.id + "|" + p.secret,
		params: url.Values{"input_token": {token}}, // the one token an address must hold; errors never show it
	}, &answer)
	if fail == nil || fail.unsupported() {
		return answer.Data, nil
	}
	e := setupError(fail)
	if fail.api && e.Outcome == channels.Refused {
		e.Field, e.Reason = FieldAppSecret, "Facebook does not accept this app id with this app secret"
	}
	return tokenInfo{}, e
}

// refusal says why a channel cannot use the token, or returns nil.
func (t tokenInfo) refusal(ch channels.Channel) *channels.Error {
	var reason string
	switch missing := t.missing(); {
	case t.Valid != nil && !*t.Valid:
		reason = tokenRefused
	case t.App != "" && string(t.App) != ch.Fields[FieldApp]:
		reason = "the access token was given out for another app than the one entered here"
	case t.Type != "" && t.Type != "PAGE", t.Profile != "" && string(t.Profile) != page(ch):
		reason = "the access token is not this page's; a page's own token is needed, not a person's"
	case len(missing) > 0:
		reason = "the page does not permit " + strings.Join(missing, " and ") + " to the app; log in with Facebook again and permit it"
	default:
		return nil
	}
	return &channels.Error{Outcome: channels.Refused, Field: FieldToken, Reason: reason}
}

// missing names the permissions the token lacks, where they are told.
func (t tokenInfo) missing() []string {
	if t.Scopes == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(permissions), func(p string) bool { return slices.Contains(t.Scopes, p) })
}

// Connect subscribes the app to the page. A page may report to several apps at once, so nobody is replaced and o.TakeOver
// changes nothing; Facebook keeps nothing for a page that is not subscribed, so there is nothing to drop.
func (a *Adapter) Connect(ctx context.Context, ch channels.Channel, _ channels.ConnectOptions) error {
	if ch.HookURL == "" {
		return &channels.Error{Outcome: channels.Refused, Field: "receive",
			Reason: "Facebook can deliver messages only to a public address; set this installation's public URL (PUBLIC_URL)"}
	}
	q, bad := a.call(ch, http.MethodPost, "/subscribed_apps")
	if bad != nil {
		return bad
	}
	q.params = url.Values{"subscribed_fields": {strings.Join(subscribed, ",")}}
	return a.done(ctx, q, setupError)
}

// Disconnect takes the app off the page.
func (a *Adapter) Disconnect(ctx context.Context, ch channels.Channel) error {
	q, bad := a.call(ch, http.MethodDelete, "/subscribed_apps")
	if bad != nil {
		return bad
	}
	return a.done(ctx, q, setupError)
}

// done makes a call that answers {"success":true}.
func (a *Adapter) done(ctx context.Context, q call, meant func(*failure) *channels.Error) error {
	var answer struct {
		Success *bool `json:"success"`
	}
	if fail := a.api.do(ctx, q, &answer); fail != nil {
		return meant(fail)
	}
	if answer.Success != nil && !*answer.Success {
		return &channels.Error{Outcome: channels.RetryAt, Reason: "Facebook did not do what it was asked for, and did not say why"}
	}
	return nil
}
