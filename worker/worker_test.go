package worker

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/jobs"
	"waggle/proof/proxy"
)

// eachRedis runs f on an in-process Redis and, where TEST_REDIS_URL is set, on a real one, emptied first.
func eachRedis(t *testing.T, f func(t *testing.T, r *redis.Client)) {
	t.Run("embedded", func(t *testing.T) {
		m := miniredis.RunT(t)
		r := redis.NewClient(&redis.Options{Addr: m.Addr()})
		t.Cleanup(func() { _ = r.Close() })
		f(t, r)
	})
	if url := os.Getenv("TEST_REDIS_URL"); url != "" {
		t.Run("redis", func(t *testing.T) {
			o, err := redis.ParseURL(url)
			require.NoError(t, err)
			o.DB = 9 // this package's own
			r := redis.NewClient(o)
			t.Cleanup(func() { _ = r.Close() })
			require.NoError(t, r.FlushDB(context.Background()).Err())
			f(t, r)
		})
	}
}

func newHints(t *testing.T, r *redis.Client) *Hints {
	t.Helper()
	h := NewHints(r, slog.New(slog.DiscardHandler))
	t.Cleanup(h.Close)
	return h
}

func next(t *testing.T, events <-chan *jobs.Event) *jobs.Event {
	t.Helper()
	select {
	case e, ok := <-events:
		require.True(t, ok, "the stream has ended")
		return e
	case <-time.After(10 * time.Second):
		require.Fail(t, "no event came")
		return nil
	}
}

// listening waits until a process's subscription stands, so that the next event cannot be missed.
func listening(t *testing.T, r *redis.Client, processes int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		n, err := r.PubSubNumPat(context.Background()).Result()
		return err == nil && n >= processes
	}, time.Minute, 5*time.Millisecond)
}

func TestEventsReachTheEnvironmentsBrowsersInEveryProcess(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *redis.Client) {
		here, there := newHints(t, r), newHints(t, r)
		listening(t, r, 1)
		env, foreign := uuid.New(), uuid.New()
		ctx, cancel := context.WithCancel(context.Background())
		mine, other := there.Subscribe(ctx, env), there.Subscribe(ctx, foreign)
		want := jobs.Event{Type: "message", Environment: env, ID: uuid.New(), ChatID: uuid.New(), AgentID: uuid.New(), QueueID: uuid.New()}
		require.Eventually(t, func() bool {
			here.Publish(want)
			select {
			case got := <-mine:
				require.Equal(t, &want, got)
				return true
			default:
				return false
			}
		}, time.Minute, 10*time.Millisecond)
		require.Empty(t, other, "another environment hears nothing")
		cancel()
		for range mine {
		}
	})
}

// pinging is a connection that tells of each ping to Redis.
type pinging struct {
	net.Conn
	pings chan<- struct{}
}

func (c pinging) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte("ping")) {
		select {
		case c.pings <- struct{}{}:
		default:
		}
	}
	return n, err
}

// A network that swallows everything breaks no connection: the silence itself is noticed, and what came through it or not is
// fetched again.
func TestASilentRedisMakesBrowsersResync(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *redis.Client) {
		between, err := proxy.New(r.Options().Addr)
		require.NoError(t, err)
		t.Cleanup(between.Close)
		o := *r.Options()
		o.Addr = between.Addr
		pings := make(chan struct{})
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return pinging{c, pings}, err
		}
		behind := redis.NewClient(&o)
		t.Cleanup(func() { _ = behind.Close() })
		h := newHintsBeating(behind, slog.New(slog.DiscardHandler), 50*time.Millisecond)
		t.Cleanup(h.Close)
		listening(t, r, 1)
		env := uuid.New()
		events := h.Subscribe(t.Context(), env)

		for range 4 { // of which two without an answer would be a gap
			soon(t, pings, "Redis is asked")
		}
		require.Empty(t, events, "a living Redis with nothing to tell is no gap")
		between.Freeze()
		require.Equal(t, "resync", next(t, events).Type)
		between.Thaw()
		here := newHints(t, r)
		require.Eventually(t, func() bool {
			here.Publish(jobs.Event{Type: "message", Environment: env})
			for len(events) > 0 {
				if e := next(t, events); e.Type == "message" {
					return true
				}
			}
			return false
		}, time.Minute, 10*time.Millisecond, "afterwards events come again")
	})
}

