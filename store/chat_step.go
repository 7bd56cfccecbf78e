package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// EntryData is what a timeline entry tells that is neither a message nor an edit, in its column data.
type EntryData struct {
	From     uuid.UUID `json:"from,omitzero"`      // assigned, thread: the agent before; zero: nobody
	To       uuid.UUID `json:"to,omitzero"`        // assigned: the agent now; zero: it waits
	Queue    uuid.UUID `json:"queue,omitzero"`     // assigned: the queue it waits in
	Why      string    `json:"why,omitempty"`      // why it was assigned or closed; thread: what happened
	Reason   string    `json:"reason,omitempty"`   // closed: the way it was closed
	Process  uuid.UUID `json:"process,omitzero"`   // the process instance that did it
	Accepted bool      `json:"accepted,omitempty"` // assigned: the agent accepted what he had been given
	Released bool      `json:"released,omitempty"` // held: taken off hold
	Reopened bool      `json:"reopened,omitempty"` // opened: again
}

// DataOf reads an entry's data; what is not there stays empty.
func (e *Entry) DataOf() EntryData {
	var d EntryData
	if len(e.Data) == 0 || json.Unmarshal(e.Data, &d) != nil {
		return EntryData{}
	}
	return d
}

// Changed is a chat after a change, with what those need who give hints about it.
type Changed struct {
	Chat Chat
	From uuid.UUID // the agent who had it before

	// Reply is the message that SendReply has accepted, as it stands, where that is known without reading it.
	Reply *Message
}

// lockChat reads a chat and locks it until the transaction ends.
func (s *Store) lockChat(ctx context.Context, tx bun.Tx, environment, id uuid.UUID) (Chat, error) {
	var c Chat
	err := s.d.forUpdate(tx.NewSelect().Model(&c).Where("c.id = ?", id).Where("c.environment_id = ?", environment)).Scan(ctx)
	return c, one(err, "chat "+id.String())
}

// refused is the conflict of an action with the chat's present state.
func refused(why string) error { return fmt.Errorf("%s: %w", why, ErrConflict) }

// mustBeOpen is the conflict of an action that only an open, shown chat allows.
func mustBeOpen(c Chat) error {
	switch {
	case !c.ClosedAt.IsZero():
		return refused("the chat is closed")
	case c.HeldReason != "":
		return refused("the chat is kept aside (" + c.HeldReason + ")")
	default:
		return nil
	}
}

// ownedBy is the conflict of an agent's action on a chat that is not his; administrators (zero) may act on any.
func ownedBy(c Chat, by uuid.UUID) error {
	switch {
	case by == uuid.Nil, c.AgentID == by:
		return nil
	case c.AgentID == uuid.Nil:
		return refused("nobody has the chat; accept it first")
	default:
		return refused("another agent has the chat")
	}
}

// step is one change of an open chat: a conditional UPDATE, which change completes with what it sets and demands, the
// timeline entry that tells it, and the CRM lane. No row changed means that someone was faster: ErrConflict.
func (s *Store) step(ctx context.Context, tx bun.Tx, c Chat, now time.Time, e Entry, data EntryData, change func(*bun.UpdateQuery) *bun.UpdateQuery) (Chat, error) {
	var after Chat
	q := tx.NewUpdate().Model((*Chat)(nil)).Set("last_seq = last_seq + 1").
		Where("c.id = ?", c.ID).Where("c.environment_id = ?", c.EnvironmentID)
	err := change(s.pushes(q)).Returning("*").Scan(ctx, &after)
	if errors.Is(err, sql.ErrNoRows) {
		return Chat{}, refused("the chat has changed meanwhile")
	}
	if err != nil {
		return Chat{}, fmt.Errorf("change chat %s: %w", c.ID, err)
	}
	e.EnvironmentID, e.ChatID, e.Seq, e.At = c.EnvironmentID, c.ID, after.LastSeq, At(now)
	if e.ID == uuid.Nil {
		e.ID = newID()
	}
	if e.Author == "" {
		e.Author = chat.BySystem
	}
	if data != (EntryData{}) {
		if e.Data, err = json.Marshal(data); err != nil {
			return Chat{}, fmt.Errorf("write entry %d of chat %s: %w", e.Seq, c.ID, err)
		}
	}
	if _, err := tx.NewInsert().Model(&e).Exec(ctx); err != nil {
		return Chat{}, fmt.Errorf("write entry %d of chat %s: %w", e.Seq, c.ID, err)
	}
	return after, nil
}

// locked locks a chat and changes it, in one transaction.
func (s *Store) locked(ctx context.Context, environment, id uuid.UUID, f func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error)) (ch Changed, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		c, err := s.lockChat(ctx, tx, environment, id)
		if err != nil {
			return err
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		after, err := f(ctx, tx, c, now)
		ch = Changed{Chat: after, From: c.AgentID}
		return err
	})
	return ch, err
}

// action is locked for what only an open, shown chat allows.
func (s *Store) action(ctx context.Context, environment, id uuid.UUID, f func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error)) (Changed, error) {
	return s.locked(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if err := mustBeOpen(c); err != nil {
			return c, err
		}
		return f(ctx, tx, c, now)
	})
}

// authorOf says who an entry is by: the agent, or Waggle itself.
func authorOf(agent uuid.UUID) chat.Author {
	if agent == uuid.Nil {
		return chat.BySystem
	}
	return chat.ByAgent
}
