package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Wait is why a message that was accepted is not sent yet.
type Wait struct {
	Kind     string // of its channel
	Inactive bool   // its channel is not in service
	Next     Time   // otherwise when its channel, or its chat, is tried next, by the business clock
	Ahead    int    // how many messages of its channel go before it
}

// waits adds to messages that were accepted what they wait for, if anything. It costs a query only where one was, and counts
// only where one waits.
func (s *Store) waits(ctx context.Context, environment uuid.UUID, byID map[uuid.UUID]*Message) error {
	var accepted []uuid.UUID
	for id, m := range byID {
		if m.State == chat.MessageAccepted {
			accepted = append(accepted, id)
		}
	}
	if len(accepted) == 0 {
		return nil
	}
	now, err := s.Unmoved(ctx)
	if err != nil {
		return err
	}
	ahead := s.read.NewSelect().TableExpr("chats AS w").ColumnExpr("count(*)").
		Join("JOIN timeline AS o ON o.chat_id = w.id AND o.seq > w.out_seq").
		Where("w.environment_id = c.environment_id").Where("w.channel_id = c.channel_id").Where("w.out_due_at IS NOT NULL").Where("o.id < t.id").
		Where("o.kind = ?", chat.EntryMessage).Where("o.direction = ?", chat.Out).Where("o.state IN (?, ?)", chat.MessageAccepted, chat.MessageSending)
	var rows []struct {
		ID       uuid.UUID
		Kind     string
		Inactive bool
		Next     Time
		Ahead    int
	}
	err = s.read.NewSelect().TableExpr("timeline AS t").ColumnExpr("t.id, ch.kind, ch.state <> ? AS inactive", chat.ChannelActive).
		ColumnExpr("CASE WHEN c.out_due_at >= ? THEN NULL WHEN coalesce(ch.send_retry_at, 0) > c.out_due_at THEN ch.send_retry_at ELSE c.out_due_at END + clock.offset_us AS next", waitsForThread).
		ColumnExpr("(?) AS ahead", ahead).
		Join("JOIN chats AS c ON c.id = t.chat_id").Join("JOIN channels AS ch ON ch.id = c.channel_id").Join("CROSS JOIN clock").
		Where("t.environment_id = ?", environment).Where("t.id IN (?)", bun.List(accepted)).
		Where("ch.state <> ? OR c.out_due_at > ? OR ch.send_retry_at > ?", chat.ChannelActive, At(now), At(now)).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("read what %d messages wait for: %w", len(accepted), err)
	}
	for _, r := range rows {
		byID[r.ID].Wait = &Wait{Kind: r.Kind, Inactive: r.Inactive, Next: r.Next, Ahead: r.Ahead}
	}
	return nil
}

// Postponed is what became of a channel's lanes.
type Postponed struct {
	Chats  []uuid.UUID // whose lanes wait now, and did not wait longer before
	Until  time.Time   // by the business clock
	Health bool        // the channel's health changed
}

// PostponeSends keeps a whole channel's lanes until wait has passed: its messenger asks for it. Where it has been asking for
// long, why shows at the channel.
func (s *Store) PostponeSends(ctx context.Context, ch *Channel, wait time.Duration, why string) (p Postponed, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		p = Postponed{}
		// The latest time asked for counts: answers to calls that ran side by side come in any order.
		_, err := tx.NewUpdate().Model((*Channel)(nil)).Set("send_retry_at = ? + ?", s.d.now(), wait.Microseconds()).
			Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID).
			Where("send_retry_at IS NULL OR send_retry_at < ? + ?", s.d.now(), wait.Microseconds()).Exec(ctx)
		if err == nil && why != "" {
			p.Health, err = s.sendingHealth(ctx, tx, ch, false, why)
		}
		if err != nil {
			return err
		}
		if err := s.lockWaiting(ctx, tx, ch); err != nil {
			return err
		}
		var until Time
		err = tx.NewSelect().TableExpr("channels AS ch").ColumnExpr("ch.send_retry_at + clock.offset_us").Join("CROSS JOIN clock").
			Where("ch.environment_id = ?", ch.EnvironmentID).Where("ch.id = ?", ch.ID).Scan(ctx, &until)
		if err != nil {
			return err
		}
		p.Until = until.Time
		retry := tx.NewSelect().Table("channels").Column("send_retry_at").Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID)
		return tx.NewUpdate().Table("chats").Set("out_due_at = (?)", retry).Where("environment_id = ?", ch.EnvironmentID).Where("channel_id = ?", ch.ID).
			Where("out_due_at <= (?)", retry).Returning("id").Scan(ctx, &p.Chats)
	})
	if err != nil {
		return Postponed{}, fmt.Errorf("postpone the lanes of channel %s: %w", ch.ID, err)
	}
	return p, nil
}
