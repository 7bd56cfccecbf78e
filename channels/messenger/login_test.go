package messenger

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/messenger/messengertest"
)

func TestLoginSettings(t *testing.T) {
	for name, row := range map[string]struct {
		settings LoginSettings
		missing  MissingSettings
	}{
		"S3.30 none":      {LoginSettings{}, MissingSettings{"IdentityServerUrl", "IdentityServerClientId", "IdentityServerClientSecret"}},
		"S3.30 no URL":    {LoginSettings{IdentityServerClientID: "1", IdentityServerClientSecret: "s"}, MissingSettings{"IdentityServerUrl"}},
		"S3.30 no id":     {LoginSettings{IdentityServerURL: "https://x.example", IdentityServerClientID: " ", IdentityServerClientSecret: "s"}, MissingSettings{"IdentityServerClientId"}},
		"S3.30 no secret": {LoginSettings{IdentityServerURL: "https://x.example", IdentityServerClientID: "1"}, MissingSettings{"IdentityServerClientSecret"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := row.settings.DialogURL(callback, "state")
			require.Equal(t, row.missing, err)
			for _, setting := range row.missing {
				assert.Contains(t, err.Error(), setting, "S3.30: each empty one is named")
			}
			assert.Contains(t, err.Error(), "Contact support", "S3.31")
		})
	}
	_, err := LoginSettings{IdentityServerURL: "facebook", IdentityServerClientID: "1", IdentityServerClientSecret: "s"}.DialogURL(callback, "state")
	require.ErrorContains(t, err, "IdentityServerUrl")
}

func TestLoginWindow(t *testing.T) {
	f := setUp(t)
	address, err := f.settings().DialogURL(callback, "a state")
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	assert.Equal(t, f.server.URL+"/v25.0/dialog/oauth", u.Scheme+"://"+u.Host+u.Path, "S3.32: Facebook's window")
	assert.Equal(t, "a state", u.Query().Get("state"), "S3.32")
	assert.Equal(t, "pages_show_list,pages_messaging,pages_manage_metadata", u.Query().Get("scope"), "S3.35: what the page has to permit")
	assert.NotContains(t, address, appSecret)

	pat := f.server.AddPerson("77", "Pat").Manages(f.page)
	f.server.LogIn(pat)
	_, err = f.window(t, "ours", "another")
	require.ErrorIs(t, err, ErrWrongState, "S3.32")
	_, err = f.window(t, "", "")
	require.ErrorIs(t, err, ErrWrongState, "S3.32: no state is no state")
	code, err := f.window(t, "ours", "ours")
	require.NoError(t, err, "c9")

	token, err := f.Login(t.Context(), f.settings(), callback, code)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(60*24*time.Hour), token.ExpiresAt, time.Minute, "the long-lived token")
	_, err = f.Login(t.Context(), f.settings(), callback, code)
	e := asError(t, err)
	assert.Equal(t, channels.Refused, e.Outcome, "a code is good once")
	assert.NotContains(t, e.Error(), code)

	code, err = f.window(t, "ours", "ours")
	require.NoError(t, err)
	_, err = f.Login(t.Context(), f.settings(), "https://elsewhere.example.com", code)
	assert.Equal(t, channels.Refused, asError(t, err).Outcome, "the code is for one address")
	wrong := f.settings()
	wrong.IdentityServerClientSecret = "wrong"
	_, err = f.Login(t.Context(), wrong, callback, code)
	e = asError(t, err)
	assert.Equal(t, channels.Refused, e.Outcome)
	assert.Contains(t, e.Reason, "IdentityServerClientSecret")
	f.server.FailNext("oauth/access_token", messengertest.BadGateway())
	_, err = f.Login(t.Context(), f.settings(), callback, code)
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)

	f.server.Cancel(pat)
	_, err = f.window(t, "ours", "ours")
	require.ErrorIs(t, err, ErrDeclined)
	for _, permission := range []string{"pages_messaging", "pages_manage_metadata"} {
		f.server.LogIn(pat, permission)
		code, err = f.window(t, "ours", "ours")
		require.NoError(t, err)
		_, err = f.Login(t.Context(), f.settings(), callback, code)
		require.Equal(t, MissingPermissions{permission}, err, "S3.35: it says which is missing")
		assert.Contains(t, err.Error(), permission)
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
	token := f.loggedIn(t)

	pages, err := f.Pages(t.Context(), f.settings(), token)
	require.NoError(t, err)
	require.Len(t, pages, 252, "S3.33: all of them, however many answers they come in")
	assert.Equal(t, 3, f.server.Calls("accounts"))
	for _, p := range pages {
		assert.NotEqual(t, "77", p.ID, "S3.34: the person is no page")
		assert.Equal(t, p.ID != "5", p.Messages)
	}

	chosen, err := Choose(pages, []string{"1001", "1", "1001"})
	require.NoError(t, err)
	require.Len(t, chosen, 2, "S3.33 S3.37: one for each page that was chosen, no doubles")
	assert.Equal(t, "Corner Shop", chosen[0].Name, "S3.38")
	_, err = Choose(pages, []string{"1", "77", "6"})
	require.Equal(t, &WrongPages{Unknown: []string{"6", "77"}}, err, "S3.34: a profile's id, or somebody else's page, by hand")
	assert.Contains(t, err.Error(), "personal profiles")
	_, err = Choose(pages, []string{"5"})
	require.Equal(t, &WrongPages{Barred: []string{"Only looked at"}}, err, "S3.35")

	for _, p := range chosen {
		ch := f.ch
		ch.AccountID, ch.Fields = "", p.Fields(f.settings(), verifyToken)
		account, err := f.Verify(t.Context(), ch)
		require.NoError(t, err)
		assert.Equal(t, channels.Account{ID: p.ID, Name: p.Name}, account, "S3.37 S3.38: each page is a channel that can be verified")
		require.NoError(t, f.Connect(t.Context(), ch, channels.ConnectOptions{}), "S3.39: when it is set active")
	}

	f.server.FailNext("accounts", messengertest.Refuse(190, 0, "expired"))
	_, err = f.Pages(t.Context(), f.settings(), token)
	assert.Equal(t, channels.Refused, asError(t, err).Outcome)
}
