package worker

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/jobs"
)

// running starts p as a worker does and ends it with the test.
func (p *pushes) running(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	p.start(ctx, &all, time.Hour, func(what string, err error) { t.Errorf("%s: %v", what, err) })
	t.Cleanup(func() { cancel(); all.Wait() })
}

func newTestPushes(push func(context.Context, uuid.UUID) (int, error)) *pushes {
	p := newPushes(&jobs.Jobs{})
	p.push, p.patience = push, time.Millisecond
	p.route = func(context.Context, uuid.UUID) error { return nil }
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

// However many CRMs hang, the environments of the others are pushed and routed.
func TestHangingCRMsKeepNobodyElseWaiting_M_4(t *testing.T) {
	hang, pushed, routed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	healthy := uuid.New()
	p := newTestPushes(func(_ context.Context, env uuid.UUID) (int, error) {
		if env == healthy {
			close(pushed)
			return 0, nil
		}
		<-hang
		return 0, nil
	})
	p.route = func(context.Context, uuid.UUID) error { close(routed); return nil }
	p.running(t)
	t.Cleanup(func() { close(hang) })
	for range 5 * pushers {
		p.nudge(uuid.New())
	}
	p.nudge(healthy)
	p.nudgeRoute(healthy)
	soon(t, pushed, "the healthy environment is pushed")
	soon(t, routed, "the healthy environment is routed")
}

// Environments whose backlog never ends take turns with those that have just one message.
func TestBacklogsTakeTurns_M_4(t *testing.T) {
	done := make(chan struct{})
	small := uuid.New()
	p := newTestPushes(func(_ context.Context, env uuid.UUID) (int, error) {
		if env == small {
			close(done)
			return 0, nil
		}
		return 50, nil
	})
	p.patience = time.Hour
	p.running(t)
	for range 2 * pushers {
		p.nudge(uuid.New())
	}
	p.nudge(small)
	soon(t, done, "the small environment is pushed among the big ones")
}

// One environment is never pushed twice at once, and what is nudged meanwhile is not forgotten.
func TestOneEnvironmentIsPushedOnceAtATime(t *testing.T) {
	env, began, goOn, again := uuid.New(), make(chan struct{}), make(chan struct{}), make(chan struct{})
	runs := 0
	p := newTestPushes(func(context.Context, uuid.UUID) (int, error) {
		if runs++; runs > 1 {
			close(again)
			return 0, nil
		}
		close(began)
		<-goOn
		return 0, nil
	})
	p.running(t)
	p.nudge(env)
	soon(t, began, "the first push")
	p.nudge(env)
	close(goOn)
	soon(t, again, "the second push")
	require.Equal(t, 2, runs)
}
