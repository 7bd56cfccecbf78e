// Package runner starts real Waggle processes and the weather around them, for tests and proofs that kill, freeze and
// restart them.
package runner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Build compiles the product into dir and returns the binary's path.
func Build(ctx context.Context, dir string) (string, error) { return build(ctx, dir, "waggle") }

// build compiles a package into dir, with further flags.
func build(ctx context.Context, dir, pkg string, flags ...string) (string, error) {
	bin := filepath.Join(dir, "waggle")
	args := append(append([]string{"build", "-o", bin}, flags...), pkg)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput() //nolint:gosec // no outside input
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

// Process is one running Waggle process.
type Process struct {
	Name string
	Base string // http://host:port of its API; of a worker, of its operations

	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log []string
}

// logKept bounds the lines kept of a process's log.
const logKept = 2000

// Start starts the binary with arguments and, beside the present environment, env ("NAME=value"). Where we are killed it
// is killed too, on Linux.
func Start(bin, name string, args, env []string) (*Process, error) {
	return startAs(nil, syscall.SIGKILL, bin, name, args, env)
}

// startAs is Start for another user (nil: as we are), with the signal that ends the process if we are killed.
func startAs(as *syscall.Credential, end syscall.Signal, bin, name string, args, env []string) (*Process, error) {
	p := &Process{Name: name, cmd: exec.Command(bin, args...), done: make(chan struct{})} //nolint:gosec,noctx // our own binary; it lives until Kill or Stop
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := startChild(p.cmd, end); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		lines := bufio.NewScanner(pipe)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			if len(p.log) > logKept {
				p.log = p.log[len(p.log)-logKept:]
			}
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process's number, for what the operating system knows about it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Descriptors counts the files and connections the process has open; 0 where the system does not tell.
func (p *Process) Descriptors() int {
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID())) // elsewhere than on Linux there is none
	return len(open)
}

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Log returns the latest lines the process wrote.
func (p *Process) Log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.log...)
}

// Kill ends the process at once, as a crash does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// Freeze stops the process without ending it; Thaw lets it go on.
func (p *Process) Freeze() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Frozen tells whether the system says that the process is stopped; elsewhere than on Linux it is taken to be, if it has not ended.
func (p *Process) Frozen() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return p.Running() && runtime.GOOS != "linux"
	}
	_, state, _ := strings.Cut(string(stat), ") ") // behind the name, in which there may be anything but this
	return strings.HasPrefix(state, "T")
}

// Now is the process's own clock as its answers are dated: a second late at most.
func (p *Process) Now(ctx context.Context) (time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"/healthz", nil)
	if err != nil {
		return time.Time{}, err
	}
	web := &http.Client{Timeout: 5 * time.Second}
	defer web.CloseIdleConnections()
	res, err := web.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	_ = res.Body.Close()
	return http.ParseTime(res.Header.Get("Date"))
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// Stop asks the process to end and reports whether it did, by itself and without a fault, within limit.
func (p *Process) Stop(limit time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("%s ended with status %d", p.Name, code)
		}
		return nil
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("%s did not end within %s", p.Name, limit)
	}
}

// Ready waits until the process's API answers /readyz with 200.
func (p *Process) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	web := &http.Client{Timeout: 5 * time.Second}
	defer web.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := web.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %v", p.Name, p.Log())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.Name, ctx.Err())
		case <-tick.C:
		}
	}
}

// lastPort is the port FreePort gave out last.
var lastPort atomic.Uint32

// The ports FreePort gives out lie below those that the system gives to outgoing connections: a process that is restarted
// finds its port still free.
const (
	firstPort = 12_000
	ports     = 16_000
)

// FreePort returns a loopback address nobody listens on right now, another one at each call.
func FreePort() (string, error) {
	// Two processes that choose at once begin in different places.
	lastPort.CompareAndSwap(0, uint32(os.Getpid()*97%ports)+1)
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+lastPort.Add(1)%ports)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return "", errors.New("find a free port: none is free")
}
