package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"waggle/channels"
	"waggle/jobs"
	"waggle/store"
)

const (
	hookDeadline   = 25 * time.Second       // a messenger waits longer and then delivers again
	hookViewAge    = time.Second            // how long a process goes by a channel it has read
	hookViewMinAge = 100 * time.Millisecond // how often a wrong proof may make it read the channel again
)

// hooks is where messengers deliver.
const hooks = "/hooks"

// mountHooks mounts where messengers deliver. GET is for those that check the address with a challenge.
func (s *Server) mountHooks(r fiber.Router) {
	r.Get(hooks+"/:kind/:channel_id", s.receiveHook)
	r.Post(hooks+"/:kind/:channel_id", s.receiveHook)
}

// receiveHook authenticates, parses and stores one delivery before it answers 2xx. What a channel that is not Active gets is
// authenticated, dropped and counted (b39): the store decides that in its transaction, so that what is remembered here of a
// channel cannot let anything in.
func (s *Server) receiveHook(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), hookDeadline)
	defer cancel()
	kind := c.Params("kind")
	adapter, known := s.Channels[kind]
	id, err := uuid.Parse(c.Params("channel_id"))
	if !known || err != nil {
		return notFound("webhook")
	}
	at := door{source: s.source(c), channel: id}
	if wait := s.wrongProofs.exhausted(at); wait > 0 {
		return tooMany("deliveries without the messenger's proof from this address", wait)
	}
	h, d, err := s.readHook(ctx, c, adapter, kind, id)
	if errors.Is(err, channels.ErrUnauthorized) {
		s.wrongProofs.take(at)
	}
	if err != nil {
		return hookProblem(err)
	}
	if !s.deliveries.take(h.row.EnvironmentID, deliveriesAtOnce) {
		return tooManyDeliveries()
	}
	defer s.deliveries.give(h.row.EnvironmentID)
	taken, err := s.Jobs.Intake.Deliver(ctx, h.row, d)
	noteDelivery(c, h.row, d, taken)
	if err != nil {
		p := fail(http.StatusServiceUnavailable, "unavailable", "The delivery could not be stored. Deliver it again.").because(err)
		p.retryAfter = retryUnavailable
		return p
	}
	answer := d.Answer
	if answer == nil {
		answer = []byte("{}")
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(answer)
}

// readHook finds the channel and has its adapter authenticate and parse the request.
func (s *Server) readHook(ctx context.Context, c *fiber.Ctx, a channels.Adapter, kind string, id uuid.UUID) (hookChannel, channels.Delivery, error) {
	r := channels.Request{
		Method: c.Method(),
		Header: func(name string) string { return c.Get(name) },
		Query:  func(name string) string { return c.Query(name) },
		Body:   bytes.Clone(c.Request().Body()), // as it came, for it is not packed; its memory is used for the next request
	}
	h, err := s.hooks.get(ctx, s, kind, id, hookViewAge)
	if err != nil {
		return h, channels.Delivery{}, err
	}
	d, err := a.Webhook(ctx, h.view, r)
	if errors.Is(err, channels.ErrUnauthorized) {
		// Its secret may have been changed a moment ago, by another process.
		again, failed := s.hooks.get(ctx, s, kind, id, hookViewMinAge)
		if failed != nil {
			return h, channels.Delivery{}, failed
		}
		if again.row.Version != h.row.Version {
			h = again
			d, err = a.Webhook(ctx, h.view, r)
		}
	}
	return h, d, err
}

func hookProblem(err error) error {
	switch {
	case errors.Is(err, channels.ErrUnauthorized):
		return unauthorized("not-the-messenger", "The request does not prove that it comes from the messenger.").because(err)
	case errors.Is(err, channels.ErrMalformed):
		return fail(http.StatusBadRequest, "not-a-delivery", "The body is not one this messenger sends.").because(err)
	default:
		return storeProblem(err, "webhook")
	}
}

// noteDelivery adds to the request's log line what became of a delivery: numbers, and nothing of its content.
func noteDelivery(c *fiber.Ctx, ch *store.Channel, d channels.Delivery, t jobs.Taken) {
	note(c, func() []slog.Attr {
		return []slog.Attr{
			slog.String("environment_id", ch.EnvironmentID.String()), slog.String("channel_id", ch.ID.String()), slog.String("kind", ch.Kind),
			slog.Int("events", len(d.Events)), slog.Int("stored", t.Stored), slog.Int("repeats", t.Repeats), slog.Int("dropped", t.Dropped),
			slog.Int("parked", t.Parked), slog.Int("ignored", t.Ignored),
		}
	})
}

// hookChannels remembers channels for a moment: a busy webhook need not read its channel for every message.
type hookChannels struct {
	mu   sync.Mutex
	read map[uuid.UUID]hookChannel
}

// hookChannel is a channel as it was read.
type hookChannel struct {
	row  *store.Channel
	view channels.Channel
	at   time.Time
}

// get returns a channel that was read at most age ago.
func (h *hookChannels) get(ctx context.Context, s *Server, kind string, id uuid.UUID, age time.Duration) (hookChannel, error) {
	h.mu.Lock()
	known, ok := h.read[id]
	h.mu.Unlock()
	if ok && known.row.Kind == kind && time.Since(known.at) < age {
		return known, nil
	}
	at := time.Now()
	row, err := s.Store.ChannelOfHook(ctx, kind, id)
	if err != nil {
		return hookChannel{}, err
	}
	view, err := s.Jobs.OpenChannel(ctx, row)
	if err != nil {
		return hookChannel{}, err
	}
	fresh := hookChannel{row: row, view: view, at: at}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.read == nil {
		h.read = map[uuid.UUID]hookChannel{}
	}
	// A slower reader must not bring back what is older.
	if known, ok := h.read[id]; !ok || known.row.Version <= row.Version {
		h.read[id] = fresh
	}
	return fresh, nil
}

// forget makes this process read a channel again: it was changed here.
func (h *hookChannels) forget(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.read, id)
}
