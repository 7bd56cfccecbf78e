package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"waggle/proof/runner"
)

// disk is what can befall the disk under SQLite. It needs util-linux's prlimit; without it the fault is missed as one that never took
// effect.
func (w *world) disk() fault {
	return fault{name: "disk full", most: 4 * time.Second, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
		if _, err := exec.LookPath("prlimit"); err != nil {
			w.say("there is no prlimit here: the disk does not get full")
			return
		}
		w.fullDisk(ctx, r, w.in.APIs[0], took)
	}}
}

// fullDisk lets no file of a process grow beyond a part of what its write-ahead log has now: SQLite sees a disk that takes
// nothing more.
func (w *world) fullDisk(ctx context.Context, r *rand.Rand, s *runner.Slot, took func(int)) {
	limit := int64(0)
	if info, err := os.Stat(filepath.Join(w.dir, "waggle.db-wal")); err == nil {
		limit = r.Int64N(info.Size() + 1)
	}
	before := complaints(s)
	w.limitFiles(s, fmt.Sprint(limit))
	rest(ctx, between(r, time.Second, 4*time.Second))
	w.limitFiles(s, "unlimited")
	if n := complaints(s) - before; n > 0 {
		took(n)
	}
}

// complaints are the lines of a process's log about a disk that takes nothing.
func complaints(s *runner.Slot) (n int) {
	for _, line := range s.Process.Log() {
		if strings.Contains(line, "disk I/O error") || strings.Contains(line, "disk is full") {
			n++
		}
	}
	return n
}

// limitFiles sets the soft limit of a process's file size, in bytes.
func (w *world) limitFiles(s *runner.Slot, limit string) {
	pid := fmt.Sprint(s.Process.PID())
	out, err := exec.CommandContext(w.finish, "prlimit", "--pid", pid, "--fsize="+limit+":").CombinedOutput() //nolint:gosec // numbers
	if err != nil {
		w.find(wrong, "prlimit: %v: %s", err, out)
	}
}
