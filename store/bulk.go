package store

import (
	"context"

	"github.com/uptrace/bun"
)

// setOnChats changes every chat that where selects. It locks them in the order of their ids first, as everybody does: an
// UPDATE alone would lock them as it meets them, and deadlock with whoever holds several.
func (s *Store) setOnChats(ctx context.Context, tx bun.Tx, set func(*bun.UpdateQuery) *bun.UpdateQuery, where string, args ...any) error {
	if err := s.d.lockInOrder(ctx, tx, tx.NewSelect().Table("chats").Where(where, args...)); err != nil {
		return err
	}
	_, err := set(tx.NewUpdate().Table("chats")).Where(where, args...).Exec(ctx)
	return err
}
