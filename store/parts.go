package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// PartOutcome is what became of an attempt.
type PartOutcome struct {
	State      chat.PartState // Sent, Failed, Unknown; Planned: it was certainly not done and is tried again
	ExternalID string         // Sent: the message's id on the messenger
	SentAt     time.Time      // Sent: when, by the messenger's clock, where it tells
	Reason     string         // why it is not sent, for people
	Wait       time.Duration  // Planned: when it is tried again; Unknown: how long its lane waits for proof that it was sent
}

// Settled is what a message has come to.
type Settled struct {
	MessageID uuid.UUID
	ChatID    uuid.UUID
	State     chat.MessageState
	Reason    string
	CRM       bool      // the chat's record in the CRM has changed by it
	AgentID   uuid.UUID // the chat's agent; zero: none
	QueueID   uuid.UUID // the chat's queue; zero: none
	Released  bool      // nothing is left to send: the lane is given back

	closing Time // from when the client's silence counts by it; zero: it does not
}

// plannedParts returns a message's parts, planning them first: one row for each send, committed before the first.
func (s *Store) plannedParts(ctx context.Context, tx bun.Tx, c *Chat, m *Entry, rules SendRules) ([]Part, error) {
	var parts []Part
	if err := tx.NewSelect().Model(&parts).Where("environment_id = ?", c.EnvironmentID).Where("message_id = ?", m.ID).OrderExpr("n").Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the parts of message %s: %w", m.ID, err)
	}
	if len(parts) > 0 {
		return parts, nil
	}
	answered, err := externalIDOf(ctx, tx, c.EnvironmentID, m.ReplyTo)
	if err != nil {
		return nil, err
	}
	files, err := s.filesToSend(ctx, tx, m)
	if err != nil {
		return nil, err
	}
	for n, piece := range chat.Pieces(m.Text, len(files), rules.TextLimit, rules.CaptionLimit) {
		p := Part{ID: newID(), EnvironmentID: m.EnvironmentID, ChatID: c.ID, MessageID: m.ID, N: n, Text: piece.Text, State: chat.PartPlanned}
		if piece.File >= 0 {
			p.FileID = files[piece.File]
		}
		if n == 0 {
			p.ReplyTo = answered
		}
		parts = append(parts, p)
	}
	if _, err := tx.NewInsert().Model(&parts).Exec(ctx); err != nil {
		return nil, fmt.Errorf("plan the parts of message %s: %w", m.ID, err)
	}
	return parts, nil
}

// externalIDOf is the messenger's id of a message; of one of ours, its first part's. Empty where there is none.
func externalIDOf(ctx context.Context, tx bun.Tx, environment, message uuid.UUID) (string, error) {
	if message == uuid.Nil {
		return "", nil
	}
	var ids []string
	theirs := tx.NewSelect().Table("timeline").Column("external_id").Where("environment_id = ?", environment).Where("id = ?", message).Where("external_id IS NOT NULL")
	ours := tx.NewSelect().Table("parts").Column("external_id").Where("environment_id = ?", environment).Where("message_id = ?", message).Where("n = 0").
		Where("external_id IS NOT NULL")
	// Bun's own UnionAll puts its parts in parentheses, which SQLite does not take.
	if err := tx.NewSelect().TableExpr("(? UNION ALL ?) AS found", theirs, ours).Column("external_id").Scan(ctx, &ids); err != nil {
		return "", fmt.Errorf("read the messenger's id of message %s: %w", message, err)
	}
	if len(ids) == 0 {
		return "", nil
	}
	return ids[0], nil
}

