package runner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServersAnswerOnceStarted(t *testing.T) {
	if _, err := postgresPrograms(); err != nil {
		t.Skip(err) //nolint:forbidigo // not every machine has the programs of PostgreSQL
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711), "PostgreSQL's user goes through")
	s, err := StartServers(t.Context(), dir)
	require.NoError(t, err)
	defer s.Close()
	for range 5 {
		s.Postgres.Crash()
		require.NoError(t, s.Postgres.Start(t.Context()))
		require.NoError(t, s.Postgres.connect(t.Context()), "it is still recovering")
	}
}
