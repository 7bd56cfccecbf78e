package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"waggle/proof/proxy"
	"waggle/proof/runner"
)

// severalLeases of a lane are what a worker holds that has enough to do.
const severalLeases = 4

// expected is what can happen at the same time: in the house, between it and the messengers, and between it and the CRM.
func (w *world) expected() []sky {
	return []sky{{2, 3 * time.Second, w.house()}, {3, 2 * time.Second, w.messengers()}, {4, 4 * time.Second, w.crm()}}
}

// house is what can befall Waggle's processes and what they stand on.
func (w *world) house() []fault {
	if w.plan.embedded {
		return append(w.process("the one process", w.in.APIs), w.disk())
	}
	send := w.atWorkFrozen("worker frozen beyond its lease in the middle of a send", "out")
	return slices.Concat(w.process("api", w.in.APIs), []fault{
		w.killed("worker killed", func(r *rand.Rand) []*runner.Slot { return []*runner.Slot{pick(r, w.in.Workers)} }),
		w.killed("all workers killed", func(*rand.Rand) []*runner.Slot { return w.in.Workers }),
		send, send, send, // the most that can go wrong
		w.atWorkFrozen("worker frozen beyond its lease in the middle of a push", "crm"),
		{name: "all workers frozen", most: lease + 4*time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
			var frozen sync.WaitGroup
			var all atomic.Int64
			for _, s := range w.in.Workers {
				d := between(r, time.Second, lease+4*time.Second)
				frozen.Go(func() { all.Add(int64(freeze(ctx, s, d))) })
			}
			frozen.Wait()
			took(int(all.Load()) / len(w.in.Workers))
		}},
		{name: "clock of a process jumps by a minute", most: 3 * time.Second, strike: w.jump},
		{name: "worker replaced", most: 11 * time.Second, strike: func(_ context.Context, r *rand.Rand, took func(int)) { w.replace(pick(r, w.in.Workers), took) }},
	}, w.beneath())
}

// process is what can befall one process of several.
func (w *world) process(kind string, of []*runner.Slot) []fault {
	return []fault{
		w.killed(kind+" killed", func(r *rand.Rand) []*runner.Slot { return []*runner.Slot{pick(r, of)} }),
		{name: kind + " frozen", most: lease + 2*time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
			took(freeze(ctx, pick(r, of), between(r, time.Second, lease+2*time.Second)))
		}},
	}
}

// beneath is what can befall PostgreSQL, Redis and the ways to them.
func (w *world) beneath() []fault {
	return []fault{
		{name: "Redis flushed", strike: func(ctx context.Context, _ *rand.Rand, took func(int)) {
			if keys, err := w.in.FlushAll(ctx); err == nil && keys > 0 {
				took(1)
			}
		}},
		{name: "Redis frozen", most: 6 * time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
			w.servers.Redis.Freeze()
			rest(ctx, between(r, time.Second, 6*time.Second))
			if w.servers.Redis.Frozen() {
				took(1)
			}
			w.servers.Redis.Thaw()
		}},
		w.restarted("Redis restarted empty", w.servers.Redis),
		w.restarted("PostgreSQL restarted", w.servers.Postgres),
		cut("PostgreSQL's connections cut", w.in.ToDatabase),
		lasting("PostgreSQL refuses", 4*time.Second, w.in.ToDatabase.Refuse, w.in.ToDatabase.Heal, w.in.ToDatabase.Refused),
		lasting("PostgreSQL does not answer", 6*time.Second, w.in.ToDatabase.Freeze, w.in.ToDatabase.Thaw, w.in.ToDatabase.Held),
		cut("Redis's connections cut", w.in.ToRedis),
	}
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// killed ends processes as a crash does and starts them again after a while.
func (w *world) killed(name string, which func(*rand.Rand) []*runner.Slot) fault {
	return fault{name: name, most: 5 * time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
		slots, died := which(r), 0
		for _, s := range slots {
			w.alive(s)
			ran := s.Process.Running()
			s.Kill()
			if ran && !s.Process.Running() {
				died++
			}
		}
		took(died / len(slots))
		rest(ctx, between(r, 0, 2*time.Second))
		for _, s := range slots {
			if err := s.Restart(w.finish); err != nil {
				w.find(stuck, "a process did not start again: %v", err)
			}
		}
	}}
}

// alive finds a process that ended without us.
func (w *world) alive(s *runner.Slot) {
	if s.Process != nil && !s.Process.Running() {
		w.find(wrong, "%s ended by itself; its last lines:\n%s", s.Process.Name, tail(s.Process.Log(), 30))
	}
}

