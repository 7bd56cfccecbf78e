package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// routed is the chat as routing sees it.
func (c *Chat) routed() chat.RoutedChat {
	return chat.RoutedChat{QueueID: c.QueueID, ChannelID: c.ChannelID, Weight: c.Weight}
}

// giving is how a chat gets its agent.
type giving struct {
	to       uuid.UUID
	by       uuid.UUID // the agent who does it; zero: Waggle or an administrator
	why      string
	process  uuid.UUID
	accepted bool // he took it himself
	anyone   bool // he need not belong to the chat's team (b16): a colleague chose him
	demand   func(*bun.UpdateQuery) *bun.UpdateQuery
}

// give assigns a locked chat to an agent with room: his row is locked, his load and his rights are looked at again; then
// one UPDATE repeats what the decision was based on. ErrConflict says why he cannot have it.
func (s *Store) give(ctx context.Context, tx bun.Tx, c Chat, now time.Time, g giving) (Chat, error) {
	if c.Elsewhere() {
		return Chat{}, refused(c.Thread().HeldElsewhere())
	}
	a, err := s.lockAgent(ctx, tx, c.EnvironmentID, g.to, c.AgentID)
	if err != nil {
		return Chat{}, err
	}
	if !g.anyone && !a.Serves(c.routed()) {
		return Chat{}, refused(a.Name + " does not serve this chat")
	}
	if ok, why := a.CanTake(c.Weight); !ok {
		return Chat{}, refused("no room: " + a.Name + ": " + why)
	}
	e := Entry{Kind: chat.EntryAssigned, Author: authorOf(g.by), AgentID: g.to}
	data := EntryData{From: c.AgentID, To: g.to, Why: g.why, Process: g.process}
	after, err := s.step(ctx, tx, c, now, e, data, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		q = q.Set("agent_id = ?", g.to).Set("assigned_at = ?", At(now)).Set("accepted_at = ?", nullTime(now, g.accepted)).
			Set("assignment_version = assignment_version + 1").Set("on_hold = ?", false).
			Set("agent_due_since = CASE WHEN unanswered_since IS NOT NULL THEN CAST(? AS bigint) END", At(now)).
			Set("look_at = 0").Set("transfer_why = ?", g.why).
			Where("closed_at IS NULL").Where("held_reason IS NULL").Where("assignment_version = ?", c.AssignmentVersion)
		if g.demand != nil {
			q = g.demand(q)
		}
		return q
	})
	if err != nil {
		return Chat{}, err
	}
	if err := s.tried(ctx, tx, c); err != nil {
		return Chat{}, err
	}
	_, err = tx.NewUpdate().Model((*Agent)(nil)).Set("last_taken_at = ?", At(now)).Where("a.id = ?", g.to).Where("a.environment_id = ?", c.EnvironmentID).Exec(ctx)
	if err != nil {
		return Chat{}, fmt.Errorf("record that agent %s took a chat: %w", g.to, err)
	}
	return after, nil
}

// release takes a locked chat from its agent, to wait in a queue; zero: in none.
func (s *Store) release(ctx context.Context, tx bun.Tx, c Chat, now time.Time, queue, by uuid.UUID, why string, demand func(*bun.UpdateQuery) *bun.UpdateQuery) (Chat, error) {
	e := Entry{Kind: chat.EntryAssigned, Author: authorOf(by), AgentID: by}
	after, err := s.step(ctx, tx, c, now, e, EntryData{From: c.AgentID, Queue: queue, Why: why}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		q = q.Set("agent_id = NULL").Set("assigned_at = NULL").Set("accepted_at = NULL").Set("queue_id = ?", nullID(queue)).
			Set("assignment_version = assignment_version + 1").Set("on_hold = ?", false).Set("agent_due_since = NULL").
			Set("look_at = 0").Set("transfer_why = ?", why).
			Where("closed_at IS NULL").Where("assignment_version = ?", c.AssignmentVersion)
		if demand != nil {
			q = demand(q)
		}
		return q
	})
	if err != nil {
		return Chat{}, err
	}
	return after, s.tried(ctx, tx, c)
}

// tried remembers that a chat's agent had it for the present unanswered message.
func (s *Store) tried(ctx context.Context, tx bun.Tx, c Chat) error {
	if c.AgentID == uuid.Nil || c.UnansweredSince.IsZero() {
		return nil
	}
	row := struct {
		bun.BaseModel `bun:"table:chat_tries"`
		ChatID        uuid.UUID
		AgentID       uuid.UUID
		EnvironmentID uuid.UUID
	}{ChatID: c.ID, AgentID: c.AgentID, EnvironmentID: c.EnvironmentID}
	if _, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
		return fmt.Errorf("remember who tried chat %s: %w", c.ID, err)
	}
	return nil
}

