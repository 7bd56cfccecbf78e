package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Team returns the environment's agents as routing sees them: memberships, limits and present loads.
func (s *Store) Team(ctx context.Context, environment uuid.UUID) ([]*chat.RoutedAgent, error) {
	return s.team(ctx, s.read, environment, uuid.Nil)
}

// lockAgent reads one agent as routing sees him, and locks his row until the transaction ends: whoever gives him a chat
// waits here, so that his room is never exceeded. The row of the agent who loses the chat (zero: nobody) is locked with it, in
// the order of their ids, so that two exchanges never wait for each other.
func (s *Store) lockAgent(ctx context.Context, tx bun.Tx, environment, id, loser uuid.UUID) (*chat.RoutedAgent, error) {
	var locked []uuid.UUID
	q := tx.NewSelect().Model((*Agent)(nil)).Column("id").Where("a.environment_id = ?", environment).
		Where("a.id IN (?, ?)", id, loser).OrderExpr("a.id")
	if err := s.d.forUpdate(q).Scan(ctx, &locked); err != nil {
		return nil, fmt.Errorf("lock agents %s and %s: %w", id, loser, err)
	}
	team, err := s.team(ctx, tx, environment, id)
	if err != nil {
		return nil, err
	}
	if len(team) != 1 {
		return nil, fmt.Errorf("agent %s: %w", id, ErrNotFound)
	}
	return team[0], nil
}

// team reads all agents of an environment, or one of them.
func (s *Store) team(ctx context.Context, db bun.IDB, environment, only uuid.UUID) ([]*chat.RoutedAgent, error) {
	var e Environment
	if err := db.NewSelect().Model(&e).Where("e.id = ?", environment).Scan(ctx); err != nil {
		return nil, one(err, "environment")
	}
	var rows []struct {
		Agent    `bun:",extend"`
		Position int
	}
	q := db.NewSelect().Model(&rows).ColumnExpr("a.*").ColumnExpr("coalesce(g.position, 0) AS position").
		Join("LEFT JOIN agent_groups AS g ON g.id = a.group_id").
		Where("a.environment_id = ?", environment).Where("a.deleted_at IS NULL").OrderExpr("a.name, a.id")
	if only != uuid.Nil {
		q = q.Where("a.id = ?", only)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the agents: %w", err)
	}
	team := make([]*chat.RoutedAgent, len(rows))
	byID := make(map[uuid.UUID]*chat.RoutedAgent, len(rows))
	for i, r := range rows {
		team[i] = &chat.RoutedAgent{
			ID: r.ID, Name: r.Name, Enabled: r.Enabled, Status: r.Status, GroupID: r.GroupID, Position: r.Position,
			Limit:       chat.Limit{MaxLoad: r.MaxLoad, SimultaneousChats: e.SimultaneousLimit()},
			Load:        chat.Load{Chats: r.OpenChats, Weight: r.OpenWeight},
			LastTakenAt: r.LastTakenAt.Time, Queues: map[uuid.UUID]bool{}, Channels: map[uuid.UUID]bool{},
		}
		byID[r.ID] = team[i]
	}
	return team, teamPlaces(ctx, db, environment, only, byID)
}

// teamPlaces fills in the agents' queues and channels.
func teamPlaces(ctx context.Context, db bun.IDB, environment, only uuid.UUID, byID map[uuid.UUID]*chat.RoutedAgent) error {
	var queues []QueueAgent
	q := db.NewSelect().Model(&queues).Where("qa.environment_id = ?", environment)
	var channels []AgentChannel
	c := db.NewSelect().Model(&channels).Where("ac.environment_id = ?", environment)
	if only != uuid.Nil {
		q, c = q.Where("qa.agent_id = ?", only), c.Where("ac.agent_id = ?", only)
	}
	if err := q.Scan(ctx); err != nil {
		return fmt.Errorf("read the agents' queues: %w", err)
	}
	if err := c.Scan(ctx); err != nil {
		return fmt.Errorf("read the agents' channels: %w", err)
	}
	for _, r := range queues {
		if a := byID[r.AgentID]; a != nil {
			a.Queues[r.QueueID] = true
		}
	}
	for _, r := range channels {
		if a := byID[r.AgentID]; a != nil {
			a.Channels[r.ChannelID] = true
		}
	}
	return nil
}
