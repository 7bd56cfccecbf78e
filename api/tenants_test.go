package api

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
)

// Whatever exists in one environment is 404 to every other one, whichever operation names it.
func TestS0_35_ForeignIDsAreNotFound(t *testing.T) {
	h := newAPI(t)
	key, foreign := h.secretKey(), h.secretKey()
	h.call("PATCH", "/settings", key, map[string]any{"chats_enabled": true}).status(200)
	caller := h.session(key, chat.Administrator, h.agent(h.environment(key), "user-1"))
	agent := h.agent(h.environment(foreign), "user-1")
	var queue gen.Queue
	h.call("POST", "/queues", foreign, map[string]any{"name": "Sales", "routing_rule": "to_all_agents"}).status(201).into(&queue)
	var group gen.AgentGroup
	h.call("POST", "/agent-groups", foreign, map[string]any{"name": "First line"}).status(201).into(&group)
	theirs := map[string]uuid.UUID{"/agents/": agent, "/queues/": queue.ID, "/agent-groups/": group.ID}

	for prefix, id := range theirs {
		h.call("GET", prefix+id.String(), foreign, nil).status(200)
	}
	spec, err := gen.GetSpec()
	require.NoError(t, err)
	eachOperation(spec, func(name string, op *openapi3.Operation) {
		method, path, _ := strings.Cut(name, " ")
		if op.Tags[0] == "raw" || op.Tags[0] == "hooks" || !strings.Contains(path, "{id}") {
			return
		}
		id := uuid.New()
		for prefix, existing := range theirs {
			if strings.HasPrefix(path, prefix) {
				id = existing
			}
		}
		path = strings.NewReplacer("{id}", id.String(), "{message_id}", uuid.NewString()).Replace(path)
		var body any
		if schema := jsonSchema(op.RequestBody); schema != nil {
			body = example(schema, 0)
		}
		h.call(method, path, caller, body).problem(404)
	})
	for prefix, id := range theirs {
		h.call("GET", prefix+id.String(), foreign, nil).status(200)
	}
}
