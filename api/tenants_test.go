package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
)

// Whatever exists in one environment is 404 to every other one, whichever operation names it and whoever calls: it is refused as
// what exists nowhere is.
func TestS0_35_ForeignIDsInPathsAreNotFound(t *testing.T) {
	w := newTenants(t)
	before, nobody := w.snapshot(w.theirs), w.theirs.nobody()
	var walked []string
	w.each(func(method, path string, op *openapi3.Operation) {
		if !strings.Contains(path, "id}") {
			return
		}
		walked = append(walked, op.OperationID)
		own := strings.Replace(path, "{message_id}", w.theirs.ids["media"].String(), 1)
		if own != path { // their message in our chat
			w.call(method, w.ours.pathOf(own), w.ours.callers["administrator"], nil).problem(404)
		}
		for role, bearer := range w.ours.callers {
			foreign := w.keeps(w.call(method, w.theirs.pathOf(path), bearer, w.bodyOf(w.ours, op)))
			missing := w.call(method, nobody.pathOf(path), bearer, w.bodyOf(w.ours, op))
			require.Contains(t, refusals(role, op), foreign.Status, "%s as %s: %s", foreign.what, role, foreign.Body)
			require.Equal(t, *missing.problem(foreign.Status).Detail, *foreign.problem(foreign.Status).Detail, foreign.what)
		}
		if method == http.MethodGet {
			w.call(method, w.ours.pathOf(path), w.ours.callers["administrator"], nil).status(200)
		}
	})
	require.Subset(t, walked, []string{"uploadFile", "getMedia", "retryMedia", "resendMessage", "createLoginChannels", "discardFailure"})
	require.Equal(t, before, w.snapshot(w.theirs))
}

// refusals are the statuses a call with a foreign id may have: 404, unless its caller is refused whatever the id is.
func refusals(role string, op *openapi3.Operation) []int {
	switch {
	case op.OperationID == "acceptChat" && (role == "key" || role == "chat_administrator"): // no agents
		return []int{http.StatusConflict}
	case role == "key", role == "administrator":
		return []int{http.StatusNotFound}
	default: // may lack the right
		return []int{http.StatusForbidden, http.StatusNotFound}
	}
}

// An id in a body must be of the caller's environment: it is not found, or the fault of its field.
func TestS0_35_ForeignIDsInBodiesAreNotFound(t *testing.T) {
	w := newTenants(t)
	before := w.snapshot(w.theirs)
	var checked []string
	w.each(func(method, path string, op *openapi3.Operation) {
		schema := jsonSchema(op.RequestBody)
		if schema == nil {
			return
		}
		for name, property := range schema.Properties {
			foreign, ok := w.theirs.idValue(name, property)
			if !ok {
				continue
			}
			checked = append(checked, op.OperationID+"."+name)
			body := w.bodyOf(w.ours, op)
			if op.OperationID == "transferChat" { // takes one only
				clear(body)
			}
			body[name] = foreign
			bearer := w.ours.Key
			if op.OperationID == "startChat" { // an agent's
				bearer = w.ours.callers["agent"]
			}
			a := w.keeps(w.call(method, w.ours.pathOf(path), bearer, body))
			switch {
			case op.OperationID == "redriveFailures": // a filter
				a.status(http.StatusAccepted)
				require.JSONEq(t, `{"count": 0}`, string(a.Body))
			case a.Status == http.StatusUnprocessableEntity:
				assert.Contains(t, a.faults(), name, a.what)
			case op.OperationID == "startChat" && name == "contact_id": // a stranger and nobody are refused alike
				body[name] = uuid.New()
				nobody := w.call(method, path, bearer, body).problem(409)
				require.Equal(t, *nobody.Detail, *a.problem(409).Detail)
			default:
				assert.Equal(t, 404, a.Status, "%s %s: %s", a.what, name, a.Body)
			}
		}
	})
	require.Subset(t, checked, []string{"createChannel.queue_id", "patchAgent.channel_ids", "transferChat.group_id", "sendMessage.reply_to", "createSession.agent_id"})
	require.Equal(t, before, w.snapshot(w.theirs))
}