// SettleSend records what became of an attempt. It needs no lease: the attempt's number proves it, so that a late answer
// still corrects a part that was given up as unknown. The lane is released where nothing is left to send, and until then where
// the part is tried later.
func (s *Store) SettleSend(ctx context.Context, send *Send, o PartOutcome, receipts bool) (Settled, error) {
	var done Settled
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		done = Settled{MessageID: send.Part.MessageID, ChatID: send.Lane.ChatID}
		c := new(Chat)
		if err := s.d.forUpdate(tx.NewSelect().Model(c).Where("id = ?", send.Lane.ChatID).Where("environment_id = ?", send.Lane.EnvironmentID)).Scan(ctx); err != nil {
			return one(err, "chat")
		}
		part := new(Part)
		err := tx.NewSelect().Model(part).Where("id = ?", send.Part.ID).Where("environment_id = ?", c.EnvironmentID).Scan(ctx)
		if err != nil {
			return one(err, "part")
		}
		m := new(Entry)
		if err := tx.NewSelect().Model(m).Where("id = ?", part.MessageID).Where("environment_id = ?", c.EnvironmentID).Scan(ctx); err != nil {
			return one(err, "message")
		}
		late := part.State == chat.PartUnknown && o.State == chat.PartSent
		if part.Attempts != send.Part.Attempts || part.State != chat.PartSending && !late {
			done.State = m.State
			return nil
		}
		if o.State == chat.PartUnknown && o.Wait > 0 {
			part.Error, done.State, done.Released = o.Reason, m.State, true
			return s.awaitProof(ctx, tx, c, send, part, o.Wait)
		}
		part.State, part.ExternalID, part.SentAt, part.Error = o.State, o.ExternalID, At(o.SentAt), o.Reason
		if o.State != chat.PartPlanned {
			if done, err = s.partDone(ctx, tx, c, m, part, receipts); err == nil && c.OutFence == send.Lane.Fence {
				done.Released, err = s.releaseSent(ctx, tx, c, done.closing)
			}
			if err == nil && !done.Released {
				err = startClosing(ctx, tx, c, done.closing)
			}
			return err
		}
		done.Released = true
		return s.tryLater(ctx, tx, c, send, part, o)
	})
	if err != nil {
		return Settled{}, fmt.Errorf("settle part %s of chat %s: %w", send.Part.ID, send.Lane.ChatID, err)
	}
	return done, nil
}

// releaseSent gives the lane back if nothing is left to send, and starts the closing clock with it.
func (s *Store) releaseSent(ctx context.Context, tx bun.Tx, c *Chat, closing Time) (bool, error) {
	left, err := tx.NewSelect().Model((*Entry)(nil)).Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Where("seq > ?", c.OutSeq).Where("kind = ?", chat.EntryMessage).
		Where("direction = ?", chat.Out).Where("state IN (?, ?)", chat.MessageAccepted, chat.MessageSending).Exists(ctx)
	if err != nil || left {
		return false, err
	}
	// All that is there is settled: the chat is locked, so that nothing can come before the cursor has passed it.
	c.OutSeq = c.LastSeq
	if !closing.IsZero() {
		c.ClosingSince = closing
	}
	return true, s.releaseSend(ctx, tx, c, nil)
}

// tryLater takes an attempt back. Under a lease that was lost the part is left to whoever has the lane now.
func (s *Store) tryLater(ctx context.Context, tx bun.Tx, c *Chat, send *Send, part *Part, o PartOutcome) error {
	if c.OutFence != send.Lane.Fence {
		return nil
	}
	if _, err := tx.NewUpdate().Model(part).Column("state", "error").WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*Entry)(nil)).Set("state = ?", chat.MessageAccepted).Where("id = ?", part.MessageID).
		Where("environment_id = ?", c.EnvironmentID).Where("state = ?", chat.MessageSending).Exec(ctx)
	if err != nil {
		return err
	}
	return s.releaseSend(ctx, tx, c, bun.SafeQuery("? + ?", s.d.now(), o.Wait.Microseconds()))
}

// awaitProof leaves a part whose outcome is unknown as being sent for as long as proof may come, and its lane waits for it.
// Under a lease that was lost whoever has the lane now finds it.
func (s *Store) awaitProof(ctx context.Context, tx bun.Tx, c *Chat, send *Send, part *Part, wait time.Duration) error {
	if _, err := tx.NewUpdate().Model(part).Column("error").WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx); err != nil || c.OutFence != send.Lane.Fence {
		return err
	}
	return s.releaseSend(ctx, tx, c, bun.SafeQuery("? + ?", s.d.now(), wait.Microseconds()))
}