// Accept gives a waiting chat to an agent of its team who has room: exactly one of several can. A chat that was assigned to
// him he accepts without that. What his team does not serve is ErrNotFound for him; what another has, or a chat beyond his
// room, ErrConflict.
func (s *Store) Accept(ctx context.Context, environment, id, agent uuid.UUID) (Changed, error) {
	return s.locked(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		team, err := s.team(ctx, tx, environment, agent)
		if err != nil {
			return c, err
		}
		ours := len(team) == 1 && team[0].Serves(c.routed())
		if c.HeldReason != "" || c.AgentID != agent && !ours {
			return c, fmt.Errorf("chat %s: %w", id, ErrNotFound)
		}
		if err := mustBeOpen(c); err != nil {
			return c, err
		}
		switch c.AgentID {
		case agent:
			return s.acceptOwn(ctx, tx, c, now)
		case uuid.Nil:
			return s.give(ctx, tx, c, now, giving{to: agent, by: agent, accepted: true, demand: waiting})
		default:
			return c, refused("another agent has the chat")
		}
	})
}

func waiting(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Where("agent_id IS NULL") }

// acceptOwn accepts what is assigned to the chat's agent; again changes nothing.
func (s *Store) acceptOwn(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
	if !c.AcceptedAt.IsZero() {
		return c, nil
	}
	e := Entry{Kind: chat.EntryAssigned, Author: chat.ByAgent, AgentID: c.AgentID}
	return s.step(ctx, tx, c, now, e, EntryData{To: c.AgentID, Accepted: true}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("accepted_at = ?", At(now)).Where("closed_at IS NULL").Where("accepted_at IS NULL").Where("agent_id = ?", c.AgentID)
	})
}

// AssignTo is routing's assignment of a waiting chat. version is the assignment version the choice was based on.
func (s *Store) AssignTo(ctx context.Context, environment, id uuid.UUID, version int64, agent uuid.UUID) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if c.AssignmentVersion != version {
			return c, refused("the chat has changed meanwhile")
		}
		return s.give(ctx, tx, c, now, giving{to: agent, demand: func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return waiting(q).Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = ? AND e.chats_enabled)", environment)
		}})
	})
}

// TransferToAgent gives a chat to an agent with room, whatever queues and channels he serves. by is the agent who does it;
// zero: an administrator.
func (s *Store) TransferToAgent(ctx context.Context, environment, id, agent, by uuid.UUID) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if err := ownedBy(c, by); err != nil {
			return c, err
		}
		if c.AgentID == agent {
			return c, refused("the agent already has the chat")
		}
		return s.give(ctx, tx, c, now, giving{to: agent, by: by, why: "transferred", anyone: true})
	})
}

// TransferToQueue lets a chat wait in a queue of the environment, to be routed there.
func (s *Store) TransferToQueue(ctx context.Context, environment, id, queue, by uuid.UUID) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if err := ownedBy(c, by); err != nil {
			return c, err
		}
		there, err := tx.NewSelect().Model((*Queue)(nil)).Where("q.id = ?", queue).Where("q.environment_id = ?", environment).Where("q.deleted_at IS NULL").Exists(ctx)
		if err != nil {
			return c, fmt.Errorf("read queue %s: %w", queue, err)
		}
		if !there {
			return c, fmt.Errorf("queue %s: %w", queue, ErrNotFound)
		}
		return s.release(ctx, tx, c, now, queue, by, "transferred", nil)
	})
}

// TransferToGroup gives a chat to the agent of a group whom routing would choose among its members.
func (s *Store) TransferToGroup(ctx context.Context, environment, id, group, by uuid.UUID) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if err := ownedBy(c, by); err != nil {
			return c, err
		}
		there, err := tx.NewSelect().Model((*AgentGroup)(nil)).Where("g.id = ?", group).Where("g.environment_id = ?", environment).Exists(ctx)
		if err != nil {
			return c, fmt.Errorf("read group %s: %w", group, err)
		}
		if !there {
			return c, fmt.Errorf("group %s: %w", group, ErrNotFound)
		}
		team, err := s.team(ctx, tx, environment, uuid.Nil)
		if err != nil {
			return c, err
		}
		next, why := chat.PickOfGroup(team, c.routed(), group, c.AgentID)
		if next == nil {
			return c, refused("nobody of the group can take it: " + why)
		}
		return s.give(ctx, tx, c, now, giving{to: next.ID, by: by, why: "transferred", anyone: true})
	})
}
