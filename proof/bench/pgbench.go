package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"waggle/proof/runner"
)

// yardstick is pgbench in the installation's own schema: single-row INSERTs, one per commit (proof/pgbench).
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

// round is the transactions a second of one run; length is whole seconds.
func (y yardstick) round(ctx context.Context, connections int, length time.Duration) (float64, error) {
	out, err := y.run(ctx, y.program, "-n", "-M", "prepared", "-D", "txt="+strings.Repeat("x", 100), "-D", `payload={"a": "`+strings.Repeat("x", 291)+`"}`,
		"-f", "proof/pgbench/ins1.pgb", "-c", strconv.Itoa(connections), "-j", strconv.Itoa(min(connections, 4)), "-T", strconv.Itoa(int(length.Seconds())), y.database)
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
