package app_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/app"
)

// A file store that is away stops nothing; who starts Waggle is told at once, not by the first picture.
func TestAFileStoreThatIsAwayIsToldAtTheStart(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the secret of the bucket")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	log := &capturedLog{}
	a, err := app.Build(t.Context(), app.Config{
		DataDir: t.TempDir(), MediaURL: "s3://files?endpoint=http://" + gone.Addr().String(), LogTo: log, LogLevel: "info",
		Tick: time.Second, Sweep: time.Second, Drain: time.Second, Listen: "127.0.0.1:0",
	}, app.Parts{API: true, Worker: true})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	a.Stop()
	said := strings.Join(log.lines(), "\n")
	require.Contains(t, said, "correct MEDIA_URL")
	require.NotContains(t, said, "the secret of the bucket")
}
