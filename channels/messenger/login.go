package messenger

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

// LoginSettings are what an installation must have before anybody can log in with Facebook (S3.30).
type LoginSettings struct {
	IdentityServerURL          string // where Facebook's login window is: https://www.facebook.com/v25.0
	IdentityServerClientID     string // the app's id
	IdentityServerClientSecret string // the app's secret
}

// MissingSettings names, spelled as the product's settings, what is not populated.
type MissingSettings []string

func (m MissingSettings) Error() string {
	return fmt.Sprintf("Facebook pages cannot be connected before these settings are populated: %s. Contact support.", strings.Join(m, ", "))
}

// Check returns MissingSettings if any is empty.
func (s LoginSettings) Check() error {
	var missing MissingSettings
	for _, setting := range []struct{ name, value string }{
		{"IdentityServerUrl", s.IdentityServerURL}, {"IdentityServerClientId", s.IdentityServerClientID}, {"IdentityServerClientSecret", s.IdentityServerClientSecret},
	} {
		if strings.TrimSpace(setting.value) == "" {
			missing = append(missing, setting.name)
		}
	}
	if len(missing) > 0 {
		return missing
	}
	return nil
}

func (s LoginSettings) app() app {
	return app{id: s.IdentityServerClientID, secret: s.IdentityServerClientSecret}
}

// DialogURL is Facebook's login window for these settings. callback is our address it returns to, state a fresh random
// value that only the one who asked gets back.
func (s LoginSettings) DialogURL(callback, state string) (string, error) {
	if err := s.Check(); err != nil {
		return "", err
	}
	if err := guard.CheckURL(s.IdentityServerURL); err != nil {
		return "", fmt.Errorf("the setting IdentityServerUrl: %w", err)
	}
	scopes := append([]string{"pages_show_list"}, permissions...)
	return strings.TrimRight(s.IdentityServerURL, "/") + "/dialog/oauth?" + url.Values{
		"client_id": {s.IdentityServerClientID}, "redirect_uri": {callback}, "state": {state}, "response_type": {"code"},
		"scope": {strings.Join(scopes, ",")},
		// Who once refused a permission is not asked for it again without this.
		"auth_type": {"rerequest"},
	}.Encode(), nil
}

// The errors of Callback.
var (
	ErrWrongState = errors.New("this is not the answer to a login that was begun here; begin again")
	ErrDeclined   = errors.New("the login was given up in Facebook's window; begin again and permit what is asked for")
)

// Callback reads what Facebook's window returns with: the code to log in with, if state is the one that was given out.
func Callback(query func(name string) string, state string) (code string, err error) {
	if state == "" || subtle.ConstantTimeCompare([]byte(query("state")), []byte(state)) != 1 {
		return "", ErrWrongState
	}
	if code = query("code"); code == "" || query("error") != "" {
		return "", ErrDeclined
	}
	return code, nil
}

// MissingPermissions names what the person did not permit (S3.35).
type MissingPermissions []string

func (m MissingPermissions) Error() string {
	return fmt.Sprintf("Facebook says that these permissions were not given: %s. Log in again and permit them; without them chats do not work.", strings.Join(m, ", "))
}

// UserToken is a person's long-lived token. It is needed only until pages are chosen; their tokens outlive it.
type UserToken struct {
	Value     string
	ExpiresAt time.Time // zero: Facebook names no end
}

// Login exchanges a code for a long-lived token and checks what the person permitted. callback is the address the code came
// to. Errors are *channels.Error or MissingPermissions.
func (a *Adapter) Login(ctx context.Context, s LoginSettings, callback, code string) (UserToken, error) {
	short, err := a.exchange(ctx, s, url.Values{"redirect_uri": {callback}, "code": {code}})
	if err != nil {
		return UserToken{}, err
	}
	long, err := a.exchange(ctx, s, url.Values{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {short.Value}})
	if err != nil {
		return UserToken{}, err
	}
	t, err := a.inspect(ctx, s.app(), long.Value)
	if err != nil {
		return UserToken{}, err
	}
	if missing := t.missing(); len(missing) > 0 {
		return UserToken{}, MissingPermissions(missing)
	}
	return long, nil
}

