// Package proof kills, freezes and restarts real Waggle processes and what they depend on, and counts afterwards, from the
// other sides' own books, that nothing was lost, doubled or swapped.
package proof

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/proof/runner"
)

// redisNumber is this package's own database of the Redis under test: asynq's keys have a fixed prefix.
const redisNumber = 13

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "waggle-proof-")
	if err == nil {
		binary, err = runner.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// place is one installation under test with its town.
type place struct {
	*runner.Installation
	town *runner.Town
}

// proof is one story. It gets a fresh place; when it has told its part the audit follows.
type proof func(t *testing.T, ctx context.Context, p place)

// everywhere tells the story on one embedded process and, where there are servers, on two api and two worker processes.
func everywhere(t *testing.T, name string, tell proof, env ...string) {
	t.Run(name+" (embedded)", func(t *testing.T) { run(t, runner.Options{}, tell, env) })
	onServers(t, name, tell, env...)
}

// onServers tells a story that needs several processes, or servers that fail.
func onServers(t *testing.T, name string, tell proof, env ...string) {
	o := runner.Options{DatabaseURL: os.Getenv("TEST_DATABASE_URL"), RedisURL: os.Getenv("TEST_REDIS_URL")}
	if o.DatabaseURL == "" || o.RedisURL == "" {
		return
	}
	t.Run(name+" (PostgreSQL and Redis)", func(t *testing.T) {
		u, err := url.Parse(o.RedisURL)
		require.NoError(t, err)
		u.Path = fmt.Sprint("/", redisNumber)
		o.RedisURL = u.String()
		run(t, o, tell, env)
	})
}

// storyLimit bounds one story with its audit.
const storyLimit = 3 * time.Minute

func run(t *testing.T, o runner.Options, tell proof, env []string) {
	ctx, cancel := context.WithTimeout(t.Context(), storyLimit)
	defer cancel()
	o.Binary, o.Dir, o.Env = binary, t.TempDir(), env
	in, err := runner.Install(ctx, o)
	require.NoError(t, err)
	defer in.Close()
	defer func() {
		if t.Failed() {
			t.Log(in.Logs())
		}
	}()
	town, err := in.SetUp(ctx)
	require.NoError(t, err)
	tell(t, ctx, place{Installation: in, town: town})
	require.NoError(t, town.Audit(ctx))
}
