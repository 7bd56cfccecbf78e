package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// waitsForAgent is what holds of an open chat that waits for an agent: it is spelled as the index of waiting chats is.
const waitsForAgent = "c.agent_id IS NULL AND c.held_reason IS NULL AND c.thread_owner <> 'other'"

// EnvironmentsToRoute returns the environments where routing may have something to do: chats are on, and a chat waits while
// an agent is active.
func (s *Store) EnvironmentsToRoute(ctx context.Context) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := s.read.NewSelect().Model((*Environment)(nil)).Column("id").Where("e.chats_enabled").
		Where("EXISTS (SELECT 1 FROM agents AS a WHERE a.environment_id = e.id AND a.enabled AND a.deleted_at IS NULL AND a.status = ?)", chat.Active).
		Where("EXISTS (SELECT 1 FROM chats AS c WHERE c.environment_id = e.id AND c.closed_at IS NULL AND "+waitsForAgent+")").
		Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("look for chats to route: %w", err)
	}
	return ids, nil
}

// ChatsWait reports whether any chat of an environment waits for an agent.
func (s *Store) ChatsWait(ctx context.Context, environment uuid.UUID) (bool, error) {
	waits, err := s.read.NewSelect().Model((*Chat)(nil)).Where("c.environment_id = ?", environment).
		Where("c.closed_at IS NULL").Where(waitsForAgent).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for chats that wait: %w", err)
	}
	return waits, nil
}

// Routable returns the oldest waiting chats that routing may assign and that fit an agent of the team now, at most limit of
// each queue: those of queues "To an available agent", and those of channels without a queue (b16). Its cost follows what
// fits; where nobody has room nothing is read.
func (s *Store) Routable(ctx context.Context, environment uuid.UUID, team []*chat.RoutedAgent, limit int) ([]Chat, error) {
	var queues []uuid.UUID
	err := s.read.NewSelect().Model((*Queue)(nil)).Column("id").Where("q.environment_id = ?", environment).
		Where("q.rule = ?", chat.ToAnAvailableAgent).Scan(ctx, &queues)
	if err != nil {
		return nil, fmt.Errorf("read the queues: %w", err)
	}
	var all []Chat
	for _, queue := range append(queues, uuid.Nil) {
		chats, err := s.routableIn(ctx, environment, queue, team, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, chats...)
	}
	return all, nil
}

func (s *Store) routableIn(ctx context.Context, environment, queue uuid.UUID, team []*chat.RoutedAgent, limit int) ([]Chat, error) {
	fits := roomOf(team, queue)
	if len(fits) == 0 {
		return nil, nil
	}
	var chats []Chat
	q := s.read.NewSelect().Model(&chats).Where("c.environment_id = ?", environment).
		Where("c.closed_at IS NULL").Where(waitsForAgent).
		OrderExpr("c.opened_at").Limit(limit)
	if queue == uuid.Nil {
		q = q.Where("c.queue_id IS NULL")
	} else {
		q = q.Where("c.queue_id = ?", queue)
	}
	q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		for _, f := range fits {
			if f.channels == nil {
				q = q.WhereOr("c.weight <= ?", f.left)
			} else {
				q = q.WhereOr("c.weight <= ? AND c.channel_id IN (?)", f.left, bun.List(f.channels))
			}
		}
		return q
	})
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the chats that wait in queue %s: %w", queue, err)
	}
	return chats, nil
}

// fit is what some agent of a queue could take now.
type fit struct {
	left     int         // the greatest weight
	channels []uuid.UUID // nil: all
}

// roomOf says what the agents of a queue could take now. Agents who serve all its channels count as one: the roomiest.
func roomOf(team []*chat.RoutedAgent, queue uuid.UUID) []fit {
	var fits []fit
	all := chat.NoRoom
	for _, a := range team {
		ready, _ := a.Ready()
		left := a.Limit.Left(a.Load)
		switch {
		case !ready, left == chat.NoRoom, queue != uuid.Nil && !a.Queues[queue]:
		case len(a.Channels) > 0:
			f := fit{left: left}
			for c := range a.Channels {
				f.channels = append(f.channels, c)
			}
			fits = append(fits, f)
		case queue != uuid.Nil:
			all = max(all, left)
		}
	}
	if all != chat.NoRoom {
		fits = append(fits, fit{left: all})
	}
	return fits
}

// Tried returns, by chat, the agents who had it for its present unanswered message.
func (s *Store) Tried(ctx context.Context, environment uuid.UUID, chats []Chat) (map[uuid.UUID]map[uuid.UUID]bool, error) {
	tried := map[uuid.UUID]map[uuid.UUID]bool{}
	if len(chats) == 0 {
		return tried, nil
	}
	ids := make([]uuid.UUID, len(chats))
	for i := range chats {
		ids[i] = chats[i].ID
	}
	var rows []struct{ ChatID, AgentID uuid.UUID }
	err := s.read.NewSelect().Table("chat_tries").Column("chat_id", "agent_id").
		Where("environment_id = ?", environment).Where("chat_id IN (?)", bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read who tried these chats: %w", err)
	}
	for _, r := range rows {
		if tried[r.ChatID] == nil {
			tried[r.ChatID] = map[uuid.UUID]bool{}
		}
		tried[r.ChatID][r.AgentID] = true
	}
	return tried, nil
}

// Routed is the chat as routing sees it; tried are the agents who had it for its present unanswered message.
func (c *Chat) Routed(tried map[uuid.UUID]bool) chat.RoutedChat {
	r := c.routed()
	r.Tried = tried
	return r
}
