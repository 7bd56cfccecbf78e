package worker

import (
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"waggle/jobs"
)

// hintTimeout bounds every call to Redis that carries a hint: Redis frozen must freeze nobody.
const hintTimeout = 250 * time.Millisecond

// hintPause is the least time between two rounds of hints. Hints that come meanwhile are folded together: asynq moves a few
// thousand tasks a second, messages may come faster.
const hintPause = 5 * time.Millisecond

// hintBeat is how often Redis is asked whether the subscription still lives; what says nothing for two of them is dead: a network
// that swallows everything breaks no connection.
const hintBeat = 5 * time.Second

// Hints carries hints over Redis: looks as asynq tasks, events over pub/sub. It fails open: what Redis does not take is
// found by the next sweep, and after a gap in the events browsers are told to resync.
type Hints struct {
	tasks *asynq.Client
	redis *redis.Client
	log   *slog.Logger
	beat  time.Duration

	mu     sync.Mutex
	looks  map[jobs.Look]bool
	events map[uuid.UUID][]wireEvent // by environment
	kept   int                       // events in events
	gaps   map[uuid.UUID]bool        // environments whose browsers missed events; told with the next that pass
	wake   chan struct{}

	local   func(jobs.Look) // a worker in this process; nil: none
	streams streams
	stop    context.CancelFunc
	done    sync.WaitGroup
}

var _ jobs.Hints = (*Hints)(nil)

// NewHints starts carrying hints over r. Close ends it.
func NewHints(r *redis.Client, log *slog.Logger) *Hints { return newHintsBeating(r, log, hintBeat) }

func newHintsBeating(r *redis.Client, log *slog.Logger, beat time.Duration) *Hints {
	ctx, stop := context.WithCancel(context.Background())
	h := &Hints{
		tasks: asynq.NewClientFromRedisClient(r), redis: r, log: log, beat: beat,
		looks: map[jobs.Look]bool{}, events: map[uuid.UUID][]wireEvent{}, gaps: map[uuid.UUID]bool{}, wake: make(chan struct{}, 1), stop: stop,
	}
	h.done.Go(func() { h.carry(ctx) })
	h.done.Go(func() { h.listen(ctx) })
	return h
}

// Close sends what is waiting, ends every stream and waits until all is done.
func (h *Hints) Close() {
	h.stop()
	h.done.Wait()
	h.flush()
	h.streams.end()
}

// Local names the worker of this process. It is nudged directly, beside the task for the others. Call it before the first
// hint.
func (h *Hints) Local(nudge func(jobs.Look)) { h.local = nudge }

// Look implements jobs.Hints. It only notes the hint; it is sent at once in the background.
func (h *Hints) Look(l jobs.Look) {
	if h.local != nil {
		h.local(l)
	}
	h.mu.Lock()
	h.looks[l] = true
	h.mu.Unlock()
	h.signal()
}

// eventsKept bounds the events waiting for Redis; what is beyond becomes a resync.
const eventsKept = 10_000

// Publish implements jobs.Hints.
func (h *Hints) Publish(e jobs.Event) {
	h.mu.Lock()
	if h.kept < eventsKept {
		h.events[e.Environment] = append(h.events[e.Environment], wireOf(e))
		h.kept++
	} else {
		h.gaps[e.Environment] = true
	}
	h.mu.Unlock()
	h.signal()
}

func (h *Hints) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *Hints) carry(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		h.flush()
		pause.Reset(hintPause)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// flush sends all waiting hints. A failure ends the round: the rest would only wait for the same frozen Redis.
func (h *Hints) flush() {
	h.mu.Lock()
	looks, events := h.looks, h.events
	if len(events) > 0 {
		for env := range h.gaps {
			events[env] = append(events[env], wireEvent{Event: jobs.Event{Type: "resync"}})
		}
		clear(h.gaps)
	}
	h.looks, h.events, h.kept = map[jobs.Look]bool{}, map[uuid.UUID][]wireEvent{}, 0
	h.mu.Unlock()
	for l := range looks {
		if err := h.enqueue(lookTask(l)); err != nil {
			h.log.Debug("hint lost", "at", l.At, "error", err)
			break
		}
	}
	if len(events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hintTimeout)
	defer cancel()
	_, err := h.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for env, all := range events {
			body, err := json.Marshal(all)
			if err != nil {
				return err
			}
			p.Publish(ctx, eventChannel+env.String(), body)
		}
		return nil
	})
	if err != nil {
		h.log.Debug("events lost", "environments", len(events), "error", err)
		// Other processes are told with the next events that pass, if not by their own broken connection; the streams here at once.
		h.mu.Lock()
		for env := range events {
			h.gaps[env] = true
		}
		h.mu.Unlock()
		h.streams.gap()
	}
}

