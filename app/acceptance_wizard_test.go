package app_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/channels/custom"
	"waggle/crm/creatio/creatiotest"
)

// wizardNow is where the wizard stands.
func (p *place) wizardNow() (w gen.Wizard) { p.t.Helper(); p.get("/wizard", &w); return w }

// send makes a call whose whole answer is looked at.
func (p *place) send(method, path string, in any) answer {
	p.t.Helper()
	return p.request(method, "/api/v1"+path, []string{"Authorization", "Bearer " + p.api.Token, "Content-Type", "application/json"}, asJSON(p.t, in))
}

func TestS0_4_TheWizardGoesOnWhereItWasLeft(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		fresh := p.wizardNow()
		require.Equal(t, 1, fresh.Step)
		require.Nil(t, fresh.Credentials.CRMURL)
		require.Nil(t, fresh.Credentials.Authorization)
		require.Empty(t, fresh.Prompts)
		for _, call := range []struct {
			method, path string
			in           body
		}{{"PUT", "/wizard/waiting-periods", periods(5, 3)}, {"POST", "/wizard/finish", body{}}} {
			problem := p.refused(p.api, call.method, call.path, call.in, http.StatusConflict)
			require.Contains(t, *problem.Detail, "Step 1", "S0.18")
		}
		p.step1()
		left := p.wizardNow()
		require.Equal(t, 2, left.Step)
		require.Equal(t, p.crm.URL()+"/0", *left.Credentials.CRMURL, "Step 1 is kept")
		require.Nil(t, left.Credentials.GeneratedAPIKey, "S0.11 shown once")
		require.NotContains(t, p.send("GET", "/wizard", nil).text+p.send("GET", "/configuration", nil).text, p.api.Token, "S0.11 later masked only")
		require.Contains(t, *p.refused(p.api, "POST", "/wizard/finish", body{}, http.StatusConflict).Detail, "Step 2", "S0.18")
	})
}

func TestS0_5_TheSecretKey(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		for _, wrong := range []string{"unknown", p.secretKey + "x", p.secretKey[:len(p.secretKey)-1]} {
			in := body{"crm_url": p.crm.URL(), "secret_key": wrong, "generate_api_key": true}
			require.Equal(t, []string{"secret_key"}, p.faults(p.api, "PUT", "/wizard/credentials", in))
			p.refused(p.api.As(wrong), "GET", "/wizard", nil, http.StatusUnauthorized)
		}
		p.step1()
	})
}

func TestS0_6_TheTokenRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		anyone := p.api.As("")
		full := func() body {
			return body{"company_name": "Honey Shop", "phone_number": "+49 30 1234567", "email": "ann@honey.example"}
		}
		for _, name := range []string{"company_name", "phone_number", "email"} {
			in := full()
			delete(in, name)
			require.Equal(t, []string{name}, p.faults(anyone, "POST", "/token-requests", in), "S0.7")
		}
		in := full()
		in["email"] = "ann.honey.example"
		require.Equal(t, []string{"email"}, p.faults(anyone, "POST", "/token-requests", in), "S0.7")

		now := p.advance(0)
		grant := p.requestKey("ann@honey.example")
		require.NotEmpty(t, grant.SecretKey, "S0.6 without any key of one's own")
		require.InDelta(t, 14*24*3600, grant.ExpiresAt.Sub(now).Seconds(), 10, "S0.9")
		require.Equal(t, vendor, grant.RenewalContact, "S0.10")
		p.refused(anyone, "POST", "/token-requests", full(), http.StatusConflict)
		p.api = p.api.As(grant.SecretKey)
		filled := p.wizardNow().Credentials.SecretKey
		require.NotNil(t, filled, "S0.8 the field is filled in by itself")
		require.Contains(t, filled.Masked, grant.SecretKey[len(grant.SecretKey)-4:])
		require.True(t, filled.ExpiresAt.Equal(grant.ExpiresAt), "S0.10 the second request lengthened nothing")
		var w gen.Wizard
		p.put("/wizard/credentials", body{"crm_url": p.crm.URL(), "generate_api_key": true}, &w)
		require.NotNil(t, w.Credentials.GeneratedAPIKey, "S0.8 it was not sent again")
	})
}

