package creatio_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/crm"
	"waggle/crm/creatio"
	"waggle/crm/creatio/creatiotest"
	"waggle/guard"
)

func requireCause(t *testing.T, cause crm.Cause, err error) *crm.Error {
	t.Helper()
	var e *crm.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, cause, e.Cause, e.Error())
	for _, secret := range []string{password, "client secret", "api key", "message 1"} {
		require.NotContains(t, e.Error(), secret)
	}
	return e
}

// S0.12, S0.13: either way of authorization alone; S3.43: with and without /0.
func TestCheck(t *testing.T) {
	everyWay(t, "S0.12 S0.13 S3.43 either way of authorization, with and without /0", func(t *testing.T, b *bench) {
		site, err := b.adapter.Check(b.ctx, b.conn)
		require.NoError(t, err)
		prefix := ""
		if strings.HasSuffix(b.siteURL(), "/0") {
			prefix = "/0"
		}
		assert.Equal(t, crm.Site{Prefix: prefix, Version: "8.1.2.3941", Administrator: true}, site)
		for _, url := range []string{b.conn.URL + "/0", b.conn.URL + "/0/", b.conn.URL + "/"} {
			c := b.conn
			c.URL = url
			_, err := b.adapter.Check(b.ctx, c)
			assert.NoError(t, err, url)
		}
	})
}

func (b *bench) siteURL() string {
	settings, err := b.adapter.Settings(b.ctx, b.conn)
	require.NoError(b.t, err)
	return settings["SiteUrl"]
}

func TestCheckAdministrator(t *testing.T) {
	tests := []struct {
		name          string
		administrator bool
		hidden        []string
		want          bool
	}{
		{"S0.14 administrator", true, nil, true},
		{"S0.14 valid login without administrator rights", false, nil, false},
		{"S0.14 role shown by SysUserInRole only", true, []string{"SysAdminUnitInRole"}, true},
		{"S0.14 role shown by SysAdminUnitInRole only", true, []string{"SysUserInRole"}, true},
		{"S0.14 a site that shows no roles at all shows nothing against it", false, []string{"SysUserInRole", "SysAdminUnitInRole"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t, crm.Login, creatiotest.Options{Hidden: test.hidden})
			b.site.AddUser("Mary's", "pw", test.administrator)
			b.conn.Login, b.conn.Password = "Mary's", "pw"
			site, err := b.adapter.Check(b.ctx, b.conn)
			require.NoError(t, err)
			assert.Equal(t, test.want, site.Administrator)
		})
	}
}

// S0.15: a wrong password is HTTP 200 with Code 1, and is refused without its
// text in the error.
func TestCheckRefused(t *testing.T) {
	everyWay(t, "S0.15 wrong secret", func(t *testing.T, b *bench) {
		b.conn.Password, b.conn.ClientSecret, b.conn.APIKey = "hunter2", "hunter2", "hunter2"
		_, err := b.adapter.Check(b.ctx, b.conn)
		assert.NotContains(t, requireCause(t, crm.Refused, err).Error(), "hunter2")
	})
}

func TestCheckProvesThePasswordAnew(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	b.mustPush(newPush(1))
	b.site.SetPassword("Supervisor", "changed")
	_, err := b.adapter.Check(b.ctx, b.conn)
	require.Error(t, err, "S0.15 a session of the old password proves nothing")
	requireCause(t, crm.Refused, err)
	_, err = b.push(newPush(1))
	requireCause(t, crm.Refused, err)
	b.conn.Password = "changed"
	_, err = b.adapter.Check(b.ctx, b.conn)
	require.NoError(t, err, "S0.53 both fields filled in anew")
}

func TestCheckWithoutCreatio(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	b.site.AnswerHTML(-1, nil)
	_, err := b.adapter.Check(b.ctx, b.conn)
	requireCause(t, crm.Unavailable, err)
	b.site.Up()
	b.site.Down()
	_, err = b.adapter.Check(b.ctx, b.conn)
	requireCause(t, crm.Unavailable, err)
}

func TestABlockedCRMTellsWhichSettingWouldAllowIt(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	guarded, err := guard.New(guard.Policy{})
	require.NoError(t, err)
	_, err = creatio.New(guarded, time.Now).Check(b.ctx, b.conn)
	requireCause(t, crm.Unavailable, err)
	assert.Contains(t, crm.AsError(err).Reason, "ALLOW_HOSTS")
	assert.NotContains(t, crm.AsError(err).Reason, b.conn.URL)
}