// settlePart writes a part's end and what it means for its message and its chat, which is locked.
func (s *Store) settlePart(ctx context.Context, tx bun.Tx, c *Chat, m *Entry, part *Part, receipts bool) (Settled, error) {
	done, err := s.partDone(ctx, tx, c, m, part, receipts)
	if err != nil {
		return done, err
	}
	return done, startClosing(ctx, tx, c, done.closing)
}

// partDone is settlePart but for the closing clock, which is left to the caller.
func (s *Store) partDone(ctx context.Context, tx bun.Tx, c *Chat, m *Entry, part *Part, receipts bool) (Settled, error) {
	if part.State.Taken() {
		if err := catchUp(ctx, tx, c, part, receipts); err != nil {
			return Settled{}, err
		}
	}
	q := tx.NewUpdate().Model(part).Set("state = ?", part.State).Set("external_id = ?", optional(part.ExternalID)).Set("error = ?", part.Error)
	if part.State.Taken() {
		q = q.Set("sent_at = coalesce(?, ?)", part.SentAt, s.d.now())
	}
	if _, err := q.WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx); err != nil {
		return Settled{}, fmt.Errorf("write part %s: %w", part.ID, err)
	}
	return s.messageDone(ctx, tx, c, m)
}

// messageDone writes how far a message has come by its parts and what that means for its chat, which is locked; all but the
// closing clock.
func (s *Store) messageDone(ctx context.Context, tx bun.Tx, c *Chat, m *Entry) (Settled, error) {
	done := Settled{MessageID: m.ID, ChatID: c.ID, State: m.State, AgentID: c.AgentID, QueueID: c.QueueID}
	var parts []Part
	if err := tx.NewSelect().Model(&parts).Column("state", "error").Where("environment_id = ?", c.EnvironmentID).Where("message_id = ?", m.ID).OrderExpr("n").Scan(ctx); err != nil {
		return done, fmt.Errorf("read the parts of message %s: %w", m.ID, err)
	}
	states, before := make([]chat.PartState, len(parts)), m.State
	for i, p := range parts {
		states[i] = p.State
		if done.Reason == "" && !p.State.Taken() {
			done.Reason = p.Error
		}
	}
	done.State = chat.MessageStateOf(states)
	beginning := done.State == chat.MessageFailed && done.Reason == heldBack // all before what was held back has arrived after all
	if done.State == chat.MessageSending || done.State == before && !beginning {
		done.State = before
		return done, nil
	}
	if beginning {
		done.Reason = restMissing
		_, err := tx.NewUpdate().Model((*Part)(nil)).Set("error = ?", restMissing).Where("environment_id = ?", c.EnvironmentID).Where("message_id = ?", m.ID).Where("error = ?", heldBack).Exec(ctx)
		if err != nil {
			return done, fmt.Errorf("write the parts of message %s: %w", m.ID, err)
		}
	}
	m.State, m.Error = done.State, done.Reason
	if _, err := tx.NewUpdate().Model(m).Column("state", "error").WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx); err != nil {
		return done, fmt.Errorf("write message %s: %w", m.ID, err)
	}
	var err error
	switch {
	case !m.State.Taken():
		done.CRM, err = s.unsent(ctx, tx, c, m)
	case before == chat.MessageFailed:
		if done.CRM, err = s.answeredAfterAll(ctx, tx, c, m); err == nil {
			err = mendFailure(ctx, tx, m.EnvironmentID, FailureUnsent, SubjectMessage, m.ID)
		}
	case before == chat.MessageUnknown:
		err = mendFailure(ctx, tx, m.EnvironmentID, FailureUnsent, SubjectMessage, m.ID)
	}
	if err == nil && m.State.Taken() && !before.Arrived() {
		done.closing, err = s.closingSince(ctx, tx, c, m)
	}
	return done, err
}

