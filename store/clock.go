package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Outage is how long no worker may have been alive before the time without service counts as an outage of ours.
const Outage = time.Minute

// Now is the business time the rules go by: the database's clock plus the offset that only the movable clock changes.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.now(ctx, s.read) }

func (s *Store) now(ctx context.Context, db bun.IDB) (time.Time, error) {
	var us int64
	err := db.NewSelect().Table("clock").ColumnExpr("? + offset_us", s.d.now()).Scan(ctx, &us)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", err)
	}
	return time.UnixMicro(us).UTC(), nil
}

// Unmoved is the database's own clock, for leases and heartbeats.
func (s *Store) Unmoved(ctx context.Context) (time.Time, error) { return s.unmoved(ctx, s.read) }

func (s *Store) unmoved(ctx context.Context, db bun.IDB) (time.Time, error) {
	var us int64
	if err := db.NewSelect().ColumnExpr("?", s.d.now()).Scan(ctx, &us); err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return time.UnixMicro(us).UTC(), nil
}

// Advance moves the business clock forward. It is no outage: the rules see the time pass.
func (s *Store) Advance(ctx context.Context, d time.Duration) error {
	_, err := s.db.NewUpdate().Table("clock").Set("offset_us = offset_us + ?", d.Microseconds()).Where("id = 1").Exec(ctx)
	if err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	return nil
}

// Heartbeat says that a worker is alive. After an outage of ours it records the present business time as the moment service
// was resumed, from which the rules' clocks count anew: our silence is nobody's silence.
func (s *Store) Heartbeat(ctx context.Context) error {
	_, err := s.db.NewUpdate().Table("clock").
		Set("resumed_at = CASE WHEN heartbeat_at < ? - ? THEN ? + offset_us ELSE resumed_at END", s.d.now(), Outage.Microseconds(), s.d.now()).
		Set("heartbeat_at = ?", s.d.now()).
		Where("id = 1").Exec(ctx)
	if err != nil {
		return fmt.Errorf("record the heartbeat: %w", err)
	}
	return nil
}

// Resumed is the business time at which service was last resumed; zero if there never was an outage.
func (s *Store) Resumed(ctx context.Context) (time.Time, error) {
	var t Time
	if err := s.read.NewSelect().Table("clock").Column("resumed_at").Scan(ctx, &t); err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", err)
	}
	return t.Time, nil
}
