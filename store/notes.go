package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

// noted runs what one event that is no word changes, in one transaction that holds its customer's identity. Nothing is done
// where the channel is not active (Dropped), or the customer never wrote on it (Ignored).
func (s *Store) noted(ctx context.Context, in Inbound, f func(ctx context.Context, tx bun.Tx, who *Identity) (ReceiveOutcome, error)) (out ReceiveOutcome, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		active, err := tx.NewSelect().Model((*Channel)(nil)).Where("ch.id = ?", in.ChannelID).Where("ch.environment_id = ?", in.EnvironmentID).
			Where("ch.state = ?", chat.ChannelActive).Exists(ctx)
		if err != nil || !active {
			out = Dropped
			return err
		}
		who := new(Identity)
		err = s.d.forUpdate(tx.NewSelect().Model(who).Where("i.environment_id = ?", in.EnvironmentID).Where("i.channel_id = ?", in.ChannelID).
			Where("i.external_id = ?", chat.Storable(in.Event.User.ID))).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			out = Ignored
			return nil
		}
		if err != nil {
			return err
		}
		out, err = f(ctx, tx, who)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("take in a %s of channel %s: %w", in.Event.Kind, in.ChannelID, err)
	}
	return out, nil
}

// NoteBlock keeps that a customer takes no more messages of the channel, or takes them again. chatID is his open chat; zero
// where he has none or nothing is new.
func (s *Store) NoteBlock(ctx context.Context, in Inbound) (out ReceiveOutcome, chatID uuid.UUID, err error) {
	out, err = s.noted(ctx, in, func(ctx context.Context, tx bun.Tx, who *Identity) (ReceiveOutcome, error) {
		chatID = uuid.Nil
		if in.Event.Kind == channels.Block { // one that comes late says nothing; a late unblock does no harm: the next send tells
			if stale, err := wroteAfter(ctx, tx, in.EnvironmentID, who.ID, in.Event.At); err != nil || stale {
				return Repeat, err
			}
		}
		news, err := s.setBlocked(ctx, tx, in.EnvironmentID, who.ID, in.Event.Kind == channels.Block)
		if err != nil || !news {
			return Repeat, err
		}
		err = tx.NewSelect().Model((*Chat)(nil)).Column("id").Where("c.environment_id = ?", in.EnvironmentID).Where("c.identity_id = ?", who.ID).Where("c.closed_at IS NULL").Scan(ctx, &chatID)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return Stored, err
	})
	return out, chatID, err
}

// wroteAfter reports whether the customer has written after a moment of the messenger's clock. A zero moment says nothing.
func wroteAfter(ctx context.Context, tx bun.Tx, environment, identity uuid.UUID, at time.Time) (bool, error) {
	if at.IsZero() {
		return false, nil
	}
	return wrote(ctx, tx, environment, identity, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("t.provider_at > ?", At(at)) })
}

// wrote reports whether there is such a message of a customer in his latest chats.
func wrote(ctx context.Context, tx bun.Tx, environment, identity uuid.UUID, such func(*bun.SelectQuery) *bun.SelectQuery) (bool, error) {
	who := tx.NewSelect().Table("identities").Column("contact_id").Where("id = ?", identity)
	there, err := tx.NewSelect().Model((*Entry)(nil)).Where("t.environment_id = ?", environment).Where("t.chat_id IN (?)", latestOf(tx, identity, who, chatsLookedAt)).
		Where("t.kind = ?", chat.EntryMessage).Where("t.direction = ?", chat.In).Apply(such).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for what customer %s wrote: %w", identity, err)
	}
	return there, nil
}

// SetBlocked keeps what a send told about whether its customer takes messages, and reports whether that is news. Where he has
// written since the attempt began, a refusal says nothing any more.
func (s *Store) SetBlocked(ctx context.Context, send *Send, blocked bool) (news bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		news = false
		if blocked {
			since, err := wrote(ctx, tx, send.Lane.EnvironmentID, send.User.ID, func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Where("t.at > ? + (SELECT offset_us FROM clock)", At(send.At))
			})
			if err != nil || since {
				return err
			}
		}
		news, err = s.setBlocked(ctx, tx, send.Lane.EnvironmentID, send.User.ID, blocked)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("keep whether identity %s takes messages: %w", send.User.ID, err)
	}
	return news, nil
}

// setBlocked keeps whether a customer takes messages, and reports whether that is news. What he blocked first counts.
func (s *Store) setBlocked(ctx context.Context, tx bun.Tx, environment, identity uuid.UUID, blocked bool) (news bool, err error) {
	q := tx.NewUpdate().Model((*Identity)(nil)).Where("i.environment_id = ?", environment).Where("i.id = ?", identity)
	if blocked {
		now, err := s.now(ctx, tx)
		if err != nil {
			return false, err
		}
		q = q.Set("blocked_at = ?", At(now)).Where("i.blocked_at IS NULL")
	} else {
		q = q.Set("blocked_at = NULL").Where("i.blocked_at IS NOT NULL")
	}
	return changed(q.Exec(ctx))
}
