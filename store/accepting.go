package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// EnvironmentsOn returns the environments whose chats are switched on.
func (s *Store) EnvironmentsOn(ctx context.Context) ([]Environment, error) {
	var all []Environment
	if err := s.read.NewSelect().Model(&all).Where("e.chats_enabled").OrderExpr("e.id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list the environments with chats: %w", err)
	}
	return all, nil
}

// AcceptsDue returns chats that were assigned at or before before and that their agent has not accepted, longest first.
func (s *Store) AcceptsDue(ctx context.Context, environment uuid.UUID, before time.Time, limit int) ([]Chat, error) {
	var chats []Chat
	err := s.read.NewSelect().Model(&chats).Where("c.environment_id = ?", environment).
		Where("c.closed_at IS NULL").Where("c.accepted_at IS NULL").Where("c.assigned_at IS NOT NULL").
		Where("c.assigned_at <= ?", At(before)).Where("NOT c.on_hold").OrderExpr("c.assigned_at").Limit(limit).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for chats their agents have not accepted: %w", err)
	}
	return chats, nil
}

// PassOn takes a chat from an agent who did not accept it and makes him inactive (S3.13, S3.14): it is to's then; zero: it
// waits. Everything is repeated: not accepted since before, the assignment's version, to's room.
func (s *Store) PassOn(ctx context.Context, environment, id uuid.UUID, version int64, to uuid.UUID, before time.Time) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if c.AssignmentVersion != version {
			return c, refused("the chat has changed meanwhile")
		}
		demand := func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Where("assigned_at <= ?", At(before)).Where("accepted_at IS NULL").Where("NOT on_hold").
				Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = ? AND e.chats_enabled)", environment)
		}
		var after Chat
		var err error
		if to == uuid.Nil {
			after, err = s.release(ctx, tx, c, now, c.QueueID, uuid.Nil, "not accepted in time", demand)
		} else {
			after, err = s.give(ctx, tx, c, now, giving{to: to, why: "not accepted in time", demand: demand})
		}
		if err != nil {
			return c, err
		}
		_, err = tx.NewUpdate().Model((*Agent)(nil)).Set("status = ?", chat.Inactive).Set("status_at = ?", At(now)).
			Where("a.id = ?", c.AgentID).Where("a.environment_id = ?", environment).Where("a.status = ?", chat.Active).Exec(ctx)
		if err != nil {
			return c, fmt.Errorf("make agent %s inactive: %w", c.AgentID, err)
		}
		return after, nil
	})
}

// Silence is how long an agent's browser may be silent before he counts as offline.
const Silence = 2 * time.Minute

// SilentAgentsOffline makes offline who is active but whose browser, after having sent heartbeats, is silent, and returns
// them. Heartbeats go by the unmoved clock; shortly after an outage of ours nobody is made offline.
func (s *Store) SilentAgentsOffline(ctx context.Context) ([]Agent, error) {
	var gone []Agent
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		gone = nil
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&gone).Set("status = ?", chat.Offline).Set("status_at = ?", At(now)).
			Where("a.status = ?", chat.Active).Where("a.heartbeat_at IS NOT NULL").
			Where("a.heartbeat_at < ? - ?", s.d.now(), Silence.Microseconds()).
			Where("NOT EXISTS (SELECT 1 FROM clock WHERE resumed_at > ?)", At(now.Add(-Silence))).
			Returning("*").Exec(ctx)
		if err != nil {
			return fmt.Errorf("make silent agents offline: %w", err)
		}
		return nil
	})
	return gone, err
}
