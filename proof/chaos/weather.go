package main

import (
	"context"
	"math/rand/v2"
	"time"

	"waggle/proof/runner"
)

// fault is one kind of weather. strike returns when it has passed: at its time, or at once when the run is over.
type fault struct {
	name   string
	strike func(ctx context.Context, r *rand.Rand)
}

// weather lets one fault after another strike, with pauses of at most pause: all of them in a random order, then all again.
func (w *world) weather(ctx context.Context, r *rand.Rand, pause time.Duration, faults []fault) {
	var order []int
	for rest(ctx, between(r, pause/10, pause)) {
		if len(order) == 0 {
			order = r.Perm(len(faults))
		}
		f := faults[order[0]]
		order = order[1:]
		w.mu.Lock()
		w.struck[f.name]++
		w.mu.Unlock()
		f.strike(ctx, r)
	}
}

// house is what can befall Waggle's processes and what they stand on.
func (w *world) house() []fault {
	processes := []fault{
		{"api killed", func(ctx context.Context, r *rand.Rand) { w.kill(ctx, r, pick(r, w.in.APIs)) }},
		{"api frozen", func(ctx context.Context, r *rand.Rand) {
			w.freeze(ctx, pick(r, w.in.APIs), between(r, time.Second, 4*time.Second))
		}},
	}
	if w.plan.embedded {
		return append(processes, w.disk()...)
	}
	return append(append(processes,
		fault{"worker killed", func(ctx context.Context, r *rand.Rand) { w.kill(ctx, r, pick(r, w.in.Workers)) }},
		fault{"all workers killed", func(ctx context.Context, r *rand.Rand) { w.kill(ctx, r, w.in.Workers...) }},
		fault{"worker frozen beyond its lease", func(ctx context.Context, r *rand.Rand) {
			w.freeze(ctx, pick(r, w.in.Workers), lease+between(r, time.Second, 4*time.Second))
		}},
		fault{"worker replaced", func(_ context.Context, r *rand.Rand) { w.replace(pick(r, w.in.Workers)) }},
	), w.beneath()...)
}

// beneath is what can befall PostgreSQL, Redis and the ways to them.
func (w *world) beneath() []fault {
	return []fault{
		{"Redis flushed", func(ctx context.Context, _ *rand.Rand) { _ = w.in.FlushAll(ctx) }},
		{"Redis frozen", func(ctx context.Context, r *rand.Rand) {
			w.servers.Redis.Freeze()
			rest(ctx, between(r, time.Second, 6*time.Second))
			w.servers.Redis.Thaw()
		}},
		{"Redis restarted empty", func(ctx context.Context, r *rand.Rand) { w.restart(ctx, r, w.servers.Redis) }},
		{"PostgreSQL restarted", func(ctx context.Context, r *rand.Rand) { w.restart(ctx, r, w.servers.Postgres) }},
		{"PostgreSQL's connections cut", func(ctx context.Context, r *rand.Rand) { w.cut(ctx, r, w.in.ToDatabase) }},
		{"PostgreSQL refuses", func(ctx context.Context, r *rand.Rand) {
			w.in.ToDatabase.Refuse()
			rest(ctx, between(r, time.Second, 4*time.Second))
			w.in.ToDatabase.Heal()
		}},
		{"PostgreSQL does not answer", func(ctx context.Context, r *rand.Rand) {
			w.in.ToDatabase.Freeze()
			rest(ctx, between(r, time.Second, 6*time.Second))
			w.in.ToDatabase.Thaw()
		}},
		{"Redis's connections cut", func(ctx context.Context, r *rand.Rand) { w.cut(ctx, r, w.in.ToRedis) }},
	}
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// kill ends processes as a crash does and starts them again after a while.
func (w *world) kill(ctx context.Context, r *rand.Rand, slots ...*runner.Slot) {
	for _, s := range slots {
		w.alive(s)
		s.Kill()
	}
	rest(ctx, between(r, 0, 2*time.Second))
	for _, s := range slots {
		if err := s.Restart(w.finish); err != nil {
			w.find(stuck, "a process did not start again: %v", err)
		}
	}
}

// alive finds a process that ended without us.
func (w *world) alive(s *runner.Slot) {
	if s.Process != nil && !s.Process.Running() {
		w.find(wrong, "%s ended by itself; its last lines:\n%s", s.Process.Name, tail(s.Process.Log(), 30))
	}
}

func (w *world) freeze(ctx context.Context, s *runner.Slot, d time.Duration) {
	s.Process.Freeze()
	rest(ctx, d)
	s.Process.Thaw()
}

// replace ends a worker as a new version does: it is asked to.
func (w *world) replace(s *runner.Slot) {
	w.alive(s)
	if err := s.Process.Stop(20 * time.Second); err != nil {
		w.find(wrong, "a worker that was asked to end: %v\n%s", err, tail(s.Process.Log(), 20))
	}
	if err := s.Restart(w.finish); err != nil {
		w.find(stuck, "a worker did not start again: %v", err)
	}
}

func (w *world) restart(ctx context.Context, r *rand.Rand, s *runner.Server) {
	s.Crash()
	rest(ctx, between(r, 0, 3*time.Second))
	if err := s.Start(w.finish); err != nil {
		w.find(stuck, "%v", err)
	}
}

// cut ends connections several times in a row.
func (w *world) cut(ctx context.Context, r *rand.Rand, p *runner.Proxy) {
	for range 1 + r.IntN(8) {
		p.Cut()
		if !rest(ctx, between(r, 50*time.Millisecond, 400*time.Millisecond)) {
			return
		}
	}
}
