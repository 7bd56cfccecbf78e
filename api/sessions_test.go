package api

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
)

func TestCreateSession(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	env := h.environment(key)
	agent := h.agent(env, "user-1")
	foreign := h.agent(h.environment(h.secretKey()), "user-2")

	t.Run("an agent by his CRM user", func(t *testing.T) {
		var s gen.Session
		h.call("POST", "/sessions", key, map[string]any{"role": "agent", "crm_user_id": "user-1", "ttl_minutes": 5}).status(201).into(&s)
		require.Equal(t, agent, *s.AgentID)
		require.Equal(t, gen.RoleAgent, s.Role)
		require.NotEmpty(t, s.Token)
	})
	for name, tc := range map[string]struct {
		body  any
		field string
	}{
		"nobody named":         {map[string]any{"role": "agent"}, "crm_user_id"},
		"unknown user":         {map[string]any{"role": "agent", "crm_user_id": "nobody"}, "crm_user_id"},
		"foreign agent":        {map[string]any{"role": "agent", "agent_id": foreign}, "agent_id"},
		"foreign user":         {map[string]any{"role": "agent", "crm_user_id": "user-2"}, "crm_user_id"},
		"unknown role":         {map[string]any{"role": "owner"}, "role"},
		"no role":              {map[string]any{}, "role"},
		"endless":              {map[string]any{"role": "administrator", "ttl_minutes": 100000}, "ttl_minutes"},
		"no id":                {map[string]any{"role": "agent", "agent_id": "me"}, "agent_id"},
		"an unknown property":  {map[string]any{"role": "administrator", "rights": "all"}, "rights"},
		"a property's cousin":  {map[string]any{"Role": "administrator", "role": "administrator"}, "Role"},
		"a type of its own":    {map[string]any{"role": 7}, "role"},
		"minutes in a text":    {map[string]any{"role": "administrator", "ttl_minutes": "5"}, "ttl_minutes"},
		"a fraction of minute": {map[string]any{"role": "administrator", "ttl_minutes": 1.5}, "ttl_minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, []string{tc.field}, h.call("POST", "/sessions", key, tc.body).faults())
		})
	}
	t.Run("a browser cannot make more sessions", func(t *testing.T) {
		token := h.session(key, chat.Administrator, uuid.Nil)
		h.call("POST", "/sessions", token, map[string]any{"role": "agent", "crm_user_id": "user-1"}).problem(403)
	})
	t.Run("a key has no session to end", func(t *testing.T) {
		h.call("DELETE", "/sessions/current", key, nil).problem(409)
	})
}
