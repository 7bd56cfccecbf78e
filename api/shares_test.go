package api

import (
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
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

// An environment whose deliveries fill its share is asked to come again; the others' are stored.
func TestAFloodOfOneEnvironmentLeavesTheOthersTheirIntake_M_4(t *testing.T) {
	m := newMessengers(t)
	flooded := m.add(m.customChannel())
	env := m.environment(m.key)
	delivery := func(id string) *answer {
		return m.raw("POST", "/hooks/custom/"+flooded.ID.String(), "", `{"type":"message","id":"`+id+`","user":{"id":"ann"},"text":"hello"}`,
			"X-Confirmation-Code", url.PathEscape(confirmationCode))
	}
	for range deliveriesAtOnce - 1 {
		require.True(t, m.Server.deliveries.take(env, deliveriesAtOnce))
	}
	delivery("1").status(200)
	require.True(t, m.Server.deliveries.take(env, deliveriesAtOnce), "it was given back")
	a := delivery("2")
	require.Equal(t, "urn:waggle:problem:too-many-deliveries", a.problem(503).Type)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	m.raw("POST", "/hooks/custom/"+flooded.ID.String(), "", `{}`, "X-Confirmation-Code", "wrong").problem(401)
	require.True(t, m.Server.deliveries.take(uuid.New(), deliveriesAtOnce), "others have theirs")
	m.Server.deliveries.give(env)
	delivery("2").status(200)
	delivery("").problem(400)
	require.Equal(t, deliveriesAtOnce-1, m.Server.deliveries.held[env], "a refused one takes nothing")
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
	lines := h.listen("?token=" + token)
	require.Equal(t, "retry: 3000", next(t, lines))
	require.Equal(t, streamsAtOnce, h.Server.streams.held[env])
	h.call("DELETE", "/sessions/current", token, nil).status(204)
	for range lines { // until it has ended
	}
	require.Eventually(t, func() bool { return h.Server.streams.take(env, streamsAtOnce) }, 10*time.Second, 5*time.Millisecond, "an ended stream gives its place back")
}
