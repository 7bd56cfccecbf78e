package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/custom/customtest"
	"waggle/crm/creatio/creatiotest"
)

func TestM_1_TheWizardFollowingTheDocs(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		docs := p.request("GET", "/docs", nil)
		require.Equal(t, http.StatusOK, docs.status)
		for _, call := range []string{"/token-requests", "/wizard/credentials", "/wizard/waiting-periods", "/wizard/finish", "/configuration/synchronize"} {
			require.Contains(t, docs.text, call, "S0.1")
		}
		var contract struct {
			Components struct {
				Schemas map[string]struct {
					Properties map[string]struct {
						Title      string `json:"title"`
						Deprecated bool   `json:"deprecated"`
					} `json:"properties"`
				} `json:"schemas"`
			} `json:"components"`
		}
		require.NoError(t, json.Unmarshal([]byte(p.request("GET", "/docs/openapi.json", nil).text), &contract))
		for schema, captions := range map[string]map[string]string{
			"TokenRequest":           {"company_name": "Company name", "phone_number": "Phone number", "email": "Email"},
			"WizardCredentialsInput": {"secret_key": "Secret key", "api_key": "API Key", "login": "Login", "password": "Password"},
			"ConfigurationPatch": {
				"login": "Login", "password": "Password",
				"close_chats_without_messages":        "Close chats without messages",
				"close_chats_minutes":                 "Time for closing chat after last message (minutes)",
				"transfer_chats_without_agent_answer": "Transfer chats without agent answer",
				"change_agent_minutes":                "Time for changing agent (minutes)",
			},
		} {
			for property, caption := range captions {
				require.Equal(t, caption, contract.Components.Schemas[schema].Properties[property].Title, "S0.55 %s.%s", schema, property)
			}
		}
		require.True(t, contract.Components.Schemas["WizardCredentialsInput"].Properties["login"].Deprecated, "S0.17")

		// By curl alone: the key by a request, then the three steps.
		call := func(method, path, key, in string) answer {
			return p.request(method, "/api/v1"+path, []string{"Authorization", "Bearer " + key, "Content-Type", "application/json"}, in)
		}
		asked := p.request("POST", "/api/v1/token-requests", []string{"Content-Type", "application/json"},
			`{"company_name":"Acme GmbH","phone_number":"+49 30 1234567","email":"ann@acme.example"}`)
		require.Equal(t, http.StatusCreated, asked.status, asked.text)
		var grant gen.TokenGrant
		require.NoError(t, json.Unmarshal([]byte(asked.text), &grant))
		var w gen.Wizard
		step := call("PUT", "/wizard/credentials", grant.SecretKey, `{"crm_url":"`+p.crm.URL()+`/0","generate_api_key":true}`)
		require.Equal(t, http.StatusOK, step.status, step.text)
		require.NoError(t, json.Unmarshal([]byte(step.text), &w))
		key := *w.Credentials.GeneratedAPIKey
		step = call("PUT", "/wizard/waiting-periods", key, `{"client":{"enabled":true,"minutes":10},"agent":{"enabled":true,"minutes":3}}`)
		require.Equal(t, http.StatusOK, step.status, step.text)
		step = call("POST", "/wizard/finish", key, "")
		require.Equal(t, http.StatusOK, step.status, step.text)
		require.Contains(t, step.text, "Done! Beesender is set up. You can proceed to adding channels and agents.", "S0.34")
	})
}

func TestM_5_PagesOfTheCRMCall(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Ann")
		page := p.session(body{"role": "administrator"})
		preflight := func(origin string) answer {
			return p.request("OPTIONS", "/api/v1/configuration", []string{"Origin", origin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,content-type"})
		}
		call := func(origin string) answer {
			return p.request("GET", "/api/v1/configuration", []string{"Origin", origin, "Authorization", "Bearer " + page.Token})
		}
		asked := preflight(p.crm.URL())
		require.Equal(t, http.StatusNoContent, asked.status)
		require.Equal(t, p.crm.URL(), asked.header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, asked.header.Get("Access-Control-Allow-Methods"), "PATCH")
		require.Contains(t, strings.ToLower(asked.header.Get("Access-Control-Allow-Headers")), "authorization")
		answered := call(p.crm.URL())
		require.Equal(t, http.StatusOK, answered.status)
		require.Equal(t, p.crm.URL(), answered.header.Get("Access-Control-Allow-Origin"))
		require.NotContains(t, answered.text, p.api.Token, "the page holds no API key")
		require.NotEqual(t, p.api.Token, page.Token)
		for _, origin := range []string{"https://evil.example", "null", p.crm.URL() + ".evil.example"} {
			require.Equal(t, http.StatusForbidden, preflight(origin).status, origin)
			require.Empty(t, preflight(origin).header.Get("Access-Control-Allow-Origin"), origin)
			require.Equal(t, http.StatusForbidden, call(origin).status, origin)
		}
	})
}

func TestM_6_AgentsWorkThroughSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Ann")
		chat := p.writes("Carl", "Hello?")
		p.given(chat.ID, "Ann")
		p.crmRow(chat.ID, "it is Ann's", func(r creatiotest.Row) bool { return r["OperatorId"] == p.agents["Ann"].crm.ID })
		ann, path := p.as("Ann"), "/chats/"+chat.ID.String()
		p.does(ann, "POST", path+"/accept", nil, nil)
		p.crmRow(chat.ID, "it is in progress", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusInProgress })
		p.replies("Ann", chat.ID, "Good day!")
		inbox := p.messenger.Customer(customtest.Profile{ID: "Carl"}).Inbox()
		require.Len(t, inbox, 1)
		require.Equal(t, "Good day!", inbox[0].Text)
		p.does(ann, "POST", path+"/close", body{}, nil)
		p.crmRow(chat.ID, "it is completed", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusCompleted })
		p.until("both messages are there, once, in order", func() bool { return len(p.crm.Messages(chat.ID.String())) == 2 })
		rows := p.crm.Messages(chat.ID.String())
		require.Equal(t, []any{"Hello?", "Good day!"}, []any{rows[0]["Message"], rows[1]["Message"]})
		require.Empty(t, p.messenger.Wrong())
	})
}
