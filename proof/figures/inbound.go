package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"waggle/proof/load"
	"waggle/proof/runner"
)

const (
	connections = 32
	rounds      = 3
	roundTime   = 10 * time.Second
)

// inbound measures how many webhooks one api process takes, beside what the database alone does with the same number of
// connections: single-row INSERTs of pgbench, one per commit (proof/pgbench). They take turns in one run. The workers rest:
// what is measured is the way in.
func (b *bench) inbound(ctx context.Context, o runner.Options) error {
	in, _, err := b.install(ctx, o)
	if err != nil {
		return err
	}
	defer in.Close()
	for _, w := range in.Workers {
		w.Kill()
	}
	yardstick, err := newYardstick(ctx, in, o.DatabaseURL)
	if err != nil {
		return err
	}
	hook := in.Bot.Webhook()
	u, err := url.Parse(hook.URL)
	if err != nil {
		return err
	}
	w := load.Options{
		URL: in.APIs[0].Process.Base + u.Path, Header: map[string]string{"X-Telegram-Bot-Api-Secret-Token": hook.Secret},
		Body: load.Telegram, First: 1, Connections: connections, Duration: time.Minute, Limit: load.People,
	}
	var tps, rates, ratios, medians, tails []float64
	for round := range rounds + 1 { // the first makes the customers known and is not counted
		if round == 1 {
			w.Duration, w.Limit = roundTime, 0
		}
		got, err := load.Run(w)
		if err != nil {
			return err
		}
		if len(got.Faults) > 0 {
			return fmt.Errorf("not all webhooks were answered 200: %v", got.Faults)
		}
		w.First += got.OK
		if round == 0 {
			continue
		}
		alone, err := yardstick.round(ctx)
		if err != nil {
			return err
		}
		tps, rates, ratios = append(tps, alone), append(rates, got.PerSecond()), append(ratios, got.PerSecond()/alone)
		medians, tails = append(medians, ms(got.Quantile(0.5))), append(tails, ms(got.Quantile(0.99)))
	}
	stored, err := in.Database.Int(ctx, "SELECT count(*) FROM timeline WHERE kind = 'message'")
	if err != nil {
		return err
	}
	if want := int(w.First - 1); stored != want {
		return fmt.Errorf("%d webhooks were answered 200 and %d messages are stored", want, stored)
	}
	b.print("webhooks a second, median of 3", quantile(rates, 0.5), 0, "")
	b.print("pgbench INSERTs a second, median of 3", quantile(tps, 0.5), 0, "")
	b.print("ratio, median of 3", quantile(ratios, 0.5), 0, "")
	b.print("answer, median", quantile(medians, 0.5), 0, "ms")
	b.print("answer, p99", quantile(tails, 0.5), 0, "ms")
	return nil
}

// yardstick is pgbench in the installation's own schema.
type yardstick struct {
	program, database string
	env               []string
}

func newYardstick(ctx context.Context, in *runner.Installation, database string) (yardstick, error) {
	y := yardstick{database: database, env: append(os.Environ(), "PGOPTIONS=-c search_path="+in.Database.Schema())}
	var err error
	if y.program, err = postgresProgram("pgbench"); err != nil {
		return y, err
	}
	psql, err := postgresProgram("psql")
	if err != nil {
		return y, err
	}
	_, err = y.run(ctx, psql, "-q", "-v", "ON_ERROR_STOP=1", "-f", "proof/pgbench/bench_schema.sql", y.database)
	return y, err
}

// postgresProgram finds a program of PostgreSQL; Debian keeps some outside the PATH.
func postgresProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s is not installed", name)
	}
	return found[len(found)-1], nil
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+)`)

// round is the transactions a second of one run.
func (y yardstick) round(ctx context.Context) (float64, error) {
	out, err := y.run(ctx, y.program, "-n", "-M", "prepared", "-D", "txt="+strings.Repeat("x", 100), "-D", `payload={"a": "`+strings.Repeat("x", 291)+`"}`,
		"-f", "proof/pgbench/ins1.pgb", "-c", strconv.Itoa(connections), "-j", "4", "-T", strconv.Itoa(int(roundTime.Seconds())), y.database)
	if err != nil {
		return 0, err
	}
	m := tpsLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench told no tps")
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func (y yardstick) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, program, args...) //nolint:gosec // PostgreSQL's own programs
	c.Env = y.env
	out, err := c.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(out))
	}
	return out, nil
}
