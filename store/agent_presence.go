package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// SetAgentStatus sets an agent's status.
func (s *Store) SetAgentStatus(ctx context.Context, environment, id uuid.UUID, status chat.AgentStatus) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		q := tx.NewUpdate().Model((*Agent)(nil)).
			Set("status_at = CASE WHEN status = ? THEN status_at ELSE ? END", status, At(now)).Set("status = ?", status).
			Where("environment_id = ?", environment).Where("id = ?", id).Where("deleted_at IS NULL")
		if status == chat.Active {
			// Who is watched is watched from now on: an old heartbeat must not send him offline again at once.
			q = q.Set("heartbeat_at = CASE WHEN heartbeat_at IS NULL THEN NULL ELSE ? END", s.d.now())
		}
		found, err := changed(q.Exec(ctx))
		if err != nil {
			return fmt.Errorf("set the status of agent %s: %w", id, err)
		}
		if !found {
			return fmt.Errorf("agent %s: %w", id, ErrNotFound)
		}
		return nil
	})
}

// AgentHeartbeat says that an agent's page is still open. From the first one on he is watched: when they stop he becomes
// offline. An agent who never sent one is not.
func (s *Store) AgentHeartbeat(ctx context.Context, environment, id uuid.UUID) error {
	found, err := changed(s.db.NewUpdate().Model((*Agent)(nil)).Set("heartbeat_at = ?", s.d.now()).
		Where("environment_id = ?", environment).Where("id = ?", id).Where("deleted_at IS NULL").Exec(ctx))
	if err != nil {
		return fmt.Errorf("note the heartbeat of agent %s: %w", id, err)
	}
	if !found {
		return fmt.Errorf("agent %s: %w", id, ErrNotFound)
	}
	return nil
}

// lockAgentChats reads and locks an agent's open chats. It comes before he himself is touched: the global order is chat,
// agent.
func (s *Store) lockAgentChats(ctx context.Context, tx bun.Tx, environment, agent uuid.UUID) ([]Chat, error) {
	var chats []Chat
	err := s.d.forUpdate(tx.NewSelect().Model(&chats).Where("c.environment_id = ?", environment).Where("c.agent_id = ?", agent).
		Where("c.closed_at IS NULL").Order("c.id")).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock the chats of agent %s: %w", agent, err)
	}
	return chats, nil
}

// returnChats gives an agent's open chats back to their queues. It comes after the change that keeps new chats away from
// him, so that one assigned since lockAgentChats is returned too; should that be a deadlock, the transaction runs again.
func (s *Store) returnChats(ctx context.Context, tx bun.Tx, environment, agent uuid.UUID, why string) ([]uuid.UUID, error) {
	chats, err := s.lockAgentChats(ctx, tx, environment, agent)
	if err != nil {
		return nil, err
	}
	now, err := s.now(ctx, tx)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(chats))
	for i, c := range chats {
		ids[i] = c.ID
		if _, err := s.release(ctx, tx, c, now, c.QueueID, uuid.Nil, why, nil); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
