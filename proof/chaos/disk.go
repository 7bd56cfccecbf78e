package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"waggle/proof/runner"
)

// disk is what can befall the disk under SQLite. It needs util-linux's prlimit.
func (w *world) disk() []fault {
	if _, err := exec.LookPath("prlimit"); err != nil {
		w.say("there is no prlimit here: the disk does not get full")
		return nil
	}
	return []fault{{"disk full", func(ctx context.Context, r *rand.Rand) { w.fullDisk(ctx, r, w.in.APIs[0]) }}}
}

// fullDisk lets no file of a process grow beyond a part of what its write-ahead log has now: SQLite sees a disk that takes
// nothing more.
func (w *world) fullDisk(ctx context.Context, r *rand.Rand, s *runner.Slot) {
	limit := int64(0)
	if info, err := os.Stat(filepath.Join(w.dir, "waggle.db-wal")); err == nil {
		limit = r.Int64N(info.Size() + 1)
	}
	w.limitFiles(s, fmt.Sprint(limit))
	rest(ctx, between(r, time.Second, 4*time.Second))
	w.limitFiles(s, "unlimited")
}

// limitFiles sets the soft limit of a process's file size, in bytes.
func (w *world) limitFiles(s *runner.Slot, limit string) {
	pid := fmt.Sprint(s.Process.PID())
	out, err := exec.CommandContext(w.finish, "prlimit", "--pid", pid, "--fsize="+limit+":").CombinedOutput() //nolint:gosec // numbers
	if err != nil {
		w.find(wrong, "prlimit: %v: %s", err, out)
	}
}
