package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"waggle/jobs"
)

// pushing starts turns as a worker does, which are never swept, and ends them with the test.
func pushing(t *testing.T, patience time.Duration, push func(context.Context, uuid.UUID) (int, error)) *turns {
	t.Helper()
	p := newTurns("push", nil, push)
	p.patience = patience
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	p.start(ctx, &all, time.Hour, func(what string, err error) { t.Errorf("%s: %v", what, err) })
	t.Cleanup(func() { cancel(); all.Wait() })
	return p
}

// soon waits for a signal.
func soon(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		require.Fail(t, what)
	}
}

// However many CRMs hang, the environments of the others are pushed.
func TestHangingCRMsKeepNobodyElseWaiting_M_4(t *testing.T) {
	hang, pushed := make(chan struct{}), make(chan struct{})
	healthy := uuid.New()
	p := pushing(t, time.Millisecond, func(_ context.Context, env uuid.UUID) (int, error) {
		if env == healthy {
			close(pushed)
			return 0, nil
		}
		<-hang
		return 0, nil
	})
	t.Cleanup(func() { close(hang) })
	for range 5 * environmentsAtOnce {
		p.nudge(uuid.New())
	}
	p.nudge(healthy)
	soon(t, pushed, "the healthy environment is pushed")
}

// Environments whose backlog never ends take turns with those that have just one message.
func TestBacklogsTakeTurns_M_4(t *testing.T) {
	done := make(chan struct{})
	small := uuid.New()
	p := pushing(t, time.Hour, func(_ context.Context, env uuid.UUID) (int, error) {
		if env == small {
			close(done)
			return 0, nil
		}
		return 50, nil
	})
	for range 2 * environmentsAtOnce {
		p.nudge(uuid.New())
	}
	p.nudge(small)
	soon(t, done, "the small environment is pushed among the big ones")
}

// One environment is never pushed twice at once, and what is nudged meanwhile is not forgotten.
func TestOneEnvironmentIsPushedOnceAtATime(t *testing.T) {
	env, began, goOn, again := uuid.New(), make(chan struct{}), make(chan struct{}), make(chan struct{})
	runs := 0
	p := pushing(t, time.Millisecond, func(context.Context, uuid.UUID) (int, error) {
		if runs++; runs > 1 {
			close(again)
			return 0, nil
		}
		close(began)
		<-goOn
		return 0, nil
	})
	p.nudge(env)
	soon(t, began, "the first push")
	p.nudge(env)
	close(goOn)
	soon(t, again, "the second push")
	require.Equal(t, 2, runs)
}

// A sweep finds what nobody was told of; one that fails is told, and the next one finds it.
func TestASweepThatFailsIsFollowedByAnother(t *testing.T) {
	env, failure, worked, told := uuid.New(), errors.New("database away"), make(chan struct{}), make(chan error, 1)
	sweeps := 0
	p := newTurns("push", func(context.Context) ([]uuid.UUID, error) {
		if sweeps++; sweeps == 1 {
			return nil, failure
		}
		return []uuid.UUID{env}, nil
	}, func(_ context.Context, is uuid.UUID) (int, error) {
		if is == env {
			close(worked)
		}
		<-t.Context().Done()
		return 0, nil
	})
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	p.start(t.Context(), &all, time.Millisecond, func(_ string, err error) { told <- err })
	soon(t, worked, "the environment has its turn")
	require.Equal(t, failure, <-told)
}

// Each hint wakes what it is about.
func TestANudgeReachesWhatItIsAbout(t *testing.T) {
	r := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = r.Close() })
	w := New(&jobs.Jobs{}, r, slog.New(slog.DiscardHandler), Options{})
	env := uuid.New()
	woken := func() (names []string) {
		for _, l := range w.loops {
			if len(l.wake) > 0 {
				names = append(names, l.name)
			}
		}
		for _, turn := range []*turns{w.pushes, w.routes, w.fetches} {
			if turn.wanted[env] {
				names = append(names, turn.name)
			}
		}
		return names
	}
	var want []string
	for _, look := range []struct {
		at    jobs.LookAt
		wakes string
	}{
		{jobs.LookOut, "deliver"}, {jobs.LookSynchronize, "synchronize"}, {jobs.LookThreads, "threads"},
		{jobs.LookCRM, "push"}, {jobs.LookRoute, "route"}, {jobs.LookMedia, "fetch"},
	} {
		w.Nudge(jobs.Look{At: look.at, Environment: env})
		want = append(want, look.wakes)
		require.Equal(t, want, woken())
	}
}