// A foreign id as a filter finds nothing; a foreign cursor shows nothing of where it came from.
func TestS0_35_ForeignFiltersAndCursorsShowNothing(t *testing.T) {
	w := newTenants(t)
	filters, cursors := 0, 0
	w.each(func(method, path string, op *openapi3.Operation) {
		for _, p := range op.Parameters {
			switch {
			case p.Value.In != openapi3.ParameterInQuery:
			case p.Value.Schema.Value.Format == "uuid":
				filters++
				a := w.call(method, path+query(p.Value.Name, w.theirs.id(p.Value.Name).String()), w.ours.Key, nil).status(200)
				require.JSONEq(t, `{"items": [], "next_cursor": null}`, string(a.Body), a.what)
				a = w.call(method, path+query(p.Value.Name, w.ours.id(p.Value.Name).String()), w.ours.Key, nil).status(200)
				require.NotContains(t, string(a.Body), `"items":[]`, a.what)
			case p.Value.Name == "cursor":
				var page struct {
					NextCursor *string `json:"next_cursor"`
				}
				w.call(method, w.theirs.pathOf(path)+query("limit", "1"), w.theirs.Key, nil).status(200).into(&page)
				if page.NextCursor == nil {
					continue
				}
				cursors++
				w.keeps(w.call(method, w.ours.pathOf(path)+query("cursor", *page.NextCursor), w.ours.Key, nil).status(200))
			}
		}
	})
	require.GreaterOrEqual(t, filters, 9)
	require.GreaterOrEqual(t, cursors, 7)
}

// The same Idempotency-Key in two environments is two keys: neither is the other's replay.
func TestS0_35_IdempotencyKeysAreTheEnvironments(t *testing.T) {
	w := newTenants(t)
	send := func(n *tenant) (m gen.Message) {
		w.call("POST", n.pathOf("/chats/{id}/messages"), n.callers["agent"], map[string]any{"text": n.mark + " answer"}, "Idempotency-Key", "same").status(201).into(&m)
		return m
	}
	ours, theirs := send(w.ours), send(w.theirs)
	require.NotEqual(t, ours.ID, theirs.ID)
	require.Equal(t, []string{"Our answer", "Their answer"}, []string{ours.Text, theirs.Text})
	require.Equal(t, ours.ID, send(w.ours).ID, "in one it is a replay")
}

func TestS0_35_ForeignMediaAndHooksOpenNothing(t *testing.T) {
	w := newTenants(t)
	for role, bearer := range w.ours.callers {
		w.keeps(w.call("GET", fmt.Sprintf("/media/%s/0", w.theirs.ids["media"]), bearer, nil)).problem(404)
		w.keeps(w.call("GET", fmt.Sprintf("/media/%s/0?token=%s", w.theirs.ids["media"], bearer), "", nil)).problem(404)
		// A bearer is no messenger's proof.
		w.raw("POST", "/hooks/custom/"+w.theirs.ids["channels"].String(), bearer, "{}").problem(401)
		require.NotEmpty(t, role)
	}
}

// Every statement of a call on a table of tenants names the caller's environment. Each operation finds a tenant of its own, so that
// it does what it is for.
func TestS0_35_EveryStatementNamesItsEnvironment(t *testing.T) {
	w := newTenants(t)
	scope := newScope(t)
	w.each(func(method, path string, op *openapi3.Operation) {
		if op.OperationID == "requestToken" { // makes an environment
			return
		}
		n := w.tenant("Our " + op.OperationID)
		body, done := w.ready(n, op), op.OperationID == "changeThread" // no other app holds a conversation here
		for _, role := range []string{"agent", "chat_administrator", "administrator", "key"} {
			w.seen()
			a := w.call(method, n.pathOf(path), n.callers[role], body, "Idempotency-Key", uuid.NewString())
			scope.check(n.Env, op.OperationID, w.seen())
			done = done || a.Status < 300
			if !done {
				t.Log(op.OperationID, role, a.Status, string(a.Body))
			}
		}
		assert.True(t, done, "%s is refused to everybody", op.OperationID)
	})
	w.seen()
	w.raw("OPTIONS", base+"/chats", "", nil, "Origin", "https://crm.example.com", "Access-Control-Request-Method", "GET")
	scope.check(w.ours.Env, "preflight", w.seen())
	w.raw("POST", "/hooks/custom/"+w.ours.ids["channels"].String(), "", "{}", "X-Confirmation-Code", "wrong").problem(401)
	scope.check(w.ours.Env, "hook", w.seen())
	w.listens(w.ours.callers["agent"])
	scope.check(w.ours.Env, "streamEvents", w.seen())
	scope.report()
	scope.Saw(130)
}
