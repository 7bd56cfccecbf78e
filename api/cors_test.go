package api

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
)

func TestM_5_PagesOfTheCRMMayCall(t *testing.T) {
	h := newAPI(t)
	key, foreign := h.secretKey(), h.secretKey()
	key, _ = h.bind(key, "https://crm.example.com"), h.bind(foreign, "https://other.example.com")
	token := h.session(key, chat.Administrator, uuid.Nil)

	preflight := func(origin string) *answer {
		return h.call("OPTIONS", "/configuration", "", nil, "Origin", origin,
			"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,content-type")
	}
	t.Run("pre-flight of the CRM", func(t *testing.T) {
		a := preflight("https://crm.example.com").status(204)
		require.Equal(t, "https://crm.example.com", a.Header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, a.Header.Get("Access-Control-Allow-Methods"), "PATCH")
		require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "Authorization")
		require.Contains(t, a.Header.Get("Vary"), "Origin")
		require.Empty(t, a.Header.Get("Access-Control-Allow-Credentials"))
	})
	t.Run("pre-flight of anybody else", func(t *testing.T) {
		for _, origin := range []string{"https://evil.example", "null", "http://crm.example.com", "https://crm.example.com.evil.example"} {
			a := preflight(origin)
			a.problem(403)
			require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), origin)
		}
	})
	t.Run("call", func(t *testing.T) {
		a := h.call("DELETE", "/sessions/current", key, nil, "Origin", "https://crm.example.com")
		a.problem(409)
		require.Equal(t, "https://crm.example.com", a.Header.Get("Access-Control-Allow-Origin"))
	})
	t.Run("call from another environment's CRM", func(t *testing.T) {
		a := h.call("DELETE", "/sessions/current", token, nil, "Origin", "https://other.example.com")
		a.problem(403)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"))
		h.call("GET", "/wizard", token, nil, "Origin", "https://evil.example").problem(403)
	})
	t.Run("a page of the CRM learns that its token is wrong", func(t *testing.T) {
		a := h.call("GET", "/chats", "wst_wrong", nil, "Origin", "https://crm.example.com")
		a.problem(401)
		require.Equal(t, "https://crm.example.com", a.Header.Get("Access-Control-Allow-Origin"))
	})
}
