package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// SendLane is a leased lane to the messenger. The fence proves the lease.
type SendLane struct {
	ChatID        uuid.UUID `bun:"id"`
	EnvironmentID uuid.UUID
	ChannelID     uuid.UUID
	Fence         int64 `bun:"out_fence"`
}

// ClaimSends leases up to limit lanes that are due, at most perChannel of one channel and none of the channels in notNow; of the
// channel whose lane has been due longest first. What it costs follows the channels that have something to send, not how much
// they have: fewer than limit means that every other channel was looked at. ErrLocked means that there are such lanes, but others
// are changing their chats.
func (s *Store) ClaimSends(ctx context.Context, owner string, limit, perChannel int, notNow []uuid.UUID, lease time.Duration) ([]SendLane, error) {
	var lanes []SendLane
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		lanes = nil
		channels, err := s.sendersDue(ctx, tx, limit, notNow)
		if err != nil || len(channels) == 0 {
			return err
		}
		var ids []uuid.UUID
		oldest := make([]any, len(channels))
		for i, channel := range channels {
			oldest[i] = s.d.skipLocked(s.sendsDue(tx.NewSelect()).Column("c.id").Where("c.channel_id = ?", channel).Limit(perChannel))
		}
		all := strings.TrimSuffix(strings.Repeat("SELECT id FROM (?) AS l UNION ALL ", len(oldest)), " UNION ALL ")
		if err := tx.NewSelect().TableExpr("("+all+") AS lanes", oldest...).Column("id").Limit(limit).Scan(ctx, &ids); err != nil {
			return err
		}
		if len(ids) == 0 {
			return ErrLocked
		}
		return tx.NewUpdate().Table("chats").Set("out_owner = ?", owner).Set("out_until = ? + ?", s.d.now(), lease.Microseconds()).
			Set("out_fence = out_fence + 1").Where("id IN (?)", bun.List(ids)).Returning("id, environment_id, channel_id, out_fence").Scan(ctx, &lanes)
	})
	if err != nil {
		return nil, fmt.Errorf("claim lanes to the messengers: %w", err)
	}
	return lanes, nil
}

// sendsDue reads lanes that are due and leased to nobody, longest due first. The clock is read once, in a subquery: a clock
// that may move between two rows would keep PostgreSQL from looking the time up in an index.
func (s *Store) sendsDue(q *bun.SelectQuery) *bun.SelectQuery {
	return q.TableExpr("chats AS c").Where("c.out_due_at <= (SELECT ?)", s.d.now()).
		Where("c.out_until IS NULL OR c.out_until < (SELECT ?)", s.d.now()).OrderExpr("c.out_due_at")
}

// channelsSending steps through the index from channel to channel, so that the lanes between are not read.
const channelsSending = `
	SELECT * FROM (SELECT channel_id FROM chats WHERE out_due_at IS NOT NULL ORDER BY channel_id, out_due_at LIMIT 1) AS first
	UNION ALL
	SELECT (SELECT c.channel_id FROM chats AS c WHERE c.out_due_at IS NOT NULL AND c.channel_id > s.channel_id
	        ORDER BY c.channel_id, c.out_due_at LIMIT 1)
	FROM sending AS s WHERE s.channel_id IS NOT NULL`

// sendersDue returns up to limit channels that have a lane that is due, those with the longest due first.
func (s *Store) sendersDue(ctx context.Context, tx bun.Tx, limit int, notNow []uuid.UUID) (channels []uuid.UUID, err error) {
	since := s.sendsDue(tx.NewSelect()).Column("c.out_due_at").Where("c.channel_id = s.channel_id").Limit(1)
	found := tx.NewSelect().TableExpr("sending AS s").ColumnExpr("s.channel_id, (?) AS since", since).
		Join("JOIN channels AS ch ON ch.id = s.channel_id").Join("JOIN environments AS e ON e.id = ch.environment_id").Where("e.chats_enabled")
	if len(notNow) > 0 {
		found = found.Where("s.channel_id NOT IN (?)", bun.List(notNow))
	}
	err = tx.NewSelect().WithRecursive("sending", tx.NewRaw(channelsSending)).
		TableExpr("(?) AS f", found).Column("channel_id").Where("since IS NOT NULL").OrderExpr("since").Limit(limit).Scan(ctx, &channels)
	return channels, err
}
