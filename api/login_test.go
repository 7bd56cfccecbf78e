package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/double"
	"waggle/channels/messenger"
	"waggle/channels/messenger/messengertest"
	"waggle/chat"
)

// loginDesk is an environment whose settings for Facebook's login are populated, and a person at Facebook's window.
type loginDesk struct {
	*pages
	pat        *messengertest.Person
	shop, cafe *messengertest.Page
}

func newLoginDesk(t *testing.T) *loginDesk {
	d := &loginDesk{pages: newPages(t)}
	d.key = d.bind(d.key, "https://crm.example.com")
	d.shop, d.cafe = d.facebook.AddPage("1", "Shop"), d.facebook.AddPage("2", "Cafe")
	d.pat = d.facebook.AddPerson("77", "Pat").Manages(d.shop).Manages(d.cafe).Manages(d.facebook.AddPage("5", "Only looked at"), "ANALYZE")
	d.facebook.LogIn(d.pat)
	d.call("PATCH", "/settings", d.key, map[string]any{
		"identity_server_url": d.facebook.URL + "/v25.0", "identity_server_client_id": d.app.ID, "identity_server_client_secret": d.app.Secret,
	}).status(http.StatusOK)
	return d
}

// begin opens the window, which sends the browser back to an address.
func (d *loginDesk) begin() (window gen.LoginWindow, back string) {
	d.t.Helper()
	d.call("POST", "/channels/messenger/login", d.key, nil).status(http.StatusCreated).into(&window)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(window.URL)
	require.NoError(d.t, err)
	require.NoError(d.t, res.Body.Close())
	require.Equal(d.t, http.StatusFound, res.StatusCode)
	require.True(d.t, strings.HasPrefix(res.Header.Get("Location"), window.Callback+"?"))
	return window, strings.TrimPrefix(res.Header.Get("Location"), d.URL)
}

// logIn goes through the window and is what it opened.
func (d *loginDesk) logIn() (l gen.Login) {
	d.t.Helper()
	window, back := d.begin()
	d.raw("GET", back, "", nil).status(http.StatusOK)
	d.call("GET", "/channels/messenger/login/"+window.ID.String(), d.key, nil).status(http.StatusOK).into(&l)
	return l
}

func (d *loginDesk) choose(login uuid.UUID, accounts ...string) *answer {
	d.t.Helper()
	return d.call("POST", "/channels/messenger/login/"+login.String()+"/channels", d.key, map[string]any{"accounts": accounts})
}

func TestLoginNeedsItsSettings_S3_30_S3_31(t *testing.T) {
	d := newPages(t)
	p := d.call("POST", "/channels/messenger/login", d.key, nil).problem(http.StatusConflict)
	require.Contains(t, *p.Detail, "IdentityServerUrl, IdentityServerClientId, IdentityServerClientSecret", "S3.30: each empty one")
	require.Contains(t, *p.Detail, "Contact support", "S3.31")
	require.Len(t, p.Errors, 3)
	d.call("PATCH", "/settings", d.key, map[string]any{"identity_server_url": "https://www.facebook.com/v25.0", "identity_server_client_id": "1517"}).status(http.StatusOK)
	p = d.call("POST", "/channels/messenger/login", d.key, nil).problem(http.StatusConflict)
	require.Equal(t, []gen.FieldError{{Field: "identity_server_client_secret", Reason: "IdentityServerClientSecret is not populated"}}, p.Errors)

	var s gen.Settings
	d.call("PATCH", "/settings", d.key, map[string]any{"identity_server_client_secret": "s3cret"}).status(http.StatusOK).into(&s)
	require.Equal(t, gen.LoginSetting{Code: "IdentityServerClientSecret", Value: orNull(maskedField)}, s.IdentityServerClientSecret, "never shown again")
	d.call("PATCH", "/settings", d.key, map[string]any{"identity_server_client_secret": maskedField, "display": "section"}).status(http.StatusOK)
	d.call("POST", "/channels/messenger/login", d.key, nil).status(http.StatusCreated)
	require.Equal(t, []string{"identity_server_url"}, d.call("PATCH", "/settings", d.key, map[string]any{"identity_server_url": "javascript:alert(1)"}).faults())
	d.call("PATCH", "/settings", d.key, map[string]any{"identity_server_client_secret": ""}).status(http.StatusOK)
	d.call("POST", "/channels/messenger/login", d.key, nil).problem(http.StatusConflict)
	d.call("POST", "/channels/pigeon/login", d.key, nil).problem(http.StatusNotFound)

	agent := d.session(d.key, chat.AgentRole, d.agent(d.environment(d.key), "u1"))
	d.call("POST", "/channels/messenger/login", agent, nil).problem(http.StatusForbidden)
}

