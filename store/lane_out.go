package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// waitsForChannel is the due time of a lane whose channel is not active: connecting it makes the lane due (b40).
const waitsForChannel = int64(math.MaxInt64)

// SendRules are a kind's properties that decide how a message is sent.
type SendRules struct {
	TextLimit    int  // UTF-16 code units of one part; 0: none
	CaptionLimit int  // UTF-16 code units of a file's caption; 0: files carry none
	Idempotent   bool // a part that may have been sent can be sent again
	// Proof is how long the messenger may take to show a part that may have been sent (an echo). Until then its lane waits.
	Proof time.Duration
	// Window is how long after the client's last message the messenger takes ours; 0: always.
	Window time.Duration
}

// Send is one part to be sent now. Its attempt is committed: whatever happens to us, it is known that it was tried.
type Send struct {
	Lane    SendLane
	Channel Channel
	Part    Part        // with the attempt counted
	File    *StoredFile // what the part carries; nil: a text
	User    Addressee
	At      time.Time // the database's unmoved clock, as the attempt was written
}

// Addressee is the customer a part is sent to.
type Addressee struct {
	ID         uuid.UUID
	ExternalID string           // his id on the messenger
	BlockedAt  Time             // since when he takes no messages, as far as is known
	Thread     chat.ThreadOwner // who holds the conversation with him
}

// ownLane locks the chat of a lane that is still ours; ErrConflict means that the lease was lost.
func (s *Store) ownLane(ctx context.Context, tx bun.Tx, lane SendLane) (*Chat, error) {
	c := new(Chat)
	err := s.d.forUpdate(tx.NewSelect().Model(c).Where("id = ?", lane.ChatID).Where("environment_id = ?", lane.EnvironmentID)).Scan(ctx)
	if err != nil {
		return nil, one(err, "chat "+lane.ChatID.String())
	}
	if c.OutFence != lane.Fence {
		return nil, fmt.Errorf("the lane of chat %s was taken over: %w", lane.ChatID, ErrConflict)
	}
	return c, nil
}

// NextSend settles what is settled, in timeline order, and writes the attempt of the next part. nil means that the lane is
// released: everything is sent, or it waits for its channel, or for a limit to pass. Settled lists the messages whose fate
// was found out on the way. rulesOf says what holds for the channel's kind. The lease is prolonged. ErrConflict means that the
// lane was taken over.
func (s *Store) NextSend(ctx context.Context, lane SendLane, rulesOf func(kind string) (SendRules, error), lease time.Duration) (send *Send, settled []Settled, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		send, settled = nil, nil
		c, err := s.ownLane(ctx, tx, lane)
		if err != nil {
			return err
		}
		ch, to, now, err := s.wayOut(ctx, tx, c)
		if err != nil {
			return err
		}
		switch {
		case ch.State != chat.ChannelActive:
			return s.releaseSend(ctx, tx, c, waitsForChannel)
		case ch.SendRetryAt.After(now):
			return s.releaseSend(ctx, tx, c, ch.SendRetryAt.UnixMicro())
		}
		rules, err := rulesOf(ch.Kind)
		if err != nil {
			return err
		}
		giveUp, err := s.unsendable(ctx, tx, c, ch, to, rules.Window)
		if err != nil {
			return err
		}
		part, found, err := s.nextPart(ctx, tx, c, rules, giveUp, now)
		settled = found
		switch {
		case err != nil:
			return err
		case part == nil:
			return s.releaseSend(ctx, tx, c, nil)
		case part.State == chat.PartSending && !rules.Idempotent:
			return s.releaseSend(ctx, tx, c, part.AttemptedAt.Add(rules.Proof).UnixMicro())
		case to.Thread == chat.ThreadOthers:
			return s.releaseSend(ctx, tx, c, waitsForThread)
		}
		file, err := s.fileOf(ctx, tx, part)
		if err != nil {
			return err
		}
		hold := lease
		if file != nil {
			hold += chat.TransferTime(file.Size)
		}
		if err := s.writeAttempt(ctx, tx, c, part, hold); err != nil {
			return err
		}
		send = &Send{Lane: lane, Channel: *ch, Part: *part, File: file, User: to, At: now}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("next part of chat %s: %w", lane.ChatID, err)
	}
	return send, settled, nil
}

