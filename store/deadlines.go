package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// NotBefore is the moment from which an environment's clocks may count at the earliest: since service was last resumed and
// chats were switched on (b24).
func (s *Store) NotBefore(ctx context.Context, e Environment) (time.Time, error) {
	resumed, err := s.Resumed(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return chat.Later(resumed, e.ChatsEnabledAt.Time), nil
}

// AgentsDue returns chats whose agent has left a client's message unanswered since before, longest first. Those that nobody
// could take a moment ago are left out until their next look.
func (s *Store) AgentsDue(ctx context.Context, environment uuid.UUID, before, now time.Time, limit int) ([]Chat, error) {
	var chats []Chat
	err := s.read.NewSelect().Model(&chats).Where("c.environment_id = ?", environment).
		Where("c.agent_due_since IS NOT NULL").Where("c.agent_due_since <= ?", At(before)).Where("c.look_at <= ?", At(now)).
		OrderExpr("c.agent_due_since").Limit(limit).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for chats their agents leave unanswered: %w", err)
	}
	return chats, nil
}

// AfkTransfer is one transfer of SaveAfkChats.
type AfkTransfer struct {
	Process uuid.UUID // the instance that does it; cancelled meanwhile: ErrCancelled
	ChatID  uuid.UUID
	Version int64 // assignment version the choice was based on
	To      uuid.UUID
	Before  time.Time // unanswered since before
	Why     string
}

// ErrCancelled: the process instance in whose name an action is asked for is cancelled; it has no effect any more.
var ErrCancelled = errors.New("the process instance is cancelled")

// TransferUnanswered gives a chat its agent leaves unanswered to another one, if all of that still holds. Unanswered means
// that the last message that reached anybody is the client's (S0.52): a reply that failed answers nothing.
func (s *Store) TransferUnanswered(ctx context.Context, environment uuid.UUID, t AfkTransfer) (ch Changed, err error) {
	err = s.inProcess(ctx, environment, t.Process, t.ChatID, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) error {
		if c.AssignmentVersion != t.Version {
			return refused("the chat has changed meanwhile")
		}
		after, err := s.give(ctx, tx, c, now, giving{to: t.To, why: t.Why, process: t.Process, demand: func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Where("agent_due_since <= ?", At(t.Before)).Where("NOT on_hold").
				Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = ? AND e.chats_enabled AND e.transfer_on)", environment)
		}})
		ch = Changed{Chat: after, From: c.AgentID}
		return err
	})
	return ch, err
}

// PutOff records why nobody could take these chats, still unanswered since before, and when they are looked at next. One that
// another run has transferred meanwhile keeps that run's reason, and one that somebody is changing now is left as it is: it may be
// quite another soon, and nobody waits for so many.
func (s *Store) PutOff(ctx context.Context, environment uuid.UUID, chats []uuid.UUID, why string, before, until time.Time) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		due := s.d.skipLocked(tx.NewSelect().Model((*Chat)(nil)).Column("c.id").Where("c.environment_id = ?", environment).
			Where("c.id IN (?)", bun.List(chats)).Where("c.agent_due_since <= ?", At(before)))
		_, err := tx.NewUpdate().Model((*Chat)(nil)).Set("transfer_why = ?", why).Set("look_at = ?", At(until)).Where("c.environment_id = ?", environment).
			Where("c.id IN (?)", due).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("put off %d chats nobody can take: %w", len(chats), err)
	}
	return nil
}

// inProcess runs an action in the name of a process instance: its row is locked first, and the action is refused once it is
// cancelled.
func (s *Store) inProcess(ctx context.Context, environment, process, id uuid.UUID, f func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) error) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		running, err := s.lockRunning(ctx, tx, environment, process)
		if err != nil {
			return err
		}
		if !running {
			return ErrCancelled
		}
		c, err := s.lockChat(ctx, tx, environment, id)
		if err != nil {
			return err
		}
		if err := mustBeOpen(c); err != nil {
			return err
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		return f(ctx, tx, c, now)
	})
}

// QueueTimeouts returns an environment's queues by their chat completion timeout in minutes; 0: none.
func (s *Store) QueueTimeouts(ctx context.Context, environment uuid.UUID) (map[uuid.UUID]int, error) {
	var queues []Queue
	err := s.read.NewSelect().Model(&queues).Column("id", "timeout_minutes").Where("q.environment_id = ?", environment).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the queues' timeouts: %w", err)
	}
	timeouts := make(map[uuid.UUID]int, len(queues))
	for _, q := range queues {
		timeouts[q.ID] = 0
		if q.TimeoutMinutes != nil {
			timeouts[q.ID] = *q.TimeoutMinutes
		}
	}
	return timeouts, nil
}

