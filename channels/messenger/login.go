package messenger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"waggle/channels"
	"waggle/guard"
)

// asked are the permissions the login window asks for, and what does not work without each (S3.35).
var asked = []struct{ name, without string }{
	{"pages_show_list", "Waggle cannot see which pages there are to choose from"},
	{"pages_messaging", "Waggle cannot send and receive messages on behalf of the page"},
	{"pages_manage_metadata", "Waggle is not told of the page's new messages"},
}

// LoginURL is Facebook's login window for the app that s names.
func (a *Adapter) LoginURL(s channels.LoginSettings, callback, state string) (string, error) {
	if err := guard.CheckURL(s.URL); err != nil {
		return "", fmt.Errorf("the setting %s: %w", channels.CodeLoginURL, err)
	}
	var scopes []string
	for _, p := range asked {
		scopes = append(scopes, p.name)
	}
	return strings.TrimRight(s.URL, "/") + "/dialog/oauth?" + url.Values{
		"client_id": {s.ClientID}, "redirect_uri": {callback}, "state": {state}, "response_type": {"code"},
		"scope": {strings.Join(scopes, ",")},
		// Who once refused a permission is not asked for it again without this.
		"auth_type": {"rerequest"},
	}.Encode(), nil
}

// Login exchanges the code that Facebook's window returned with and lists the pages it opens (S3.33), with what was permitted.
// The person's own long-lived token is used here and kept nowhere: the pages' tokens outlive it.
func (a *Adapter) Login(ctx context.Context, s channels.LoginSettings, callback string, query func(name string) string) (channels.LoginResult, error) {
	code := query("code")
	if code == "" || query("error") != "" {
		return channels.LoginResult{}, &channels.Error{Outcome: channels.Refused, Reason: "The login was given up in Facebook's window. Begin again, and permit what is asked for."}
	}
	short, err := a.exchange(ctx, s, url.Values{"redirect_uri": {callback}, "code": {code}})
	if err != nil {
		return channels.LoginResult{}, err
	}
	token, err := a.exchange(ctx, s, url.Values{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {short}})
	if err != nil {
		return channels.LoginResult{}, err
	}
	t, err := a.inspect(ctx, app{id: s.ClientID, secret: s.ClientSecret}, token)
	if err != nil {
		return channels.LoginResult{}, err
	}
	pages, err := a.pages(ctx, s, token)
	if err != nil {
		return channels.LoginResult{}, err
	}
	r := channels.LoginResult{Accounts: pages}
	for _, p := range asked {
		r.Permissions = append(r.Permissions, channels.Permission{
			Name: p.name, Granted: t.Scopes == nil || slices.Contains(t.Scopes, p.name), Why: fmt.Sprintf("Without %s %s. Log in again and permit it.", p.name, p.without),
		})
	}
	return r, nil
}

// exchange asks for a token (wire/messenger.md §6).
func (a *Adapter) exchange(ctx context.Context, s channels.LoginSettings, params url.Values) (string, error) {
	params.Set("client_id", s.ClientID)
	params.Set("client_secret", s.ClientSecret)
	var t struct {
		Token string `json:"access_token"`
	}
	if fail := a.api.do(ctx, call{verb: http.MethodGet, path: "/oauth/access_token", params: params}, &t); fail != nil {
		e := setupError(fail)
		switch {
		case fail.api && (fail.code.code == 101 || strings.Contains(fail.message, "client secret")):
			e.Outcome, e.Field, e.Reason = channels.Refused, "", "Facebook does not accept "+channels.CodeLoginClientID+" with "+channels.CodeLoginClientSecret+"; contact support"
		case fail.api && e.Outcome == channels.Refused:
			e.Field, e.Reason = "", "Facebook does not accept the login; begin again ("+fail.message+")"
		}
		return "", e
	}
	if t.Token == "" {
		return "", setupError(&failure{status: http.StatusOK})
	}
	return t.Token, nil
}

const (
	pagesAtOnce  = 100
	pageRequests = 50 // 5000 pages: nobody has more
)

// listedPage is a page as /me/accounts shows it (wire/messenger.md §6).
type listedPage struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Token string   `json:"access_token"` // the page's own
	Tasks []string `json:"tasks"`
}

// pages lists the pages a person has a role on, all of them. Personal profiles are never among them (S3.34).
func (a *Adapter) pages(ctx context.Context, s channels.LoginSettings, token string) ([]channels.LoginAccount, error) {
	var found []channels.LoginAccount
	q := call{
		verb: http.MethodGet, path: "/me/accounts", token: token, secret: s.ClientSecret,
		params: url.Values{"fields": {"id,name,access_token,tasks"}, "limit": {fmt.Sprint(pagesAtOnce)}},
	}
	for range pageRequests {
		var answer struct {
			Data   []listedPage `json:"data"`
			Paging struct {
				Next    string `json:"next"` // holds the token: only that there is one counts
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
			} `json:"paging"`
		}
		if fail := a.api.do(ctx, q, &answer); fail != nil {
			return nil, setupError(fail)
		}
		for _, p := range answer.Data {
			found = append(found, p.account(s))
		}
		after := answer.Paging.Cursors.After
		if answer.Paging.Next == "" || after == "" || after == q.params.Get("after") {
			break
		}
		q.params.Set("after", after)
	}
	return found, nil
}

// account is the page as a channel; its name is the page's (S3.38).
func (p listedPage) account(s channels.LoginSettings) channels.LoginAccount {
	found := channels.LoginAccount{
		Account: channels.Account{ID: p.ID, Name: p.Name},
		Fields: map[string]string{
			FieldPage: p.ID, FieldToken: p.Token, FieldApp: s.ClientID, FieldAppSecret: s.ClientSecret, FieldVerifyToken: verifyTokenOf(s.ClientSecret),
		},
	}
	if p.Token == "" || !slices.Contains(p.Tasks, "MESSAGING") {
		found.Barred = fmt.Sprintf("On the page %q the person who logged in may not answer messages; an administrator of the page can permit it.", p.Name)
	}
	return found
}

// verifyTokenOf is an app's verify token: the same for all its pages, and nobody's guess.
func verifyTokenOf(appSecret string) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte("verify token of the webhook"))
	return hex.EncodeToString(mac.Sum(nil))
}
