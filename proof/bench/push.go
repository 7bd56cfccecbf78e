package main

import (
	"context"
	"fmt"
	"time"

	"waggle/api/client"
	"waggle/proof/load"
	"waggle/proof/runner"
)

const (
	pushPeople = 1_000
	pushTime   = 10 * time.Second
	slowCall   = 50 * time.Millisecond
)

// push measures what one environment's messages cost its CRM in calls while they come as fast as Waggle takes them in, and
// how many a second reach a CRM that takes 50 ms a call. The customers are known beforehand: a new one costs look-ups once.
func push(ctx context.Context, b *bench) error {
	in, _, err := b.install(ctx, b.servers())
	if err != nil {
		return err
	}
	defer in.Close()
	p := pushing{in: in, next: 1}
	if _, err := p.load(ctx, time.Minute, pushPeople); err != nil {
		return err
	}
	for _, slow := range []time.Duration{0, slowCall} {
		in.CRM.Slow(slow)
		calls, messages := in.CRM.Received(), in.CRM.Count("ChatMessages")
		began := time.Now()
		under, err := p.load(ctx, pushTime, 0)
		if err != nil {
			return err
		}
		pushed, took := float64(in.CRM.Count("ChatMessages")-messages), time.Since(began).Seconds()
		perCall := pushed / float64(in.CRM.Received()-calls)
		name := "CRM that answers at once"
		if slow > 0 {
			name = fmt.Sprintf("CRM that takes %s a call", slow)
		}
		b.report(name+": webhooks meanwhile", under, "/s", stated)
		b.report(name+": messages per CRM call", perCall, "", atLeast(10))
		b.report(name+": messages pushed", pushed/took, "/s", stated)
	}
	return nil
}

// pushing is one environment under load.
type pushing struct {
	in   *runner.Installation
	next int64
}

// load sends webhooks as fast as they are taken, limit of them or for some time, and returns their rate. It ends when the CRM
// has them all; how long that takes counts as well.
func (p *pushing) load(ctx context.Context, d time.Duration, limit int64) (float64, error) {
	hook, err := p.in.BotHook(p.in.Bot)
	if err != nil {
		return 0, err
	}
	r, err := load.Run(load.Options{
		URL: p.in.APIs[0].Process.Base + hook.Path, Header: hook.Header, Body: load.TelegramOf(pushPeople), First: p.next, Connections: 16, Duration: d, Limit: limit,
	})
	if err != nil {
		return 0, err
	}
	if len(r.Faults) > 0 {
		return 0, fmt.Errorf("not all webhooks were answered 200: %v", r.Faults)
	}
	p.next += r.OK
	return r.PerSecond(), quiet(ctx, p.in, "the CRM has everything")
}

// quiet waits until nothing is left to do towards either side.
func quiet(ctx context.Context, in *runner.Installation, what string) error {
	return client.Until(ctx, what, func() (bool, error) { return in.Database.Quiet(ctx) })
}