func (p *place) requestKey(email string) (grant gen.TokenGrant) {
	p.t.Helper()
	p.does(p.api.As(""), "POST", "/token-requests", body{"company_name": "Honey Shop", "phone_number": "+49 30 1234567", "email": email}, &grant)
	return grant
}

func TestS0_12_TheAPIKeyWay(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		var made gen.APIKey
		p.post("/configuration/api-key", nil, &made)
		require.NotEmpty(t, made.APIKey, "S0.11 by an empty body")
		p.api = p.api.As(made.APIKey)
		p.crm.SetAPIKey(made.APIKey) // the CRM's package gets it from the administrator
		p.put("/wizard/credentials", body{"crm_url": p.crm.URL(), "secret_key": p.secretKey, "api_key": made.APIKey}, nil)
		ways := p.wizardNow().Authorizations
		require.True(t, ways[0].Authorization == gen.AuthorizationAPIKey && ways[0].Recommended, "S0.16")
		require.Contains(t, ways[0].Reason, "enhanced security", "S0.16")
		p.put("/wizard/waiting-periods", body{"client": body{"enabled": false}, "agent": body{"enabled": false}}, nil)
		p.post("/wizard/finish", body{}, nil)
		require.Empty(t, p.processes(""), "S0.19 both off: neither process runs")
		p.staff("Ann")
		chat := p.writes("Carl", "Hello?")
		p.crmRow(chat.ID, "the chat is there", func(creatiotest.Row) bool { return true })
		require.Equal(t, map[string]bool{"api-key": true}, p.authorizations(), "pushes arrive with the API key alone")
	})
}

// authorizations are the ways in which calls reached the CRM's data.
func (p *place) authorizations() map[string]bool {
	ways := map[string]bool{}
	for _, c := range p.crm.Calls() {
		if len(c.Ops) > 0 {
			way := c.Auth
			if c.User != "" {
				way += " " + c.User
			}
			ways[way] = true
		}
	}
	return ways
}

func TestS0_13_TheLoginWay(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.crm.AddUser("Mary", "Mary!1", false)
		form := func(login, password string) body {
			return body{"crm_url": p.crm.URL(), "secret_key": p.secretKey, "login": login, "password": password}
		}
		require.Equal(t, []string{"login"}, p.faults(p.api, "PUT", "/wizard/credentials", form("Mary", "Mary!1")), "S0.14 not an administrator")
		require.Equal(t, []string{"login", "password"}, p.faults(p.api, "PUT", "/wizard/credentials", form(crmAdmin, "wrong")), "S0.15")
		require.Equal(t, 1, p.wizardNow().Step, "S0.15 nothing stored")
		require.Nil(t, p.wizardNow().Credentials.Login, "S0.14 nothing stored")

		a := p.send("PUT", "/wizard/credentials", form(crmAdmin, crmPassword))
		require.Equal(t, http.StatusOK, a.status, a.text)
		require.NotEmpty(t, a.header.Get("Deprecation"), "S0.17")
		require.Contains(t, codes(p.wizardNow().Warnings), "login_deprecated", "S0.17")
		p.crm.ForgetCalls()
		p.put("/wizard/waiting-periods", periods(5, 3), nil)
		p.post("/wizard/finish", body{}, nil)
		p.staff("Ann")
		chat := p.writes("Carl", "Hello?")
		p.crmRow(chat.ID, "the chat is there", func(creatiotest.Row) bool { return true })
		require.Equal(t, map[string]bool{"cookie " + crmAdmin: true}, p.authorizations(), "pushes arrive under that login")
		for _, path := range []string{"/wizard", "/configuration", "/jobs", "/settings"} {
			require.NotContains(t, p.send("GET", path, nil).text, crmPassword, "S0.15")
		}
	})
}

