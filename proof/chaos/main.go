// Command chaos lets hundreds of customers and a team of agents talk through real Waggle processes, with words and pictures, while
// everything around them fails at random, and counts afterwards, from the other sides' own books, whether anything was lost, doubled,
// swapped, stuck or given beyond an agent's room; and whether every fault really met something and every kind of action succeeded,
// since a run without it proves less.
//
// It starts what it needs — PostgreSQL, Redis, two api and two worker processes, doubles of a CRM and of every messenger — on
// loopback and ends only that. Who does what and which fault strikes when follow from the seed; what the processes are doing
// at that moment does not, so that the same seed is the same weather and not the same microsecond, and a fault that met nothing comes again sooner.
//
// Each process has a wall clock of its own, which jumps by a minute to either side while PostgreSQL's and the doubles' do not;
// the business clock is moved forward. The embedded process has the machine's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"waggle/proof/runner"
)

func main() {
	minutes := flag.Float64("minutes", 3, "how long people talk and faults strike, in all")
	seed := flag.Uint64("seed", 0, "repeats a run's weather; 0: another one each time")
	customers := flag.Int("customers", 240, "how many customers talk")
	where := flag.String("where", "both", "servers: PostgreSQL and Redis; embedded: one process with SQLite; both: one after the other, embedded a quarter of the time")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	fmt.Fprintf(os.Stdout, "seed %d\n", *seed)
	good, err := both(ctx, plan{length: time.Duration(*minutes * float64(time.Minute)), seed: *seed, customers: *customers}, *where)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Fprintf(os.Stdout, "to repeat: make chaos MINUTES=%g SEED=%d\n", *minutes, *seed)
	if err != nil || !good {
		os.Exit(1)
	}
}

// plan is what one run is to do.
type plan struct {
	binary    string
	length    time.Duration
	seed      uint64
	customers int
	embedded  bool
}

func (p plan) kind() string {
	if p.embedded {
		return "one process with SQLite"
	}
	return "two api and two worker processes on PostgreSQL and Redis"
}

// both runs on servers and then, for a quarter of the time and with a third of the customers, embedded; or only on one of them.
func both(ctx context.Context, p plan, where string) (good bool, err error) {
	dir, err := os.MkdirTemp("", "waggle-chaos-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if p.binary, err = runner.BuildWithClock(ctx, dir); err != nil {
		return false, err
	}
	good = true
	all := effects{}
	for _, place := range p.places(where) {
		w, fine, err := run(ctx, place)
		if err != nil {
			return false, fmt.Errorf("%s: %w", place.kind(), err)
		}
		good = w.actions.verdict(os.Stdout, peopleAct, p.length) && fine && good
		all.of(w.effects)
	}
	return all.verdict(os.Stdout, faultsStrike, p.length) && good, nil
}

// places are the runs that a plan is made of.
func (p plan) places(where string) (runs []plan) {
	servers, embedded := p, p
	embedded.embedded, embedded.customers = true, p.customers/3
	if where == "both" {
		embedded.length = p.length / 4
		servers.length -= embedded.length
	}
	if where != "embedded" {
		runs = append(runs, servers)
	}
	if where != "servers" {
		runs = append(runs, embedded)
	}
	return runs
}

// run is one place from its start to its verdict.
func run(ctx context.Context, p plan) (w *world, good bool, err error) {
	if w, err = build(ctx, p); err != nil {
		return nil, false, err
	}
	defer w.close()
	w.live(ctx, p.length)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	w.say("the weather is over")
	if err := w.settle(ctx); err != nil {
		return nil, false, err
	}
	if err := w.audit(ctx); err != nil {
		return nil, false, err
	}
	w.felt()
	return w, w.report(os.Stdout), nil
}
