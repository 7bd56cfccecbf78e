package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Audience says which agents may know of a chat, beside the administrators.
type Audience struct {
	ChatID        uuid.UUID
	EnvironmentID uuid.UUID
	AgentID       uuid.UUID // whose it is; zero: nobody's
	QueueID       uuid.UUID // to whose agents it is offered; zero: to nobody's
}

// Audience is that of a chat somebody has; known: of others it must be read.
func (c *Chat) Audience() (a Audience, known bool) {
	return Audience{ChatID: c.ID, EnvironmentID: c.EnvironmentID, AgentID: c.AgentID}, c.AgentID != uuid.Nil
}

// Audiences returns the audiences of chats.
func (s *Store) Audiences(ctx context.Context, chats []uuid.UUID) ([]Audience, error) {
	var rows []struct {
		ChatID        uuid.UUID
		EnvironmentID uuid.UUID
		AgentID       uuid.NullUUID
		QueueID       uuid.NullUUID
	}
	if len(chats) == 0 {
		return nil, nil
	}
	err := s.read.NewSelect().TableExpr("chats AS c").Join("LEFT JOIN queues AS q ON q.id = c.queue_id").
		ColumnExpr("c.id AS chat_id, c.environment_id, c.agent_id").
		ColumnExpr("CASE WHEN c.agent_id IS NULL AND c.held_reason IS NULL AND q.rule = ? THEN q.id END AS queue_id", chat.ToAllAgents).
		Where("c.id IN (?)", bun.List(chats)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read who may know of %d chats: %w", len(chats), err)
	}
	out := make([]Audience, len(rows))
	for i, r := range rows {
		out[i] = Audience{ChatID: r.ChatID, EnvironmentID: r.EnvironmentID, AgentID: r.AgentID.UUID, QueueID: r.QueueID.UUID}
	}
	return out, nil
}
