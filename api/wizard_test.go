package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
)

const testCRM = "https://yoursite.domain.com/0"

type body = map[string]any

// step1 fills in Step 1 by an API key and returns that key.
func (h *harness) step1(secretKey string) string {
	h.t.Helper()
	var w gen.Wizard
	h.call("PUT", "/wizard/credentials", secretKey, body{"crm_url": testCRM, "secret_key": secretKey, "generate_api_key": true}).status(200).into(&w)
	require.NotNil(h.t, w.Credentials.GeneratedAPIKey)
	return *w.Credentials.GeneratedAPIKey
}

// wizard is where it stands.
func (h *harness) wizard(key string) (w gen.Wizard) {
	h.t.Helper()
	h.call("GET", "/wizard", key, nil).status(200).into(&w)
	return w
}

// running counts the running instances that GET /processes shows.
func (h *harness) running(key string, name chat.ProcessName) int {
	h.t.Helper()
	var list gen.ProcessList
	h.call("GET", "/processes?status=running&process="+string(name), key, nil).status(200).into(&list)
	return len(list.Items)
}

func TestM_1_WholeWizardByAPIKey(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	key := h.secretKey()
	fresh := h.wizard(key)
	require.Equal(t, 1, fresh.Step, "S0.4")
	require.Nil(t, fresh.Credentials.CRMURL, "S0.4 nothing filled")
	require.NotNil(t, fresh.Credentials.SecretKey, "S0.8 the Secret key is filled in by itself")
	require.True(t, fresh.Authorizations[0].Recommended, "S0.16")
	require.Contains(t, fresh.Authorizations[0].Reason, "enhanced security")
	require.True(t, fresh.Authorizations[1].Deprecated, "S0.17")
	require.Empty(t, fresh.Prompts)

	apiKey := h.step1(key)
	left := h.wizard(apiKey)
	require.Equal(t, 2, left.Step, "S0.4 left at Step 2")
	require.Equal(t, "https://yoursite.domain.com/0", *left.Credentials.CRMURL, "S0.4 Step 1 kept, S3.43 with its /0")
	require.Nil(t, left.Credentials.GeneratedAPIKey, "S0.11 shown once")
	require.Equal(t, "••••••"+apiKey[len(apiKey)-4:], left.Credentials.APIKey.Masked, "S0.11")

	var periods gen.Wizard
	h.call("PUT", "/wizard/waiting-periods", apiKey, body{"client": body{"enabled": true, "minutes": 10}, "agent": body{"enabled": true, "minutes": 1}}).status(200).into(&periods)
	require.Equal(t, 3, periods.Step)
	require.Equal(t, 10, *periods.WaitingPeriods.Client.Minutes, "S0.20")
	require.Equal(t, 1, *periods.WaitingPeriods.Agent.Minutes, "S0.26 1 stays 1")

	var done gen.WizardFinish
	h.call("POST", "/wizard/finish", apiKey, nil).status(200).into(&done)
	require.Equal(t, "Done! Beesender is set up. You can proceed to adding channels and agents.", done.Message, "S0.34")
	require.Equal(t, gen.WizardLinks{Channels: "/api/v1/channels", Agents: "/api/v1/agents"}, done.Links, "S0.34")
	require.Len(t, done.Started, 2, "S0.33")
	require.NotNil(t, done.Started[0].NextRunAt)
	require.Contains(t, *done.Notice, `PATCH /api/v1/settings {"chats_enabled": true}`, "S1.10")
	require.Equal(t, 1, h.running(apiKey, chat.SaveAfkChats))
}