// S3.32–S3.40, c9: from the window to a channel that works, for each page that was chosen.
func TestLogInWithFacebook(t *testing.T) {
	d := newLoginDesk(t)
	window, back := d.begin()
	require.Contains(t, window.URL, "state=", "S3.32")
	path := "/channels/messenger/login/" + window.ID.String()
	var l gen.Login
	d.call("GET", path, d.key, nil).status(http.StatusOK).into(&l)
	require.Equal(t, gen.LoginStatusWaiting, l.Status)
	d.choose(window.ID, "1").problem(http.StatusConflict)

	page := d.raw("GET", back, "", nil).status(http.StatusOK)
	require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
	require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, string(page.Body), "https://crm.example.com", "it leads back to the CRM")
	d.raw("GET", back, "", nil).problem(http.StatusForbidden) // a state is good once
	d.raw("GET", loginPath+"messenger?state=wrong&code=1", "", nil).problem(http.StatusForbidden)
	d.raw("GET", loginPath+"messenger?code=1", "", nil).problem(http.StatusForbidden)
	d.raw("GET", loginPath+"pigeon?state=wrong&code=1", "", nil).problem(http.StatusForbidden)

	d.call("GET", path, d.key, nil).status(http.StatusOK).into(&l)
	require.Equal(t, gen.LoginStatusReady, l.Status)
	require.Equal(t, []string{"Shop", "Cafe", "Only looked at"}, []string{l.Accounts[0].Name, l.Accounts[1].Name, l.Accounts[2].Name}, "S3.33; S3.34: no profile")
	require.False(t, l.Accounts[2].CanConnect, "S3.35")
	for _, p := range l.Permissions {
		require.True(t, p.Granted, p.Name)
	}
	d.call("GET", path, d.secretKey(), nil).problem(http.StatusNotFound) // another environment's

	require.Equal(t, []string{"accounts.1"}, d.choose(window.ID, "1", "77").faults(), "S3.34: a profile's id by hand")
	require.Equal(t, []string{"accounts.0"}, d.choose(window.ID, "5").faults(), "S3.35")
	require.Empty(t, d.list())
	var made gen.ChannelList
	d.choose(window.ID, "1", "2").status(http.StatusCreated).into(&made)
	require.Len(t, made.Items, 2, "S3.37: a channel for each page")
	cafe, shop := made.Items[0], made.Items[1]
	require.Equal(t, []string{"Cafe", "Shop"}, []string{cafe.Name, shop.Name}, "S3.38")
	require.Equal(t, gen.ChannelStateInactive, shop.State, "S3.39")
	require.Nil(t, d.shop.Subscribed(d.app), "S3.39: nothing is processed before it is Active")
	verify := shop.Fields[messenger.FieldVerifyToken]
	require.NotEqual(t, maskedField, verify, "told to who logged in, to be entered at Meta")
	require.Equal(t, maskedField, shop.Fields[messenger.FieldToken])
	require.Equal(t, maskedField, d.channel(shop.ID).Fields[messenger.FieldVerifyToken], "and to nobody else")
	d.choose(window.ID, "1").status(http.StatusCreated).into(&made)
	require.Equal(t, verify, made.Items[0].Fields[messenger.FieldVerifyToken], "the first answer may have been lost")
	d.call("PATCH", "/channels/"+cafe.ID.String(), d.key, map[string]any{"fields": map[string]string{messenger.FieldVerifyToken: "the-administrators-own"}}).status(http.StatusOK)
	d.choose(window.ID, "2").status(http.StatusCreated).into(&made)
	require.Equal(t, maskedField, made.Items[0].Fields[messenger.FieldVerifyToken], "what somebody entered is no login's to tell")

	d.call("PATCH", "/channels/"+shop.ID.String(), d.key, map[string]any{"active": true}).status(http.StatusOK)
	require.NotNil(t, d.shop.Subscribed(d.app), "the page is subscribed at connect")
	require.Nil(t, d.cafe.Subscribed(d.app), "S3.40: each apart")
	require.NoError(t, d.app.SetWebhook(shop.Hook.URL, verify), "the challenge is answered with the token that was told")
	d.write(d.shop)
	require.NoError(t, d.app.WaitDelivered(d.soon()))
	require.Equal(t, []string{"to Shop"}, d.texts(), "S3.39")
}

