// Package storetest opens databases for tests: a SQLite file always, and a schema of its own on PostgreSQL where
// TEST_DATABASE_URL is set.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/driver/pgdriver"

	"waggle/store"
)

// HasPostgres reports whether there is a PostgreSQL to test on.
func HasPostgres() bool { return os.Getenv("TEST_DATABASE_URL") != "" }

// Each runs f on every database there is, each time on a fresh, migrated one.
func Each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); f(t, SQLite(t)) })
	if HasPostgres() {
		t.Run("postgres", func(t *testing.T) { t.Parallel(); f(t, Postgres(t)) })
	}
}

// Concurrent returns a store on the database that counts for concurrency: PostgreSQL where there is one.
func Concurrent(t testing.TB) *store.Store {
	t.Helper()
	if HasPostgres() {
		return Postgres(t)
	}
	return SQLite(t)
}

// Watched is Concurrent with watch being told every statement: see store.Options.
func Watched(t testing.TB, watch func(statement string)) *store.Store {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "waggle.db")
	if HasPostgres() {
		url = PostgresURL(t)
	}
	return open(t, store.Options{URL: url, Watch: watch})
}

// SQLite returns a store on a fresh SQLite file.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return open(t, store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "waggle.db")})
}

// Postgres returns a store on a fresh schema of TEST_DATABASE_URL, dropped when the test ends. Without one the test is skipped.
func Postgres(t testing.TB) *store.Store {
	t.Helper()
	return open(t, store.Options{URL: PostgresURL(t)})
}

// PostgresURL makes a fresh schema in TEST_DATABASE_URL and returns the URL that leads into it. Without one the test is skipped.
func PostgresURL(t testing.TB) string {
	t.Helper()
	if !HasPostgres() {
		t.Skip("TEST_DATABASE_URL is not set") //nolint:forbidigo // who asks for PostgreSQL alone has nothing to test without it
	}
	base := os.Getenv("TEST_DATABASE_URL")
	schema := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	admin := sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(base)))
	_, err := admin.Exec(fmt.Sprintf("CREATE SCHEMA %s", schema))
	require.NoError(t, err, "make a schema in TEST_DATABASE_URL")
	t.Cleanup(func() {
		_, _ = admin.Exec(fmt.Sprintf("DROP SCHEMA %s CASCADE", schema))
		_ = admin.Close()
	})
	u, err := url.Parse(base)
	require.NoError(t, err)
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	o.MaxConns, o.Sealer = 8, plain{}
	s, err := store.Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	return s
}

// plain seals nothing: what a test wrote it can read.
type plain struct{}

func (plain) Seal(p []byte, about string) ([]byte, error) {
	return append([]byte(about+"|"), p...), nil
}

func (plain) Open(c []byte, about string) ([]byte, error) {
	p, ok := strings.CutPrefix(string(c), about+"|")
	if !ok {
		return nil, fmt.Errorf("sealed for something else than %s", about)
	}
	return []byte(p), nil
}

// NextMoment returns when the store's clock has moved on: SQLite's counts milliseconds.
func NextMoment(t testing.TB, s *store.Store) {
	t.Helper()
	now := func() time.Time {
		at, err := s.Now(context.Background())
		require.NoError(t, err)
		return at
	}
	before := now()
	require.Eventually(t, func() bool { return now().After(before) }, time.Second, time.Millisecond)
}
