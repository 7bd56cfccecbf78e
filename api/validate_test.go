package api

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
)

func TestBodiesThatCannotBeRead(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	deep := strings.Repeat(`{"role":`, 40) + "1" + strings.Repeat("}", 40)
	for name, body := range map[string]string{
		"malformed":             `{"role": "administrator"`,
		"not JSON":              `role=administrator`,
		"two values":            `{"role":"administrator"}{"role":"administrator"}`,
		"broken UTF-8":          "{\"role\":\"administrator\",\"crm_user_id\":\"\xff\xfe\"}",
		"deeply nested":         deep,
		"deep beyond recursion": strings.Repeat("[", 500_000),
		"empty":                 " ",
		"a huge number":         `{"role":"administrator","ttl_minutes":1e999}`,
		"NUL between tokens":    "{\"role\":\x00\"administrator\"}",
	} {
		t.Run(name, func(t *testing.T) {
			a := h.call("POST", "/sessions", key, body)
			require.Equal(t, "urn:waggle:problem:unreadable-body", a.problem(400).Type)
		})
	}
	t.Run("a brace in a text is no depth", func(t *testing.T) {
		body := `{"role":"administrator","crm_user_id":"` + strings.Repeat(`[{\"`, 30) + `"}`
		h.call("POST", "/sessions", key, body).status(201)
	})
}

func TestValuesNoDatabaseTakes(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	for name, tc := range map[string]struct{ body, field string }{
		"NUL in a text":        {`{"role":"administrator","crm_user_id":"a\u0000b"}`, "crm_user_id"},
		"NUL in a name":        {`{"role":"administrator","cr\u0000m":"a"}`, "crm"},
		"more than a number":   {`{"role":"administrator","ttl_minutes":9007199254740993000}`, "ttl_minutes"},
		"a list for an object": {`["role"]`, "body"},
		"null":                 {`null`, "body"},
		"a text":               {`"role"`, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, []string{tc.field}, h.call("POST", "/sessions", key, tc.body).faults())
		})
	}
	t.Run("a whole number may be written with a point", func(t *testing.T) {
		h.call("POST", "/sessions", key, `{"role":"administrator","ttl_minutes":5.0}`).status(201)
	})
}

func TestReasonsAreSentencesWithoutTheValue(t *testing.T) {
	h := newAPI(t)
	p := h.call("POST", "/sessions", h.secretKey(), `{"role":"secret-value","ttl_minutes":0,"crm_user_id":""}`).problem(422)
	reasons := map[string]string{}
	for _, e := range p.Errors {
		reasons[e.Field] = e.Reason
	}
	require.Equal(t, map[string]string{
		"role": "must be one of administrator, chat_administrator, agent", "ttl_minutes": "must be at least 1", "crm_user_id": "must not be empty",
	}, reasons)
}

func TestBodiesOfOtherTypes(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	body := `{"role":"administrator"}`
	h.call("POST", "/sessions", key, body, "Content-Type", "application/x-www-form-urlencoded").status(201)
	h.call("POST", "/sessions", key, body, "Content-Type", "application/json; charset=utf-8").status(201)
	h.call("POST", "/sessions", key, "role=administrator", "Content-Type", "application/x-www-form-urlencoded").problem(415)
	h.call("POST", "/sessions", key, body, "Content-Type", "text/plain").problem(415)
	h.call("POST", "/sessions", key, body, "Content-Encoding", "gzip").problem(415)
}

func TestPathsAndQueries(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	admin := h.session(key, chat.Administrator, uuid.Nil)
	h.call("GET", "/nothing-here", key, nil).problem(404)
	h.call("PUT", "/sessions", key, nil).problem(405)
	h.call("GET", "/processes/not-an-id", key, nil).problem(404)
	h.call("GET", "/processes/{"+uuid.NewString()+"}", key, nil).problem(404)
	require.Equal(t, []string{"limit"}, h.call("GET", "/chats?limit=0", admin, nil).faults())
	require.Equal(t, []string{"limit"}, h.call("GET", "/chats?limit=many", admin, nil).faults())
	require.Equal(t, []string{"agent_id", "limit", "status"}, h.call("GET", "/chats?agent_id=me&limit=-1&status=lost", admin, nil).sortedFaults())
	require.NotContains(t, []int{400, 422}, h.call("GET", "/chats?waiting&mine=", admin, nil).Status)
	for _, idempotency := range []string{"", strings.Repeat("k", 256)} {
		require.Equal(t, []string{"Idempotency-Key"}, h.call("POST", "/wizard/finish", key, nil, "Idempotency-Key", idempotency).faults())
	}
}