func TestS0_13_WholeWizardByLogin(t *testing.T) {
	adapter := &fakeCRM{}
	h := newAPI(t, withCRM(adapter))
	key := h.secretKey()
	a := h.call("PUT", "/wizard/credentials", key, body{"crm_url": "https://yoursite.domain.com", "secret_key": key, "login": "Supervisor", "password": adminPassword}).status(200)
	require.NotEmpty(t, a.Header.Get("Deprecation"), "S0.17")
	var w gen.Wizard
	a.into(&w)
	require.Contains(t, warningCodes(w.Warnings), "login_deprecated", "S0.17")
	require.Equal(t, "Supervisor", *w.Credentials.Login)
	require.Equal(t, "https://yoursite.domain.com/0", *w.Credentials.CRMURL, "S3.43 works without /0 too")
	require.Equal(t, "?", adapter.checks[0].Prefix)
	h.call("PUT", "/wizard/waiting-periods", key, body{}).status(200)
	var done gen.WizardFinish
	h.call("POST", "/wizard/finish", key, nil).status(200).into(&done)
	require.Empty(t, done.Started, "S0.19")

	var c gen.Configuration
	h.call("GET", "/configuration", key, nil).status(200).into(&c)
	require.True(t, c.CRMAccess.Ok)
	require.Nil(t, c.APIKey)
	require.Equal(t, gen.AuthorizationLogin, *c.Authorization)
}

func TestM_1_OAuthClientAccompaniesTheAPIKey(t *testing.T) {
	adapter := &fakeCRM{}
	h := newAPI(t, withCRM(adapter))
	key := h.secretKey()
	client := body{"identity_url": "https://is.example.com", "client_id": "waggle", "client_secret": clientSecret}
	var w gen.Wizard
	a := h.call("PUT", "/wizard/credentials", key, body{"crm_url": testCRM, "generate_api_key": true, "oauth": client}).status(200)
	require.NotContains(t, string(a.Body), clientSecret)
	a.into(&w)
	require.Equal(t, "waggle", *w.Credentials.OAuthClientID)
	require.Equal(t, gen.AuthorizationAPIKey, *w.Credentials.Authorization)
	h.call("PUT", "/wizard/credentials", key, body{"crm_url": testCRM}).status(200).into(&w)
	require.Equal(t, "waggle", *w.Credentials.OAuthClientID, "left out, the one stored stays")
	require.Len(t, adapter.checks, 1, "and is not checked again")
	h.call("PUT", "/wizard/credentials", key, body{"crm_url": testCRM, "login": "Supervisor", "password": adminPassword}).status(200).into(&w)
	require.Nil(t, w.Credentials.OAuthClientID, "the last accepted way wins (b34)")
	require.Nil(t, w.Credentials.APIKey)
}

func TestStep1Refusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   body
		want []string
	}{
		{"S0.5 unknown key", body{"secret_key": "wsk_unknown", "generate_api_key": true}, []string{"secret_key"}},
		{"S0.12 neither way", body{}, []string{"api_key"}},
		{"S0.12 somebody else's API key", body{"generate_api_key": false, "api_key": "wak_other"}, []string{"api_key"}},
		{"S0.13 login without password", body{"login": "Supervisor"}, []string{"password"}},
		{"S0.13 password without login", body{"password": "x"}, []string{"login"}},
		{"S0.14 not an administrator", body{"login": "Mary", "password": maryPassword}, []string{"login"}},
		{"S0.15 wrong password", body{"login": "Supervisor", "password": "wrong-s3cret"}, []string{"login", "password"}},
		{"S3.43 plain http", body{"crm_url": "http://yoursite.domain.com/0", "generate_api_key": true}, []string{"crm_url"}},
		{"S3.43 missing host", body{"crm_url": "https:///0", "generate_api_key": true}, []string{"crm_url"}},
		{"M.1 a public address without a scheme", body{"public_url": "waggle", "generate_api_key": true}, []string{"public_url"}},
		{"M.1 a wrong OAuth client", body{"generate_api_key": true, "oauth": body{"identity_url": "https://is.example.com", "client_id": "waggle", "client_secret": "wrong"}},
			[]string{"oauth.client_id", "oauth.client_secret"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newAPI(t, withCRM(&fakeCRM{}), func(s *Server) { s.Options.AllowHosts = nil })
			key := h.secretKey()
			in := body{"crm_url": testCRM}
			for k, v := range tc.in {
				in[k] = v
			}
			require.Equal(t, tc.want, h.call("PUT", "/wizard/credentials", key, in).faults())
			require.Equal(t, 1, h.wizard(key).Step, "nothing stored")
			require.Nil(t, h.wizard(key).Credentials.CRMURL, "nothing stored")
		})
	}
}

