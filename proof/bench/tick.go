package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waggle/api/client"
	"waggle/proof/runner"
)

const (
	dueAtOnce = 100 // half are to be transferred, half to be closed
	ticks     = 7   // a figure is their median
	tickEvery = 5 * time.Second
)

// openChats measures what work costs among many open chats that are not concerned: a tick with 100 due chats, a tick with
// none, and the routing of 100 waiting chats. Ten times as many chats must not cost more.
func openChats(ctx context.Context, b *bench) error {
	o := b.servers()
	o.Tick = tickEvery
	c, err := newCrowd(ctx, b, o)
	if err != nil {
		return err
	}
	defer c.in.Close()
	first := map[string]float64{}
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		if err := c.grow(ctx, n); err != nil {
			return err
		}
		// The longer the two lasting processes and the tables exist, the warmer: what comes first is not counted.
		if _, err := c.ticks(ctx, 1, dueAtOnce); err != nil {
			return err
		}
		for _, m := range []struct {
			name    string
			measure func() (float64, error)
			flat    want
		}{
			{"tick with 100 due", func() (float64, error) { return c.ticks(ctx, ticks, dueAtOnce) }, below(1.5)},
			{"tick with none due", func() (float64, error) { return c.ticks(ctx, 3, 0) }, stated},
			{"routing of 100 waiting chats", func() (float64, error) { return c.routing(ctx) }, below(1.5)},
		} {
			took, err := m.measure()
			if err != nil {
				return fmt.Errorf("%s among %d open chats: %w", m.name, n, err)
			}
			b.report(fmt.Sprintf("%s among %d k open chats", m.name, n/1000), took, "ms", stated)
			if first[m.name] == 0 {
				first[m.name] = took
				continue
			}
			b.report(fmt.Sprintf("%s, %d k ÷ 10 k open chats", m.name, n/1000), took/first[m.name], "×", m.flat)
		}
	}
	return nil
}

// ticks returns the median cost in ms of n ticks with so many chats due: what both processes and the permanent deadlines took
// by the workers' own account.
func (c *crowd) ticks(ctx context.Context, n, due int) (float64, error) {
	var took []float64
	for range n {
		before, err := c.afterTick(ctx, runTime{})
		if err != nil {
			return 0, err
		}
		affected, err := c.affected(ctx)
		if err != nil {
			return 0, err
		}
		if err := c.due(ctx, due/2); err != nil {
			return 0, err
		}
		after, err := c.afterTick(ctx, before)
		if err != nil {
			return 0, err
		}
		if after.runs != before.runs+tickJobs {
			return 0, fmt.Errorf("a tick was measured together with the next one: the machine is too slow for ticks every %s", tickEvery)
		}
		now, err := c.affected(ctx)
		if err != nil {
			return 0, err
		}
		if now != affected+due {
			return 0, fmt.Errorf("a tick moved and closed %d of %d due chats", now-affected, due)
		}
		took = append(took, 1000*(after.seconds-before.seconds))
	}
	return quantile(took, 0.5), nil
}

// due makes n chats due to be transferred and n to be closed, from anywhere among all: an hour older, which is longer than the
// waiting periods.
func (c *crowd) due(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	for _, fact := range []string{"agent_due_since", "closing_since"} {
		err := c.exec(ctx, fmt.Sprintf(`UPDATE chats SET %[1]s = %[1]s - 3600000000 WHERE id IN (
			SELECT id FROM chats WHERE id > %[4]s AND %[1]s > %[2]s - 1800000000 AND closed_at IS NULL ORDER BY id LIMIT %[3]d)`, fact, now, n, c.anywhere()))
		if err != nil {
			return err
		}
	}
	return nil
}

// anywhere is an SQL expression for the id of some chat, with many after it.
func (c *crowd) anywhere() string {
	return "(SELECT " + chatID(fmt.Sprintf("random() * %d", c.chats*3/4)) + ")"
}

func (c *crowd) affected(ctx context.Context) (int, error) {
	return c.in.Database.Int(ctx, "SELECT sum(affected) FROM processes")
}

// runTime is how often the jobs of ticks have run in all workers, and how long in all.
type runTime struct {
	runs    int
	seconds float64
}

// tickJobs run at each tick: SaveAfkChats, CloseOldChats and the permanent deadlines.
const tickJobs = 3

// afterTick waits until a tick after before is over.
func (c *crowd) afterTick(ctx context.Context, before runTime) (now runTime, err error) {
	if before.runs == 0 {
		if before, err = jobsRun(ctx, c.in); err != nil {
			return now, err
		}
		before.runs -= before.runs % tickJobs
	}
	err = client.Until(ctx, "a tick is over", func() (bool, error) {
		now, err = jobsRun(ctx, c.in)
		return now.runs >= before.runs+tickJobs && now.runs%tickJobs == 0, err
	})
	return now, err
}

func jobsRun(ctx context.Context, in *runner.Installation) (t runTime, err error) {
	for _, w := range in.Workers {
		values, err := w.Metrics(ctx)
		if err != nil {
			return t, err
		}
		for name, value := range values {
			switch {
			case strings.HasPrefix(name, "waggle_job_seconds_count"):
				t.runs += int(value)
			case strings.HasPrefix(name, "waggle_job_seconds_sum"):
				t.seconds += value
			}
		}
	}
	return t, nil
}
