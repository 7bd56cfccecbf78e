package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/proof/runner"
)

// pages are the agents' pages: each has its event stream open and notes when it is told of a customer's message.
type pages struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	waiting map[uuid.UUID]expected // by chat: a customer's message that no page has been told of
	shown   []time.Duration
}

type expected struct {
	page  uuid.UUID // the agent's
	since time.Time
	told  chan struct{}
}

// openPages opens a stream for every agent, past the load balancer, which would hold events back. It returns when all stand.
func openPages(ctx context.Context, in *runner.Installation, town *runner.Town) (*pages, error) {
	ctx, stop := context.WithCancel(ctx)
	p := &pages{stop: stop, waiting: map[uuid.UUID]expected{}}
	for i, agent := range town.Staff() {
		s, err := openStream(ctx, in.APIs[i%len(in.APIs)].Process.Base, town.Agent(agent).Token)
		if err != nil {
			p.close()
			return nil, err
		}
		p.running.Go(func() { s.each(func(kind string, e streamEvent) { p.take(agent, kind, e) }) })
	}
	return p, nil
}

// close ends the streams.
func (p *pages) close() {
	p.stop()
	p.running.Wait()
}

// toldLimit bounds the wait for an event.
const toldLimit = 30 * time.Second

// wrote lets a customer write in a chat and waits until the page of the chat's agent is told of it.
func (p *pages) wrote(ctx context.Context, c gen.Chat, write func()) error {
	e := expected{page: c.Agent.ID, since: time.Now(), told: make(chan struct{})}
	p.mu.Lock()
	p.waiting[c.ID] = e
	p.mu.Unlock()
	write()
	select {
	case <-e.told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(toldLimit):
		return fmt.Errorf("the page was not told of a message within %s", toldLimit)
	}
}

// take takes an event of a page. One of a message that came in or was accepted has no id of its own; a resync tells of all.
func (p *pages) take(page uuid.UUID, kind string, e streamEvent) {
	at := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	tell := func(chat uuid.UUID, w expected) {
		p.shown = append(p.shown, at.Sub(w.since))
		delete(p.waiting, chat)
		close(w.told)
	}
	switch {
	case kind == "resync":
		for chat, w := range p.waiting {
			if w.page == page {
				tell(chat, w)
			}
		}
	case kind == "message" && e.ID == uuid.Nil:
		if w, waiting := p.waiting[e.ChatID]; waiting {
			tell(e.ChatID, w)
		}
	}
}

// delays are how long the messages took to the pages.
func (p *pages) delays() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.shown)
}

// streamEvent is what an event tells.
type streamEvent struct {
	ID     uuid.UUID `json:"id"`
	ChatID uuid.UUID `json:"chat_id"`
}

// eventStream is an open GET /events.
type eventStream struct {
	lines *bufio.Scanner
	close func() error
}

// openStream opens a stream that ends with ctx. It returns when the first event, a resync, is there: from then on it misses
// nothing.
func openStream(ctx context.Context, base, token string) (*eventStream, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("open an event stream: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("open an event stream: status %d", res.StatusCode)
	}
	s := &eventStream{lines: bufio.NewScanner(res.Body), close: res.Body.Close}
	if kind, _, ok := s.next(); !ok || kind != "resync" {
		_ = res.Body.Close()
		return nil, fmt.Errorf("an event stream began with %q", kind)
	}
	return s, nil
}

// each hands over every event until the stream ends.
func (s *eventStream) each(f func(kind string, e streamEvent)) {
	defer func() { _ = s.close() }()
	for {
		kind, e, ok := s.next()
		if !ok {
			return
		}
		f(kind, e)
	}
}

func (s *eventStream) next() (kind string, e streamEvent, ok bool) {
	for s.lines.Scan() {
		line := s.lines.Text()
		if name, found := strings.CutPrefix(line, "event: "); found {
			kind = name
		} else if data, found := strings.CutPrefix(line, "data: "); found {
			return kind, e, json.Unmarshal([]byte(data), &e) == nil
		}
	}
	return kind, e, false
}
