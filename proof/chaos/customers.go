package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"waggle/channels/custom/customtest"
	"waggle/channels/telegram/telegramtest"
)

// customer is one person on one of the messengers.
type customer struct {
	name  string
	write func(ctx context.Context, text string, pictures ...[]byte) (edit func(context.Context, string)) // nil: his messenger has no edits
	album int                                                                                             // pictures that one message may have
	inbox func() []arrival
	has   func() // tells his messenger that he has everything; nil: it does not ask

	mu       sync.Mutex
	texts    []string // what he wrote, in order, each as it reads in the end
	pictures []int    // how many came with each
}

// arrival is a message as a customer's messenger shows it, with its text, its file or both.
type arrival struct {
	text string
	file string // its content
}

// largestAlbum is how many pictures customers send at once where they can.
const largestAlbum = 3

// come lets n customers come: half of them to Telegram.
func (w *world) come(n int) {
	for i := range n {
		name := fmt.Sprintf("c%03d", i)
		var c *customer
		switch i % 6 {
		case 2:
			c = w.onMessenger(name)
		case 4:
			c = w.onX(name, fmt.Sprint(3_001_969_000+i))
		case 5:
			c = w.onPage(name)
		default:
			c = w.onTelegram(name, int64(5_551_000+i))
		}
		w.ledger.customers = append(w.ledger.customers, c)
	}
}

func (w *world) onTelegram(name string, id int64) *customer {
	k := w.in.Bot.Customer(id, name)
	return &customer{
		name: name, album: largestAlbum,
		write: func(_ context.Context, text string, pictures ...[]byte) func(context.Context, string) {
			switch len(pictures) {
			case 0:
				m := k.Write(text)
				return func(_ context.Context, to string) { k.Edit(m, to) }
			case 1:
				m := k.SendPhoto(pictures[0], text)
				return func(_ context.Context, to string) { k.EditCaption(m, to) }
			}
			album := []telegramtest.Picture{{Data: pictures[0], Caption: text}}
			for _, data := range pictures[1:] {
				album = append(album, telegramtest.Picture{Data: data})
			}
			m := k.SendAlbum(album...)[0]
			return func(_ context.Context, to string) { k.EditCaption(m, to) }
		},
		inbox: func() (come []arrival) {
			for _, m := range k.Inbox() {
				come = append(come, arrival{m.Text, string(m.File)})
			}
			return come
		},
	}
}

// onMessenger: what Waggle does not take stays in the messenger's outbox and is repeated.
func (w *world) onMessenger(name string) *customer {
	k := w.in.Messenger.Customer(customtest.Profile{ID: name, Name: name})
	return &customer{
		name: name, album: largestAlbum,
		write: func(ctx context.Context, text string, pictures ...[]byte) func(context.Context, string) {
			var files []customtest.Attachment
			for _, data := range pictures {
				files = append(files, w.in.Messenger.Upload("picture.png", "image/png", data))
			}
			m, _ := k.Write(ctx, text, files...)
			return func(ctx context.Context, to string) { _ = k.Edit(ctx, m, to) }
		},
		inbox: func() (come []arrival) {
			for _, m := range k.Inbox() {
				come = append(come, arrival{text: m.Text})
				if m.File != nil {
					come[len(come)-1].file = string(m.File.Content)
				}
			}
			return come
		},
	}
}

func (w *world) onX(name, id string) *customer {
	k := w.in.XAccount.Customer(id, name, name)
	return &customer{
		name: name, album: 1,
		write: func(_ context.Context, text string, pictures ...[]byte) func(context.Context, string) {
			if len(pictures) > 0 {
				k.SendFile("photo", pictures[0], text)
			} else {
				k.Write(text)
			}
			k.Read()
			return nil
		},
		inbox: func() (come []arrival) {
			for _, m := range k.Inbox() {
				come = append(come, arrival{m.Text, string(m.Media)})
			}
			return come
		},
	}
}

// onPage is on Facebook. He has read what came when he writes.
func (w *world) onPage(name string) *customer {
	k := w.in.Page.Customer(name, name, "")
	return &customer{
		name: name, album: largestAlbum,
		write: func(_ context.Context, text string, pictures ...[]byte) func(context.Context, string) {
			k.Arrive()
			k.Read()
			mid := k.SendPictures(text, pictures...)
			edits := 0
			return func(_ context.Context, to string) {
				edits++
				k.Edit(mid, to, edits)
			}
		},
		has: func() { k.Arrive() },
		inbox: func() (come []arrival) {
			for _, m := range k.Inbox() {
				come = append(come, arrival{m.Text, string(m.File)})
			}
			return come
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
			pictures := 0
			if r.IntN(6) == 0 {
				pictures = 1 + r.IntN(c.album)
			}
			correct := c.says(ctx, pictures)
			if correct != nil && r.IntN(12) == 0 {
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

// says writes the next message, with pictures; it returns what edits it, nil where that cannot be done.
func (c *customer) says(ctx context.Context, pictures int) (correct func(context.Context)) {
	c.mu.Lock()
	n := len(c.texts)
	text := line(c.name, n)
	c.texts, c.pictures = append(c.texts, text), append(c.pictures, pictures)
	c.mu.Unlock()
	edit := c.write(ctx, text, picturesOf(text, pictures)...)
	if edit == nil {
		return nil
	}
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

// showed is what came with each message he wrote, by its text before any edit.
func (c *customer) showed() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for i, text := range c.texts {
		all[original(text)] = c.pictures[i]
	}
	return all
}
