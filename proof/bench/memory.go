package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"waggle/api/gen"
	"waggle/proof/runner"
)

const (
	openStreams = 1_000
	settleTime  = 12 * time.Second // two ticks of the product and some garbage collection
)

// memory measures what the processes hold more of memory for 100 k more open chats, and for 1,000 open event streams.
func memory(ctx context.Context, b *bench) error {
	c, err := newCrowd(ctx, b, b.servers())
	if err != nil {
		return err
	}
	defer c.in.Close()
	if err := c.grow(ctx, 10_000); err != nil {
		return err
	}
	few, err := c.residents(ctx)
	if err != nil {
		return err
	}
	if err := c.grow(ctx, 110_000); err != nil {
		return err
	}
	many, err := c.residents(ctx)
	if err != nil {
		return err
	}
	b.report("an api process", few[0], "MB", stated)
	b.report("an api process, per 100 k more open chats", many[0]-few[0], "MB", below(20))
	b.report("a worker process", few[1], "MB", stated)
	b.report("a worker process, per 100 k more open chats", many[1]-few[1], "MB", below(20))
	streams, err := c.streams(ctx)
	if err != nil {
		return err
	}
	b.report("an api process, per 1,000 event streams", streams-many[0], "MB", below(50))
	return nil
}

// residents is what the first api and the first worker process hold, in MB, once they have had to do with the chats: ticks with
// due ones, routing, and the pages' lists.
func (c *crowd) residents(ctx context.Context) (mb [2]float64, err error) {
	for range 2 {
		if err := c.due(ctx, dueAtOnce/2); err != nil {
			return mb, err
		}
		for range 100 {
			if err := c.town.API.Call(ctx, http.MethodGet, "/api/v1/chats?limit=100", nil, &gen.ChatList{}); err != nil {
				return mb, err
			}
		}
		if err := pause(ctx, settleTime/2); err != nil {
			return mb, err
		}
	}
	for i, s := range []*runner.Slot{c.in.APIs[0], c.in.Workers[0]} {
		if _, mb[i], err = usage(s.Process.PID()); err != nil {
			return mb, err
		}
	}
	return mb, nil
}

// streams is what the first api process holds with event streams open that have all been told of something.
func (c *crowd) streams(ctx context.Context) (float64, error) {
	reading, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	told := make(chan struct{}, openStreams)
	token := c.town.Agent(c.town.Staff()[0]).Token
	for range openStreams {
		s, err := openStream(reading, c.in.APIs[0].Process.Base, token)
		if err != nil {
			return 0, err
		}
		running.Go(func() {
			once := sync.OnceFunc(func() { told <- struct{}{} })
			s.each(func(kind string, _ streamEvent) {
				if kind == "queue" {
					once()
				}
			})
		})
	}
	if err := c.town.API.Call(ctx, http.MethodPost, "/api/v1/queues", gen.QueueInput{Name: "2nd-line support"}, nil); err != nil {
		return 0, err
	}
	late := time.After(toldLimit)
	for n := range openStreams {
		select {
		case <-told:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-late:
			return 0, fmt.Errorf("%d of %d event streams were told of a new queue within %s", n, openStreams, toldLimit)
		}
	}
	if err := pause(ctx, settleTime); err != nil {
		return 0, err
	}
	_, mb, err := usage(c.in.APIs[0].Process.PID())
	return mb, errors.Join(err, ctx.Err())
}
