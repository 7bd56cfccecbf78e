package api

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
)

func TestIdemTellsRequestsApart(t *testing.T) {
	key := "k"
	ann := withCaller(context.Background(), caller{By: bySession, Role: chat.AgentRole, AgentID: uuid.New()})
	bob := withCaller(context.Background(), caller{By: bySession, Role: chat.AgentRole, AgentID: uuid.New()})
	of := func(ctx context.Context, parts ...any) store.Idem {
		i, err := idem(ctx, "sendMessage", &key, parts...)
		require.NoError(t, err)
		require.Equal(t, key, i.Key)
		return i
	}
	first, again := of(ann, "chat 1", "hello"), of(ann, "chat 1", "hello")
	require.Equal(t, first, again)
	require.NotEqual(t, of(ann, "chat 1", "hello").RequestHash, of(ann, "chat 1", "bye").RequestHash)
	require.NotEqual(t, of(ann, "chat 1", "hello").RequestHash, of(ann, "chat 2", "hello").RequestHash)
	require.NotEqual(t, of(ann, "chat 1", "hello").RequestHash, of(bob, "chat 1", "hello").RequestHash)

	none, err := idem(ann, "sendMessage", nil, "hello")
	require.NoError(t, err)
	require.Zero(t, none)
	_, err = idem(context.Background(), "sendMessage", &key)
	require.Error(t, err)
}
