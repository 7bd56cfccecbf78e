package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"waggle/channels/custom/customtest"
)

// customer is one person on one of the messengers.
type customer struct {
	name  string
	write func(ctx context.Context, text string) (edit func(context.Context, string))
	inbox func() []string

	mu    sync.Mutex
	texts []string // what he wrote, in order, each as it reads in the end
}

// come lets n customers come: two of three to Telegram.
func (w *world) come(n int) {
	for i := range n {
		name := fmt.Sprintf("c%03d", i)
		if i%3 == 2 {
			w.ledger.customers = append(w.ledger.customers, w.onMessenger(name))
			continue
		}
		w.ledger.customers = append(w.ledger.customers, w.onTelegram(name, int64(5_551_000+i)))
	}
}

func (w *world) onTelegram(name string, id int64) *customer {
	k := w.in.Bot.Customer(id, name)
	return &customer{
		name: name,
		write: func(_ context.Context, text string) func(context.Context, string) {
			m := k.Write(text)
			return func(_ context.Context, to string) { k.Edit(m, to) }
		},
		inbox: func() (texts []string) {
			for _, m := range k.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
	}
}

// onMessenger: what Waggle does not take stays in the messenger's outbox and is repeated.
func (w *world) onMessenger(name string) *customer {
	k := w.in.Messenger.Customer(customtest.Profile{ID: name, Name: name})
	return &customer{
		name: name,
		write: func(ctx context.Context, text string) func(context.Context, string) {
			m, _ := k.Write(ctx, text)
			return func(ctx context.Context, to string) { _ = k.Edit(ctx, m, to) }
		},
		inbox: func() (texts []string) {
			for _, m := range k.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
	}
}

// live lets him write, edit now and then, at once or after a while, and sometimes be silent for long enough that his chat closes.
func (c *customer) live(ctx context.Context, r *rand.Rand) {
	if !rest(ctx, between(r, 0, 5*time.Second)) {
		return
	}
	var last func(context.Context) // corrects what he wrote before
	for {
		if last != nil && r.IntN(3) == 0 {
			last(ctx)
			last = nil
		}
		for range 1 + r.IntN(2) {
			correct := c.says(ctx)
			if r.IntN(12) == 0 {
				correct(ctx)
			} else {
				last = correct
			}
		}
		pause := between(r, time.Second, 4*time.Second)
		switch dice := r.IntN(10); {
		case dice == 0:
			pause = between(r, 40*time.Second, 70*time.Second)
		case dice < 4:
			pause = between(r, 4*time.Second, 12*time.Second)
		}
		if !rest(ctx, pause) {
			return
		}
	}
}

// says writes the next message; it returns what edits it.
func (c *customer) says(ctx context.Context) (correct func(context.Context)) {
	c.mu.Lock()
	n := len(c.texts)
	text := line(c.name, n)
	c.texts = append(c.texts, text)
	c.mu.Unlock()
	edit := c.write(ctx, text)
	return func(ctx context.Context) {
		c.mu.Lock()
		c.texts[n] = edited(text)
		c.mu.Unlock()
		edit(ctx, edited(text))
	}
}

// wrote is what he wrote, in order, as it reads in the end.
func (c *customer) wrote() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.texts)
}