func TestS0_20_TheWaitingPeriods(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.step1()
		for _, row := range []struct {
			name          string
			in            body
			client, agent string // stored; "" for none
			raised        bool
		}{
			{"S0.19 both empty", body{}, "off", "off", false},
			{"S0.20", periods(10, 0), "on 10", "off", false},
			{"S0.22 5 stays", periods(5, 0), "on 5", "off", false},
			{"S0.22 6 stays", periods(6, 0), "on 6", "off", false},
			{"S0.22 4 is never stored", periods(4, 0), "on 5", "off", true},
			{"S0.23 1 is raised", periods(1, 0), "on 5", "off", true},
			{"S0.23 0 is raised", body{"client": body{"enabled": true, "minutes": 0}}, "on 5", "off", true},
			{"S0.24", periods(0, 3), "off", "on 3", false},
			{"S0.26 the agent's 1 stays 1", periods(0, 1), "off", "on 1", false},
		} {
			p.put("/wizard/waiting-periods", row.in, nil)
			var w gen.Wizard
			p.put("/wizard/waiting-periods", row.in, &w)
			require.Equal(t, row.raised, w.WaitingPeriods.Client.Raised != nil && *w.WaitingPeriods.Client.Raised, row.name)
			now := p.wizardNow().WaitingPeriods
			require.Equal(t, row.client, periodText(now.Client), row.name)
			require.Equal(t, row.agent, periodText(now.Agent), row.name)
		}
		for _, name := range []string{"client", "agent"} {
			require.Equal(t, []string{name + ".minutes"}, p.faults(p.api, "PUT", "/wizard/waiting-periods", body{name: body{"enabled": true}}), "S0.20 S0.24")
		}
	})
}

func TestS0_29_TheWindowsOfStep3(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.step1()
		p.put("/wizard/waiting-periods", periods(5, 3), nil)
		require.Empty(t, p.wizardNow().Prompts, "S0.29 the first ever wizard: no window")
		var done, again gen.WizardFinish
		p.does(p.api.Once("first"), "POST", "/wizard/finish", body{}, &done)
		p.does(p.api.Once("first"), "POST", "/wizard/finish", body{}, &again)
		require.Equal(t, done, again, "S0.33 the same key, the same answer")
		require.Len(t, p.processes(""), 2, "S0.33 and no third instance")
		require.Equal(t, "Done! Beesender is set up. You can proceed to adding channels and agents.", done.Message, "S0.34")
		require.NotNil(t, p.wizardNow().FinishedAt, "S0.33")

		unanswered := p.refused(p.api, "POST", "/wizard/finish", body{}, http.StatusConflict)
		require.Len(t, unanswered.Prompts, 2, "b29")
		for range 2 {
			p.post("/wizard/finish", body{"save_afk": "no", "close_old": "no"}, nil)
		}
		prompts := p.wizardNow().Prompts
		require.Len(t, prompts, 2)
		require.Equal(t, "Number of process running instances “BeesenderSaveAfkChats” found 3. Cancel them?", prompts[0].Text, "S0.27 S0.30")
		require.Equal(t, "Number of process running instance “BeesenderCloseOldChats” found 3. Cancel them?", prompts[1].Text, "S0.28 S0.30")
		require.Len(t, p.processes("BeesenderSaveAfkChats"), 3, "S0.30 GET /processes shows the same")
		require.Len(t, p.processes("BeesenderCloseOldChats"), 3, "S0.30")

		var mixed gen.WizardFinish
		p.post("/wizard/finish", body{"save_afk": "yes", "close_old": "no"}, &mixed)
		require.Len(t, mixed.Cancelled, 3)
		for _, c := range mixed.Cancelled {
			require.Equal(t, gen.ProcessNameBeesenderSaveAfkChats, c.Process, "S0.32 the first's only")
			var now gen.Process
			p.get("/processes/"+c.ID.String(), &now)
			require.Equal(t, gen.ProcessStatusCanceled, now.Status, "S0.31")
		}
		require.Len(t, p.processes("BeesenderSaveAfkChats"), 1, "S0.32")
		require.Len(t, p.processes("BeesenderCloseOldChats"), 4, "S0.32")

		p.put("/wizard/waiting-periods", body{}, nil)
		p.post("/wizard/finish", body{"save_afk": "yes", "close_old": "yes"}, nil)
		require.Empty(t, p.wizardNow().Prompts, "S0.29 never with 0")
	})
}

