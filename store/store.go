// Package store holds every SQL statement of Waggle. One method is one transaction. The same queries run on PostgreSQL and
// SQLite; the differences are in dialect.go, and Receive alone differs more.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/driver/pgdriver"
	_ "modernc.org/sqlite" // the embedded database
)

// Errors every caller may meet. They are compared with errors.Is.
var (
	// ErrNotFound: there is no such row in this environment. A foreign environment's id is not found either.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the row is not in a state that allows this; someone was faster. Wrapped with what and why.
	ErrConflict = errors.New("conflict")
	// ErrLocked: others are at this moment changing all that is due. It is worth looking again soon: nobody else will tell.
	ErrLocked = errors.New("others are changing all that is due")
)

// Sealer encrypts what Waggle must send to others and so cannot hash: bot tokens, the CRM password. about binds the
// sealed bytes to their row, so that they open nowhere else.
type Sealer interface {
	Seal(plain []byte, about string) ([]byte, error)
	Open(sealed []byte, about string) ([]byte, error)
}

// Options of Open.
type Options struct {
	// URL is postgres://… or sqlite:PATH.
	URL string
	// MaxConns bounds the connections to PostgreSQL; 0 means 20. SQLite always writes with one.
	MaxConns int
	Sealer   Sealer
	// Watch, if set, is told every statement that was run, with its values: for tests.
	Watch func(statement string)
}

// Store is the one way to the database. It is safe for concurrent use.
type Store struct {
	db     *bun.DB // writes
	read   *bun.DB // reads; the same as db on PostgreSQL
	d      dialect
	sealer Sealer
	recv   receiver
}

// Open connects to the database. It does not change the schema: see Migrate.
func Open(ctx context.Context, o Options) (*Store, error) {
	var s *Store
	var err error
	switch {
	case strings.HasPrefix(o.URL, "postgres://"), strings.HasPrefix(o.URL, "postgresql://"):
		s, err = openPostgres(o)
	case strings.HasPrefix(o.URL, "sqlite:"):
		s, err = openSQLite(o)
	default:
		return nil, errors.New("open store: the database URL must begin with postgres:// or sqlite:")
	}
	if err != nil {
		return nil, err
	}
	s.sealer = o.Sealer
	if o.Watch != nil {
		s.watch(o.Watch)
	}
	if err := s.Ping(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func openPostgres(o Options) (*Store, error) {
	max := o.MaxConns
	if max == 0 {
		max = 20
	}
	c, err := postgresConnector(o.URL, nil)
	if err != nil {
		return nil, err
	}
	recv, err := newPostgresReceiver(o.URL)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(max)
	pool.SetMaxIdleConns(max)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db := bun.NewDB(pool, pgdialect.New())
	return &Store{db: db, read: db, d: postgres{}, recv: recv}, nil
}

// postgresConnector turns pgdriver's panic over a malformed URL into an error that does not repeat the password.
func postgresConnector(url string, params map[string]any) (c *pgdriver.Connector, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("open store: the database URL is not a valid postgres:// URL")
		}
	}()
	c = pgdriver.NewConnector(
		pgdriver.WithDSN(url),
		pgdriver.WithDialTimeout(5*time.Second),
		pgdriver.WithReadTimeout(30*time.Second),
		pgdriver.WithWriteTimeout(10*time.Second),
		pgdriver.WithApplicationName("waggle"),
		// An error quotes the statement it happened in; pgdriver cannot read one longer than its buffer.
		pgdriver.WithBufferSize(64<<10),
	)
	// A process that is frozen in the middle of a transaction must not keep its locks: nobody else could go on. Ours take
	// milliseconds and wait for nothing outside. The URL's own parameters, such as search_path, go beside.
	all := map[string]any{"idle_in_transaction_session_timeout": "10s"}
	maps.Copy(all, c.Config().ConnParams)
	maps.Copy(all, params)
	pgdriver.WithConnParams(all)(c.Config())
	return c, nil
}

func openSQLite(o Options) (*Store, error) {
	const pragmas = "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	path := strings.TrimPrefix(o.URL, "sqlite:")
	if path == "" {
		return nil, errors.New("open store: sqlite: needs a file's path")
	}
	// In a URI a # or ? of the path would cut it off, and the database would be another file.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + pragmas
	write, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	// One writing connection: a pool of writers starves in the busy handler.
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn+"&_pragma=query_only(1)")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	read.SetMaxOpenConns(4)
	return &Store{
		db: bun.NewDB(write, sqlitedialect.New()), read: bun.NewDB(read, sqlitedialect.New()),
		d: sqlite{}, recv: &sqliteReceiver{db: write},
	}, nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	return nil
}

// Close ends the connections.
func (s *Store) Close() error {
	err := errors.Join(s.recv.close(), s.db.Close())
	if s.read != s.db {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// inTx runs f in one transaction. It is run again when the database chose it as a deadlock's victim: f must have no effect
// but on tx.
func (s *Store) inTx(ctx context.Context, f func(ctx context.Context, tx bun.Tx) error) error {
	const tries = 3
	for try := 1; ; try++ {
		err := s.db.RunInTx(ctx, nil, f)
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err() // the driver has ended the transaction with its context, between two statements
		}
		if err == nil || try == tries || !s.d.deadlock(err) {
			return err
		}
	}
}

// newID returns a UUIDv7: ids grow with time, so that indexes do and lists page by id.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// one maps "no such row" to ErrNotFound and names what was looked for in any other error.
func one(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// changed reports whether a statement changed any row.
func changed(r sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}
