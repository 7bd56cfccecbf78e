package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"waggle/channels"
	"waggle/chat"
)

// polled keeps the channels that are to be polled: always, or once as their webhook may have missed something.
func polled(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Where("state = ?", chat.ChannelActive).Where("(receive = ? OR reread_at IS NOT NULL)", channels.Polling)
}

// polledNow leaves those out whose reading is put off.
func (s *Store) polledNow(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Where("receive = ? OR reread_at <= ?", channels.Polling, s.d.now())
}

// ClaimPolls leases the channels that are to be polled and that nobody polls: of the kinds that poll instead of a webhook, and
// of those that read again beside one.
func (s *Store) ClaimPolls(ctx context.Context, owner string, polling, rereading []string, lease time.Duration) ([]Channel, error) {
	var claimed []Channel
	err := polled(s.db.NewUpdate().Model((*Channel)(nil))).Set("poll_owner = ?", owner).Set("poll_until = ? + ?", s.d.now(), lease.Microseconds()).
		Where("(receive = ? AND kind IN (?) OR receive = ? AND kind IN (?))", channels.Polling, bun.List(polling), channels.Webhook, bun.List(rereading)).
		Where("poll_until IS NULL OR poll_until < ?", s.d.now()).Apply(s.polledNow).Returning("*").Scan(ctx, &claimed)
	if err != nil {
		return nil, fmt.Errorf("claim channels to poll: %w", err)
	}
	return claimed, nil
}

// RenewPoll prolongs the lease and reads the channel as it is now; nil: it is not ours, or no longer to be polled. A reading beside
// a webhook that is under way is not put off any more.
func (s *Store) RenewPoll(ctx context.Context, channel uuid.UUID, owner string, underWay bool, lease time.Duration) (*Channel, error) {
	ch := new(Channel)
	q := polled(s.db.NewUpdate().Model((*Channel)(nil))).Set("poll_until = ? + ?", s.d.now(), lease.Microseconds()).
		Where("id = ?", channel).Where("poll_owner = ?", owner)
	if !underWay {
		q = s.polledNow(q)
	}
	err := q.Returning("*").Scan(ctx, ch)
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

// EndReread writes down that all is stored that the webhook may have missed since from when it was asked for. Where more was asked
// for since, what came after is still to be read; while the messenger does not deliver, it is missed.
func (s *Store) EndReread(ctx context.Context, channel uuid.UUID, from, asked Time) error {
	_, err := s.db.NewUpdate().Model((*Channel)(nil)).
		Set("reread_from = CASE WHEN reread_at = ? AND receiving_ok THEN NULL ELSE ? END", asked, asked).
		Set("reread_at = CASE WHEN reread_at = ? THEN NULL ELSE reread_at END", asked).
		// One that began later than the last had ended leaves between them what nobody looked for.
		Set("reread_done = CASE WHEN reread_done < reread_from THEN reread_done ELSE ? END", asked).
		Where("id = ?", channel).Where("reread_from = ?", from).Where("reread_at IS NOT NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("end the reading of channel %s: %w", channel, err)
	}
	return nil
}

// askReread has what a channel's webhook may have missed since a moment read, together with what is still to be read. Both are
// expressions.
func askReread(q *bun.UpdateQuery, since, due any) *bun.UpdateQuery {
	return q.Set("reread_from = CASE WHEN reread_from < ? THEN reread_from ELSE ? END", since, since).Set("reread_at = ?", due)
}

// lastDelivers is when all was well with a channel's webhook for certain; one that was polled before has its offset, too.
func (s *Store) lastDelivers() schema.QueryWithArgs {
	return bun.SafeQuery("coalesce(delivers_at, connected_at, ?)", s.d.now())
}

// hooked keeps the channels in service that are delivered to and whose kinds can be read again.
func hooked(q *bun.UpdateQuery, kinds []string) *bun.UpdateQuery {
	return q.Where("state = ?", chat.ChannelActive).Where("receive = ?", channels.Webhook).Where("kind IN (?)", bun.List(kinds))
}

// Unstored has what messengers could not deliver to these channels since so long ago read, once that is over: after due without
// another call. No channels: to any of these kinds.
func (s *Store) Unstored(ctx context.Context, kinds []string, ids []uuid.UUID, ago, due time.Duration) error {
	q := askReread(s.db.NewUpdate().Model((*Channel)(nil)), bun.SafeQuery("? - ?", s.d.now(), ago.Microseconds()), bun.SafeQuery("? + ?", s.d.now(), due.Microseconds()))
	if len(ids) > 0 {
		q = q.Where("id IN (?)", bun.List(ids))
	}
	if _, err := hooked(q, kinds).Exec(ctx); err != nil {
		return fmt.Errorf("ask for what could not be stored: %w", err)
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

// Delivers notes that a channel's messenger has just said that it delivers. Of what got lost on the way to us — a proxy was away, say
// — nobody tells: where the last reading was asked for longer than every ago, all since then is read.
func (s *Store) Delivers(ctx context.Context, ch *Channel, every time.Duration) error {
	long := bun.SafeQuery("reread_at IS NULL AND reread_done < ? - ?", s.d.now(), every.Microseconds())
	_, err := s.db.NewUpdate().Model((*Channel)(nil)).Set("delivers_at = ?", s.d.now()).
		Set("reread_from = CASE WHEN ? THEN coalesce(reread_from, reread_done) ELSE reread_from END", long).
		Set("reread_at = CASE WHEN ? THEN ? ELSE reread_at END", long, s.d.now()).
		Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID).
		Where("state = ?", chat.ChannelActive).Where("receive = ?", channels.Webhook).Where("version = ?", ch.Version).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note that channel %s is delivered to: %w", ch.ID, err)
	}
	return nil
}

// ReceivingHealth shows whether a channel receives, and if not, why; since when is kept while it stays the same. What its webhook
// has missed since it was well for certain, and for late before that, is to be read once it receives again. It reports whether
// that was of use: what was found out about a connection the channel no longer has is nothing.
func (s *Store) ReceivingHealth(ctx context.Context, ch *Channel, ok bool, why string, late time.Duration) (shown bool, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return false, err
	}
	q := s.db.NewUpdate().Model((*Channel)(nil))
	since := bun.SafeQuery("? - ?", s.lastDelivers(), late.Microseconds())
	switch {
	case ch.Receive != string(channels.Webhook):
	case ok:
		q = q.Set("reread_at = CASE WHEN receiving_ok THEN reread_at ELSE ? END", s.d.now()).
			Set("reread_from = CASE WHEN receiving_ok THEN reread_from ELSE coalesce(reread_from, ?) END", since)
	default:
		q = q.Set("reread_from = CASE WHEN NOT receiving_ok OR reread_from < ? THEN reread_from ELSE ? END", since, since)
	}
	shown, err = changed(q.Set("receiving_since = CASE WHEN receiving_ok = ? THEN receiving_since ELSE ? END", ok, At(now)).
		Set("receiving_ok = ?", ok).Set("receiving_why = ?", why).
		Where("environment_id = ?", ch.EnvironmentID).Where("id = ?", ch.ID).
		Where("state = ?", chat.ChannelActive).Where("version = ?", ch.Version).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("show the health of channel %s: %w", ch.ID, err)
	}
	return shown, nil
}
