package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Hold puts a chat on hold: it no longer counts in the load, is not transferred, and closes only after a month (b8). by is
// the agent who does it; zero: an administrator. A chat nobody has is ErrConflict.
func (s *Store) Hold(ctx context.Context, environment, id, by uuid.UUID) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		switch {
		case c.AgentID == uuid.Nil:
			return c, refused("nobody has the chat; accept it first")
		case c.OnHold:
			return c, ownedBy(c, by)
		}
		if err := ownedBy(c, by); err != nil {
			return c, err
		}
		return s.step(ctx, tx, c, now, Entry{Kind: chat.EntryHeld, Author: authorOf(by), AgentID: by}, EntryData{}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Set("on_hold = ?", true).Set("agent_due_since = NULL").
				Where("closed_at IS NULL").Where("NOT on_hold").Where("agent_id IS NOT NULL")
		})
	})
}

// Unhold takes a chat off hold, also where that exceeds the agent's room. Its clocks count from now: what was meant to rest
// is neither transferred nor closed the moment it is taken up again.
func (s *Store) Unhold(ctx context.Context, environment, id, by uuid.UUID) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if err := ownedBy(c, by); err != nil || !c.OnHold {
			return c, err
		}
		return s.step(ctx, tx, c, now, Entry{Kind: chat.EntryHeld, Author: authorOf(by), AgentID: by}, EntryData{Released: true}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Set("on_hold = ?", false).Set("look_at = 0").
				Set("agent_due_since = CASE WHEN unanswered_since IS NOT NULL THEN ? END", At(now)).
				Set("closing_since = CASE WHEN closing_since IS NOT NULL THEN ? END", At(now)).
				Where("closed_at IS NULL").Where("on_hold")
		})
	})
}

// CloseChat closes a chat. by is the agent who does it; zero: an administrator, by hand. why is his own remark.
func (s *Store) CloseChat(ctx context.Context, environment, id, by uuid.UUID, why string) (Changed, error) {
	reason := chat.ClosedByAgent
	if by == uuid.Nil {
		reason = chat.ClosedManually
	}
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if err := ownedBy(c, by); err != nil {
			return c, err
		}
		return s.closeStep(ctx, tx, c, now, by, EntryData{Reason: reason, Why: why}, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q })
	})
}

// closeStep closes a locked chat if demand still holds. The agent stays: he is who had it last.
func (s *Store) closeStep(ctx context.Context, tx bun.Tx, c Chat, now time.Time, by uuid.UUID, data EntryData, demand func(*bun.UpdateQuery) *bun.UpdateQuery) (Chat, error) {
	e := Entry{Kind: chat.EntryClosed, Author: authorOf(by), AgentID: by}
	after, err := s.step(ctx, tx, c, now, e, data, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		q = q.Set("closed_at = ?", At(now)).Set("close_reason = ?", data.Reason).Set("closed_by = ?", nullID(by)).
			Set("on_hold = ?", false).Set("closing_since = NULL").Set("agent_due_since = NULL").Set("look_at = 0").
			Where("closed_at IS NULL")
		return demand(s.closesThread(q))
	})
	if err != nil {
		return Chat{}, err
	}
	return after, s.forgetTries(ctx, tx, c)
}

// closesThread gives a conversation of ours back, so that a bot may answer what comes next. What waited for another app to give
// it back is not waited for any more: it fails.
func (s *Store) closesThread(q *bun.UpdateQuery) *bun.UpdateQuery {
	return s.wakes(q).Set("bot_due_since = NULL").Set("thread_tries = 0").
		Set("thread_wish = CASE WHEN thread_owner = ? THEN ? ELSE '' END", chat.ThreadOurs, chat.WishRelease).
		Set("thread_due_at = CASE WHEN thread_owner = ? THEN ? END", chat.ThreadOurs, s.d.now())
}

func (s *Store) forgetTries(ctx context.Context, tx bun.Tx, c Chat) error {
	if _, err := tx.NewDelete().Table("chat_tries").Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Exec(ctx); err != nil {
		return fmt.Errorf("forget who tried chat %s: %w", c.ID, err)
	}
	return nil
}

