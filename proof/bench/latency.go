package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"waggle/proof/runner"
)

// busyAt are the numbers of chats that are going on, each with a message of its customer and a reply of its agent every turn.
// A person takes seconds to write; fewer chats turn faster, so that their quantiles mean something.
var busyAt = []struct {
	chats, turns int
	turn         time.Duration
}{
	{10, 20, time.Second}, {100, 8, 2 * time.Second}, {1000, 5, 5 * time.Second},
}

// busyAgents serve the chats; each has his event stream open.
const busyAgents = 10

// latency measures how long replies take to the messenger and messages to the agent's page, while many chats are going on.
func latency(ctx context.Context, b *bench) error {
	for _, at := range busyAt {
		if err := busy(ctx, b, b.servers(), at.chats, at.turns, at.turn); err != nil {
			return fmt.Errorf("%d busy chats: %w", at.chats, err)
		}
	}
	return nil
}

// latencyEmbedded is latency of one process with everything in it.
func latencyEmbedded(ctx context.Context, b *bench) error {
	return busy(ctx, b, b.embedded(), 50, 10, 2*time.Second)
}

func busy(ctx context.Context, b *bench, o runner.Options, chats, turns int, turn time.Duration) error {
	for i := range busyAgents {
		o.Agents = append(o.Agents, fmt.Sprint("Agent ", i+1))
	}
	in, town, err := b.install(ctx, o)
	if err != nil {
		return err
	}
	defer in.Close()
	people := town.OnTelegram(chats)
	runner.WriteAll(ctx, people, 1)
	assigned, err := town.Assigned(ctx, people)
	if err != nil {
		return err
	}
	pages, err := openPages(ctx, in, town)
	if err != nil {
		return err
	}
	defer pages.close()
	faults := make([]error, len(people))
	var talking sync.WaitGroup
	for i, c := range people {
		talking.Go(func() {
			// They do not all speak at the same moment.
			<-time.After(turn * time.Duration(i) / time.Duration(chats))
			next := time.NewTicker(turn)
			defer next.Stop()
			for range turns {
				// An agent answers what his page has told him of.
				err := pages.wrote(ctx, assigned[c.Name], func() { c.Write(ctx, 1) })
				if err == nil {
					err = town.Reply(ctx, c, assigned[c.Name], 1)
				}
				if err != nil {
					faults[i] = err
					return
				}
				<-next.C
			}
		})
	}
	talking.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	shown := pages.delays()
	if err := town.Audit(ctx); err != nil {
		return err
	}
	replies, records := town.Delays()
	name := fmt.Sprintf("%d busy chats: ", chats)
	b.report(name+"reply to messenger, p50", ms(quantile(replies, 0.5)), "ms", below(150))
	b.report(name+"reply to messenger, p99", ms(quantile(replies, 0.99)), "ms", below(500))
	b.report(name+"message to the agent's event stream, p50", ms(quantile(shown, 0.5)), "ms", below(150))
	b.report(name+"message to the agent's event stream, p99", ms(quantile(shown, 0.99)), "ms", below(500))
	b.report(name+"message to record in the CRM, p50", ms(quantile(records, 0.5)), "ms", below(500))
	b.report(name+"message to record in the CRM, p99", ms(quantile(records, 0.99)), "ms", stated)
	return nil
}
