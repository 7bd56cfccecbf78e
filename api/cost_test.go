package api

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// A reply in a chat that goes on costs its call a bounded number of statements, BEGIN and COMMIT among them: their number decides
// how many chats can be busy at once.
func TestReplyCost_S2_2(t *testing.T) {
	w := newTenants(t)
	reply := func() {
		w.call("POST", w.ours.pathOf("/chats/{id}/messages"), w.ours.callers["agent"], map[string]any{"text": "hello"}, "Idempotency-Key", uuid.NewString()).status(201)
	}
	reply() // the first one accepts the chat
	w.seen()
	reply()
	statements := w.seen()
	require.LessOrEqual(t, len(statements), 11, strings.Join(statements, "\n"))
}
