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

// waitsForChannel is the due time of a lane whose channel cannot send.
const waitsForChannel = int64(math.MaxInt64)

// SendLane is a leased lane to the messenger. The fence proves the lease.
type SendLane struct {
	ChatID        uuid.UUID `bun:"id"`
	EnvironmentID uuid.UUID
	ChannelID     uuid.UUID
	Fence         int64 `bun:"out_fence"`
}

// SendRules are a kind's properties that decide how a message is sent.
type SendRules struct {
	TextLimit  int  // UTF-16 code units of one part; 0: none
	Idempotent bool // a part that may have been sent can be sent again
}

// Send is one part to be sent now. Its attempt is committed: whatever happens to us, it is known that it was tried.
type Send struct {
	Lane    SendLane
	Channel Channel
	Part    Part   // with the attempt counted
	UserID  string // the customer's id on the messenger
}

// sendsLookedAt bounds how many due lanes a claim looks at, longest due first: what a claim costs does not follow the backlog.
// A channel with more than that is among the busy ones soon, and then the others are seen.
const sendsLookedAt = 1_000

// ClaimSends leases up to limit lanes that are due, at most perChannel of one channel and none of the channels in busy.
func (s *Store) ClaimSends(ctx context.Context, owner string, limit, perChannel int, busy []uuid.UUID, lease time.Duration) ([]SendLane, error) {
	var lanes []SendLane
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		lanes = nil
		due := func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("c.out_due_at <= ?", s.d.now()).Where("c.out_until IS NULL OR c.out_until < ?", s.d.now())
		}
		oldest := due(tx.NewSelect().TableExpr("chats AS c")).ColumnExpr("c.id, c.channel_id, c.out_due_at").
			Join("JOIN environments AS e ON e.id = c.environment_id").Where("e.chats_enabled").OrderExpr("c.out_due_at").Limit(sendsLookedAt)
		if len(busy) > 0 {
			oldest = oldest.Where("c.channel_id NOT IN (?)", bun.List(busy))
		}
		ranked := tx.NewSelect().TableExpr("(?) AS o", oldest).
			ColumnExpr("o.id, o.out_due_at, row_number() OVER (PARTITION BY o.channel_id ORDER BY o.out_due_at) AS place")
		wanted := tx.NewSelect().TableExpr("(?) AS r", ranked).Column("id").Where("place <= ?", perChannel).OrderExpr("out_due_at").Limit(limit)
		var ids []uuid.UUID
		// Asked again of the locked rows: another worker may have leased and released one meanwhile.
		q := s.d.skipLocked(due(tx.NewSelect().TableExpr("chats AS c").ColumnExpr("c.id").Where("c.id IN (?)", wanted)))
		if err := q.Scan(ctx, &ids); err != nil || len(ids) == 0 {
			return err
		}
		return tx.NewUpdate().Table("chats").Set("out_owner = ?", owner).Set("out_until = ? + ?", s.d.now(), lease.Microseconds()).
			Set("out_fence = out_fence + 1").Where("id IN (?)", bun.List(ids)).Returning("id, environment_id, channel_id, out_fence").Scan(ctx, &lanes)
	})
	if err != nil {
		return nil, fmt.Errorf("claim lanes to the messengers: %w", err)
	}
	return lanes, nil
}

// ownLane locks the chat of a lane that is still ours; ErrConflict means that the lease was lost.
func (s *Store) ownLane(ctx context.Context, tx bun.Tx, lane SendLane) (*Chat, error) {
	c := new(Chat)
	err := s.d.forUpdate(tx.NewSelect().Model(c).Where("id = ?", lane.ChatID)).Scan(ctx)
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
		ch := new(Channel)
		if err := tx.NewSelect().Model(ch).Where("id = ?", c.ChannelID).Scan(ctx); err != nil {
			return one(err, "channel "+c.ChannelID.String())
		}
		now, err := s.unmoved(ctx, tx)
		if err != nil {
			return err
		}
		switch {
		case !ch.CanSend():
			return s.releaseSend(ctx, tx, c, waitsForChannel)
		case ch.SendRetryAt.After(now):
			return s.releaseSend(ctx, tx, c, ch.SendRetryAt.UnixMicro())
		}
		rules, err := rulesOf(ch.Kind)
		if err != nil {
			return err
		}
		part, found, err := s.nextPart(ctx, tx, c, rules)
		settled = found
		if err != nil {
			return err
		}
		if part == nil {
			return s.releaseSend(ctx, tx, c, nil)
		}
		if err := s.writeAttempt(ctx, tx, c, part, lease); err != nil {
			return err
		}
		user := ""
		if err := tx.NewSelect().Table("identities").Column("external_id").Where("id = ?", c.IdentityID).Scan(ctx, &user); err != nil {
			return one(err, "identity "+c.IdentityID.String())
		}
		send = &Send{Lane: lane, Channel: *ch, Part: *part, UserID: user}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("next part of chat %s: %w", lane.ChatID, err)
	}
	return send, settled, nil
}

