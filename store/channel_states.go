package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

// ErrMoved is the ErrConflict of a channel whose state or credentials somebody else changed meanwhile.
var ErrMoved = fmt.Errorf("somebody else has just changed this channel; look at it again: %w", ErrConflict)

// ChannelSettings are the changes of a channel that concern nobody outside. nil leaves a setting as it is.
type ChannelSettings struct {
	Name           *string
	Queue          *uuid.UUID // the zero UUID takes the queue away
	Weight         *int       // of chats opened from now on
	URL            *string
	AgentsMayStart *bool
}

// ChangeChannel changes a channel's settings. A queue given to it takes the chats that waited without one (S3.4).
func (s *Store) ChangeChannel(ctx context.Context, environment, id uuid.UUID, c ChannelSettings) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		q := tx.NewUpdate().Model((*Channel)(nil)).Where("environment_id = ?", environment).Where("id = ?", id)
		if c.Name != nil {
			q = q.Set("name = ?", *c.Name)
		}
		if c.Weight != nil {
			q = q.Set("weight = ?", *c.Weight)
		}
		if c.URL != nil {
			q = q.Set("url = ?", *c.URL)
		}
		if c.AgentsMayStart != nil {
			q = q.Set("agents_may_start = ?", *c.AgentsMayStart)
		}
		if c.Queue != nil {
			if err := queueExists(ctx, tx, environment, *c.Queue); err != nil {
				return err
			}
			q = q.Set("queue_id = ?", uuid.NullUUID{UUID: *c.Queue, Valid: *c.Queue != uuid.Nil})
		}
		found, err := changed(q.Set("version = version").Exec(ctx))
		if err != nil {
			return fmt.Errorf("change channel %s: %w", id, err)
		}
		if !found {
			return fmt.Errorf("channel %s: %w", id, ErrNotFound)
		}
		if c.Queue == nil || *c.Queue == uuid.Nil {
			return nil
		}
		err = s.setOnChats(ctx, tx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
			return s.pushes(q).Set("queue_id = ?", *c.Queue).Set("look_at = 0")
		}, "environment_id = ? AND channel_id = ? AND closed_at IS NULL AND agent_id IS NULL AND queue_id IS NULL", environment, id)
		if err != nil {
			return fmt.Errorf("give the waiting chats of channel %s to its queue: %w", id, err)
		}
		return nil
	})
}

// connecting is how long a channel that is being connected is not asked about at the messenger: it would answer that nothing
// leads here yet.
const connecting = time.Minute

// ChannelConnection is what a channel is connected by.
type ChannelConnection struct {
	AccountID   string
	AccountName string
	Fields      map[string]string // the plain ones
	Secrets     []byte            // sealed
	Receive     string
}

// ConnectChannel makes a channel Active, with good health, wakes what waits to be sent, and asks for what its webhook may have
// missed since the last reading, or since it was well for certain. The version is the one the caller saw: another is ErrMoved. Another channel's account is an *AccountTakenError.
func (s *Store) ConnectChannel(ctx context.Context, ch *Channel, c ChannelConnection) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		q := s.setConnection(tx, ch, c).Set("state = ?", chat.ChannelActive).
			Set("receiving_since = CASE WHEN receiving_ok THEN receiving_since ELSE ? END", At(now)).Set("receiving_ok = ?", true).Set("receiving_why = ''").
			Set("sending_since = CASE WHEN sending_ok THEN sending_since ELSE ? END", At(now)).Set("sending_ok = ?", true).Set("sending_why = ''").
			Set("connected_at = CASE WHEN state = ? THEN connected_at ELSE ? END", chat.ChannelActive, s.d.now()).Set("send_retry_at = NULL").
			Set("check_at = NULL").Set("reread_at = ?", s.d.now()).Set("delivers_at = CASE WHEN ? THEN ? END", c.Receive == string(channels.Webhook), s.d.now())
		if err := movedUnless(changed(q.Exec(ctx))); err != nil {
			return err
		}
		if err := s.lockWaiting(ctx, tx, ch); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*Chat)(nil)).Set("out_due_at = ?", s.d.now()).Set("out_refused = 0").
			Where("environment_id = ?", ch.EnvironmentID).Where("channel_id = ?", ch.ID).Where("out_due_at IS NOT NULL").Exec(ctx)
		return err
	})
	return s.connectionError(ctx, "connect", ch, c, err)
}

// ReplaceConnection changes what a channel that is not Active will be connected by. The version is as for ConnectChannel.
func (s *Store) ReplaceConnection(ctx context.Context, ch *Channel, c ChannelConnection) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		return movedUnless(changed(s.setConnection(tx, ch, c).Set("check_at = ? + ?", s.d.now(), connecting.Microseconds()).Exec(ctx)))
	})
	return s.connectionError(ctx, "change", ch, c, err)
}

func (s *Store) setConnection(tx bun.Tx, ch *Channel, c ChannelConnection) *bun.UpdateQuery {
	row := &Channel{AccountID: c.AccountID, AccountName: c.AccountName, Fields: c.Fields, Secrets: c.Secrets, Receive: c.Receive}
	last := s.lastDelivers()
	since := bun.SafeQuery("CASE WHEN reread_done < ? THEN reread_done ELSE ? END", last, last) // an administrator may know of what nobody saw
	return tx.NewUpdate().Model(row).Column("account_id", "account_name", "fields", "secrets", "receive").Set("version = version + 1").
		Set("reread_done = CASE WHEN state = ? THEN reread_done END", chat.ChannelActive).
		Set("reread_from = CASE WHEN state <> ? THEN ? WHEN reread_from < ? THEN reread_from ELSE ? END", chat.ChannelActive, s.d.now(), since, since).
		Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID).Where("version = ?", ch.Version)
}

