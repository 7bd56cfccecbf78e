package messenger

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
)

const callback = "https://waggle.example.com/login/messenger"

func (f fixture) settings() channels.LoginSettings {
	return channels.LoginSettings{URL: f.server.URL + "/v25.0", ClientID: ourApp, ClientSecret: appSecret}
}

// window opens the login window as a browser would; what it returns with is the answer.
func (f fixture) window(t *testing.T) url.Values {
	t.Helper()
	address, err := f.LoginURL(f.settings(), callback, "a state")
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	res, err := f.api.http.Do(r) // follows no redirect
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusFound, res.StatusCode)
	back, err := url.Parse(res.Header.Get("Location"))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(back.String(), callback))
	require.Equal(t, "a state", back.Query().Get("state"), "S3.32")
	return back.Query()
}

// loggedIn is what a login opens for whoever is at the window.
func (f fixture) loggedIn(t *testing.T) channels.LoginResult {
	t.Helper()
	r, err := f.Login(t.Context(), f.settings(), callback, f.window(t).Get)
	require.NoError(t, err)
	return r
}

// userToken is a person's own token, which no channel may have.
func (f fixture) userToken(t *testing.T) string {
	t.Helper()
	token, err := f.exchange(t.Context(), f.settings(), url.Values{"redirect_uri": {callback}, "code": {f.window(t).Get("code")}})
	require.NoError(t, err)
	return token
}

func TestLoginSettings(t *testing.T) {
	for name, row := range map[string]struct {
		settings channels.LoginSettings
		missing  []string
	}{
		"S3.30 none":      {channels.LoginSettings{}, []string{"IdentityServerUrl", "IdentityServerClientId", "IdentityServerClientSecret"}},
		"S3.30 no URL":    {channels.LoginSettings{ClientID: "1", ClientSecret: "s"}, []string{"IdentityServerUrl"}},
		"S3.30 no id":     {channels.LoginSettings{URL: "https://x.example", ClientID: " ", ClientSecret: "s"}, []string{"IdentityServerClientId"}},
		"S3.30 no secret": {channels.LoginSettings{URL: "https://x.example", ClientID: "1"}, []string{"IdentityServerClientSecret"}},
		"all":             {channels.LoginSettings{URL: "https://x.example", ClientID: "1", ClientSecret: "s"}, nil},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.missing, row.settings.Missing()) })
	}
	_, err := New(http.DefaultClient, DefaultAPI).LoginURL(channels.LoginSettings{URL: "facebook", ClientID: "1", ClientSecret: "s"}, callback, "state")
	require.ErrorContains(t, err, "IdentityServerUrl")
}

func TestLoginWindow(t *testing.T) {
	f := setUp(t)
	address, err := f.LoginURL(f.settings(), callback, "a state")
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	assert.Equal(t, f.server.URL+"/v25.0/dialog/oauth", u.Scheme+"://"+u.Host+u.Path, "S3.32: Facebook's window")
	assert.Equal(t, "a state", u.Query().Get("state"), "S3.32")
	assert.Equal(t, "pages_show_list,pages_messaging,pages_manage_metadata", u.Query().Get("scope"), "S3.35: what the page has to permit")
	assert.NotContains(t, address, appSecret)

	pat := f.server.AddPerson("77", "Pat").Manages(f.page)
	f.server.LogIn(pat)
	answer := f.window(t)
	r, err := f.Login(t.Context(), f.settings(), callback, answer.Get)
	require.NoError(t, err)
	assert.Empty(t, r.Missing())
	_, err = f.Login(t.Context(), f.settings(), callback, answer.Get)
	e := asError(t, err)
	assert.Equal(t, channels.Refused, e.Outcome, "a code is good once")
	assert.NotContains(t, e.Error(), answer.Get("code"))

	_, err = f.Login(t.Context(), f.settings(), "https://elsewhere.example.com", f.window(t).Get)
	assert.Equal(t, channels.Refused, asError(t, err).Outcome, "the code is for one address")
	wrong := f.settings()
	wrong.ClientSecret = "wrong"
	_, err = f.Login(t.Context(), wrong, callback, f.window(t).Get)
	e = asError(t, err)
	assert.Equal(t, channels.Refused, e.Outcome)
	assert.Contains(t, e.Reason, "IdentityServerClientSecret")
	f.server.FailNext("oauth/access_token", double.BadGateway())
	_, err = f.Login(t.Context(), f.settings(), callback, f.window(t).Get)
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)

	f.server.Cancel(pat)
	_, err = f.Login(t.Context(), f.settings(), callback, f.window(t).Get)
	assert.Contains(t, asError(t, err).Reason, "given up")
	for _, permission := range []string{"pages_messaging", "pages_manage_metadata"} {
		f.server.LogIn(pat, permission)
		missing := f.loggedIn(t).Missing()
		require.Len(t, missing, 1, "S3.35: it says which is missing")
		assert.Equal(t, permission, missing[0].Name)
		assert.Contains(t, missing[0].Why, "Without "+permission+" Waggle", "S3.35: in a sentence")
	}
}

