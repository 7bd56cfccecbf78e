package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"waggle/proof/runner"
)

// crowd is an installation on PostgreSQL with very many chats in one environment.
type crowd struct {
	in    *runner.Installation
	town  *runner.Town
	chats int
}

const (
	chatsPerAgent = 200    // as a human can have: very many chats are of very many agents
	fillAtOnce    = 20_000 // rows of one statement
	fillers       = 4      // connections
)

// newCrowd installs Waggle with its clocks set back, so that chats may have been waiting, with waiting periods that outlast the
// bench (see due), and no CRM: what is made here has neither customers nor texts to be pushed.
func newCrowd(ctx context.Context, b *bench, o runner.Options) (*crowd, error) {
	in, town, err := b.install(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &crowd{in: in, town: town}
	err = c.exec(ctx, "UPDATE clock SET resumed_at = 0",
		"UPDATE environments SET chats_enabled_at = 0, crm_state = 'refused', close_minutes = 45, transfer_minutes = 45")
	if err != nil {
		in.Close()
		return nil, err
	}
	return c, nil
}

func (c *crowd) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := c.in.Database.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

const now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

// grow makes open chats until there are this many, with as many agents more as they need: half wait for their agent and half
// for their client, all since a moment ago. They are written in SQL, since a million by REST would take an hour; the rows are
// those that REST would have left.
func (c *crowd) grow(ctx context.Context, to int) error {
	agents := fmt.Sprintf(`WITH born AS (
		INSERT INTO agents (id, environment_id, name, enabled, status, created_at)
		SELECT gen_random_uuid(), e.id, 'Agent ' || i, true, 'active', %s FROM environments e, generate_series(%d, %d) i RETURNING id, environment_id)
		INSERT INTO queue_agents (queue_id, agent_id, environment_id) SELECT q.id, born.id, born.environment_id FROM born, queues q`,
		now, c.chats/chatsPerAgent+1, to/chatsPerAgent)
	if err := c.exec(ctx, agents); err != nil {
		return err
	}
	chats := fmt.Sprintf(`WITH team AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS size
			FROM (SELECT id FROM agents ORDER BY created_at DESC, id LIMIT %d) newest)
		INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, user_id, contact_id, weight, opened_at, agent_id, assigned_at,
			accepted_at, last_seq, last_direction, last_message_at, last_message_day, unanswered_since, agent_due_since, closing_since)
		SELECT made.id, ch.environment_id, i, ch.id, ch.queue_id, made.id, 'customer ' || i, made.id, 1, at, team.id, at,
			at, 2, CASE WHEN i %% 2 = 0 THEN 'in' ELSE 'out' END, at, at - at %% 86400000000,
			CASE WHEN i %% 2 = 0 THEN at END, CASE WHEN i %% 2 = 0 THEN at END, CASE WHEN i %% 2 = 1 THEN at END
		FROM (SELECT *, %s AS at FROM channels WHERE kind = 'telegram') ch, generate_series($1::int, $2::int) i
		CROSS JOIN LATERAL (SELECT %s AS id) made
		JOIN team ON team.n = i %% team.size`, (to-c.chats)/chatsPerAgent, now, chatID("i"))
	if err := c.exec(ctx, "ALTER TABLE chats DISABLE TRIGGER USER"); err != nil {
		return err
	}
	if err := c.fill(ctx, chats, c.chats, to); err != nil {
		return err
	}
	c.chats = to
	// What each chat's trigger would have added to its agent's load, at once. All of it is on disk when this returns: what is measured
	// next does not wait for it.
	return c.exec(ctx, `UPDATE agents AS a SET open_chats = l.chats, open_weight = l.weight
		FROM (SELECT agent_id, count(*) AS chats, sum(weight) AS weight FROM chats WHERE closed_at IS NULL AND NOT on_hold GROUP BY agent_id) AS l
		WHERE l.agent_id = a.id`, "ALTER TABLE chats ENABLE TRIGGER USER", "VACUUM ANALYZE chats", "VACUUM ANALYZE agents", "ANALYZE queue_agents", "CHECKPOINT")
}

// chatID is an SQL expression for the id of the i-th chat: like Waggle's own, ids grow with time.
func chatID(i string) string {
	return "(lpad(to_hex(1700000000000 + (" + i + ")::bigint), 12, '0') || '70008000000000000000')::uuid"
}

// fill runs an INSERT of the rows $1 to $2 until those after from up to to are there, as fast as PostgreSQL takes them.
func (c *crowd) fill(ctx context.Context, insert string, from, to int) error {
	faults := make([]error, fillers)
	var filling sync.WaitGroup
	for f := range fillers {
		filling.Go(func() {
			for first := from + f*fillAtOnce; first < to && faults[f] == nil; first += fillers * fillAtOnce {
				last := min(first+fillAtOnce, to)
				faults[f] = c.exec(ctx, strings.NewReplacer("$1", strconv.Itoa(first+1), "$2", strconv.Itoa(last)).Replace(insert))
			}
		})
	}
	filling.Wait()
	return errors.Join(faults...)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
