package app_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/app"
)

// A file store or a Redis that is away stops nothing; who starts Waggle is told at once, not by the first picture.
func TestAFileStoreThatIsAwayIsToldAtTheStart(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret words")
	requireSaid(t, app.Config{MediaURL: "s3://files?endpoint=http://" + nobody(t)}, "correct MEDIA_URL")
}

func TestARedisThatIsAwayIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	requireSaid(t, app.Config{RedisURL: "redis://:secret%20words@" + nobody(t)}, "correct REDIS_URL")
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func requireSaid(t *testing.T, c app.Config, words string) {
	log := &capturedLog{}
	c.DataDir, c.LogTo, c.LogLevel, c.Listen = t.TempDir(), log, "error", "127.0.0.1:0"
	c.Tick, c.Sweep, c.Drain = time.Second, time.Second, time.Second
	a, err := app.Build(t.Context(), c, app.Parts{API: true, Worker: true})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	a.Stop()
	said := strings.Join(log.lines(), "\n")
	require.Contains(t, said, words)
	require.NotContains(t, said, "secret words")
}
