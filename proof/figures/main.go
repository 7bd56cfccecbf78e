// Figures measures a built Waggle on this machine and prints what it finds beside what is wanted. It uses an embedded
// installation, and PostgreSQL and Redis too where TEST_DATABASE_URL and TEST_REDIS_URL are set. A busy machine spoils them.
package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"waggle/proof/runner"
)

// redisNumber is the figures' own database of the Redis: asynq's keys have a fixed prefix.
const redisNumber = 14

func main() {
	ok, err := measure(context.Background(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// bench is what all figures share.
type bench struct {
	binary string
	dir    string
	out    *tabwriter.Writer
	over   bool // some figure is over what is wanted
}

func measure(ctx context.Context, out io.Writer) (bool, error) {
	dir, err := os.MkdirTemp("", "waggle-figures-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, out: tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
	if b.binary, err = runner.Build(ctx, dir); err != nil {
		return false, err
	}
	type step struct {
		what string
		run  func(context.Context, runner.Options) error
		o    runner.Options
	}
	embedded := runner.Options{Tick: 5 * time.Second, Sweep: 3 * time.Second}
	steps := []step{{"one process, nothing else", b.idle, embedded}, {"one process, 50 busy chats", b.busy, embedded}}
	if servers, err := onServers(embedded); err != nil {
		return false, err
	} else if servers.DatabaseURL != "" {
		steps = append(steps, step{"2 api, 2 worker, PostgreSQL, Redis; 50 busy chats", b.busy, servers},
			step{"api on PostgreSQL, 32 connections", b.inbound, servers})
	}
	for _, s := range steps {
		fmt.Fprintf(b.out, "\n%s\t\twanted\n", s.what)
		if err := s.run(ctx, s.o); err != nil {
			return false, fmt.Errorf("%s: %w", s.what, err)
		}
		if err := b.out.Flush(); err != nil {
			return false, err
		}
	}
	return !b.over, nil
}

// onServers adds the servers of the environment, if any.
func onServers(o runner.Options) (runner.Options, error) {
	u, err := url.Parse(os.Getenv("TEST_REDIS_URL"))
	if err != nil {
		return o, fmt.Errorf("TEST_REDIS_URL is malformed")
	}
	if u.Host != "" && os.Getenv("TEST_DATABASE_URL") != "" {
		u.Path = fmt.Sprint("/", redisNumber)
		o.DatabaseURL, o.RedisURL, o.Direct = os.Getenv("TEST_DATABASE_URL"), u.String(), true
	}
	return o, nil
}

// install starts a fresh installation and sets it up.
func (b *bench) install(ctx context.Context, o runner.Options) (*runner.Installation, *runner.Town, error) {
	o.Binary = b.binary
	var err error
	if o.Dir, err = os.MkdirTemp(b.dir, "data-"); err != nil {
		return nil, nil, err
	}
	in, err := runner.Install(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	town, err := in.SetUp(ctx)
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, town, nil
}

// print prints a figure and remembers whether it is over its limit; 0 is no limit.
func (b *bench) print(name string, value, limit float64, unit string) {
	wanted := ""
	if limit > 0 {
		wanted = fmt.Sprintf("< %g %s", limit, unit)
		if value >= limit {
			wanted += "  OVER"
			b.over = true
		}
	}
	fmt.Fprintf(b.out, "  %s\t%.4g %s\t%s\n", name, value, unit, wanted)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile of values, which it sorts.
func quantile[T float64 | time.Duration](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
