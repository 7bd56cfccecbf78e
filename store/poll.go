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

// polled keeps the channels that are to be polled: always, or once as their webhook may have missed something.
func polled(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Where("state = ?", chat.ChannelActive).Where("(receive = ? OR reread_at IS NOT NULL)", channels.Polling)
}

// ClaimPolls leases the channels that are to be polled and that nobody polls: of the kinds that poll instead of a webhook, and
// of those that read again beside one.
func (s *Store) ClaimPolls(ctx context.Context, owner string, polling, rereading []string, lease time.Duration) ([]Channel, error) {
	var claimed []Channel
	err := polled(s.db.NewUpdate().Model((*Channel)(nil))).Set("poll_owner = ?", owner).Set("poll_until = ? + ?", s.d.now(), lease.Microseconds()).
		Where("(receive = ? AND kind IN (?) OR receive = ? AND kind IN (?))", channels.Polling, bun.List(polling), channels.Webhook, bun.List(rereading)).
		Where("poll_until IS NULL OR poll_until < ?", s.d.now()).Returning("*").Scan(ctx, &claimed)
	if err != nil {
		return nil, fmt.Errorf("claim channels to poll: %w", err)
	}
	return claimed, nil
}

// RenewPoll prolongs the lease and reads the channel as it is now; nil: it is not ours, or no longer to be polled.
func (s *Store) RenewPoll(ctx context.Context, channel uuid.UUID, owner string, lease time.Duration) (*Channel, error) {
	ch := new(Channel)
	err := polled(s.db.NewUpdate().Model((*Channel)(nil))).Set("poll_until = ? + ?", s.d.now(), lease.Microseconds()).
		Where("id = ?", channel).Where("poll_owner = ?", owner).Returning("*").Scan(ctx, ch)
	switch err = one(err, "channel "+channel.String()); {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return ch, nil
}

// SavePollOffset keeps where the next poll begins. What came before is committed. A lease that was lost is an ErrConflict.
func (s *Store) SavePollOffset(ctx context.Context, channel uuid.UUID, owner, offset string) error {
	return s.saveOffset(ctx, channel, owner, offset, Time{})
}

// SaveReread is SavePollOffset after all was read that the webhook may have missed when it was asked for. What was asked for
// since is still to be read.
func (s *Store) SaveReread(ctx context.Context, channel uuid.UUID, owner, offset string, asked Time) error {
	return s.saveOffset(ctx, channel, owner, offset, asked)
}

func (s *Store) saveOffset(ctx context.Context, channel uuid.UUID, owner, offset string, asked Time) error {
	ok, err := changed(s.db.NewUpdate().Model((*Channel)(nil)).Set("poll_offset = ?", offset).
		Set("reread_at = CASE WHEN reread_at = ? THEN NULL ELSE reread_at END", asked).
		Where("id = ?", channel).Where("poll_owner = ?", owner).Exec(ctx))
	if err == nil && !ok {
		err = fmt.Errorf("another process polls it: %w", ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("save the offset of channel %s: %w", channel, err)
	}
	return nil
}

// AskReread has what the webhooks of these kinds' channels may have missed read once.
func (s *Store) AskReread(ctx context.Context, kinds []string) error {
	_, err := s.db.NewUpdate().Model((*Channel)(nil)).Set("reread_at = ?", s.d.now()).
		Where("state = ?", chat.ChannelActive).Where("receive = ?", channels.Webhook).Where("kind IN (?)", bun.List(kinds)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("ask for what webhooks may have missed: %w", err)
	}
	return nil
}

// ReleasePoll gives a channel back.
func (s *Store) ReleasePoll(ctx context.Context, channel uuid.UUID, owner string) error {
	_, err := s.db.NewUpdate().Model((*Channel)(nil)).Set("poll_owner = ''").Set("poll_until = NULL").Where("id = ?", channel).Where("poll_owner = ?", owner).Exec(ctx)
	if err != nil {
		return fmt.Errorf("release channel %s: %w", channel, err)
	}
	return nil
}

// ClaimChecks gives this caller alone the turn to ask the messengers of some channels whether they deliver; the next turn of each
// comes after every. Only channels in service that are delivered to have turns.
func (s *Store) ClaimChecks(ctx context.Context, kinds []string, limit int, every time.Duration) ([]Channel, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	var claimed []Channel
	due := s.d.skipLocked(s.db.NewSelect().Model((*Channel)(nil)).Column("id").Where("state = ?", chat.ChannelActive).Where("receive = ?", channels.Webhook).
		Where("check_at IS NULL OR check_at < ?", s.d.now()).Where("kind IN (?)", bun.List(kinds)).Limit(limit))
	err := s.db.NewUpdate().Model((*Channel)(nil)).Set("check_at = ? + ?", s.d.now(), every.Microseconds()).Where("id IN (?)", due).Returning("*").Scan(ctx, &claimed)
	if err != nil {
		return nil, fmt.Errorf("claim channels to check: %w", err)
	}
	return claimed, nil
}

// ReceivingHealth shows whether a channel receives, and if not, why; since when is kept while it stays the same. Once it
// receives again, what it missed is to be read. It reports whether that was of use: what was found out about a connection the
// channel no longer has is nothing.
func (s *Store) ReceivingHealth(ctx context.Context, ch *Channel, ok bool, why string) (shown bool, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return false, err
	}
	q := s.db.NewUpdate().Model((*Channel)(nil))
	if ok {
		q = q.Set("reread_at = CASE WHEN receiving_ok THEN reread_at ELSE ? END", s.d.now())
	}
	shown, err = changed(q.Set("receiving_since = CASE WHEN receiving_ok = ? THEN receiving_since ELSE ? END", ok, At(now)).
		Set("receiving_ok = ?", ok).Set("receiving_why = ?", why).
		Where("id = ?", ch.ID).Where("state = ?", chat.ChannelActive).Where("version = ?", ch.Version).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("show the health of channel %s: %w", ch.ID, err)
	}
	return shown, nil
}
