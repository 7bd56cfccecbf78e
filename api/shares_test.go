package api

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/jobs"
)

func TestSharesAreKeptByEnvironment(t *testing.T) {
	var s shares
	one, two := uuid.New(), uuid.New()
	var now atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for range 100 {
				if !s.take(one, 10) {
					continue
				}
				if now.Add(1) > 10 {
					over.Store(true)
				}
				now.Add(-1)
				s.give(one)
			}
		})
	}
	all.Wait()
	require.False(t, over.Load())
	require.Empty(t, s.held, "what was given back is forgotten")
	for range 10 {
		require.True(t, s.take(one, 10))
	}
	require.False(t, s.take(one, 10))
	require.True(t, s.take(two, 10), "another environment has its own")
}

// An environment of which too much waits to be stored is asked to come again at once, by what every messenger understands.
func TestAFloodOfOneEnvironmentIsAskedToComeAgain_M_4(t *testing.T) {
	p := notTaken(fmt.Errorf("store a delivery: %w", jobs.ErrIntakeShare))
	require.Equal(t, []any{503, "urn:waggle:problem:too-many-deliveries", 1}, []any{p.Status, p.Type, p.retryAfter})
	p = notTaken(jobs.ErrIntakeBusy)
	require.Equal(t, []any{503, "urn:waggle:problem:unavailable", retryUnavailable}, []any{p.Status, p.Type, p.retryAfter})
}

func TestEventStreamsAreBoundedPerEnvironment(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	token, env := h.session(key, chat.Administrator, uuid.Nil), h.environment(key)
	for range streamsAtOnce {
		require.True(t, h.Server.streams.take(env, streamsAtOnce))
	}
	a := h.call("GET", "/events?token="+token, "", nil)
	a.problem(429)
	require.Equal(t, "60", a.Header.Get("Retry-After"))
	h.Server.streams.give(env)
	h.Server.streams.held[everybody] = streamsInAll
	h.call("GET", "/events?token="+token, "", nil).problem(429)
	require.Equal(t, streamsAtOnce-1, h.Server.streams.held[env], "a refused one takes nothing")
	h.Server.streams.held[everybody]--
	lines := h.listen("?token=" + token)
	require.Equal(t, "retry: 3000", next(t, lines))
	require.Equal(t, streamsAtOnce, h.Server.streams.held[env])
	h.call("DELETE", "/sessions/current", token, nil).status(204)
	for range lines { // until it has ended
	}
	require.Eventually(t, func() bool { return h.Server.streams.take(env, streamsAtOnce) }, time.Minute, 5*time.Millisecond, "an ended stream gives its place back")
	require.Equal(t, streamsInAll-1, h.Server.streams.held[everybody])
}