// S3.36, S3.37: a page whose token died is logged in again: the same channel goes on with the new one.
func TestLogInAgain(t *testing.T) {
	d := newLoginDesk(t)
	var made, again gen.ChannelList
	d.choose(d.logIn().ID, "1").status(http.StatusCreated).into(&made)
	shop := made.Items[0]
	d.call("PATCH", "/channels/"+shop.ID.String(), d.key, map[string]any{"active": true, "name": "Our shop"}).status(http.StatusOK)
	verify := shop.Fields[messenger.FieldVerifyToken]
	require.NoError(t, d.app.SetWebhook(shop.Hook.URL, verify))

	d.shop.Revoke()
	d.choose(d.logIn().ID, "1", "2").status(http.StatusCreated).into(&again)
	require.Len(t, again.Items, 2)
	i := slices.IndexFunc(again.Items, func(ch gen.Channel) bool { return ch.ID == shop.ID })
	require.GreaterOrEqual(t, i, 0, "S3.37: no double")
	require.Len(t, d.list(), 2)
	require.Equal(t, "Our shop", again.Items[i].Name)
	require.Equal(t, gen.ChannelStateActive, again.Items[i].State)
	require.True(t, d.channel(shop.ID).Health.Sending.Ok)
	require.NoError(t, d.app.SetWebhook(shop.Hook.URL, verify), "its verify token stays what was entered at Meta")

	theirs := d.secretKey()
	d.call("PATCH", "/settings", theirs, map[string]any{
		"identity_server_url": d.facebook.URL + "/v25.0", "identity_server_client_id": d.app.ID, "identity_server_client_secret": d.app.Secret,
	}).status(http.StatusOK)
	d.key = theirs
	p := d.choose(d.logIn().ID, "1").problem(http.StatusConflict)
	require.Contains(t, *p.Detail, "connected elsewhere", "S2.9: that is all another tenant learns")
}

// S3.35: a sentence for each permission that was not given; without all of them there is no channel.
func TestLoginWithoutPermission_S3_35(t *testing.T) {
	d := newLoginDesk(t)
	d.facebook.LogIn(d.pat, "pages_messaging", "pages_manage_metadata")
	l := d.logIn()
	require.Equal(t, gen.LoginStatusReady, l.Status)
	missing := map[string]string{}
	for _, p := range l.Permissions {
		if !p.Granted {
			missing[p.Name] = *p.Reason
		}
	}
	require.Contains(t, missing["pages_messaging"], "cannot send and receive messages on behalf of the page")
	require.Contains(t, missing["pages_manage_metadata"], "not told of the page's new messages")
	require.Len(t, missing, 2)
	p := d.choose(l.ID, "1").problem(http.StatusConflict)
	require.Len(t, p.Errors, 2)
	require.Equal(t, missing["pages_messaging"], p.Errors[0].Reason)

	d.facebook.Cancel(d.pat)
	l = d.logIn()
	require.Equal(t, gen.LoginStatusFailed, l.Status)
	require.Contains(t, *l.Reason, "given up")
	d.choose(l.ID, "1").problem(http.StatusConflict)
	d.facebook.LogIn(d.pat)
	d.facebook.FailNext("oauth/access_token", double.BadGateway())
	require.Equal(t, gen.LoginStatusFailed, d.logIn().Status)
}

// The window's answer is bound to who began: another kind's or a late one opens nothing, and no token of the person is shown.
func TestLoginAnswersShowNoToken(t *testing.T) {
	d := newLoginDesk(t)
	window, back := d.begin()
	u, err := url.Parse(back)
	require.NoError(t, err)
	page := d.raw("GET", back, "", nil).status(http.StatusOK)
	shown := string(page.Body) + string(d.call("GET", "/channels/messenger/login/"+window.ID.String(), d.key, nil).Body) + string(d.choose(window.ID, "1").Body)
	for _, secret := range append(d.facebook.Tokens(), d.app.Secret, u.Query().Get("code"), u.Query().Get("state")) {
		require.NotContains(t, shown, secret)
	}
	require.WithinDuration(t, time.Now().Add(15*time.Minute), window.ExpiresAt, time.Minute)
}

// What looks at addresses before people do asks for their heads: that uses up no login.
func TestLookingAtTheWayBackUsesUpNothing(t *testing.T) {
	d := newLoginDesk(t)
	_, back := d.begin()
	d.raw("HEAD", back, "", nil).status(http.StatusOK)
	d.raw("GET", back, "", nil).status(http.StatusOK)
}

func TestSettingsEmptiedDuringALogin_S3_30(t *testing.T) {
	d := newLoginDesk(t)
	window, back := d.begin()
	d.call("PATCH", "/settings", d.key, map[string]any{"identity_server_client_secret": ""}).status(http.StatusOK)
	require.Contains(t, string(d.raw("GET", back, "", nil).status(http.StatusOK).Body), "IdentityServerClientSecret")
	var l gen.Login
	d.call("GET", "/channels/messenger/login/"+window.ID.String(), d.key, nil).status(http.StatusOK).into(&l)
	require.Equal(t, gen.LoginStatusFailed, l.Status)
}