func movedUnless(found bool, err error) error {
	if err == nil && !found {
		return ErrMoved
	}
	return err
}

func (s *Store) connectionError(ctx context.Context, what string, ch *Channel, c ChannelConnection, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrMoved):
		return err
	case s.d.duplicate(err):
		wanted := *ch
		wanted.AccountID = c.AccountID
		return s.accountTaken(ctx, &wanted, err)
	default:
		return fmt.Errorf("%s channel %s: %w", what, ch.ID, err)
	}
}

// DisconnectChannel takes an Active channel out of service and reports whether it was in service. What comes from now on is
// dropped; what was accepted to be sent waits.
func (s *Store) DisconnectChannel(ctx context.Context, environment, id uuid.UUID) (was bool, err error) {
	const why = "The channel is disconnected; connect it to go on."
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		was, err = changed(tx.NewUpdate().Model((*Channel)(nil)).Set("state = ?", chat.ChannelDisconnected).Set("version = version + 1").
			Set("receiving_ok = ?", false).Set("receiving_since = ?", At(now)).Set("receiving_why = ?", why).
			Set("sending_ok = ?", false).Set("sending_since = ?", At(now)).Set("sending_why = ?", why).
			Where("environment_id = ?", environment).Where("id = ?", id).Where("state = ?", chat.ChannelActive).Exec(ctx))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("disconnect channel %s: %w", id, err)
	}
	return was, nil
}

// lockWaiting locks the chats with something to send on a channel.
func (s *Store) lockWaiting(ctx context.Context, tx bun.Tx, ch *Channel) error {
	return s.d.lockInOrder(ctx, tx, tx.NewSelect().Table("chats").
		Where("environment_id = ?", ch.EnvironmentID).Where("channel_id = ?", ch.ID).Where("out_due_at IS NOT NULL"))
}

// SendingWorks notes that a channel that had trouble sends again; SendingBroken that it cannot until the administrator acts.
// They report whether that is news. What became of a send over a connection the channel no longer has is none: it says
// nothing about the new one. Nor is a slow answer, where a send that began later has told already: at is when this one began.
func (s *Store) SendingWorks(ctx context.Context, ch *Channel, at time.Time) (isNews bool, err error) {
	return s.noteSending(ctx, ch, at, true, "", "0")
}

// SendingBroken is described with SendingWorks. What waits to be sent on the channel fails with the same reason, untried; what is
// written, resent or redriven from now on is a new try.
func (s *Store) SendingBroken(ctx context.Context, ch *Channel, at time.Time, why string) (isNews bool, err error) {
	return s.noteSending(ctx, ch, at, false, why, "out_version")
}

// SendingDoubtful is SendingBroken by what a check has found. A check does not send, so what waits is tried all the same, and what
// any send tells counts more.
func (s *Store) SendingDoubtful(ctx context.Context, ch *Channel, why string) (isNews bool, err error) {
	return s.noteSending(ctx, ch, time.Time{}, false, why, "")
}

// noteSending writes a channel's health and, unless refused is empty, marks the lanes that wait with it.
func (s *Store) noteSending(ctx context.Context, ch *Channel, at time.Time, ok bool, why, refused string) (isNews bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		isNews = false
		q := tx.NewUpdate().Model((*Channel)(nil)).Set("send_retry_at = CASE WHEN send_retry_at > ? THEN send_retry_at END", s.d.now()).
			Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID).Where("version = ?", ch.Version)
		if !at.IsZero() {
			q = q.Set("sending_told_at = ?", At(at)).Where("sending_told_at IS NULL OR sending_told_at <= ?", At(at))
		}
		counts, err := changed(q.Exec(ctx))
		if err != nil || !counts {
			return err
		}
		if isNews, err = s.sendingHealth(ctx, tx, ch, ok, why); err != nil || refused == "" {
			return err
		}
		return s.markWaiting(ctx, tx, ch, refused)
	})
	if err != nil {
		return false, fmt.Errorf("note whether channel %s sends: %w", ch.ID, err)
	}
	return isNews, nil
}

// markWaiting marks the lanes of a channel whose messages wait: with their version these fail untried, with 0 they are tried.
func (s *Store) markWaiting(ctx context.Context, tx bun.Tx, ch *Channel, refused string) error {
	mark := bun.SafeQuery(refused)
	const waiting = "environment_id = ? AND channel_id = ? AND out_due_at IS NOT NULL AND out_refused <> ?"
	if err := s.d.lockInOrder(ctx, tx, tx.NewSelect().Table("chats").Where(waiting, ch.EnvironmentID, ch.ID, mark)); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Table("chats").Set("out_refused = ?", mark).Where(waiting, ch.EnvironmentID, ch.ID, mark).Exec(ctx)
	return err
}

// sendingHealth shows whether a channel sends, and if not, why; it reports whether that is news.
func (s *Store) sendingHealth(ctx context.Context, tx bun.Tx, ch *Channel, ok bool, why string) (bool, error) {
	now, err := s.now(ctx, tx)
	if err != nil {
		return false, err
	}
	return changed(tx.NewUpdate().Model((*Channel)(nil)).Set("sending_ok = ?", ok).Set("sending_why = ?", why).Set("sending_since = ?", At(now)).
		Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID).Where("sending_ok <> ? OR sending_why <> ?", ok, why).Exec(ctx))
}

// ChannelHasChats reports whether a channel has a chat, so that it cannot be deleted (b37).
func (s *Store) ChannelHasChats(ctx context.Context, environment, id uuid.UUID) (bool, error) {
	used, err := s.read.NewSelect().Model((*Chat)(nil)).Where("environment_id = ?", environment).Where("channel_id = ?", id).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for chats of channel %s: %w", id, err)
	}
	return used, nil
}
