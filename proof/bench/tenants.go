package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waggle/api/client"
	"waggle/proof/load"
	"waggle/proof/runner"
)

const (
	tenants        = 100
	tenantPeople   = 50 // customers of each
	tenantMessages = 4  // of each customer in a round
	tenantRounds   = 5  // of each kind
)

// tenantsPush measures what one environment whose CRM hangs — it takes connections and never answers — costs 99 others: how
// many messages a second reach their CRMs, which take 20 ms a call, with it and without it, in turn.
func tenantsPush(ctx context.Context, b *bench) error {
	o := b.servers()
	o.Sweep = 200 * time.Millisecond // both workers begin at the same moment
	in, _, err := b.install(ctx, o)
	if err != nil {
		return err
	}
	defer in.Close()
	w := &tenantWorld{in: in, next: 1}
	if w.all, err = in.Tenants(ctx, tenants); err != nil {
		return err
	}
	for _, t := range w.all {
		t.CRM.Slow(20 * time.Millisecond)
	}
	if _, err := w.round(ctx); err != nil { // makes the customers known and is not counted
		return err
	}
	var without, with, ratios []float64
	for range tenantRounds {
		alone, err := w.round(ctx)
		if err != nil {
			return err
		}
		hung := w.all[0].CRM.Hold(nil)
		beside, err := w.round(ctx)
		hung.Open()
		w.all[0].CRM.Up()
		if err != nil {
			return err
		}
		w.all[0].CRM.Slow(20 * time.Millisecond)
		without, with, ratios = append(without, alone), append(with, beside), append(ratios, beside/alone)
	}
	b.report("99 environments: messages pushed", quantile(without, 0.5), "/s", stated)
	b.report("the same while one more hangs", quantile(with, 0.5), "/s", stated)
	b.report("ratio, median of 5 pairs", quantile(ratios, 0.5), "×", atLeast(0.9))
	return nil
}

// tenantWorld is many environments of one installation.
type tenantWorld struct {
	in   *runner.Installation
	all  []*runner.Tenant
	next int64
}

// round lets messages pile up in every environment while no CRM may be called, then lets all be pushed, and returns how many
// a second reached the CRMs of all environments but the first, from the first message on.
func (w *tenantWorld) round(ctx context.Context) (float64, error) {
	if err := w.crms(ctx, "refused"); err != nil {
		return 0, err
	}
	if err := w.fill(); err != nil {
		return 0, err
	}
	before := w.pushed()
	const messages = (tenants - 1) * tenantPeople * tenantMessages
	if err := w.crms(ctx, "ok"); err != nil {
		return 0, err
	}
	var began time.Time
	err := client.Until(ctx, "99 CRMs have everything", func() (bool, error) {
		n := w.pushed() - before
		if n > 0 && began.IsZero() {
			began = time.Now()
		}
		return n >= messages, nil
	})
	if err != nil {
		return 0, err
	}
	rate := messages / time.Since(began).Seconds()
	return rate, nil
}

// crms sets how every environment's CRM is thought to stand, in SQL: nothing outside can stop all pushes at one moment.
func (w *tenantWorld) crms(ctx context.Context, state string) error {
	_, err := w.in.Database.Exec(ctx, "UPDATE environments SET crm_state = '"+state+"', crm_retry_at = NULL, crm_failures = 0, crm_error = ''")
	return err
}

func (w *tenantWorld) pushed() (n int) {
	for _, t := range w.all[1:] {
		n += t.CRM.Count("ChatMessages")
	}
	return n
}

// fill delivers a round's webhooks, of all environments at the same time.
func (w *tenantWorld) fill() error {
	const each = tenantPeople * tenantMessages
	faults := make([]error, len(w.all))
	var filling sync.WaitGroup
	for i, t := range w.all {
		hook, err := w.in.BotHook(t.Bot)
		if err != nil {
			return err
		}
		filling.Go(func() {
			r, err := load.Run(load.Options{
				URL: w.in.APIs[i%len(w.in.APIs)].Process.Base + hook.Path, Header: hook.Header, Body: load.TelegramOf(tenantPeople),
				First: w.next, Connections: 1, Duration: time.Minute, Limit: each,
			})
			if err == nil && len(r.Faults) > 0 {
				err = fmt.Errorf("not all webhooks were answered 200: %v", r.Faults)
			}
			faults[i] = err
		})
	}
	filling.Wait()
	w.next += each
	return errors.Join(faults...)
}