// ReopenChat opens a closed chat again, for the agent by; zero: for whom had it last, if he still serves chats; otherwise it
// waits, as it does while another app holds the conversation. It may exceed his room, which then takes no new chats. While the person has another open chat on that channel it is
// ErrConflict.
func (s *Store) ReopenChat(ctx context.Context, environment, id, by uuid.UUID) (ch Changed, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		// Lock order: the identity first, so that no message opens another chat meanwhile.
		var identity uuid.UUID
		found := tx.NewSelect().Model((*Chat)(nil)).Column("identity_id").Where("c.id = ?", id).Where("c.environment_id = ?", environment)
		if err := found.Scan(ctx, &identity); err != nil {
			return one(err, "chat "+id.String())
		}
		lock := tx.NewSelect().Model((*Identity)(nil)).Column("id").Where("i.environment_id = ?", environment).Where("i.id = ?", identity)
		if err := s.d.forUpdate(lock).Scan(ctx, &identity); err != nil {
			return one(err, "identity of chat "+id.String())
		}
		c, err := s.lockChat(ctx, tx, environment, id)
		if err != nil {
			return err
		}
		if err := s.reopenable(ctx, tx, c); err != nil {
			return err
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		thread, err := s.threadOf(ctx, tx, environment, identity)
		if err != nil {
			return err
		}
		agent := uuid.Nil // a bot's chat is no agent's
		if !thread.Elsewhere() {
			if agent, err = s.reopensFor(ctx, tx, c, by); err != nil {
				return err
			}
		}
		after, err := s.reopenStep(ctx, tx, c, now, agent, thread)
		ch = Changed{Chat: after, From: c.AgentID}
		return err
	})
	return ch, err
}

func (s *Store) reopenable(ctx context.Context, tx bun.Tx, c Chat) error {
	if c.ClosedAt.IsZero() {
		return refused("the chat is open")
	}
	other, err := tx.NewSelect().Model((*Chat)(nil)).Where("c.environment_id = ?", c.EnvironmentID).Where("c.identity_id = ?", c.IdentityID).Where("c.closed_at IS NULL").Exists(ctx)
	if err != nil {
		return fmt.Errorf("reopen chat %s: %w", c.ID, err)
	}
	if other {
		return refused("the same person has another open chat on this channel")
	}
	return nil
}

// reopensFor says whose a reopened chat is; zero: it waits. His row is locked, so that he is not deleted meanwhile.
func (s *Store) reopensFor(ctx context.Context, tx bun.Tx, c Chat, by uuid.UUID) (uuid.UUID, error) {
	agent := by
	if by == uuid.Nil {
		agent = c.AgentID
	}
	if agent == uuid.Nil {
		return uuid.Nil, nil
	}
	a, err := s.lockAgent(ctx, tx, c.EnvironmentID, agent, uuid.Nil)
	switch {
	case err != nil && !isNotFound(err):
		return uuid.Nil, err
	case err == nil && a.Enabled:
		return agent, nil
	case by != uuid.Nil:
		return uuid.Nil, refused("the agent does not serve chats any more")
	default:
		return uuid.Nil, nil
	}
}

func (s *Store) reopenStep(ctx context.Context, tx bun.Tx, c Chat, now time.Time, agent uuid.UUID, thread chat.Thread) (Chat, error) {
	has := nullTime(now, agent != uuid.Nil)
	e := Entry{Kind: chat.EntryOpened, Author: authorOf(agent), AgentID: agent}
	return s.step(ctx, tx, c, now, e, EntryData{Reopened: true, From: c.AgentID, To: agent}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("closed_at = NULL").Set("close_reason = ''").Set("closed_by = NULL").Set("reopened = reopened + 1").
			Set("agent_id = ?", nullID(agent)).Set("assigned_at = ?", has).Set("accepted_at = ?", has).
			Set("assignment_version = assignment_version + 1").Set("transfer_why = ''").
			// Its queue may have been deleted since.
			Set(`queue_id = CASE WHEN EXISTS (SELECT 1 FROM queues AS q WHERE q.id = c.queue_id AND q.deleted_at IS NULL) THEN queue_id
				ELSE (SELECT ch.queue_id FROM channels AS ch WHERE ch.id = c.channel_id) END`).
			Set("agent_due_since = CASE WHEN unanswered_since IS NOT NULL THEN CAST(? AS bigint) END", has).
			Set("thread_owner = ?", thread.Owner).Set("thread_app = ?", thread.App).Set("thread_wish = ''").Set("thread_due_at = NULL").
			Set("bot_due_since = CASE WHEN unanswered_since IS NOT NULL THEN CAST(? AS bigint) END", nullTime(now, thread.Elsewhere())).
			// The client's silence counts anew, if it is his turn: our last message reached him.
			Set(`closing_since = CASE WHEN last_direction = 'out' AND (SELECT t.state FROM timeline AS t WHERE t.chat_id = c.id AND t.kind = 'message'
				ORDER BY t.seq DESC LIMIT 1) IN ('sent', 'delivered', 'read') THEN CAST(? AS bigint) END`, At(now)).
			Where("closed_at IS NOT NULL")
	})
}

// nullID is an id as a statement's argument, NULL for the zero one.
func nullID(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: id != uuid.Nil} }

// nullTime is t as a statement's argument, NULL unless set.
func nullTime(t time.Time, set bool) Time {
	if !set {
		return Time{}
	}
	return At(t)
}
