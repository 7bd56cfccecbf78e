package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// machine is what the figures depend on.
type machine struct {
	Cores      int    `json:"cores"`
	CPU        string `json:"cpu"`
	MemoryGB   int    `json:"memory_gb"`
	System     string `json:"system"`
	Go         string `json:"go"`
	PostgreSQL string `json:"postgresql"` // empty: none is installed
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores of %s, %d GB of memory, %s, %s, PostgreSQL %s", m.Cores, m.CPU, m.MemoryGB, m.System, m.Go, m.PostgreSQL)
}

// thisMachine asks Linux what it runs on.
func thisMachine(ctx context.Context) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	var memory string
	for _, known := range []struct {
		file, field, separator string
		to                     *string
	}{
		{"/proc/cpuinfo", "model name", ":", &m.CPU},
		{"/proc/meminfo", "MemTotal", ":", &memory},
		{"/etc/os-release", "PRETTY_NAME", "=", &m.System},
	} {
		text, err := os.ReadFile(known.file)
		if err != nil {
			return m, fmt.Errorf("what machine is this: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, known.separator); strings.TrimSpace(name) == known.field {
				*known.to = strings.Trim(value, " \"\n")
				break
			}
		}
	}
	kB, _ := strconv.ParseFloat(strings.TrimSuffix(memory, " kB"), 64)
	m.MemoryGB = int(math.Round(kB / (1 << 20)))
	if pgbench, err := postgresProgram("pgbench"); err == nil {
		out, err := exec.CommandContext(ctx, pgbench, "--version").Output() //nolint:gosec // PostgreSQL's own program
		if err != nil {
			return m, fmt.Errorf("%s --version: %w", pgbench, err)
		}
		_, version, _ := strings.Cut(string(out), ") ") // pgbench (PostgreSQL) 15.8 (Debian …)
		m.PostgreSQL, _, _ = strings.Cut(strings.TrimSpace(version), " ")
	}
	return m, nil
}
