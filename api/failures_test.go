package api

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// parkOne lets the database refuse an event: its key is longer than an index can hold. Not every database refuses it.
func parkOne(t *testing.T, h *harness, env uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	ch := &store.Channel{
		ID: uuid.Must(uuid.NewV7()), EnvironmentID: env, Kind: "custom", Name: "Own", State: chat.ChannelActive, Receive: "webhook", Fields: map[string]string{}, AccountID: "1",
	}
	_, _, err := h.Server.Store.CreateChannel(ctx, ch, store.Idem{})
	require.NoError(t, err)
	noise := make([]byte, 0, 40_000) // does not compress
	for len(noise) < cap(noise) {
		noise = append(noise, uuid.NewString()...)
	}
	out := h.Server.Store.Receive(ctx, []store.Inbound{{EnvironmentID: env, ChannelID: ch.ID, AccountID: "1", Event: channels.Event{
		Kind: channels.Message, Key: "k", MessageID: strings.ToUpper(string(noise)), Text: "hello", User: channels.User{ID: "7"},
	}}})
	require.NoError(t, out[0].Err)
	if out[0].Outcome != store.Parking {
		t.Log("this database stores it")
	}
}

func TestFailures(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	env := h.environment(key)
	parkOne(t, h, env)
	stored, _, err := h.Server.Store.Failures(context.Background(), env, store.FailureOpen, store.FailureFilter{}, store.Page{Limit: 10})
	require.NoError(t, err)

	var list gen.FailureList
	h.call("GET", "/failures", key, nil).status(200).into(&list)
	require.Len(t, list.Items, len(stored))
	require.Nil(t, list.NextCursor)
	for _, f := range list.Items {
		require.Equal(t, gen.FailureKindParked, f.Kind)
		require.NotContains(t, f.Error+f.What, "hello", "no content")
		h.call("POST", "/failures/"+f.ID.String()+"/redrive", key, nil).status(202).into(&f)
		require.Equal(t, gen.FailureStatusOpen, f.Status, "refused again")
		require.Equal(t, 2, f.Attempts)
		h.call("POST", "/failures/"+f.ID.String()+"/discard", key, nil).status(200).into(&f)
		require.Equal(t, gen.FailureStatusDiscarded, f.Status)
		other := h.secretKey()
		h.call("POST", "/failures/"+f.ID.String()+"/discard", other, nil).status(404)
	}
	h.call("GET", "/failures", key, nil).status(200).into(&list)
	require.Empty(t, list.Items)
	h.call("GET", "/failures?status=discarded", key, nil).status(200).into(&list)
	require.Len(t, list.Items, len(stored))

	var redriven gen.Redrive
	h.call("POST", "/failures/redrive", key, nil).status(202).into(&redriven)
	require.Zero(t, redriven.Count)
	h.call("POST", "/failures/redrive", key, map[string]any{"kind": "unsent"}).status(202)
	h.call("POST", "/failures/redrive", key, map[string]any{"kind": "other"}).status(422)
	h.call("POST", "/failures/"+uuid.NewString()+"/redrive", key, nil).status(404)
	h.call("GET", "/failures?cursor=x", key, nil).status(422)
	agent := h.session(key, chat.AgentRole, h.agent(env, "u1"))
	h.call("GET", "/failures", agent, nil).status(403)
}
