package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/store"
)

func TestRateOfAJob_S0_54(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	require.Nil(t, stepsPerSecond(store.Job{Done: 3}, start), "not started")
	running := store.Job{Done: 30, StartedAt: store.At(start)}
	require.InDelta(t, 3, *stepsPerSecond(running, start.Add(10*time.Second)), 0.01)
	running.FinishedAt = store.At(start.Add(5 * time.Second))
	require.InDelta(t, 6, *stepsPerSecond(running, start.Add(time.Hour)), 0.01, "an ended job's rate stands")
	running.FinishedAt = store.At(start)
	require.NotNil(t, stepsPerSecond(running, start), "a job that took no time at all")
}
