package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// fullLength is how long a run is that has room for every kind of fault and of action.
const fullLength = 3 * time.Minute

// claim is what a run must show of each kind that is counted.
type claim struct{ kinds, happened string }

var (
	faultsStrike = claim{"faults", "took effect"}
	peopleAct    = claim{"people's actions", "succeeded"}
)

// effect is how often a kind of fault was let loose, and how often it took effect: on calls, connections, deliveries or processes,
// counted where it met them. A fault that meets nothing proves nothing. Of an action: how often it was tried, and succeeded.
type effect struct{ struck, took int }

// effects are those of each kind of fault, or of action, that is planned.
type effects map[string]effect

// expect plans kinds of faults.
func (e effects) expect(faults []fault) {
	for _, f := range faults {
		e.add(f.name, 0, 0)
	}
}

func (e effects) add(name string, struck, took int) {
	was := e[name]
	e[name] = effect{was.struck + struck, was.took + took}
}

// of adds those of another place of the same run: what may strike in both need not in each.
func (e effects) of(others effects) {
	for name, o := range others {
		e.add(name, o.struck, o.took)
	}
}

// idle are the kinds that never took effect.
func (e effects) idle() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		if e[name].took == 0 {
			names = append(names, name)
		}
	}
	return names
}

func (e effects) print(table *tabwriter.Writer, c claim) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		fmt.Fprintf(table, "%s\t%d×, %s %d×\n", name, e[name].struck, c.happened, e[name].took)
	}
}

// verdict tells whether a run of this length has shown what it claims of every kind. One that is shorter may not have had the time.
func (e effects) verdict(out io.Writer, c claim, length time.Duration) bool {
	idle := e.idle()
	switch {
	case len(idle) == 0:
		fmt.Fprintf(out, "each of %d kinds of %s %s\n", len(e), c.kinds, c.happened)
		return true
	case length < fullLength:
		fmt.Fprintf(out, "%d of %d kinds of %s never %s; %s may be too short for all: %s\n", len(idle), len(e), c.kinds, c.happened, length, strings.Join(idle, ", "))
		return true
	}
	fmt.Fprintf(out, "The run shows less than it claims: %d of %d kinds of %s never %s: %s\n", len(idle), len(e), c.kinds, c.happened, strings.Join(idle, ", "))
	return false
}

// took counts what a kind of fault met.
func (w *world) took(name string, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects.add(name, 0, times)
}

// idle tells whether a kind of fault has not taken effect yet.
func (w *world) idle(f fault) bool {
	if f.count != nil {
		return f.count() == 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.effects[f.name].took == 0
}

// felt adds up the effects that others count.
func (w *world) felt() {
	for _, s := range w.skies {
		for _, f := range s.faults {
			if f.count != nil {
				w.took(f.name, f.count())
			}
		}
	}
}
