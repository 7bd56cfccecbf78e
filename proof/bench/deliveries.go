package main

import (
	"context"
	"fmt"
	"time"

	"waggle/proof/load"
	"waggle/proof/runner"
)

// deliveries are the webhooks an installation gets from one of its messengers, and the account of them.
type deliveries struct {
	in     *runner.Installation
	kind   string // of channel
	hook   load.Options
	beside string // the hook of the second api process; empty: there is none
	taken  int64  // different deliveries that were answered 200
}

// newDeliveries lets all customers write for the first time: to two processes at once, where there are two, and each twice.
func newDeliveries(ctx context.Context, in *runner.Installation, kind string) (*deliveries, error) {
	hook, err := in.HookOf(kind)
	if err != nil {
		return nil, err
	}
	d := &deliveries{in: in, kind: kind, hook: load.Options{
		URL: in.APIs[0].Process.Base + hook.Path, Header: hook.Header, Sign: hook.Sign, Body: load.Bodies(kind, in.AccountOf(kind)),
	}}
	if len(in.APIs) > 1 {
		d.beside = in.APIs[1].Process.Base + hook.Path
	}
	o := d.hook
	o.Beside, o.Connections, o.Duration, o.Limit = d.beside, 32, time.Minute, 2*load.People
	_, err = d.send(ctx, o, 2)
	return d, err
}

// round sends to one process as many webhooks as it takes.
func (d *deliveries) round(ctx context.Context, over int, length time.Duration) (load.Result, error) {
	o := d.hook
	o.Connections, o.Duration = over, length
	return d.send(ctx, o, 0)
}

// roundOnBoth sends to both processes, every fifth webhook twice: to the same process or to both.
func (d *deliveries) roundOnBoth(ctx context.Context, over int, length time.Duration) (load.Result, error) {
	o := d.hook
	o.Beside, o.Connections, o.Duration = d.beside, over, length
	return d.send(ctx, o, 5)
}

// send sends new webhooks, one of every repeats twice (0: none), and counts what is stored.
func (d *deliveries) send(ctx context.Context, o load.Options, repeats int64) (load.Result, error) {
	o.First = d.taken + 1
	if repeats > 0 {
		o.Body = load.Repeating(o.Body, o.First, repeats)
	}
	r, err := load.Run(o)
	if err != nil {
		return r, err
	}
	if len(r.Faults) > 0 {
		return r, fmt.Errorf("not all webhooks were answered 200: %v", r.Faults)
	}
	if repeats > 0 {
		d.taken += load.Distinct(r.OK, repeats)
	} else {
		d.taken += r.OK
	}
	stored, err := d.in.Database.Int(ctx, "SELECT count(*) FROM timeline WHERE kind = 'message' AND channel_id IN (SELECT id FROM channels WHERE kind = '"+d.kind+"')")
	if err == nil && int64(stored) != d.taken {
		err = fmt.Errorf("%d webhooks were answered 200 and %d messages are stored", d.taken, stored)
	}
	return r, err
}

// audit counts what is missing and what is there more than once; every text was written once.
func (d *deliveries) audit(ctx context.Context) (lost, doubled int, err error) {
	count := func(query string) (n int) {
		if err == nil {
			n, err = d.in.Database.Int(ctx, query)
		}
		return n
	}
	messages := count("SELECT count(*) FROM timeline WHERE kind = 'message'")
	different := count("SELECT count(DISTINCT text) FROM timeline WHERE kind = 'message'")
	chats, contacts := count("SELECT count(*) FROM chats"), count("SELECT count(*) FROM contacts")
	if err != nil {
		return 0, 0, err
	}
	gaps, err := d.in.Database.Gaps(ctx)
	if err == nil && gaps > 0 {
		err = fmt.Errorf("%d timelines have gaps", gaps)
	}
	return int(d.taken) - different, messages - different + chats - load.People + contacts - load.People, err
}

// comparison is the rounds of one kind with those of a yardstick, taken in turn.
type comparison struct {
	to string // the yardstick

	rates, alone, ratios, p50, p99 []float64
}

func (c *comparison) add(r load.Result, alone float64) {
	c.rates, c.alone, c.ratios = append(c.rates, r.PerSecond()), append(c.alone, alone), append(c.ratios, r.PerSecond()/alone)
	c.p50, c.p99 = append(c.p50, ms(r.Quantile(0.5))), append(c.p99, ms(r.Quantile(0.99)))
}

// report reports the medians, and how far apart the ratios of single rounds were: what the machine's moods do to them.
func (c *comparison) report(b *bench, what string, ratio, p99 want) {
	b.report(what+": webhooks", quantile(c.rates, 0.5), "/s", stated)
	b.report(what+": "+c.to, quantile(c.alone, 0.5), "/s", stated)
	b.report(what+": ratio", quantile(c.ratios, 0.5), "×", ratio)
	b.report(what+": ratio, lowest", quantile(c.ratios, 0), "×", stated)
	b.report(what+": ratio, highest", quantile(c.ratios, 1), "×", stated)
	b.report(what+": answer, p50", quantile(c.p50, 0.5), "ms", stated)
	b.report(what+": answer, p99", quantile(c.p99, 0.5), "ms", p99)
}

// connections names a number of them.
func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprint(n, " connections")
}