func TestS0_14_CRMDownStoresNothing(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{down: true}))
	key := h.secretKey()
	p := h.call("PUT", "/wizard/credentials", key, body{"crm_url": testCRM, "login": "Supervisor", "password": adminPassword}).problem(502)
	require.Contains(t, *p.Detail, "did not answer in time")
	require.Nil(t, h.wizard(key).Credentials.Login)
}

func TestS0_18_StepOrder(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	key := h.secretKey()
	require.Contains(t, *h.call("PUT", "/wizard/waiting-periods", key, body{}).problem(409).Detail, "Step 1")
	require.Contains(t, *h.call("POST", "/wizard/finish", key, nil).problem(409).Detail, "Step 1")
	require.Contains(t, *h.call("POST", "/configuration/synchronize", key, nil).problem(409).Detail, "Step 1")
	apiKey := h.step1(key)
	require.Contains(t, *h.call("POST", "/wizard/finish", apiKey, nil).problem(409).Detail, "Step 2")
}

func TestWaitingPeriods(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	key := h.step1(h.secretKey())
	for _, tc := range []struct {
		name   string
		in     string
		faults []string
		client string // stored: minutes and whether raised
	}{
		{"S0.20 on without minutes", `{"client":{"enabled":true}}`, []string{"client.minutes"}, ""},
		{"S0.24 on without minutes", `{"agent":{"enabled":true}}`, []string{"agent.minutes"}, ""},
		{"S0.24 both named", `{"client":{"enabled":true},"agent":{"enabled":true}}`, []string{"client.minutes", "agent.minutes"}, ""},
		{"S0.22 5 stays", `{"client":{"enabled":true,"minutes":5}}`, nil, "5 false"},
		{"S0.22 6 stays", `{"client":{"enabled":true,"minutes":6}}`, nil, "6 false"},
		{"S0.23 4 is raised", `{"client":{"enabled":true,"minutes":4}}`, nil, "5 true"},
		{"S0.23 0 is raised", `{"client":{"enabled":true,"minutes":0}}`, nil, "5 true"},
		{"S0.23 raised when off too (b25)", `{"client":{"enabled":false,"minutes":1}}`, nil, "5 true"},
		{"S0.23 negative (b25)", `{"client":{"enabled":true,"minutes":-1}}`, []string{"client.minutes"}, ""},
		{"S0.23 fraction (b25)", `{"client":{"enabled":true,"minutes":4.5}}`, []string{"client.minutes"}, ""},
		{"S0.23 text (b25)", `{"client":{"enabled":true,"minutes":"4"}}`, []string{"client.minutes"}, ""},
		{"S0.26 the agent's 0", `{"agent":{"enabled":true,"minutes":0}}`, []string{"agent.minutes"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := h.call("PUT", "/wizard/waiting-periods", key, tc.in)
			if tc.faults != nil {
				require.ElementsMatch(t, tc.faults, a.faults())
				return
			}
			var w gen.Wizard
			a.status(200).into(&w)
			raised := w.WaitingPeriods.Client.Raised != nil && *w.WaitingPeriods.Client.Raised
			require.Equal(t, tc.client, fmt.Sprint(*w.WaitingPeriods.Client.Minutes, " ", raised))
			require.Equal(t, raised, strings.Contains(fmt.Sprint(warningCodes(w.Warnings)), "raised_to_minimum"))
		})
	}
}

