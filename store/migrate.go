package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun/migrate"

	"waggle/migrations"
)

// migrationLock is the advisory lock that lets one process at a time migrate a PostgreSQL database. bun's own lock never
// expires: a process killed while it migrates would block every later one.
const migrationLock = 0x77616767 // "wagg"

// Migrate brings the schema to this version and returns the names of the steps it took.
func (s *Store) Migrate(ctx context.Context) ([]string, error) {
	steps, err := s.steps()
	if err != nil {
		return nil, err
	}
	unlock, err := s.lockMigrations(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m := migrate.NewMigrator(s.db, steps, migrate.WithMarkAppliedOnSuccess(true))
	if err := m.Init(ctx); err != nil {
		return nil, fmt.Errorf("prepare the migrations: %w", err)
	}
	group, err := m.Migrate(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate the schema: %w", err)
	}
	var names []string
	for _, step := range group.Migrations {
		names = append(names, step.Name+"_"+step.Comment)
	}
	return names, nil
}

// Pending returns how many schema steps this version knows and the database lacks.
func (s *Store) Pending(ctx context.Context) (int, error) {
	steps, err := s.steps()
	if err != nil {
		return 0, err
	}
	all, err := migrate.NewMigrator(s.read, steps).MigrationsWithStatus(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return len(all.Unapplied()), nil
}

func (s *Store) steps() (*migrate.Migrations, error) {
	steps := migrate.NewMigrations()
	own := migrations.SQLite
	if _, ok := s.d.(postgres); ok {
		own = migrations.Postgres
	}
	if err := errors.Join(steps.Discover(migrations.Common), steps.Discover(own)); err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return steps, nil
}

func (s *Store) lockMigrations(ctx context.Context) (unlock func(), err error) {
	if _, ok := s.d.(postgres); !ok {
		return func() {}, nil
	}
	// The lock belongs to a transaction, which waits beside the steps: to a pooler a connection is not the same from one
	// transaction to the next, and a lock of a connection would stay where nobody opens it.
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("lock the migrations: %w", err)
	}
	_, err = tx.NewRaw("SET LOCAL idle_in_transaction_session_timeout = 0").Exec(ctx)
	if err == nil {
		_, err = tx.NewRaw("SELECT pg_advisory_xact_lock(?)", migrationLock).Exec(ctx)
	}
	if err != nil {
		_ = tx.Rollback()
		return nil, fmt.Errorf("lock the migrations: %w", err)
	}
	return func() { _ = tx.Rollback() }, nil
}