func (h *Hints) enqueue(t *asynq.Task) error {
	ctx, cancel := context.WithTimeout(context.Background(), hintTimeout)
	defer cancel()
	_, err := h.tasks.EnqueueContext(ctx, t)
	return err
}

// eventChannel begins the name of an environment's pub/sub channel.
const eventChannel = "waggle:events:"

// wireEvent carries between processes what a browser is not shown.
type wireEvent struct {
	jobs.Event
	AgentID  uuid.UUID `json:"agent_id,omitzero"`
	QueueID  uuid.UUID `json:"queue_id,omitzero"`
	SameRoom bool      `json:"same_room,omitempty"`
}

func wireOf(e jobs.Event) wireEvent {
	return wireEvent{Event: e, AgentID: e.AgentID, QueueID: e.QueueID, SameRoom: e.SameRoom}
}

// eventType is what a type may be: a line break in one would begin another event at the browser.
var eventType = regexp.MustCompile(`^[a-z_]+$`)

// eventsOf reads what was published on an environment's channel. What cannot be read is left out.
func eventsOf(environment uuid.UUID, payload string) []jobs.Event {
	var all []wireEvent
	if json.Unmarshal([]byte(payload), &all) != nil {
		return nil
	}
	events := make([]jobs.Event, 0, len(all))
	for _, w := range all {
		if eventType.MatchString(w.Type) {
			e := w.Event
			e.Environment, e.AgentID, e.QueueID, e.SameRoom = environment, w.AgentID, w.QueueID, w.SameRoom
			events = append(events, e)
		}
	}
	return events
}

// listen keeps one subscription for all streams of this process.
func (h *Hints) listen(ctx context.Context) {
	for ctx.Err() == nil {
		h.listenOnce(ctx)
		h.streams.gap()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (h *Hints) listenOnce(ctx context.Context) {
	sub := h.redis.PSubscribe(ctx, eventChannel+"*")
	defer func() { _ = sub.Close() }()
	// Receive heeds no context: closing the subscription is what ends it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	var heard atomic.Bool
	go h.endWhenSilent(ctx, cancel, sub, &heard)
	first := true
	for {
		// Receive tells of a broken connection by an error, which Channel would hide: events may be lost then.
		msg, err := sub.Receive(ctx)
		if err != nil {
			return
		}
		heard.Store(true)
		switch m := msg.(type) {
		case *redis.Subscription:
			if !first {
				h.streams.gap()
			}
			first = false
		case *redis.Message:
			env, err := uuid.Parse(strings.TrimPrefix(m.Channel, eventChannel))
			if err != nil || !h.streams.any(env) {
				continue
			}
			for _, e := range eventsOf(env, m.Payload) {
				h.streams.send(&e)
			}
		}
	}
}

// endWhenSilent pings a subscription and ends it once it has answered nothing for two beats. A read deadline would not do: it
// could tear a message apart.
func (h *Hints) endWhenSilent(ctx context.Context, end func(), sub *redis.PubSub, heard *atomic.Bool) {
	beat := time.NewTicker(h.beat)
	defer beat.Stop()
	for silent := 0; silent < 2; {
		if sub.Ping(ctx) != nil { // Receive meets the same error
			end()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		silent++
		if heard.Swap(false) {
			silent = 0
		}
	}
	h.log.Warn("Redis does not answer: events may be missing until it does")
	end()
}

// Subscribe implements jobs.Hints.
func (h *Hints) Subscribe(ctx context.Context, environment uuid.UUID) <-chan *jobs.Event {
	return h.streams.add(ctx, environment)
}
