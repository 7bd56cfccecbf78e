package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"waggle/proof/runner"
)

// bench is what all steps share.
type bench struct {
	binary    string        // of Waggle
	dir       string        // for everything that is written
	roundTime time.Duration // of one round of a throughput

	postgresAndRedis *runner.Servers // nil: no step needs them
	current          stepResult
}

func (b *bench) startServers(ctx context.Context) (err error) {
	if err := os.Chmod(b.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's user goes through
		return err
	}
	b.postgresAndRedis, err = runner.StartServers(ctx, b.dir)
	return err
}

// embedded is one process with everything in it, at the pace of the product.
func (b *bench) embedded() runner.Options {
	return runner.Options{Tick: 5 * time.Second, Sweep: 3 * time.Second}
}

// servers is two api and two worker processes on the bench's own PostgreSQL and Redis, with the product's settings.
func (b *bench) servers() runner.Options {
	o := b.embedded()
	o.DatabaseURL, o.RedisURL, o.Direct = b.postgresAndRedis.DatabaseURL(), b.postgresAndRedis.RedisURL(), true
	o.Env = []string{"DATABASE_CONNECTIONS=20"}
	return o
}

// install starts a fresh installation and sets it up. Close it after use.
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

// want is what is wanted of a figure.
type want struct {
	sign  string // "≥" or "<"; empty: no limit
	limit float64
}

// stated is a figure that is told without a limit.
var stated want

func atLeast(x float64) want { return want{"≥", x} }
func below(x float64) want   { return want{"<", x} }

func (w want) met(value float64) bool {
	switch w.sign {
	case "≥":
		return value >= w.limit
	case "<":
		return value < w.limit
	}
	return true
}

func (w want) String() string {
	if w.sign == "" {
		return ""
	}
	return fmt.Sprintf("%s %g", w.sign, w.limit)
}

// begin begins a step.
func (b *bench) begin(name string) {
	b.current = stepResult{Name: name, Date: time.Now().UTC().Truncate(time.Second)}
	fmt.Fprintf(os.Stdout, "\n%s\n", name)
}

// report notes one figure of the current step, and prints it; want is what is wanted of it.
func (b *bench) report(name string, value float64, unit string, want want) {
	f := figure{Name: name, Value: significant(value), Unit: unit, Wanted: want.String(), Met: want.met(value)}
	b.current.Figures = append(b.current.Figures, f)
	verdict := ""
	if f.Wanted != "" {
		verdict = "wanted " + f.Wanted + "  ok"
	}
	if !f.Met {
		verdict = "wanted " + f.Wanted + "  MISSED"
	}
	fmt.Fprintf(os.Stdout, "  %-58s %10.4g %-6s %s\n", name, value, unit, verdict)
}

// met tells whether every figure of the current step is what is wanted.
func (b *bench) met() bool {
	return !slices.ContainsFunc(b.current.Figures, func(f figure) bool { return !f.Met })
}

// significant is the number in four digits.
func significant(x float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	return short
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