func TestUsers(t *testing.T) {
	everyWay(t, "S0.54 active users", func(t *testing.T, b *bench) {
		for i := range 501 {
			b.site.AddUser(fmt.Sprintf("agent %d", i), "pw", false)
		}
		b.site.Deactivate(b.site.AddUser("left", "pw", false).ID)
		b.site.Add("SysAdminUnit", map[string]any{"Name": "robot", "Active": true, "SysAdminUnitTypeValue": 4})
		users, err := b.adapter.Users(b.ctx, b.conn)
		require.NoError(t, err)
		names := map[string]bool{}
		for _, u := range users {
			names[u.Name] = true
		}
		assert.Len(t, names, 503, "no roles, no inactive users")
		assert.Len(t, users, 503)
		assert.True(t, names["robot"] && names["agent 500"] && !names["left"])
		assert.Contains(t, users, crm.User{ID: b.admin.ID, Name: "Supervisor"})
	})
}

// c5: the CRM's own values; settings it does not have are left out.
func TestSettings(t *testing.T) {
	everyWay(t, "S3.43 system settings", func(t *testing.T, b *bench) {
		b.site.SetSetting("SimultaneousChats", 5)
		b.site.SetSetting("SiteUrl", "")
		settings, err := b.adapter.Settings(b.ctx, b.conn)
		require.NoError(t, err)
		assert.Equal(t, "5", settings["SimultaneousChats"])
		assert.Equal(t, "5", settings["OmniChatOperatorAcceptChatTimeout"])
		assert.Len(t, settings, 2, "an empty one is none")
		b.site.EndSessions()
		again, err := b.adapter.Settings(b.ctx, b.conn)
		require.NoError(t, err, "302 to the login page or 401: signed in again")
		assert.Equal(t, settings, again)
	})
}

func TestFindContact(t *testing.T) {
	everyWay(t, "S4.6 one equal contact", func(t *testing.T, b *bench) {
		contact := func(fields map[string]any) uuid.UUID {
			fields["Name"] = "x"
			return uuid.MustParse(b.site.Add("Contact", fields))
		}
		phone := contact(map[string]any{"MobilePhone": "+1 (202) 555-01-23"})
		email := contact(map[string]any{"Email": "Ann@example.com"})
		one, two := contact(map[string]any{"Phone": "+3311"}), contact(map[string]any{"HomePhone": "33-11"})
		quoted := contact(map[string]any{"Email": "o'hara@example.com"})
		contact(map[string]any{"Email": "777@example.com"})
		known := contact(map[string]any{})
		channel := uuid.MustParse(b.site.Add("Channel", map[string]any{"Name": "Bot"}))
		b.site.Add("ContactIdentity", map[string]any{"ContactId": known.String(), "ChannelId": channel.String(), "ChannelIdentity": "4'2"})
		old := contact(map[string]any{})
		b.site.Add("ContactCommunication", map[string]any{"ContactId": old.String(), "CommunicationTypeId": creatiotest.CommunicationMobilePhone,
			"Number": "+4422", "SearchNumber": "2244", "NonActual": true})
		tests := map[string]struct {
			lookup crm.Lookup
			want   crm.Found
		}{
			"phone, written differently": {crm.Lookup{Phone: "+12025550123"}, crm.Found{Linked: phone}},
			"e-mail":                     {crm.Lookup{Email: "Ann@example.com"}, crm.Found{Linked: email}},
			"e-mail with a quote":        {crm.Lookup{Email: "o'hara@example.com"}, crm.Found{Linked: quoted}},
			"two with one phone":         {crm.Lookup{Phone: "+3311"}, crm.Found{Candidates: []uuid.UUID{one, two}}},
			"phone and e-mail of two":    {crm.Lookup{Phone: "+12025550123", Email: "Ann@example.com"}, crm.Found{Candidates: []uuid.UUID{phone, email}}},
			"identity before phone":      {crm.Lookup{ChannelID: channel, ExternalID: "4'2", Phone: "+12025550123"}, crm.Found{Linked: known}},
			"identity of other channel":  {crm.Lookup{ChannelID: uuid.New(), ExternalID: "4'2"}, crm.Found{}},
			"digits of an e-mail":        {crm.Lookup{Phone: "777"}, crm.Found{}},
			"a number no longer used":    {crm.Lookup{Phone: "+4422"}, crm.Found{}},
			"nothing known":              {crm.Lookup{}, crm.Found{}},
		}
		for name, test := range tests {
			found, err := b.adapter.FindContact(b.ctx, b.conn, test.lookup)
			require.NoError(t, err, name)
			assert.Equal(t, test.want.Linked, found.Linked, name)
			assert.ElementsMatch(t, test.want.Candidates, found.Candidates, name)
		}
	})
}

