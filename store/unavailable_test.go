package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/store"
)

func TestUnavailable(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"cut in an answer":   {fmt.Errorf("read the chat: %w", io.EOF), true},
		"refused":            {fmt.Errorf("reach: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), true},
		"too slow":           {context.DeadlineExceeded, true},
		"not found":          {store.ErrNotFound, false},
		"a bug":              {errors.New("syntax error"), false},
		"nothing went wrong": {nil, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.want, store.Unavailable(row.err)) })
	}
}

// Found by chaos: a full disk is nobody's mistake in a request.
func TestAFullDiskIsUnavailable(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "full.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, q := range []string{"CREATE TABLE notes (text text)", "PRAGMA max_page_count = 3"} {
		_, err := db.ExecContext(t.Context(), q)
		require.NoError(t, err)
	}
	_, err = db.ExecContext(t.Context(), "INSERT INTO notes VALUES (zeroblob(100000))")
	require.ErrorContains(t, err, "full")
	require.True(t, store.Unavailable(fmt.Errorf("write: %w", err)))
	_, err = db.ExecContext(t.Context(), "INSERT INTO nothing VALUES (1)")
	require.Error(t, err)
	require.False(t, store.Unavailable(err), "a bug is none")
}
