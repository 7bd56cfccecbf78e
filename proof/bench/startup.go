package main

import (
	"context"
	"fmt"
	"time"

	"waggle/proof/runner"
)

const (
	dirtyChats = 1_000_000
	starts     = 5
)

// startup measures how long an api and a worker process take until /readyz while a million chats are dirty, as Synchronize
// leaves them, and the CRM works.
func startup(ctx context.Context, b *bench) error {
	c, err := newCrowd(ctx, b, b.servers())
	if err != nil {
		return err
	}
	defer c.in.Close()
	for _, w := range c.in.Workers {
		w.Kill()
	}
	if err := c.dirty(ctx, dirtyChats); err != nil {
		return err
	}
	if err := c.exec(ctx, "UPDATE environments SET crm_state = 'ok'"); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		slot *runner.Slot
	}{{"an api process", c.in.APIs[0]}, {"a worker process", c.in.Workers[0]}} {
		var took []float64
		for range starts {
			s.slot.Kill()
			began := time.Now()
			if err := s.slot.Start(); err != nil {
				return err
			}
			if err := s.slot.Ready(ctx); err != nil {
				return err
			}
			took = append(took, ms(time.Since(began)))
		}
		b.report(fmt.Sprintf("%s until /readyz with 1 M dirty chats, median of %d", s.name, starts), quantile(took, 0.5), "ms", below(2000))
	}
	return nil
}

// dirty makes closed chats that the CRM should be told of again, in SQL as grow does.
func (c *crowd) dirty(ctx context.Context, n int) error {
	chats := fmt.Sprintf(`INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, user_id, contact_id, weight, opened_at, closed_at,
			close_reason, last_seq, last_direction, last_message_at, last_message_day, crm_due_at)
		SELECT made.id, ch.environment_id, i, ch.id, ch.queue_id, made.id, 'customer ' || i, made.id, 1, at, at, 'Closed by agent', 2, 'out', at, at - at %% 86400000000, at
		FROM (SELECT *, %s AS at FROM channels WHERE kind = 'telegram') ch, generate_series($1::int, $2::int) i
		CROSS JOIN LATERAL (SELECT %s AS id) made`, now, chatID("i"))
	if err := c.fill(ctx, chats, 0, n); err != nil {
		return err
	}
	return c.exec(ctx, "VACUUM ANALYZE chats")
}