// freeze stops a process for a while, and tells whether it was still stopped then: 1 or 0.
func freeze(ctx context.Context, s *runner.Slot, d time.Duration) (frozen int) {
	s.Process.Freeze()
	rest(ctx, d)
	if s.Process.Frozen() {
		frozen = 1
	}
	s.Process.Thaw()
	return frozen
}

// atWorkFrozen freezes a worker that holds leases of a lane until they have ended and another worker has them, so that both are
// at work in the same chats then.
func (w *world) atWorkFrozen(name, lane string) fault {
	return fault{name: name, most: lease + 7*time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
		if lane == "out" {
			w.in.Bot.Slow(slowSend)
			defer w.in.Bot.Slow(0)
		}
		s, held := w.frozenAtWork(ctx, lane)
		if s == nil {
			return
		}
		rest(ctx, lease+between(r, 500*time.Millisecond, 2*time.Second))
		left, after := w.leases(ctx, s, lane)
		if s.Process.Frozen() && after == nil && left < held {
			took(1)
		}
		s.Process.Thaw()
		rest(ctx, 2*time.Second)
	}}
}

// leases is how many leases of a lane a process holds.
func (w *world) leases(ctx context.Context, s *runner.Slot, lane string) (int, error) {
	return w.in.Database.Int(ctx, fmt.Sprintf("SELECT count(*) FROM chats WHERE %[1]s_until IS NOT NULL AND %[1]s_owner LIKE '%%/%[2]d/%%'", lane, s.Process.PID()))
}

// frozenAtWork freezes a worker that holds leases of a lane, and tells how many; nil when none did before the time was over.
func (w *world) frozenAtWork(ctx context.Context, lane string) (s *runner.Slot, held int) {
	for {
		if s = w.atWork(ctx, lane); s == nil {
			return nil, 0
		}
		s.Process.Freeze()
		if held, err := w.leases(ctx, s, lane); err == nil && held > 0 {
			return s, held
		}
		s.Process.Thaw() // it was done meanwhile
	}
}

// atWork waits a few seconds until a worker holds several leases of a lane, then until one holds any, and returns the one that
// holds most; nil when the time was over.
func (w *world) atWork(ctx context.Context, lane string) (busiest *runner.Slot) {
	for try := 0; ; try++ {
		most := 0
		for _, s := range w.in.Workers {
			if n, err := w.leases(ctx, s, lane); err == nil && n > most {
				busiest, most = s, n
			}
		}
		if most >= severalLeases || try >= 60 && most > 0 {
			return busiest
		}
		if !rest(ctx, 50*time.Millisecond) {
			return nil
		}
	}
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

// jump moves the wall clock of one process a minute before or behind the machine's, or back, and waits until its answers are
// dated by it: their date is renewed each second.
func (w *world) jump(ctx context.Context, r *rand.Rand, took func(int)) {
	s := pick(r, append(slices.Clone(w.in.APIs), w.in.Workers...))
	to := pick(r, []time.Duration{-time.Minute, 0, time.Minute})
	if to == s.Clock.Moved() {
		to += time.Minute
	}
	if err := s.Clock.Move(to); err != nil {
		w.find(wrong, "%v", err)
	}
	for range 12 {
		if !rest(ctx, 250*time.Millisecond) {
			return
		}
		if now, err := s.Process.Now(ctx); err == nil && time.Since(now.Add(-to)).Abs() < 20*time.Second {
			took(1)
			return
		}
	}
}

// replace ends a worker as a new version does: it is asked to.
func (w *world) replace(s *runner.Slot, took func(int)) {
	w.alive(s)
	if err := s.Process.Stop(20 * time.Second); err != nil {
		w.find(wrong, "a worker that was asked to end: %v\n%s", err, tail(s.Process.Log(), 20))
	} else {
		took(1)
	}
	if err := s.Restart(w.finish); err != nil {
		w.find(stuck, "a worker did not start again: %v", err)
	}
}

// restarted ends a server as a crash does and starts it again after a while.
func (w *world) restarted(name string, s *runner.Server) fault {
	return fault{name: name, most: 5 * time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
		ran := s.Running()
		s.Crash()
		if ran && !s.Running() {
			took(1)
		}
		rest(ctx, between(r, 0, 3*time.Second))
		if err := s.Start(w.finish); err != nil {
			w.find(stuck, "%v", err)
		}
	}}
}

// cut ends connections several times in a row.
func cut(name string, p *proxy.Proxy) fault {
	return fault{name: name, most: 4 * time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
		for range 1 + r.IntN(8) {
			took(p.Cut())
			if !rest(ctx, between(r, 50*time.Millisecond, 400*time.Millisecond)) {
				return
			}
		}
	}}
}