// wayOut reads, under the chat's lock, the channel of a chat, its client, and the database's unmoved clock. Who holds the
// conversation is told by the messenger's latest word: the chat's own copy does not change any more once it is closed.
func (s *Store) wayOut(ctx context.Context, tx bun.Tx, c *Chat) (*Channel, Addressee, time.Time, error) {
	var row struct {
		Channel    `bun:",extend"`
		IdentityID uuid.UUID
		ExternalID string
		BlockedAt  Time
		Thread     chat.ThreadOwner
		Unmoved    Time
	}
	err := tx.NewSelect().Model(&row).ColumnExpr("ch.*").ColumnExpr("i.id AS identity_id, i.external_id, i.blocked_at, coalesce(th.owner, '') AS thread").
		ColumnExpr("? AS unmoved", s.d.now()).
		Join("JOIN identities AS i ON i.id = ?", c.IdentityID).
		Join("LEFT JOIN threads AS th ON th.channel_id = i.channel_id AND th.external_id = i.external_id").
		Where("ch.id = ?", c.ChannelID).Where("ch.environment_id = ?", c.EnvironmentID).Scan(ctx)
	if err != nil {
		return nil, Addressee{}, time.Time{}, one(err, fmt.Sprintf("channel %s with identity %s", c.ChannelID, c.IdentityID))
	}
	to := Addressee{ID: row.IdentityID, ExternalID: row.ExternalID, BlockedAt: row.BlockedAt, Thread: row.Thread}
	return &row.Channel, to, row.Unmoved.Time, nil
}

// unsendable says why nothing can be sent to the client of a chat any more; empty: it can, or may be able to.
func (s *Store) unsendable(ctx context.Context, tx bun.Tx, c *Chat, ch *Channel, to Addressee, window time.Duration) (why string, err error) {
	if !ch.SendingOK && c.OutRefused == c.OutVersion {
		return ch.SendingWhy, nil
	}
	if to.Thread == chat.ThreadOthers && !c.ClosedAt.IsZero() {
		return "another app held the conversation until the chat was closed; it was not sent", nil
	}
	return s.outsideWindow(ctx, tx, c, window)
}

// outsideWindow says why the messenger takes nothing for the client any more; empty: it does.
func (s *Store) outsideWindow(ctx context.Context, tx bun.Tx, c *Chat, window time.Duration) (why string, err error) {
	if window <= 0 {
		return "", nil
	}
	var wrote Time
	if err := tx.NewSelect().TableExpr("chats AS c").ColumnExpr(clientWroteAt, chat.In, chat.EntryMessage, chat.In).
		Where("c.environment_id = ?", c.EnvironmentID).Where("c.id = ?", c.ID).Scan(ctx, &wrote); err != nil {
		return "", fmt.Errorf("read when the client wrote last: %w", err)
	}
	now, err := s.now(ctx, tx)
	if until, _ := chat.WritableUntil(wrote.Time, window); err == nil && now.After(until) {
		why = chat.WindowClosed(window)
	}
	return why, err
}

