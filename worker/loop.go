package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// loop runs a claim whenever it is nudged and at each sweep, again and again while there was something to do.
type loop struct {
	name  string
	width int // how many claims run at once
	work  func(context.Context) (int, error)
	wake  chan struct{}
}

func newLoop(name string, width int, work func(context.Context) (int, error)) *loop {
	return &loop{name: name, width: width, work: work, wake: make(chan struct{}, width)}
}

func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) start(ctx context.Context, running *sync.WaitGroup, sweep time.Duration, failed func(string, error)) {
	for range l.width {
		running.Go(func() {
			onWakeOrSweep(ctx, l.wake, sweep, func(bool) { exhaust(ctx, l.name, l.work, failed) })
		})
	}
}

// onWakeOrSweep works whenever it is woken and about every sweep, until ctx ends. work is told whether this is a sweep.
func onWakeOrSweep(ctx context.Context, wake <-chan struct{}, sweep time.Duration, work func(swept bool)) {
	t := time.NewTimer(jitter(sweep))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			work(false)
		case <-t.C:
			t.Reset(jitter(sweep))
			work(true)
		}
	}
}

// exhaust works until nothing is due or something failed; then the next sweep tries again.
func exhaust(ctx context.Context, name string, work func(context.Context) (int, error), failed func(string, error)) {
	for ctx.Err() == nil {
		n, err := work(ctx)
		if err != nil {
			failed(name, err)
			return
		}
		if n == 0 {
			return
		}
	}
}

// jitter spreads the sweeps of several processes.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}
