package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// SaveSettings saves the chat settings: change has the environment's present row and sets what is to be saved; it may be
// called more than once and has no other effect. The clocks of chats count from the moment chats are switched on (b24), and
// what was stored meanwhile is due at once. Whoever waits is looked at again, as a limit may have been lifted.
func (s *Store) SaveSettings(ctx context.Context, environment uuid.UUID, change func(e *Environment) error) (Environment, error) {
	return s.changeEnvironment(ctx, environment, func(ctx context.Context, tx bun.Tx, e *Environment) error {
		before := e.ChatsEnabled
		if err := change(e); err != nil {
			return err
		}
		if !e.ChatsEnabled || before {
			return nil
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		e.ChatsEnabledAt = At(now)
		return s.lanesDue(ctx, tx, e.ID)
	})
}

// lanesDue makes every lane to the CRM that has something to push due now.
func (s *Store) lanesDue(ctx context.Context, tx bun.Tx, environment uuid.UUID) error {
	const has = "environment_id = ? AND held_reason IS NULL AND (crm_due_at IS NOT NULL OR crm_seq < last_seq)"
	err := s.setOnChats(ctx, tx, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("crm_due_at = ?", s.d.now()) }, has, environment)
	if err != nil {
		return fmt.Errorf("make the lanes to the CRM due: %w", err)
	}
	return nil
}