// One session per connection: fifty calls at once, and fifty 401s at once.
func TestOneSession(t *testing.T) {
	for _, auth := range []crm.Auth{crm.Login, crm.OAuth} {
		b := setup(t, auth, creatiotest.Options{Framework: true})
		together := func() {
			var calls sync.WaitGroup
			for range 50 {
				calls.Go(func() {
					_, err := b.adapter.FindContact(b.ctx, b.conn, crm.Lookup{Email: "a@example.com"})
					assert.NoError(t, err)
				})
			}
			calls.Wait()
		}
		together()
		assert.Equal(t, 1, b.site.Logins())
		b.site.EndSessions()
		together()
		assert.Equal(t, 2, b.site.Logins())
		c := b.conn
		c.Prefix = "/0"
		_, err := b.adapter.Users(b.ctx, c)
		require.NoError(t, err)
		assert.Equal(t, 2, b.site.Logins(), "a prefix found out is no other connection")
	}
}

func TestOAuthTokenIsRenewedBeforeItEnds(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := setup(t, crm.OAuth, creatiotest.Options{Now: clock})
	_, err := b.adapter.Users(b.ctx, b.conn)
	require.NoError(t, err)
	mu.Lock()
	now = now.Add(55 * time.Minute)
	mu.Unlock()
	b.site.ForgetCalls()
	_, err = b.adapter.Users(b.ctx, b.conn)
	require.NoError(t, err)
	assert.Equal(t, 2, b.site.Logins())
	for _, call := range b.site.Calls() {
		assert.Equal(t, 200, call.Status, "never met a 401")
	}
}

// wire §2.2: neither cookies nor BPMCSRF beside a token; every call of a way of
// authorization goes that way.
func TestEveryCallGoesItsWay(t *testing.T) {
	everyWay(t, "S0.12 S0.13 one way of authorization", func(t *testing.T, b *bench) {
		b.mustPush(newPush(2))
		way := map[crm.Auth]string{crm.Login: "cookie", crm.OAuth: "oauth", crm.APIKey: "api-key"}[b.conn.Auth]
		for _, call := range b.site.Calls() {
			if len(call.Ops) > 0 {
				assert.Equal(t, way, call.Auth)
				assert.Less(t, call.Status, 300)
			}
		}
		if b.conn.Auth == crm.Login {
			calls := b.site.Calls()
			assert.Equal(t, "Supervisor", calls[len(calls)-1].User, "S0.13")
		}
	})
}

func TestSlowSiteEndsWithTheDeadline(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	p := newPush(1)
	gate := b.site.Hold(creatiotest.OData)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error)
	go func() { _, err := b.adapter.Push(ctx, b.conn, p); done <- err }()
	<-gate.Arrived()
	cancel()
	requireCause(t, crm.Unavailable, <-done)
	gate.Open()
	b.mustPush(p)
}

// A 401 that is not the sign-in's own refusal may pass by itself: it must not
// stop the environment until an administrator acts. An API key has no sign-in,
// so that there it is the refusal.
func TestA401AfterASignInIsProbed(t *testing.T) {
	everyWay(t, "M.4 every call 401", func(t *testing.T, b *bench) {
		b.mustPush(newPush(1))
		b.site.Fail(-1, http.StatusUnauthorized, creatiotest.OData)
		_, err := b.push(newPush(1))
		if b.conn.Auth == crm.APIKey {
			requireCause(t, crm.Refused, err)
			return
		}
		requireCause(t, crm.Unavailable, err)
		b.site.Up()
		b.mustPush(newPush(1))
	})
	b := setup(t, crm.Login, creatiotest.Options{})
	b.site.Fail(1, http.StatusUnauthorized, func(r creatiotest.Request) bool { return strings.HasSuffix(r.Path, "/Login") })
	_, err := b.adapter.Check(b.ctx, b.conn)
	requireCause(t, crm.Unavailable, err)
	_, err = b.adapter.Check(b.ctx, b.conn)
	require.NoError(t, err)
}