// ClientsDue returns chats of a queue (zero: of none) whose client has been silent since our last message was delivered
// before, longest first.
func (s *Store) ClientsDue(ctx context.Context, environment, queue uuid.UUID, before time.Time, limit int) ([]Chat, error) {
	var chats []Chat
	q := s.read.NewSelect().Model(&chats).Where("c.environment_id = ?", environment).
		Where("c.closing_since IS NOT NULL").Where("c.closing_since <= ?", At(before)).
		Where("c.agent_id IS NOT NULL").Where("NOT c.on_hold").OrderExpr("c.closing_since").Limit(limit)
	if queue == uuid.Nil {
		q = q.Where("c.queue_id IS NULL")
	} else {
		q = q.Where("c.queue_id = ?", queue)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("look for chats of silent clients: %w", err)
	}
	return chats, nil
}

// silentClient is what must hold when a chat closes for its client's silence: the last message is ours, delivered before, an
// agent has the chat and nobody waits (b1, b2, b6, b8).
func silentClient(q *bun.UpdateQuery, before time.Time) *bun.UpdateQuery {
	return q.Where("closing_since <= ?", At(before)).Where("last_direction = ?", chat.Out).Where("unanswered_since IS NULL").
		Where("agent_id IS NOT NULL").Where("NOT on_hold")
}

// CloseSilent closes a chat by the environment's clock in the name of a CloseOldChats instance, if all of it still holds: the
// client silent since before, the switch on, and no timeout of the queue's own (b4).
func (s *Store) CloseSilent(ctx context.Context, environment, process, id uuid.UUID, before time.Time) (ch Changed, err error) {
	err = s.inProcess(ctx, environment, process, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) error {
		after, err := s.closeStep(ctx, tx, c, now, uuid.Nil, EntryData{Reason: chat.NoAnswerOfClient, Process: process}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return silentClient(q, before).
				Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = ? AND e.chats_enabled AND e.close_on)", environment).
				Where("NOT EXISTS (SELECT 1 FROM queues AS q WHERE q.id = c.queue_id AND q.timeout_minutes IS NOT NULL)")
		})
		ch = Changed{Chat: after, From: c.AgentID}
		return err
	})
	return ch, err
}

// CloseByQueue closes a chat by its queue's own timeout of minutes, if all of it still holds.
func (s *Store) CloseByQueue(ctx context.Context, environment, id uuid.UUID, minutes int, before time.Time) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		return s.closeStep(ctx, tx, c, now, uuid.Nil, EntryData{Reason: chat.NoAnswerOfClient, Why: "the queue's timeout"}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return silentClient(q, before).
				Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = ? AND e.chats_enabled)", environment).
				Where("EXISTS (SELECT 1 FROM queues AS q WHERE q.id = c.queue_id AND q.timeout_minutes = ?)", minutes)
		})
	})
}

// MonthDue returns chats that nobody has or that are on hold, whose last message came at or before before, of all environments
// whose chats were switched on by then too; after the chat given last, for the next page.
func (s *Store) MonthDue(ctx context.Context, before time.Time, after *Chat, limit int) ([]Chat, error) {
	var chats []Chat
	q := s.read.NewSelect().Model(&chats).Where("c.closed_at IS NULL").Where("c.agent_id IS NULL OR c.on_hold").
		Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = c.environment_id AND e.chats_enabled AND coalesce(e.chats_enabled_at, 0) <= ?)", At(before)).
		Where("c.last_message_day <= ?", At(before)).Where("c.last_message_at <= ?", At(before)).
		OrderExpr("c.last_message_day, c.id").Limit(limit)
	if after != nil {
		q = q.Where("(c.last_message_day, c.id) > (?, ?)", after.LastMessageDay, after.ID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("look for chats nobody took within a month: %w", err)
	}
	return chats, nil
}

// CloseUntaken closes a chat that nobody has had, or that was on hold, for a month since its last message at lastMessage. It
// is the one close allowed while a client waits, and of a chat that is kept aside.
func (s *Store) CloseUntaken(ctx context.Context, environment, id uuid.UUID, lastMessage Time) (Changed, error) {
	return s.locked(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		return s.closeStep(ctx, tx, c, now, uuid.Nil, EntryData{Reason: chat.NobodyTookIt}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Where("agent_id IS NULL OR on_hold").Where("last_message_at = ?", lastMessage).
				Where("EXISTS (SELECT 1 FROM environments AS e WHERE e.id = ? AND e.chats_enabled)", environment)
		})
	})
}
