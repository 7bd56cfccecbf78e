// Command bench measures a built Waggle on this machine, beside what PostgreSQL and SQLite do alone where that is the
// yardstick, and says of every figure whether it is what is wanted.
//
// It starts what it needs — PostgreSQL with its default, durable settings, Redis, Waggle's processes, doubles of a CRM and
// of the messengers — on loopback and ends only that. The figures go to proof/bench/results.json and, as a picture, to
// docs/bench.svg. Anything else that runs on the machine spoils them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"waggle/proof/runner"
)

// step is one part of the bench, measured on an installation of its own.
type step struct {
	name  string // for -only
	needs needs
	run   func(ctx context.Context, b *bench) error
}

// needs says what a step runs on.
type needs int

const (
	embedded needs = iota // one process with SQLite
	servers               // PostgreSQL and Redis
)

var steps = []step{
	{"idle", embedded, idle},
	{"inbound", servers, inbound},
	{"kinds", servers, kinds},
	{"embedded", embedded, embeddedInbound},
	{"push", servers, push},
	{"tenants", servers, tenantsPush},
	{"latency", servers, latency},
	{"latency embedded", embedded, latencyEmbedded},
	{"open chats", servers, openChats},
	{"memory", servers, memory},
	{"start-up", servers, startup},
}

func main() {
	only := flag.String("only", "", "names of steps, with commas between; the figures of the others stay as they are. Empty: all")
	list := flag.Bool("list", false, "list the steps")
	binary := flag.String("binary", "", "the waggle to measure; empty: it is built")
	round := flag.Duration("round", 5*time.Second, "how long one round of a throughput lasts")
	flag.Parse()
	if *list {
		for _, s := range steps {
			fmt.Fprintln(os.Stdout, s.name)
		}
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	good, err := measure(ctx, *only, *binary, *round)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// measure runs the steps named in only, or all; good: every figure is what is wanted. A step that fails does not keep the
// others from being measured.
func measure(ctx context.Context, only, binary string, round time.Duration) (good bool, err error) {
	chosen, err := choose(only)
	if err != nil {
		return false, err
	}
	if binary != "" {
		if binary, err = filepath.Abs(binary); err != nil {
			return false, err
		}
	}
	if err := goToRoot(ctx); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "waggle-bench-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{binary: binary, dir: dir, roundTime: round}
	if binary == "" {
		if b.binary, err = runner.Build(ctx, dir); err != nil {
			return false, err
		}
	}
	if slices.ContainsFunc(chosen, func(s step) bool { return s.needs == servers }) {
		if err := b.startServers(ctx); err != nil {
			return false, err
		}
		defer b.postgresAndRedis.Close()
	}
	all, err := recall(ctx, only == "")
	if err != nil {
		return false, err
	}
	good = true
	var failed []error
	for _, s := range chosen {
		b.begin(s.name)
		if err := s.run(ctx, b); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
			fmt.Fprintf(os.Stdout, "  FAILED: %v\n", err)
			continue
		}
		good = good && b.met()
		all.put(b.current)
		if err := all.save(); err != nil {
			return false, err
		}
	}
	return good, errors.Join(failed...)
}

// choose finds the steps by their names.
func choose(only string) (chosen []step, err error) {
	if only == "" {
		return steps, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no step %q; -list lists them", name)
		}
		chosen = append(chosen, steps[i])
	}
	return chosen, nil
}

// goToRoot changes to the folder of go.mod: what is built and what is written is named from there.
func goToRoot(ctx context.Context) error {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	return os.Chdir(filepath.Dir(strings.TrimSpace(string(mod))))
}
