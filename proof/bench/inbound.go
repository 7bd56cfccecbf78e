package main

import (
	"context"
	"fmt"
)

// rounds of each kind are counted; a figure is their median.
const rounds = 5

// inboundAt says over how many connections one api process takes webhooks, over how many the yardstick is taken beside it,
// and what is wanted of their ratio. Nobody asks a PostgreSQL to serve 256.
var inboundAt = []struct {
	connections, pgbench int
	ratio, p99           want
}{
	{1, 1, atLeast(0.3), stated},
	{8, 8, atLeast(0.3), stated},
	{32, 32, atLeast(0.7), stated},
	{64, 64, atLeast(1), below(25)},
	{256, 64, atLeast(1.4), stated},
}

// inbound measures how many webhooks are taken — each answered once identity, chat, message and timeline are committed —
// beside what the database alone does: single-row INSERTs of pgbench. They take turns in one run. The workers rest: what is
// measured is the way in. At the end two api processes take them at once, with repeats.
func inbound(ctx context.Context, b *bench) error {
	o := b.servers()
	in, _, err := b.install(ctx, o)
	if err != nil {
		return err
	}
	defer in.Close()
	for _, w := range in.Workers {
		w.Kill()
	}
	y, err := newYardstick(ctx, in, o.DatabaseURL)
	if err != nil {
		return err
	}
	d, err := newDeliveries(ctx, in, "telegram")
	if err != nil {
		return err
	}
	for _, at := range inboundAt {
		c := comparison{to: fmt.Sprint("pgbench at ", at.pgbench)}
		for range rounds {
			r, err := d.round(ctx, at.connections, b.roundTime)
			if err != nil {
				return err
			}
			alone, err := y.round(ctx, at.pgbench, b.roundTime)
			if err != nil {
				return err
			}
			c.add(r, alone)
		}
		c.report(b, connections(at.connections), at.ratio, at.p99)
	}
	return twoProcesses(ctx, b, d, y)
}

// twoProcesses lets two api processes take webhooks at once, of which every fifth comes twice, and counts.
func twoProcesses(ctx context.Context, b *bench, d *deliveries, y yardstick) error {
	c := comparison{to: "pgbench at 64"}
	for range rounds {
		r, err := d.roundOnBoth(ctx, 64, b.roundTime)
		if err != nil {
			return err
		}
		alone, err := y.round(ctx, 64, b.roundTime)
		if err != nil {
			return err
		}
		c.add(r, alone)
	}
	c.report(b, "two api processes, 64 connections", stated, stated)
	lost, doubled, err := d.audit(ctx)
	if err != nil {
		return err
	}
	b.report("messages lost", float64(lost), "", below(1))
	b.report("messages, chats and contacts doubled", float64(doubled), "", below(1))
	return nil
}
