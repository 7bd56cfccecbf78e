package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/jobs"
)

// Whoever sends to a slow stream empties it, so that what was counted a moment ago may be gone.
func TestTakingWaitingEventsWaitsForNone(t *testing.T) {
	waiting := make(chan *jobs.Event, 3)
	require.Empty(t, taken(waiting))
	waiting <- &jobs.Event{Type: "chat"}
	waiting <- &jobs.Event{Type: "message"}
	require.Equal(t, []*jobs.Event{{Type: "chat"}, {Type: "message"}}, taken(waiting))
	close(waiting)
	require.Empty(t, taken(waiting))
}
