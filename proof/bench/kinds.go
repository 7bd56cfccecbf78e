package main

import (
	"context"
	"fmt"
)

// kindsAt is over how many connections.
const kindsAt = 32

// kinds measures how many webhooks of every other kind of channel are taken beside Telegram's. They take turns in one run.
func kinds(ctx context.Context, b *bench) error {
	in, _, err := b.install(ctx, b.servers())
	if err != nil {
		return err
	}
	defer in.Close()
	for _, w := range in.Workers {
		w.Kill()
	}
	telegram, err := newDeliveries(ctx, in, "telegram")
	if err != nil {
		return err
	}
	for _, kind := range []string{"custom", "x", "messenger"} {
		d, err := newDeliveries(ctx, in, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		c := comparison{to: "telegram"}
		for range rounds {
			r, err := d.round(ctx, kindsAt, b.roundTime)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			beside, err := telegram.round(ctx, kindsAt, b.roundTime)
			if err != nil {
				return err
			}
			c.add(r, beside.PerSecond())
		}
		c.report(b, kind, atLeast(0.8), stated)
	}
	return nil
}
