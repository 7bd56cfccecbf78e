package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// WishSilentBots wishes back what other apps hold and have left unanswered since before, at most limit: once for each silence.
// It returns how many conversations that are.
func (s *Store) WishSilentBots(ctx context.Context, environment uuid.UUID, before time.Time, limit int) (wished int, err error) {
	const silent = "environment_id = ? AND bot_due_since <= ? AND closed_at IS NULL"
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		wished = 0
		var ids []uuid.UUID
		err := tx.NewSelect().Table("chats").Column("id").Where(silent, environment, At(before)).OrderExpr("bot_due_since").Limit(limit).Scan(ctx, &ids)
		if err != nil || len(ids) == 0 {
			return err
		}
		// Whoever else ticks at once wishes the same: the later one finds them wished for, and counts them too.
		wished = len(ids)
		return s.setOnChats(ctx, tx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return q.Set("bot_due_since = NULL").Set("thread_wish = ?", chat.WishTake).Set("thread_due_at = ?", s.d.now()).Set("thread_tries = 0")
		}, silent+" AND id IN (?)", environment, At(before), bun.List(ids))
	})
	if err != nil {
		return 0, fmt.Errorf("look for silent bots: %w", err)
	}
	return wished, nil
}

// ThreadWish is a wish that was leased to be asked of the messenger.
type ThreadWish struct {
	Chat Chat
	Moot bool // it has been granted or overtaken: there is nothing to ask
}

// wishesLookedAt bounds how many due wishes a claim looks at: what it costs does not follow the backlog.
const wishesLookedAt = 1_000

// ClaimWishes leases up to limit wishes that are due, at most perChannel of one channel. Who asks is known by the chat's
// ThreadTries; the lease is its due time. A conversation is released once everything in it is sent.
func (s *Store) ClaimWishes(ctx context.Context, limit, perChannel int, lease time.Duration) ([]ThreadWish, error) {
	var chats []Chat
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		chats = nil
		due := func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.TableExpr("chats AS c").Where("c.thread_due_at <= ?", s.d.now()).Where("c.thread_wish <> ? OR c.out_due_at IS NULL", chat.WishRelease)
		}
		oldest := due(tx.NewSelect()).ColumnExpr("c.id, c.channel_id, c.thread_due_at").
			Join("JOIN environments AS e ON e.id = c.environment_id").Where("e.chats_enabled").OrderExpr("c.thread_due_at").Limit(wishesLookedAt)
		ranked := tx.NewSelect().TableExpr("(?) AS o", oldest).
			ColumnExpr("o.id, o.thread_due_at, row_number() OVER (PARTITION BY o.channel_id ORDER BY o.thread_due_at) AS place")
		wanted := tx.NewSelect().TableExpr("(?) AS r", ranked).Column("id").Where("place <= ?", perChannel).OrderExpr("thread_due_at").Limit(limit)
		var ids []uuid.UUID
		err := s.d.skipLocked(due(tx.NewSelect()).ColumnExpr("c.id").Where("c.id IN (?)", wanted)).Scan(ctx, &ids)
		if err != nil || len(ids) == 0 {
			return err
		}
		return tx.NewUpdate().Model(&chats).Set("thread_due_at = ? + ?", s.d.now(), lease.Microseconds()).Set("thread_tries = thread_tries + 1").
			Where("c.id IN (?)", bun.List(ids)).Returning("*").Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("claim wishes about conversations: %w", err)
	}
	wishes := make([]ThreadWish, len(chats))
	for i, c := range chats {
		if wishes[i], err = s.wishOf(ctx, c); err != nil {
			return nil, err
		}
	}
	return wishes, nil
}

// wishOf says whether there is still something to ask for a chat.
func (s *Store) wishOf(ctx context.Context, c Chat) (ThreadWish, error) {
	if c.ThreadWish == chat.WishTake {
		return ThreadWish{Chat: c, Moot: !c.Elsewhere() || !c.ClosedAt.IsZero() || c.UnansweredSince.IsZero()}, nil
	}
	// The conversation goes on in another chat: it is not given away.
	again, err := s.read.NewSelect().Model((*Chat)(nil)).Where("c.environment_id = ?", c.EnvironmentID).
		Where("c.identity_id = ?", c.IdentityID).Where("c.closed_at IS NULL").Exists(ctx)
	if err != nil {
		return ThreadWish{}, fmt.Errorf("look for an open chat of identity %s: %w", c.IdentityID, err)
	}
	return ThreadWish{Chat: c, Moot: again}, nil
}

// PutOffWish lets a wish be asked again after wait, unless it was taken over or overtaken.
func (s *Store) PutOffWish(ctx context.Context, w ThreadWish, wait time.Duration) error {
	_, err := s.ownWish(w).Set("thread_due_at = ? + ?", s.d.now(), wait.Microseconds()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("put off a wish of chat %s: %w", w.Chat.ID, err)
	}
	return nil
}

// ForgetWish ends a wish that was granted, refused or overtaken.
func (s *Store) ForgetWish(ctx context.Context, w ThreadWish) error {
	_, err := s.ownWish(w).Set("thread_wish = ''").Set("thread_due_at = NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget a wish of chat %s: %w", w.Chat.ID, err)
	}
	return nil
}

func (s *Store) ownWish(w ThreadWish) *bun.UpdateQuery {
	return s.db.NewUpdate().Model((*Chat)(nil)).Where("c.id = ?", w.Chat.ID).Where("c.environment_id = ?", w.Chat.EnvironmentID).
		Where("c.thread_wish = ?", w.Chat.ThreadWish).Where("c.thread_tries = ?", w.Chat.ThreadTries)
}

// NoteAsking writes into an open chat's timeline what we asked of the app that holds its conversation, and what came of it.
func (s *Store) NoteAsking(ctx context.Context, environment, id, by uuid.UUID, what string) (Changed, error) {
	return s.action(ctx, environment, id, func(ctx context.Context, tx bun.Tx, c Chat, now time.Time) (Chat, error) {
		return s.step(ctx, tx, c, now, Entry{Kind: chat.EntryThread, Author: authorOf(by), AgentID: by}, EntryData{Why: what}, stillOpen)
	})
}