// nextPart moves the cursor over settled messages and returns the part to be tried next, if any; or the one that is waited
// for, which is Sending. With giveUp nothing is tried: what is not sent fails, and giveUp says why.
func (s *Store) nextPart(ctx context.Context, tx bun.Tx, c *Chat, rules SendRules, giveUp string, now time.Time) (*Part, []Settled, error) {
	var settled []Settled
	for {
		var next []Entry
		err := tx.NewSelect().Model(&next).Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Where("seq > ?", c.OutSeq).Where("kind = ?", chat.EntryMessage).
			Where("direction = ?", chat.Out).OrderExpr("seq").Limit(1).Scan(ctx)
		if err != nil {
			return nil, settled, fmt.Errorf("read the next message: %w", err)
		}
		if len(next) == 0 {
			return nil, settled, nil
		}
		m := &next[0]
		if m.State == chat.MessageAccepted || m.State == chat.MessageSending {
			part, abandoned, err := s.openPart(ctx, tx, c, m, rules, now)
			proof := part != nil && part.State == chat.PartSending && !abandoned && !rules.Idempotent
			if err != nil || proof || part != nil && !abandoned && giveUp == "" {
				return part, settled, err
			}
			if part != nil {
				if part.State == chat.PartPlanned {
					part.State, part.Error = chat.PartFailed, giveUp
				} else if part.State = chat.PartUnknown; part.Error == "" {
					part.Error = "the process that sent this stopped before the messenger answered; it may or may not have arrived"
				}
				done, err := s.settlePart(ctx, tx, c, m, part, true)
				if err != nil {
					return nil, settled, err
				}
				settled = append(settled, done)
			}
		}
		c.OutSeq = m.Seq
	}
}

// openPart returns the message's first part that is not sent, planning the parts if nobody has. An abandoned one was being
// sent when its worker stopped, or its outcome is unknown; nothing has proven since that it was sent, and it must not be sent
// again.
func (s *Store) openPart(ctx context.Context, tx bun.Tx, c *Chat, m *Entry, rules SendRules, now time.Time) (part *Part, abandoned bool, err error) {
	parts, err := s.plannedParts(ctx, tx, c, m, rules)
	if err != nil {
		return nil, false, err
	}
	for i := range parts {
		switch parts[i].State {
		case chat.PartPlanned:
			return &parts[i], false, nil
		case chat.PartSending:
			return &parts[i], !rules.Idempotent && !now.Before(parts[i].AttemptedAt.Add(rules.Proof)), nil
		}
	}
	return nil, false, nil
}

// writeAttempt commits that a part is about to be sent.
func (s *Store) writeAttempt(ctx context.Context, tx bun.Tx, c *Chat, part *Part, lease time.Duration) error {
	part.State = chat.PartSending
	part.Attempts++
	_, err := tx.NewUpdate().Model(part).Set("state = ?", part.State).Set("attempts = ?", part.Attempts).Set("attempted_at = ?", s.d.now()).
		WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx)
	if err == nil {
		_, err = tx.NewUpdate().Model((*Entry)(nil)).Set("state = ?", chat.MessageSending).Where("id = ?", part.MessageID).
			Where("environment_id = ?", c.EnvironmentID).Where("state = ?", chat.MessageAccepted).Exec(ctx)
	}
	if err == nil {
		_, err = tx.NewUpdate().Model(c).Set("out_seq = ?", c.OutSeq).Set("out_refused = 0").Set("out_until = ? + ?", s.d.now(), lease.Microseconds()).
			WherePK().Where("environment_id = ?", c.EnvironmentID).Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("write the attempt of part %s: %w", part.ID, err)
	}
	return nil
}

// releaseSend gives a lane back. due is nil where nothing is left to do: the chat is locked, so nothing can have come since.
func (s *Store) releaseSend(ctx context.Context, tx bun.Tx, c *Chat, due any) error {
	_, err := tx.NewUpdate().Model(c).Set("out_seq = ?", c.OutSeq).Set("out_due_at = ?", due).Set("out_owner = ''").Set("out_until = NULL").
		Set("closing_since = ?", c.ClosingSince).WherePK().Where("environment_id = ?", c.EnvironmentID).Where("out_fence = ?", c.OutFence).Exec(ctx)
	if err != nil {
		return fmt.Errorf("release the lane of chat %s: %w", c.ID, err)
	}
	return nil
}
