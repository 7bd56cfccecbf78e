package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/jobs"
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

// pushers bounds how many environments are pushed or routed at once in this process, those left out that have been waiting for
// their CRM for longer than patience: however many CRMs hang, the others are not slower.
const (
	pushers  = 16
	patience = 2 * time.Second
)

// pushes runs Push and Route per environment, one of each at a time: an environment whose CRM hangs keeps one goroutine
// waiting and nobody else. Environments with much to do take turns, push by push.
type pushes struct {
	name              string // of the pushes, for what fails
	pushDue, routeDue func(context.Context) ([]uuid.UUID, error)
	push              func(context.Context, uuid.UUID) (int, error)
	route             func(context.Context, uuid.UUID) error
	patience          time.Duration

	wake   chan struct{}
	slots  chan struct{}
	mu     sync.Mutex
	wanted map[target]bool // nudged since its last run began
	busy   map[target]bool
}

// newFetches fetches files per environment, apart from the pushes: a slow messenger keeps no CRM waiting.
func newFetches(j *jobs.Jobs) *pushes {
	f := newPushes(j)
	f.name, f.pushDue, f.push = "fetch", j.FetchDue, j.Fetch
	f.routeDue = func(context.Context) ([]uuid.UUID, error) { return nil, nil }
	return f
}

type target struct {
	environment uuid.UUID
	route       bool
}

func newPushes(j *jobs.Jobs) *pushes {
	return &pushes{
		name: "push", pushDue: j.PushDue, routeDue: j.RouteDue, push: j.Push, route: j.Route, patience: patience,
		wake: make(chan struct{}, 1), slots: make(chan struct{}, pushers), wanted: map[target]bool{}, busy: map[target]bool{},
	}
}

func (p *pushes) nudge(environment uuid.UUID)      { p.want(target{environment, false}) }
func (p *pushes) nudgeRoute(environment uuid.UUID) { p.want(target{environment, true}) }

func (p *pushes) want(t target) {
	p.mu.Lock()
	p.wanted[t] = true
	p.mu.Unlock()
	p.rouse()
}

// rouse lets dispatch look again.
func (p *pushes) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pushes) start(ctx context.Context, running *sync.WaitGroup, sweep time.Duration, failed func(string, error)) {
	running.Go(func() {
		onWakeOrSweep(ctx, p.wake, sweep, func(swept bool) {
			if swept {
				p.sweep(ctx, failed)
			}
			p.dispatch(ctx, running, failed)
		})
	})
}

// sweep wants every environment that has something due.
func (p *pushes) sweep(ctx context.Context, failed func(string, error)) {
	push, err := p.pushDue(ctx)
	if err != nil {
		failed("sweep", err)
		return
	}
	route, err := p.routeDue(ctx)
	if err != nil {
		failed("sweep", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, env := range push {
		p.wanted[target{env, false}] = true
	}
	for _, env := range route {
		p.wanted[target{env, true}] = true
	}
}

// dispatch starts what is wanted and not yet running, as far as there are slots; whoever ends wakes it again.
func (p *pushes) dispatch(ctx context.Context, running *sync.WaitGroup, failed func(string, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.wanted {
		if p.busy[t] {
			continue
		}
		select {
		case p.slots <- struct{}{}:
		default:
			return
		}
		delete(p.wanted, t)
		p.busy[t] = true
		running.Go(func() { p.run(ctx, t, failed) })
	}
}

// run does one push or routing. What is left of an environment's pushes comes after those of the others.
func (p *pushes) run(ctx context.Context, t target, failed func(string, error)) {
	free := sync.OnceFunc(func() { <-p.slots; p.rouse() })
	slow := time.AfterFunc(p.patience, free)
	defer func() {
		slow.Stop()
		p.mu.Lock()
		delete(p.busy, t)
		p.mu.Unlock()
		free()
		p.rouse()
	}()
	if ctx.Err() != nil {
		return
	}
	if t.route {
		if err := p.route(ctx, t.environment); err != nil {
			failed("route", err)
		}
		return
	}
	n, err := p.push(ctx, t.environment)
	if err != nil {
		failed(p.name, err)
	} else if n > 0 {
		p.nudge(t.environment)
	}
}