func TestPages(t *testing.T) {
	f := setUp(t)
	pat := f.server.AddPerson("77", "Pat").Manages(f.page)
	for i := range 250 {
		pat.Manages(f.server.AddPage(fmt.Sprint(1000+i), fmt.Sprint("Shop ", i)))
	}
	pat.Manages(f.server.AddPage("5", "Only looked at"), "ANALYZE")
	f.server.AddPage("6", "Somebody else's")
	f.server.LogIn(pat)

	opened := f.loggedIn(t)
	require.Len(t, opened.Accounts, 252, "S3.33: all of them, however many answers they come in")
	assert.Equal(t, 3, f.server.Calls("accounts"))
	for _, p := range opened.Accounts {
		assert.NotEqual(t, "77", p.ID, "S3.34: the person is no page")
		assert.Equal(t, p.ID == "5", p.Barred != "")
	}

	chosen, wrong := opened.Choose([]string{"1", "1001", "1"})
	require.Empty(t, wrong)
	require.Len(t, chosen, 2, "S3.33 S3.37: one for each page that was chosen, no doubles")
	assert.Equal(t, "Corner Shop", chosen[0].Name, "S3.38")
	_, wrong = opened.Choose([]string{"1", "77", "6", "5"})
	require.Len(t, wrong, 3)
	assert.Contains(t, wrong[1], "personal profiles cannot be connected", "S3.34: a profile's id by hand")
	assert.Contains(t, wrong[2], "no account that the login opened", "S3.34: somebody else's page")
	assert.Contains(t, wrong[3], `"Only looked at"`, "S3.35")

	verify := chosen[0].Fields[FieldVerifyToken]
	assert.Equal(t, verify, chosen[1].Fields[FieldVerifyToken], "an app has one verify token")
	for _, p := range chosen {
		ch := f.ch
		ch.AccountID, ch.Fields = "", p.Fields
		account, err := f.Verify(t.Context(), ch)
		require.NoError(t, err)
		assert.Equal(t, p.Account, account, "S3.37 S3.38: each page is a channel that can be verified")
		require.NoError(t, f.Connect(t.Context(), ch, channels.ConnectOptions{}), "S3.39: when it is set active")
	}

	f.server.FailNext("accounts", messengertest.Refuse(190, 0, "expired"))
	_, err := f.Login(t.Context(), f.settings(), callback, f.window(t).Get)
	assert.Equal(t, channels.Refused, asError(t, err).Outcome)
}

// wire/messenger.md §6 does not describe the answer of /debug_token: what it leaves out is not held against a token.
func TestTokenInfoThatIsNotTold(t *testing.T) {
	ch := channels.Channel{Fields: map[string]string{FieldPage: "1", FieldApp: "11"}}
	for answer, fit := range map[string]bool{
		`{}`:                 true,
		`{"is_valid":true}`:  true,
		`{"is_valid":false}`: false,
		`{"app_id":"11"}`:    true,
		`{"app_id":"12"}`:    false,
		`{"scopes":[]}`:      false,
		`{"scopes":["pages_messaging","pages_manage_metadata"]}`: true,
	} {
		var info tokenInfo
		require.NoError(t, channels.Decode([]byte(answer), &info))
		assert.Equal(t, fit, info.refusal(ch) == nil, answer)
	}
}
