package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Resend lets a message that failed, or whose outcome is unknown, be sent once more: its parts that did not arrive are
// planned again and the lane goes back to it. It answers nothing that the client wrote after it. A message in another state is
// ErrConflict. The window is that of SendRules.
func (s *Store) Resend(ctx context.Context, environment, chatID, message, by uuid.UUID, window time.Duration) (Changed, error) {
	return s.action(ctx, environment, chatID, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		if _, err := s.sendable(ctx, tx, c); err != nil {
			return c, err
		}
		if err := s.inWindow(ctx, tx, c, window); err != nil {
			return c, err
		}
		a, err := planAgain(ctx, tx, c, message)
		if err != nil {
			return c, err
		}
		if err := mendFailure(ctx, tx, c.EnvironmentID, FailureUnsent, SubjectMessage, message); err != nil {
			return c, err
		}
		e := Entry{Kind: chat.EntryStatus, Author: chat.ByAgent, AgentID: by, TargetID: message, State: chat.MessageAccepted}
		after, err := s.step(ctx, tx, c, now, e, EntryData{}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return a.onChat(s.sends(q)).Where("closed_at IS NULL")
		})
		if err != nil || !a.answers {
			return after, err
		}
		return after, s.forgetTries(ctx, tx, c)
	})
}

// sendAgain is what the redrive of a message does: it keeps its place and is sent next, as soon as its channel can. A closed chat
// is no obstacle, unlike to an agent who resends: the message was accepted while the chat was open, and what was accepted then is
// sent after the close, too. Bulk redrives are for channels that were down for long. It does not open the chat again.
func (s *Store) sendAgain(ctx context.Context, tx bun.Tx, environment, chatID, message uuid.UUID) error {
	c, err := s.lockChat(ctx, tx, environment, chatID)
	if err != nil {
		return err
	}
	a, err := planAgain(ctx, tx, c, message)
	if err != nil {
		return err
	}
	q := tx.NewUpdate().Model((*Chat)(nil)).Set("out_version = out_version + 1").Set("out_due_at = ?", s.d.now()).
		Where("c.environment_id = ?", environment).Where("c.id = ?", chatID)
	if a.answers { // the CRM hears that the client does not wait any more
		q = s.pushes(q)
	}
	if _, err := a.onChat(q).Exec(ctx); err != nil {
		return fmt.Errorf("redrive message %s: %w", message, err)
	}
	if !a.answers {
		return nil
	}
	return s.forgetTries(ctx, tx, c)
}

// again is a message that is accepted once more.
type again struct {
	seq     int64
	answers bool // the client, who has written nothing since
}

// planAgain plans the parts of a message that did not arrive anew; what the messenger has taken is not sent twice. A message
// that has neither failed nor is of unknown fate is ErrConflict. The chat is locked.
func planAgain(ctx context.Context, tx bun.Tx, c Chat, message uuid.UUID) (again, error) {
	var m Entry
	err := tx.NewSelect().Model(&m).Where("t.environment_id = ?", c.EnvironmentID).Where("t.id = ?", message).
		Where("t.chat_id = ?", c.ID).Where("t.kind = ?", chat.EntryMessage).Scan(ctx)
	if err != nil {
		return again{}, one(err, "message "+message.String())
	}
	if m.State != chat.MessageFailed && m.State != chat.MessageUnknown {
		return again{}, refused("only a message that failed or whose outcome is unknown can be sent again; this one is " + string(m.State))
	}
	_, err = tx.NewUpdate().Model((*Entry)(nil)).Set("state = ?", chat.MessageAccepted).Set("error = ''").
		Where("t.environment_id = ?", c.EnvironmentID).Where("t.id = ?", message).Exec(ctx)
	if err == nil {
		_, err = tx.NewUpdate().Model((*Part)(nil)).Set("state = ?", chat.PartPlanned).Set("error = ''").
			Where("pt.environment_id = ?", c.EnvironmentID).Where("pt.message_id = ?", message).
			Where("pt.state IN (?, ?)", chat.PartFailed, chat.PartUnknown).Exec(ctx)
	}
	if err != nil {
		return again{}, fmt.Errorf("plan message %s again: %w", message, err)
	}
	later, err := clientWroteAfter(ctx, tx, c, m.Seq)
	return again{seq: m.Seq, answers: !later}, err
}

// onChat moves the lane to the messenger back to the message, and makes the client count as answered by it.
func (a again) onChat(q *bun.UpdateQuery) *bun.UpdateQuery {
	q = q.Set("out_seq = CASE WHEN out_seq >= ? THEN ? ELSE out_seq END", a.seq, a.seq-1)
	if a.answers {
		q = promised(q)
	}
	return q
}

// clientWroteAfter reports whether a message of the client comes after this place in the chat's timeline.
func clientWroteAfter(ctx context.Context, tx bun.Tx, c Chat, seq int64) (bool, error) {
	wrote, err := tx.NewSelect().Model((*Entry)(nil)).Where("t.environment_id = ?", c.EnvironmentID).Where("t.chat_id = ?", c.ID).
		Where("t.seq > ?", seq).Where("t.kind = ?", chat.EntryMessage).Where("t.direction = ?", chat.In).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for later messages of the client: %w", err)
	}
	return wrote, nil
}
