package store

import (
	"context"
	"fmt"
	"time"
)

// Lead takes or keeps the leadership of name for owner until lease from now, by the database's clock, and reports whether
// owner has it. A leader that stops asking loses it when its lease ends.
func (s *Store) Lead(ctx context.Context, name, owner string, lease time.Duration) (bool, error) {
	got, err := changed(s.db.NewRaw(`INSERT INTO leaders (name, owner, until_at) VALUES (?, ?, ? + ?)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until_at = excluded.until_at
WHERE leaders.owner = excluded.owner OR leaders.until_at < ?`,
		name, owner, s.d.now(), lease.Microseconds(), s.d.now()).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("elect %s: %w", name, err)
	}
	return got, nil
}

// Resign gives the leadership of name up, so that another need not wait for the lease to end.
func (s *Store) Resign(ctx context.Context, name, owner string) error {
	_, err := s.db.NewRaw(`DELETE FROM leaders WHERE name = ? AND owner = ?`, name, owner).Exec(ctx)
	if err != nil {
		return fmt.Errorf("resign from %s: %w", name, err)
	}
	return nil
}