// CanSend reports whether the channel takes messages of agents: it is active and not waiting for the administrator. A
// passing trouble has a time at which it is tried again.
func (ch *Channel) CanSend() bool {
	return ch.State == chat.ChannelActive && (ch.SendingOK || ch.SendingWhy == "" || !ch.SendRetryAt.IsZero())
}

// nextPart moves the cursor over settled messages and returns the part to be tried next, if any.
func (s *Store) nextPart(ctx context.Context, tx bun.Tx, c *Chat, rules SendRules) (*Part, []Settled, error) {
	var settled []Settled
	for {
		var next []Entry
		err := tx.NewSelect().Model(&next).Where("chat_id = ?", c.ID).Where("seq > ?", c.OutSeq).Where("kind = ?", chat.EntryMessage).
			Where("direction = ?", chat.Out).OrderExpr("seq").Limit(1).Scan(ctx)
		if err != nil {
			return nil, settled, fmt.Errorf("read the next message: %w", err)
		}
		if len(next) == 0 {
			return nil, settled, nil
		}
		m := &next[0]
		if m.State == chat.MessageAccepted || m.State == chat.MessageSending {
			part, abandoned, err := s.openPart(ctx, tx, c, m, rules)
			if err != nil || part != nil && !abandoned {
				return part, settled, err
			}
			if abandoned {
				part.State, part.Error = chat.PartUnknown, "the process that sent this stopped before the messenger answered; it may or may not have arrived"
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
// sent when its worker stopped, and must not be sent again.
func (s *Store) openPart(ctx context.Context, tx bun.Tx, c *Chat, m *Entry, rules SendRules) (part *Part, abandoned bool, err error) {
	parts, err := s.plannedParts(ctx, tx, c, m, rules.TextLimit)
	if err != nil {
		return nil, false, err
	}
	for i := range parts {
		switch parts[i].State {
		case chat.PartPlanned:
			return &parts[i], false, nil
		case chat.PartSending:
			return &parts[i], !rules.Idempotent, nil
		}
	}
	return nil, false, nil
}

// writeAttempt commits that a part is about to be sent.
func (s *Store) writeAttempt(ctx context.Context, tx bun.Tx, c *Chat, part *Part, lease time.Duration) error {
	part.State = chat.PartSending
	part.Attempts++
	_, err := tx.NewUpdate().Model(part).Set("state = ?", part.State).Set("attempts = ?", part.Attempts).Set("attempted_at = ?", s.d.now()).WherePK().Exec(ctx)
	if err == nil {
		_, err = tx.NewUpdate().Model((*Entry)(nil)).Set("state = ?", chat.MessageSending).Where("id = ?", part.MessageID).
			Where("state = ?", chat.MessageAccepted).Exec(ctx)
	}
	if err == nil {
		_, err = tx.NewUpdate().Model(c).Set("out_seq = ?", c.OutSeq).Set("out_until = ? + ?", s.d.now(), lease.Microseconds()).WherePK().Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("write the attempt of part %s: %w", part.ID, err)
	}
	return nil
}

// releaseSend gives a lane back. due is nil where nothing is left to do: the chat is locked, so nothing can have come since.
func (s *Store) releaseSend(ctx context.Context, tx bun.Tx, c *Chat, due any) error {
	_, err := tx.NewUpdate().Model(c).Set("out_seq = ?", c.OutSeq).Set("out_due_at = ?", due).Set("out_owner = ''").Set("out_until = NULL").
		WherePK().Where("out_fence = ?", c.OutFence).Exec(ctx)
	if err != nil {
		return fmt.Errorf("release the lane of chat %s: %w", c.ID, err)
	}
	return nil
}

// PostponeSends keeps a whole channel's lanes until wait has passed: its messenger asks for it. Where it has been asking for
// long, why shows at the channel. changed reports whether the channel's health did.
func (s *Store) PostponeSends(ctx context.Context, channel uuid.UUID, wait time.Duration, why string) (changedHealth bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		changedHealth = false
		// The latest time asked for counts: answers to calls that ran side by side come in any order.
		_, err := tx.NewUpdate().Model((*Channel)(nil)).Set("send_retry_at = ? + ?", s.d.now(), wait.Microseconds()).Where("id = ?", channel).
			Where("send_retry_at IS NULL OR send_retry_at < ? + ?", s.d.now(), wait.Microseconds()).Exec(ctx)
		if err == nil && why != "" {
			changedHealth, err = s.sendingHealth(ctx, tx, channel, false, why)
		}
		if err != nil {
			return err
		}
		if err := s.lockWaiting(ctx, tx, channel); err != nil {
			return err
		}
		until := tx.NewSelect().Table("channels").Column("send_retry_at").Where("id = ?", channel)
		_, err = tx.NewUpdate().Table("chats").Set("out_due_at = (?)", until).Where("channel_id = ?", channel).Where("out_due_at < (?)", until).Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("postpone the lanes of channel %s: %w", channel, err)
	}
	return changedHealth, nil
}

// lockWaiting locks the chats with something to send on a channel.
func (s *Store) lockWaiting(ctx context.Context, tx bun.Tx, channel uuid.UUID) error {
	return s.d.lockInOrder(ctx, tx, tx.NewSelect().Table("chats").Where("channel_id = ?", channel).Where("out_due_at IS NOT NULL"))
}

// SendingBroken notes that a channel cannot send until the administrator acts: its lanes wait for it. isNews reports whether
// that is news. What became of a send over a connection the channel no longer has says nothing about the new one.
func (s *Store) SendingBroken(ctx context.Context, ch *Channel, why string) (isNews bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		isNews = false
		same, err := changed(tx.NewUpdate().Model((*Channel)(nil)).Set("send_retry_at = NULL").
			Where("id = ?", ch.ID).Where("version = ?", ch.Version).Exec(ctx))
		if err != nil || !same {
			return err
		}
		if isNews, err = s.sendingHealth(ctx, tx, ch.ID, false, why); err != nil {
			return err
		}
		if err := s.lockWaiting(ctx, tx, ch.ID); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Table("chats").Set("out_due_at = ?", waitsForChannel).Where("channel_id = ?", ch.ID).Where("out_due_at IS NOT NULL").Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note that channel %s cannot send: %w", ch.ID, err)
	}
	return isNews, nil
}

// SendingWorks notes that a channel that had trouble sends again.
func (s *Store) SendingWorks(ctx context.Context, channel uuid.UUID) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := s.sendingHealth(ctx, tx, channel, true, ""); err != nil {
			return fmt.Errorf("note that channel %s sends: %w", channel, err)
		}
		_, err := tx.NewUpdate().Model((*Channel)(nil)).Set("send_retry_at = NULL").Where("id = ?", channel).Where("send_retry_at < ?", s.d.now()).Exec(ctx)
		return err
	})
}

func (s *Store) sendingHealth(ctx context.Context, tx bun.Tx, channel uuid.UUID, ok bool, why string) (bool, error) {
	now, err := s.now(ctx, tx)
	if err != nil {
		return false, err
	}
	return changed(tx.NewUpdate().Model((*Channel)(nil)).Set("sending_ok = ?", ok).Set("sending_why = ?", why).Set("sending_since = ?", At(now)).
		Where("id = ?", channel).Where("sending_ok <> ? OR sending_why <> ?", ok, why).Exec(ctx))
}

// WakeSends makes due what waited for channels that can send again. It returns how many lanes that are.
func (s *Store) WakeSends(ctx context.Context) (woken int, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		able := tx.NewSelect().Table("channels").Column("id").Where("state = ?", chat.ChannelActive).
			Where("sending_ok OR sending_why = '' OR send_retry_at IS NOT NULL")
		r, err := s.setOnChats(ctx, tx, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("out_due_at = ?", s.d.now()) },
			"out_due_at = ? AND channel_id IN (?)", waitsForChannel, able)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		woken = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("wake lanes to the messengers: %w", err)
	}
	return woken, nil
}
