package runner

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Servers are a PostgreSQL and a Redis of a proof's own, on free ports and in a folder of their own, so that it may kill,
// freeze and restart them.
type Servers struct {
	Postgres, Redis *Server
}

// Server is one of them. It keeps its address, and PostgreSQL its data, when it is restarted.
type Server struct {
	Addr string // host:port

	process *Process
	binary  string
	args    []string
	as      *syscall.Credential // nil: as we are
	crash   syscall.Signal
	answers func(context.Context) error // nil once the server does what it is asked
}

// StartServers starts both in dir; they answer when it returns. Close them after use. PostgreSQL has its defaults, so that a
// commit is on disk, but for the settings ("name=value").
func StartServers(ctx context.Context, dir string, settings ...string) (*Servers, error) {
	s := &Servers{}
	var err error
	if s.Postgres, err = newPostgres(ctx, dir, settings); err == nil {
		if s.Redis, err = newRedis(dir); err == nil {
			if err = s.Postgres.Start(ctx); err == nil {
				err = s.Redis.Start(ctx)
			}
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("start PostgreSQL and Redis: %w", err)
	}
	return s, nil
}

// DatabaseURL and RedisURL are for Options.
func (s *Servers) DatabaseURL() string {
	return s.Postgres.url()
}

func (s *Server) url() string { return "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable" }

// RedisURL is the URL of Redis.
func (s *Servers) RedisURL() string { return "redis://" + s.Redis.Addr + "/0" }

// Close ends both.
func (s *Servers) Close() {
	for _, one := range []*Server{s.Postgres, s.Redis} {
		if one != nil && one.process != nil {
			one.Thaw()
			one.Crash()
		}
	}
}

// newPostgres makes a cluster. PostgreSQL refuses to run as root: then it runs as the user postgres of its package.
func newPostgres(ctx context.Context, dir string, settings []string) (*Server, error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "postgres")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	// SIGQUIT is its "immediate" stop, without putting anything in order; a SIGKILL would leave its children behind.
	s := &Server{binary: filepath.Join(programs, "postgres"), crash: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		if s.as, err = credential("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(home, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(home, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), //nolint:gosec // PostgreSQL's own program
		"-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8")
	initdb.Dir, initdb.SysProcAttr = home, &syscall.SysProcAttr{Credential: s.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.Addr, err = FreePort(); err != nil {
		return nil, err
	}
	s.answers = s.connect
	_, port, _ := net.SplitHostPort(s.Addr)
	s.args = []string{
		"-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + home, "-c", "max_connections=200",
	}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	return s, nil
}

func newRedis(dir string) (s *Server, err error) {
	s = &Server{crash: syscall.SIGKILL}
	if s.binary, err = exec.LookPath("redis-server"); err != nil {
		return nil, err
	}
	if s.Addr, err = FreePort(); err != nil {
		return nil, err
	}
	s.answers = s.dial
	_, port, _ := net.SplitHostPort(s.Addr)
	s.args = []string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", dir,
	}
	return s, nil
}

// postgresPrograms is the folder of PostgreSQL's programs; on Debian it is outside the PATH.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("PostgreSQL is not installed: no initdb in the PATH or below /usr/lib/postgresql")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user %s to run it as: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// connect tells whether PostgreSQL lets us in: while it recovers it takes connections and turns each away.
func (s *Server) connect(ctx context.Context) error {
	db, err := sql.Open("pg", s.url())
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

func (s *Server) dial(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// Start starts the server and waits until it answers.
func (s *Server) Start(ctx context.Context) (err error) {
	if s.process, err = startAs(s.as, s.crash, s.binary, filepath.Base(s.binary), s.args, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second) // PostgreSQL may have to recover first
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("%s ended: %v", s.process.Name, s.process.Log())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: %w", s.process.Name, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Crash ends the server without letting it put anything in order.
func (s *Server) Crash() {
	_ = s.process.cmd.Process.Signal(s.crash)
	select {
	case <-s.process.done:
	case <-time.After(10 * time.Second):
		s.process.Kill()
	}
}

// Freeze stops the server's main process without ending it; of Redis that is all there is.
func (s *Server) Freeze() { s.process.Freeze() }

// Frozen tells whether it is stopped.
func (s *Server) Frozen() bool { return s.process.Frozen() }

// Running tells whether the server has not ended.
func (s *Server) Running() bool { return s.process.Running() }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.process.Thaw() }
