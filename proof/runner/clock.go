package runner

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// movedClock is added to package time of a program whose wall clock can be moved.
//
//go:embed moved_clock.txt
var movedClock []byte

// What becomes of time.Now: the machine's wall clock plus what movedClock says. The monotonic clock stays what it is, as it
// does where a machine's wall clock is set.
var (
	readsClock  = []byte("\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {")
	movesClock  = []byte("\tsec, nsec, mono := runtimeNow()\n\tsec += *moved\n\tif mono == 0 {")
	clockOfName = "PROOF_CLOCK"
)

// BuildWithClock is Build with a wall clock that can be moved: see Clock. The product knows nothing of it: the program is
// compiled with another time.Now, so that every library in it sees the same moved clock.
func BuildWithClock(ctx context.Context, dir string) (string, error) {
	overlay, err := clockOverlay(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("give waggle a clock that can be moved: %w", err)
	}
	return build(ctx, dir, "waggle", "-overlay", overlay)
}

// clockOverlay writes the changed files of package time and the list that go build -overlay takes.
func clockOverlay(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original) //nolint:gosec // Go's own source
	if err != nil {
		return "", err
	}
	if bytes.Count(source, readsClock) != 1 {
		return "", errors.New("this Go's time.Now reads the clock in another way: change readsClock and movesClock")
	}
	now, list := filepath.Join(dir, "time.go.txt"), filepath.Join(dir, "overlay.json")
	added := filepath.Join(dir, "moved_clock.txt")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		original: now, filepath.Join(filepath.Dir(original), "moved_clock.go"): added,
	}})
	if err != nil {
		return "", err
	}
	for path, content := range map[string][]byte{now: bytes.Replace(source, readsClock, movesClock, 1), added: movedClock, list: replace} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", err
		}
	}
	return list, nil
}

// Clock moves the wall clock of the processes that are started with its Env, of a binary of BuildWithClock; with another one it
// does nothing.
type Clock struct {
	path string
	by   atomic.Int64
}

// NewClock makes a clock that is not moved; path is a file for it alone.
func NewClock(path string) (*Clock, error) {
	c := &Clock{path: path}
	return c, c.Move(0)
}

// Env is the "NAME=value" that gives a process this clock.
func (c *Clock) Env() string { return clockOfName + "=" + c.path }

// Move lets the clock differ from the machine's by whole seconds, from now on, in processes that run too.
func (c *Clock) Move(by time.Duration) error {
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("move a clock: %w", err)
	}
	c.by.Store(int64(by))
	_, err = f.Write(binary.NativeEndian.AppendUint64(nil, uint64(by/time.Second)))
	return errors.Join(err, f.Close())
}

// Moved is how far the clock differs from the machine's.
func (c *Clock) Moved() time.Duration { return time.Duration(c.by.Load()) }