// A thousand browsers that lag behind keep no copies of what they have not taken.
func TestEveryBrowserIsSentTheSameEvent(t *testing.T) {
	var s streams
	env := uuid.New()
	one, another := s.add(t.Context(), env), s.add(t.Context(), env)
	s.send(&jobs.Event{Type: "message", Environment: env})
	require.Same(t, next(t, one), next(t, another))
}

func TestASlowBrowserIsToldToResync(t *testing.T) {
	var s streams
	env := uuid.New()
	ctx, cancel := context.WithCancel(context.Background())
	events := s.add(ctx, env)
	for range streamBuffer + 1 {
		s.send(&jobs.Event{Type: "message", Environment: env})
	}
	require.Equal(t, "resync", next(t, events).Type, "what it missed is replaced by one resync")
	require.Empty(t, events)
	s.gap()
	require.Equal(t, "resync", next(t, events).Type)
	cancel()
	_, open := <-events
	require.False(t, open)
	s.send(&jobs.Event{Type: "message", Environment: env})
}

func TestLooksNudgeTheLocalWorkerAndBecomeOneTask(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *redis.Client) {
		h := NewHints(r, slog.New(slog.DiscardHandler))
		nudged := make(chan jobs.Look, 1000)
		h.Local(func(l jobs.Look) { nudged <- l })
		l := jobs.Look{At: jobs.LookCRM, Environment: uuid.New()}
		for range 1000 {
			h.Look(l)
		}
		h.Close()
		require.Len(t, nudged, 1000)
		info, err := asynq.NewInspectorFromRedisClient(r).GetQueueInfo(queue)
		require.NoError(t, err)
		require.Positive(t, info.Pending)
		require.Less(t, info.Pending, 100, "looks at the same thing are folded together")
	})
}

func TestHintsDoNotBlockWhileRedisIsAway(t *testing.T) {
	r := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = r.Close() })
	h := newHints(t, r)
	began := time.Now()
	for range 1000 {
		h.Look(jobs.Look{At: jobs.LookOut})
		h.Publish(jobs.Event{Type: "chat", Environment: uuid.New()})
	}
	require.Less(t, time.Since(began), hintTimeout)
}

func TestCancelClearsTheTasksOfCancelledInstances_M_2(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *redis.Client) {
		c := asynq.NewClientFromRedisClient(r)
		inspector := asynq.NewInspectorFromRedisClient(r)
		require.NoError(t, Cancel(inspector, []uuid.UUID{uuid.New()}), "a Redis without the queue has nothing to clear")
		gone, stays := uuid.New(), uuid.New()
		for _, id := range []uuid.UUID{gone, stays} {
			for _, name := range []chat.ProcessName{chat.SaveAfkChats, chat.CloseOldChats} {
				_, err := c.Enqueue(processTask(name, id))
				require.NoError(t, err)
				_, err = c.Enqueue(processTask(name, id), asynq.ProcessIn(time.Hour))
				require.NoError(t, err)
			}
		}
		_, err := c.Enqueue(permanentTask())
		require.NoError(t, err)
		require.NoError(t, Cancel(inspector, []uuid.UUID{gone}))
		info, err := inspector.GetQueueInfo(queue)
		require.NoError(t, err)
		require.Equal(t, 3, info.Pending)
		require.Equal(t, 2, info.Scheduled)
		pending, err := inspector.ListPendingTasks(queue)
		require.NoError(t, err)
		for _, task := range pending {
			require.NotEqual(t, gone, processOf(task.Payload))
		}
	})
}
