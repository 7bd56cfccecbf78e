package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"waggle/proof/runner"
)

// severalLeases of a lane are what a worker holds that has enough to do.
const severalLeases = 4

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
			freeze(ctx, pick(r, w.in.APIs), between(r, time.Second, lease+2*time.Second))
		}},
	}
	if w.plan.embedded {
		return append(processes, w.disk()...)
	}
	send := fault{"worker frozen beyond its lease in the middle of a send", func(ctx context.Context, r *rand.Rand) { w.freezeAtWork(ctx, r, "out") }}
	return append(append(processes,
		fault{"worker killed", func(ctx context.Context, r *rand.Rand) { w.kill(ctx, r, pick(r, w.in.Workers)) }},
		fault{"all workers killed", func(ctx context.Context, r *rand.Rand) { w.kill(ctx, r, w.in.Workers...) }},
		send, send, send, // the most that can go wrong
		fault{"worker frozen beyond its lease in the middle of a push", func(ctx context.Context, r *rand.Rand) { w.freezeAtWork(ctx, r, "crm") }},
		fault{"all workers frozen", func(ctx context.Context, r *rand.Rand) {
			var frozen sync.WaitGroup
			for _, s := range w.in.Workers {
				d := between(r, time.Second, lease+4*time.Second)
				frozen.Go(func() { freeze(ctx, s, d) })
			}
			frozen.Wait()
		}},
		fault{"clock of a process jumps by a minute", func(_ context.Context, r *rand.Rand) { w.jump(r) }},
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

func freeze(ctx context.Context, s *runner.Slot, d time.Duration) {
	s.Process.Freeze()
	rest(ctx, d)
	s.Process.Thaw()
}

// freezeAtWork freezes a worker that holds leases of a lane until they have ended and another worker has them, so that both are
// at work in the same chats then.
func (w *world) freezeAtWork(ctx context.Context, r *rand.Rand, lane string) {
	if lane == "out" {
		w.in.Bot.Slow(slowSend)
		defer w.in.Bot.Slow(0)
	}
	freeze(ctx, w.atWork(ctx, lane), lease+between(r, 500*time.Millisecond, 2*time.Second))
	rest(ctx, 2*time.Second)
}

// atWork waits, a few seconds at most, until a worker holds several leases of a lane, and returns the one that holds most.
func (w *world) atWork(ctx context.Context, lane string) *runner.Slot {
	busiest := w.in.Workers[0]
	for range 60 {
		most := -1
		for _, s := range w.in.Workers {
			n, err := w.in.Database.Int(ctx, fmt.Sprintf("SELECT count(*) FROM chats WHERE %[1]s_until IS NOT NULL AND %[1]s_owner LIKE '%%/%[2]d/%%'", lane, s.Process.PID()))
			if err == nil && n > most {
				busiest, most = s, n
			}
		}
		if most >= severalLeases || !rest(ctx, 50*time.Millisecond) {
			break
		}
	}
	return busiest
}

// disagree gives the processes on servers wall clocks that differ by a minute from the beginning.
func (w *world) disagree() error {
	for i, s := range append(slices.Clone(w.in.APIs), w.in.Workers...) {
		if s.Clock == nil {
			continue
		}
		if err := s.Clock.Move(time.Duration(i%3-1) * time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// jump moves the wall clock of one process a minute before or behind the machine's, or back.
func (w *world) jump(r *rand.Rand) {
	s := pick(r, append(slices.Clone(w.in.APIs), w.in.Workers...))
	to := pick(r, []time.Duration{-time.Minute, 0, time.Minute})
	if to == s.Clock.Moved() {
		to += time.Minute
	}
	if err := s.Clock.Move(to); err != nil {
		w.find(wrong, "%v", err)
	}
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