func TestFinishPrompts(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	var gone []uuid.UUID
	h.Server.CancelTasks = func(_ context.Context, ids []uuid.UUID) { gone = append(gone, ids...) }
	key := h.step1(h.secretKey())
	h.call("PUT", "/wizard/waiting-periods", key, body{"client": body{"enabled": true, "minutes": 5}, "agent": body{"enabled": true, "minutes": 3}}).status(200)
	require.Equal(t, []string{"revision"}, h.call("POST", "/wizard/finish", key, body{"revision": 0}).faults())
	first := h.call("POST", "/wizard/finish", key, body{"revision": 1}).status(200)
	require.Equal(t, string(first.Body), string(h.call("POST", "/wizard/finish", key, body{"revision": 1}).status(200).Body), "S0.33")

	p := h.call("POST", "/wizard/finish", key, body{"close_old": "no"}).problem(409)
	require.Len(t, p.Prompts, 1, "S0.29 a window must be answered (b29)")
	require.Equal(t, gen.PromptAnswerFieldSaveAfk, p.Prompts[0].AnswerField)
	no := body{"save_afk": "no", "close_old": "no"}
	one := h.call("POST", "/wizard/finish", key, no, "Idempotency-Key", "again").status(200)
	require.Equal(t, string(one.Body), string(h.call("POST", "/wizard/finish", key, no, "Idempotency-Key", "again").status(200).Body), "S0.33")
	h.call("POST", "/wizard/finish", key, no).status(200)
	w := h.wizard(key)
	require.Equal(t, []string{
		"Number of process running instances “BeesenderSaveAfkChats” found 3. Cancel them?",
		"Number of process running instance “BeesenderCloseOldChats” found 3. Cancel them?",
	}, []string{w.Prompts[0].Text, w.Prompts[1].Text}, "S0.27, S0.28, S0.30")
	require.Equal(t, 3, h.running(key, chat.SaveAfkChats), "S0.30")
	require.Empty(t, gone)

	var done gen.WizardFinish
	h.call("POST", "/wizard/finish", key, body{"save_afk": "yes", "close_old": "no"}).status(200).into(&done)
	require.Len(t, done.Cancelled, 3, "S0.31")
	require.Len(t, gone, 3, "M.2 what asynq holds for them is taken away")
	require.Equal(t, 1, h.running(key, chat.SaveAfkChats), "S0.32")
	require.Equal(t, 4, h.running(key, chat.CloseOldChats), "S0.32")
	var p0 gen.Process
	h.call("GET", "/processes/"+done.Cancelled[0].ID.String(), key, nil).status(200).into(&p0)
	require.Equal(t, gen.ProcessStatusCanceled, p0.Status, "S0.31")

	h.call("PUT", "/wizard/waiting-periods", key, body{}).status(200)
	require.Len(t, h.wizard(key).Prompts, 2, "S0.29 also with both off (b28)")
	h.call("POST", "/wizard/finish", key, body{"save_afk": "yes", "close_old": "yes"}).status(200)
	require.Empty(t, h.wizard(key).Prompts, "S0.29 never with 0")
}

func TestOneKeyOneEnvironment(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	key := h.secretKey()
	apiKey := h.step1(key)
	p := h.call("PUT", "/wizard/credentials", key, body{"crm_url": "https://other.domain.com", "generate_api_key": true}).problem(409)
	require.Contains(t, *p.Detail, "One secret key (token) can only be used in one environment!", "S0.35")
	require.Contains(t, *p.Detail, "support@vendor.example", "S0.36")
	second := h.secretKey()
	p = h.call("PUT", "/wizard/credentials", second, body{"crm_url": "https://other.domain.com", "secret_key": key, "generate_api_key": true}).problem(409)
	require.Contains(t, *p.Detail, "support@vendor.example", "S0.36")
	p = h.call("PUT", "/wizard/credentials", second, body{"crm_url": "https://YourSite.domain.com/", "generate_api_key": true}).problem(409)
	require.Contains(t, p.Type, "crm-address-in-use", "S0.35 one environment per address")

	h.call("GET", "/configuration", apiKey, nil).status(200)
	h.call("PUT", "/wizard/credentials", apiKey, body{"crm_url": testCRM}).status(200)
	h.call("PUT", "/wizard/credentials", apiKey, body{"crm_url": testCRM, "secret_key": second}).status(200)
	h.call("PUT", "/wizard/credentials", second, body{"crm_url": testCRM}).status(200)
	h.call("GET", "/wizard", key, nil).status(401)
}

