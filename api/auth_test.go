package api

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
)

func TestS0_5_WhatOpensTheAPI(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	for name, tc := range map[string]struct{ header, kind string }{
		"nothing":           {"", "no-key"},
		"no bearer":         {"Basic " + key, "no-key"},
		"empty bearer":      {"Bearer ", "no-key"},
		"unknown key":       {"Bearer wsk_unknown", "unknown-key"},
		"altered key":       {"Bearer " + key[:len(key)-1], "unknown-key"},
		"longer key":        {"Bearer " + key + "A", "unknown-key"},
		"key in other case": {"Bearer " + key[:4] + otherCase(key[4:]), "unknown-key"},
		"absurdly long":     {"Bearer " + string(make([]byte, 600)), "no-key"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if tc.header != "" {
				headers = []string{"Authorization", tc.header}
			}
			a := h.call("DELETE", "/sessions/current", "", nil, headers...)
			require.Equal(t, "urn:waggle:problem:"+tc.kind, a.problem(401).Type)
			require.Contains(t, a.Header.Get("WWW-Authenticate"), "Bearer")
			require.NotContains(t, string(a.Body), key)
		})
	}
	t.Run("the scheme's case does not matter", func(t *testing.T) {
		h.call("DELETE", "/sessions/current", "", nil, "Authorization", "bearer "+key).problem(409)
	})
}

// otherCase has small letters for capital ones and the other way round.
func otherCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func TestS0_10_ExpiredKeySaysWhomToWriteTo(t *testing.T) {
	h := newAPI(t)
	token, key, err := h.Server.Store.IssueKey(context.Background(), store.KeyOwner{}, time.Hour)
	require.NoError(t, err)
	require.NoError(t, h.Server.Store.Advance(context.Background(), time.Hour))
	p := h.call("GET", "/wizard", token, nil).problem(401)
	require.Equal(t, "urn:waggle:problem:secret-key-expired", p.Type)
	require.Contains(t, *p.Detail, "support@vendor.example")

	_, err = h.Server.Store.RevokeKey(context.Background(), key.ID)
	require.NoError(t, err)
	require.Equal(t, "urn:waggle:problem:key-revoked", h.call("GET", "/wizard", token, nil).problem(401).Type)
}

func TestS0_56_ConfigurationIsAnAdministrators(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	agent := h.session(key, chat.AgentRole, h.agent(h.environment(key), "user-1"))
	for _, call := range [][2]string{
		{"GET", "/configuration"}, {"PATCH", "/configuration"}, {"POST", "/configuration/api-key"}, {"POST", "/configuration/synchronize"},
		{"GET", "/wizard"}, {"PUT", "/wizard/credentials"}, {"PUT", "/wizard/waiting-periods"}, {"POST", "/wizard/finish"},
		{"GET", "/processes"}, {"POST", "/processes/" + uuid.NewString() + "/cancel"}, {"GET", "/configuration/"}, {"GET", "/wizard/anything"},
	} {
		h.call(call[0], call[1], agent, nil).problem(403)
	}
}

func TestSecretKeyBesideAnAPIKeyOpensTheWizardOnly(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	h.call("POST", "/sessions", key, map[string]any{"role": "administrator"}).status(201)

	apiKey := h.bind(key, "https://crm.example.com")
	require.Contains(t, *h.call("POST", "/sessions", key, map[string]any{"role": "administrator"}).problem(403).Detail, "API key")
	require.NotEqual(t, 403, h.call("GET", "/wizard", key, nil).Status)
	h.call("POST", "/sessions", apiKey, map[string]any{"role": "administrator"}).status(201)
}

func TestSessionTokens(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	t.Run("expired", func(t *testing.T) {
		token := h.session(key, chat.Administrator, uuid.Nil)
		require.NoError(t, h.Server.Store.Advance(context.Background(), time.Hour))
		require.Equal(t, "urn:waggle:problem:session-expired", h.call("GET", "/chats", token, nil).problem(401).Type)
	})
	t.Run("ended, and used again", func(t *testing.T) {
		token := h.session(key, chat.Administrator, uuid.Nil)
		h.call("DELETE", "/sessions/current", token, nil).status(204)
		require.Equal(t, "urn:waggle:problem:session-ended", h.call("DELETE", "/sessions/current", token, nil).problem(401).Type)
	})
	t.Run("a token in the query opens streams only", func(t *testing.T) {
		token := h.session(key, chat.Administrator, uuid.Nil)
		require.Equal(t, "urn:waggle:problem:no-key", h.call("GET", "/chats?token="+token, "", nil).problem(401).Type)
	})
}
