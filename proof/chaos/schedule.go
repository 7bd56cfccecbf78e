package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is one kind of weather. strike returns when it has passed: at its time, or at once when the run is over.
type fault struct {
	name   string
	most   time.Duration // how long it lasts at most, roughly; the first round is planned by it
	strike func(ctx context.Context, r *rand.Rand, took func(times int))
	count  func() int // its effects so far, where somebody else counts them; nil: strike tells took
}

// sky is where one fault follows the other; there are several skies.
type sky struct {
	actor  uint64
	pause  time.Duration // the longest between two faults
	faults []fault       // one that stands there several times strikes more often
}

// schedule is in which order the faults of a sky strike: in rounds, each in a random order. In the first every kind strikes once,
// and each later one begins with those that have not taken effect yet.
type schedule struct {
	sky
	r     *rand.Rand
	idle  func(fault) bool
	order []fault
	begun int // rounds
}

// next is the fault that strikes next, after a pause, and how long it may last. The first round is hurried where that is needed to
// have every kind of fault in the time that is left; where even that is not enough, each has its own time all the same.
func (s *schedule) next(left time.Duration) (pause time.Duration, f fault, most time.Duration) {
	if len(s.order) == 0 {
		s.begin()
	}
	f, s.order = s.order[0], s.order[1:]
	pause, most = between(s.r, s.pause/10, s.pause), left
	if s.begun > 1 {
		return pause, f, most
	}
	least := s.pause / 10
	spare := left - f.most
	for _, later := range s.order {
		spare -= later.most + least
	}
	spare -= spare / 10 // a process may take longer to start than thought
	pause = min(pause, max(spare/time.Duration(len(s.order)+1), least))
	return pause, f, f.most + max(spare-pause, 0)
}

func (s *schedule) begin() {
	var missed, all []fault
	for _, i := range s.r.Perm(len(s.faults)) {
		f := s.faults[i]
		all = append(all, f)
		known := slices.ContainsFunc(missed, func(m fault) bool { return m.name == f.name })
		if !known && (s.begun == 0 || s.idle(f)) {
			missed = append(missed, f)
		}
	}
	if s.order = missed; s.begun > 0 {
		s.order = slices.Concat(missed, all)
	}
	s.begun++
}

// weather lets the faults of a sky strike for a while.
func (w *world) weather(ctx context.Context, under sky, length time.Duration) {
	s := &schedule{sky: under, r: w.random(under.actor), idle: w.idle}
	end := time.Now().Add(length)
	for {
		pause, f, most := s.next(time.Until(end))
		if !rest(ctx, pause) {
			return
		}
		w.mu.Lock()
		w.effects.add(f.name, 1, 0)
		w.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, most)
		f.strike(limited, s.r, func(times int) { w.took(f.name, times) })
		cancel()
	}
}