func TestS0_15_SecretsAreShownNowhere(t *testing.T) {
	var log bytes.Buffer
	h := newAPI(t, withCRM(&fakeCRM{}), func(s *Server) {
		s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.Jobs.Log = s.Log
	})
	key := h.secretKey()
	var seen bytes.Buffer
	do := func(method, path string, in any) {
		seen.Write(h.call(method, path, key, in).Body)
	}
	do("PUT", "/wizard/credentials", body{"crm_url": testCRM, "login": "Supervisor", "password": "wrong-s3cret"})
	do("PUT", "/wizard/credentials", body{"crm_url": testCRM, "login": "Mary", "password": maryPassword})
	do("PUT", "/wizard/credentials", body{"crm_url": testCRM, "secret_key": key, "login": "Supervisor", "password": adminPassword})
	do("PATCH", "/configuration", body{"password": "l0nely-s3cret"})
	do("PATCH", "/configuration", body{"login": "Supervisor", "password": "sav3d-s3cret"})
	do("GET", "/wizard", nil)
	do("GET", "/configuration", nil)
	do("PUT", "/wizard/waiting-periods", body{})
	do("POST", "/wizard/finish", nil)
	events := fmt.Sprint(h.Hints.Events())
	for _, secret := range []string{"wrong-s3cret", maryPassword, adminPassword, "l0nely-s3cret", "sav3d-s3cret", key} {
		for where, text := range map[string]string{"answers": seen.String(), "log": log.String(), "events": events} {
			require.NotContains(t, text, secret, where)
		}
	}
}

func TestS0_56_TheConfigurationIsAnAdministrators(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	key := h.step1(h.secretKey())
	session := h.session(key, chat.ChatAdministrator, uuid.Nil)
	for _, call := range []struct{ method, path string }{
		{"GET", "/wizard"}, {"PUT", "/wizard/credentials"}, {"PUT", "/wizard/waiting-periods"}, {"POST", "/wizard/finish"},
		{"GET", "/configuration"}, {"PATCH", "/configuration"}, {"POST", "/configuration/api-key"}, {"POST", "/configuration/synchronize"},
		{"GET", "/processes"}, {"GET", "/jobs"},
	} {
		var in any
		if call.method == "PUT" || call.method == "PATCH" {
			in = body{}
			if call.path == "/wizard/credentials" {
				in = body{"crm_url": testCRM}
			}
		}
		h.call(call.method, call.path, session, in).problem(403)
	}
	h.call("PATCH", "/settings", session, body{"display": "section"}).status(200)
}

func TestExpiringKeyNamesTheContact(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	var grant gen.TokenGrant
	h.call("POST", "/token-requests", "", body{"company_name": "Acme", "phone_number": "+4930123456", "email": "it@acme.example"}).status(201).into(&grant)
	apiKey := h.step1(grant.SecretKey)
	require.NoError(t, h.Server.Store.Advance(context.Background(), 15*24*time.Hour))
	var c gen.Configuration
	h.call("GET", "/configuration", apiKey, nil).status(200).into(&c)
	require.Contains(t, warningCodes(c.Warnings), "secret_key_expired")
	require.Equal(t, "support@vendor.example", *c.SecretKey.RenewalContact, "S0.10")
	require.Equal(t, []string{"secret_key"}, h.call("PUT", "/wizard/credentials", apiKey, body{"crm_url": testCRM}).faults(), "S0.9")
}

func warningCodes(ws []gen.Warning) []string {
	codes := []string{}
	for _, w := range ws {
		codes = append(codes, w.Code)
	}
	return codes
}