// unsent gives the rest of a message up and makes it visible. If it failed, the client is unanswered again, unless another
// reply was accepted since; if its fate is unknown he may have it.
func (s *Store) unsent(ctx context.Context, tx bun.Tx, c *Chat, m *Entry) (crm bool, err error) {
	now, err := s.now(ctx, tx)
	if err != nil {
		return false, err
	}
	_, err = tx.NewUpdate().Model((*Part)(nil)).Set("state = ?", chat.PartFailed).Set("error = ?", heldBack).
		Where("environment_id = ?", c.EnvironmentID).Where("message_id = ?", m.ID).Where("state = ?", chat.PartPlanned).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("give up the rest of message %s: %w", m.ID, err)
	}
	err = s.noteFailure(ctx, tx, Failure{
		EnvironmentID: m.EnvironmentID, Kind: FailureUnsent, Subject: SubjectMessage, SubjectKey: m.ID.String(),
		What: messageName(m.Seq, c.Number), Error: m.Error, ChannelID: c.ChannelID, ChatID: c.ID,
	}, now)
	if err != nil || m.State == chat.MessageUnknown || m.Author == chat.BySystem || c.AnsweredFrom.IsZero() || !c.ClosedAt.IsZero() {
		return false, err
	}
	answered, err := tx.NewSelect().Model((*Entry)(nil)).Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Where("kind = ?", chat.EntryMessage).
		Where("direction = ?", chat.Out).Where("author <> ?", chat.BySystem).Where("state <> ?", chat.MessageFailed).
		Where("at >= ?", c.AnsweredFrom).Where("id <> ?", m.ID).Exists(ctx)
	if err != nil || answered {
		return false, err
	}
	c.UnansweredSince, c.AnsweredFrom = c.AnsweredFrom, Time{}
	if c.AgentID != uuid.Nil && !c.OnHold {
		c.AgentDueSince = c.UnansweredSince
		if c.AssignedAt.After(c.UnansweredSince.Time) {
			c.AgentDueSince = c.AssignedAt
		}
	}
	if c.Elsewhere() {
		c.BotDueSince = At(now)
	}
	_, err = s.pushes(tx.NewUpdate().Model(c).Column("unanswered_since", "answered_from", "agent_due_since", "bot_due_since")).WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx)
	return true, err
}

// answeredAfterAll takes back that the client is unanswered: the message that seemed to have failed has reached him.
func (s *Store) answeredAfterAll(ctx context.Context, tx bun.Tx, c *Chat, m *Entry) (crm bool, err error) {
	waits, err := clientWroteAfter(ctx, tx, *c, m.Seq)
	if err != nil || waits || c.UnansweredSince.IsZero() {
		return false, err
	}
	_, err = s.pushes(answered(tx.NewUpdate().Model(c))).WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx)
	return true, err
}

// closingSince is from when the client's silence counts by a message that has reached the messenger; zero: it does not, as the
// message is not the chat's last one.
func (s *Store) closingSince(ctx context.Context, tx bun.Tx, c *Chat, m *Entry) (Time, error) {
	if m.Author == chat.BySystem || !c.ClosedAt.IsZero() {
		return Time{}, nil
	}
	if m.Seq < c.LastSeq {
		later, err := tx.NewSelect().Model((*Entry)(nil)).Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Where("seq > ?", m.Seq).Where("kind = ?", chat.EntryMessage).
			Where("author <> ?", chat.BySystem).Exists(ctx)
		if err != nil || later {
			return Time{}, err
		}
	}
	now, err := s.now(ctx, tx)
	return At(chat.ClosingSince(m.State, now)), err
}

// startClosing starts the closing clock of a chat, which is locked; zero: it does not.
func startClosing(ctx context.Context, tx bun.Tx, c *Chat, since Time) error {
	if since.IsZero() {
		return nil
	}
	c.ClosingSince = since
	_, err := tx.NewUpdate().Model(c).Column("closing_since").WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx)
	return err
}

// What the parts of a message say that were not tried: because of an earlier one, and once that turns out to have arrived.
const (
	heldBack    = "not sent, because an earlier part was not"
	restMissing = "only the beginning arrived, and that was known too late to go on; sending it again sends the rest"
)

// messageName says which message is meant, without its content.
func messageName(seq, number int64) string { return fmt.Sprintf("message %d of chat %d", seq, number) }
