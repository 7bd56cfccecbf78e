package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Once lets tests run any transaction under an idempotency key.
func (s *Store) Once(ctx context.Context, environment uuid.UUID, i Idem, f func(ctx context.Context, tx bun.Tx) (string, error)) (string, bool, error) {
	return idempotent(ctx, s, environment, i, f)
}