// exchange asks for a token. What it needs goes into the body, away from every log of addresses.
func (a *Adapter) exchange(ctx context.Context, s LoginSettings, form url.Values) (UserToken, error) {
	form.Set("client_id", s.IdentityServerClientID)
	form.Set("client_secret", s.IdentityServerClientSecret)
	var t struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"` // seconds
	}
	began := time.Now()
	if fail := a.api.do(ctx, call{verb: http.MethodPost, path: "/oauth/access_token", form: form}, &t); fail != nil {
		e := setupError(fail)
		switch {
		case fail.api && (fail.code.code == 101 || strings.Contains(fail.message, "client secret")):
			e.Outcome, e.Field, e.Reason = channels.Refused, "", "Facebook does not accept IdentityServerClientId with IdentityServerClientSecret; contact support"
		case fail.api && e.Outcome == channels.Refused:
			e.Field, e.Reason = "", "Facebook does not accept the login; begin again ("+fail.message+")"
		}
		return UserToken{}, e
	}
	if t.Token == "" {
		return UserToken{}, setupError(&failure{status: http.StatusOK})
	}
	token := UserToken{Value: t.Token}
	if t.Expires > 0 {
		token.ExpiresAt = began.Add(time.Duration(min(t.Expires, 1<<31)) * time.Second)
	}
	return token, nil
}

// Page is a page the person has a role on. Personal profiles are never among them (S3.34).
type Page struct {
	ID       string
	Name     string
	Category string
	Token    string // the page's own, secret
	Messages bool   // the person may write for the page, so we may
}

const (
	pagesAtOnce  = 100
	pageRequests = 50 // 5000 pages: nobody has more
)

// Pages lists the pages of a person (S3.33), all of them. Its errors are *channels.Error.
func (a *Adapter) Pages(ctx context.Context, s LoginSettings, token UserToken) ([]Page, error) {
	var found []Page
	q := call{
		verb: http.MethodGet, path: "/me/accounts", token: token.Value, secret: s.IdentityServerClientSecret,
		params: url.Values{"fields": {"id,name,category,access_token,tasks"}, "limit": {fmt.Sprint(pagesAtOnce)}},
	}
	for range pageRequests {
		var answer struct {
			Data []struct {
				ID       string   `json:"id"`
				Name     string   `json:"name"`
				Category string   `json:"category"`
				Token    string   `json:"access_token"`
				Tasks    []string `json:"tasks"`
			} `json:"data"`
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
			found = append(found, Page{
				ID: p.ID, Name: p.Name, Category: p.Category, Token: p.Token, Messages: p.Token != "" && slices.Contains(p.Tasks, "MESSAGING"),
			})
		}
		after := answer.Paging.Cursors.After
		if answer.Paging.Next == "" || after == "" || after == q.params.Get("after") {
			break
		}
		q.params.Set("after", after)
	}
	return found, nil
}

// WrongPages names chosen ids that cannot become channels.
type WrongPages struct {
	Unknown []string // no page of this person: a profile, or somebody else's page
	Barred  []string // his pages, by name, on which he has not the task MESSAGING
}

func (w *WrongPages) Error() string {
	var parts []string
	if len(w.Unknown) > 0 {
		parts = append(parts, "these are no pages of the person who logged in (personal profiles cannot be connected): "+strings.Join(w.Unknown, ", "))
	}
	if len(w.Barred) > 0 {
		parts = append(parts, "on these pages the person may not answer messages: "+strings.Join(w.Barred, ", "))
	}
	return strings.Join(parts, "; ")
}

// Choose picks pages by their ids, each once, or fails with *WrongPages.
func Choose(pages []Page, ids []string) ([]Page, error) {
	var chosen []Page
	var wrong WrongPages
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		i := slices.IndexFunc(pages, func(p Page) bool { return p.ID == id })
		switch {
		case i < 0:
			wrong.Unknown = append(wrong.Unknown, id)
		case !pages[i].Messages:
			wrong.Barred = append(wrong.Barred, pages[i].Name)
		default:
			chosen = append(chosen, pages[i])
		}
	}
	if len(wrong.Unknown)+len(wrong.Barred) > 0 {
		return nil, &wrong
	}
	return chosen, nil
}

// Fields are those of a channel for the page; its name is the page's (S3.38). verifyToken is the app's.
func (p Page) Fields(s LoginSettings, verifyToken string) map[string]string {
	return map[string]string{
		FieldPage: p.ID, FieldToken: p.Token, FieldApp: s.IdentityServerClientID, FieldAppSecret: s.IdentityServerClientSecret, FieldVerifyToken: verifyToken,
	}
}
