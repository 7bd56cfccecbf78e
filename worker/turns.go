package worker

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// environmentsAtOnce bounds how many environments have their turn at once in this process, those left out that have been waiting
// for another server for longer than patience: however many CRMs hang, the others are not slower.
const (
	environmentsAtOnce = 16
	patience           = 2 * time.Second
)

// turns does one kind of work per environment, one turn of each at a time: an environment whose CRM hangs keeps one goroutine
// waiting and nobody else. One with much to do lets the others have theirs after each turn.
type turns struct {
	name     string // for what fails
	due      func(context.Context) ([]uuid.UUID, error)
	work     func(context.Context, uuid.UUID) (int, error) // one turn; 0: nothing is left
	patience time.Duration

	wake   chan struct{}
	slots  chan struct{}
	mu     sync.Mutex
	wanted map[uuid.UUID]bool // nudged since its last turn began
	busy   map[uuid.UUID]bool
}

func newTurns(name string, due func(context.Context) ([]uuid.UUID, error), work func(context.Context, uuid.UUID) (int, error)) *turns {
	return &turns{
		name: name, due: due, work: work, patience: patience,
		wake: make(chan struct{}, 1), slots: make(chan struct{}, environmentsAtOnce), wanted: map[uuid.UUID]bool{}, busy: map[uuid.UUID]bool{},
	}
}

// nudge wants a turn for an environment.
func (t *turns) nudge(environment uuid.UUID) {
	t.mu.Lock()
	t.wanted[environment] = true
	t.mu.Unlock()
	t.rouse()
}

// rouse lets dispatch look again.
func (t *turns) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *turns) start(ctx context.Context, running *sync.WaitGroup, sweep time.Duration, failed func(string, error)) {
	running.Go(func() {
		onWakeOrSweep(ctx, t.wake, sweep, func(swept bool) {
			if swept {
				t.sweep(ctx, failed)
			}
			t.dispatch(ctx, running, failed)
		})
	})
}

// sweep wants a turn for every environment that has something due.
func (t *turns) sweep(ctx context.Context, failed func(string, error)) {
	due, err := t.due(ctx)
	if err != nil {
		failed("sweep", err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, environment := range due {
		t.wanted[environment] = true
	}
}

// dispatch starts the turns that are wanted and not yet running, as far as there are slots; whoever ends wakes it again.
func (t *turns) dispatch(ctx context.Context, running *sync.WaitGroup, failed func(string, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for environment := range t.wanted {
		if t.busy[environment] {
			continue
		}
		select {
		case t.slots <- struct{}{}:
		default:
			return
		}
		delete(t.wanted, environment)
		t.busy[environment] = true
		running.Go(func() { t.run(ctx, environment, failed) })
	}
}

// run is one turn. What is left to do of an environment comes after the turns of the others.
func (t *turns) run(ctx context.Context, environment uuid.UUID, failed func(string, error)) {
	free := sync.OnceFunc(func() { <-t.slots; t.rouse() })
	slow := time.AfterFunc(t.patience, free)
	defer func() {
		slow.Stop()
		t.mu.Lock()
		delete(t.busy, environment)
		t.mu.Unlock()
		free()
		t.rouse()
	}()
	if ctx.Err() != nil {
		return
	}
	n, err := t.work(ctx, environment)
	if err != nil {
		failed(t.name, err)
	} else if n > 0 {
		t.nudge(environment)
	}
}