func TestS0_34_AfterFinishChannelsAndAgentsFollow(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.step1()
		p.put("/wizard/waiting-periods", periods(5, 3), nil)
		var done gen.WizardFinish
		p.post("/wizard/finish", body{}, &done)
		ctx := t.Context()
		require.NoError(t, p.api.Call(ctx, "POST", done.Links.Agents, body{"name": "Ann"}, nil), "a POST to the link")
		require.NoError(t, p.api.Call(ctx, "POST", done.Links.Channels, body{"kind": "custom", "name": "Own messenger", "fields": body{
			custom.FieldWebhook: p.messenger.WebhookURL(), custom.FieldCode: confirmationCode, custom.FieldPublicURL: p.crm.URL(),
		}}, nil), "a POST to the link")
		var c gen.Configuration
		p.patch("/configuration", body{"close_chats_minutes": 7}, &c)
		require.Equal(t, 7, *c.CloseChatsMinutes, "S0.37")
	})
}

func TestS0_35_OneKeyOneEnvironment(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 3)
		second := client.New(p.config.PublicURL).As(p.issueKey())
		problem := p.refused(second, "PUT", "/wizard/credentials", body{"crm_url": "http://127.0.0.1:9", "secret_key": p.secretKey, "generate_api_key": true}, http.StatusConflict)
		require.Contains(t, *problem.Detail, "One secret key (token) can only be used in one environment!")
		require.Contains(t, *problem.Detail, "To get tokens for development/testing environments, contact Beesender technical support", "S0.36")
		require.Contains(t, *problem.Detail, vendor, "S0.36")
		p.get("/configuration", nil)
		p.put("/wizard/credentials", body{"crm_url": p.crm.URL(), "secret_key": p.secretKey}, nil)
		p.put("/wizard/waiting-periods", periods(5, 3), nil)
		p.post("/wizard/finish", body{"save_afk": "yes", "close_old": "yes"}, nil)
		p.staff("Ann")
		chat := p.writes("Carl", "Hello?")
		p.crmRow(chat.ID, "the first keeps working", func(creatiotest.Row) bool { return true })
		p.refused(second, "GET", "/chats/"+chat.ID.String(), nil, http.StatusNotFound)
	})
}

func TestS0_56_TheConfigurationIsAnAdministrators(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 3)
		p.staff("Ann")
		chatAdmin := p.session(body{"role": "chat_administrator"})
		require.NotEqual(t, p.as("Ann").Token, chatAdmin.Token, "S0.56, M.7 neither of the two may")
		for _, as := range []client.Client{p.as("Ann"), chatAdmin} {
			for path, in := range map[string]any{"/wizard/credentials": body{"crm_url": p.crm.URL()}, "/wizard/waiting-periods": body{}} {
				p.refused(as, "PUT", path, in, http.StatusForbidden)
			}
			for _, path := range []string{"/wizard", "/configuration", "/processes", "/processes/" + uuid.NewString()} {
				p.refused(as, "GET", path, nil, http.StatusForbidden)
			}
			p.refused(as, "POST", "/wizard/finish", body{}, http.StatusForbidden)
			p.refused(as, "PATCH", "/configuration", body{"close_chats_minutes": 9}, http.StatusForbidden)
			p.refused(as, "POST", "/configuration/api-key", nil, http.StatusForbidden)
			p.refused(as, "POST", "/configuration/synchronize", nil, http.StatusForbidden) // M.7
		}
		p.does(p.session(body{"role": "administrator"}), "POST", "/configuration/synchronize", nil, nil)
	})
}

func periodText(w gen.WaitingPeriod) string {
	text := "off"
	if w.Enabled {
		text = "on"
	}
	if w.Minutes != nil {
		text += fmt.Sprint(" ", *w.Minutes)
	}
	return text
}
