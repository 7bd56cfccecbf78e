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

// polled keeps the channels that are to be polled.
func polled(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Where("state = ?", chat.ChannelActive).Where("receive = ?", channels.Polling)
}

// ClaimPolls leases the channels of these kinds that are to be polled and that nobody polls.
func (s *Store) ClaimPolls(ctx context.Context, owner string, kinds []string, lease time.Duration) ([]Channel, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	var claimed []Channel
	err := polled(s.db.NewUpdate().Model((*Channel)(nil))).Set("poll_owner = ?", owner).Set("poll_until = ? + ?", s.d.now(), lease.Microseconds()).
		Where("kind IN (?)", bun.List(kinds)).Where("poll_until IS NULL OR poll_until < ?", s.d.now()).Returning("*").Scan(ctx, &claimed)
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
	ok, err := changed(s.db.NewUpdate().Model((*Channel)(nil)).Set("poll_offset = ?", offset).Where("id = ?", channel).Where("poll_owner = ?", owner).Exec(ctx))
	if err == nil && !ok {
		err = fmt.Errorf("another process polls it: %w", ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("save the offset of channel %s: %w", channel, err)
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

// ReceivingHealth shows whether a channel receives, and if not, why; since when is kept while it stays the same. It reports
// whether that was of use: what was found out about a connection the channel no longer has is nothing.
func (s *Store) ReceivingHealth(ctx context.Context, ch *Channel, ok bool, why string) (shown bool, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return false, err
	}
	shown, err = changed(s.db.NewUpdate().Model((*Channel)(nil)).Set("receiving_since = CASE WHEN receiving_ok = ? THEN receiving_since ELSE ? END", ok, At(now)).
		Set("receiving_ok = ?", ok).Set("receiving_why = ?", why).
		Where("id = ?", ch.ID).Where("state = ?", chat.ChannelActive).Where("version = ?", ch.Version).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("show the health of channel %s: %w", ch.ID, err)
	}
	return shown, nil
}
