package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"waggle/channels"
	"waggle/jobs"
	"waggle/store"
)

const (
	hookDeadline    = 25 * time.Second // a messenger waits longer and then delivers again
	retryDeliveries = 1                // s
)

// mountHooks mounts where messengers deliver. GET is for those that check the address with a challenge.
func (s *Server) mountHooks(r fiber.Router) {
	r.Get(jobs.Hooks+"/:kind/:channel_id", s.receiveHook)
	r.Post(jobs.Hooks+"/:kind/:channel_id", s.receiveHook)
}

// receiveHook authenticates, parses and stores one delivery before it answers 2xx. What a channel that is not Active gets is
// authenticated, dropped and counted (b39): the store decides that in its transaction, so that what is remembered here of a
// channel cannot let anything in.
func (s *Server) receiveHook(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), hookDeadline)
	defer cancel()
	defer s.Jobs.Taking()()
	kind := c.Params("kind")
	adapter, known := s.Channels[kind]
	id, err := uuid.Parse(c.Params("channel_id"))
	if !known || err != nil {
		return notFound("webhook")
	}
	address, at := hookAddress{kind, id}, door{source: s.source(c), channel: id}
	if err := s.mayKnock(at.source, address); err != nil {
		return err
	}
	if wait := s.wrongProofs.exhausted(at); wait > 0 {
		return tooMany("deliveries without the messenger's proof from this address", wait)
	}
	all, err := s.readHook(ctx, c, adapter, kind, id)
	switch {
	case errors.Is(err, channels.ErrUnauthorized):
		s.wrongProofs.charge(at)
	case errors.Is(err, store.ErrNotFound):
		s.ledNowhere(at.source, address)
	}
	if err != nil {
		s.unread(kind, id, err)
		return hookProblem(err)
	}
	if err := s.takeIn(ctx, c, all); err != nil {
		s.Jobs.Unstored(kind, channelsOf(all)...)
		return notTaken(err)
	}
	return answerHook(c, all[0].what)
}

// notTaken is 503 for a delivery that could not be stored: every messenger knows it and delivers again.
func notTaken(err error) *problem {
	if errors.Is(err, jobs.ErrIntakeShare) {
		p := fail(http.StatusServiceUnavailable, "too-many-deliveries", "Too many deliveries of this environment are waiting to be stored. Deliver it again.")
		p.retryAfter = retryDeliveries
		return p
	}
	p := fail(http.StatusServiceUnavailable, "unavailable", "The delivery could not be stored. Deliver it again.").because(err)
	p.retryAfter = retryUnavailable
	return p
}

// takeIn stores what a request brought. The first error ends it: the messenger delivers all of it again, and what was stored
// before is known by then.
func (s *Server) takeIn(ctx context.Context, c *fiber.Ctx, all []hookDelivery) error {
	var total jobs.Taken
	events := 0
	defer func() { noteDelivery(c, all[0].row, events, total) }()
	for _, d := range all {
		events += len(d.what.Events)
		taken, err := s.Jobs.Intake.Take(ctx, d.row, d.what)
		total = total.Plus(taken)
		if err != nil {
			return err
		}
	}
	return nil
}

// unread notes what we could not read for no fault of the delivery's. Without the store nobody knows who exists, and for whom it was.
func (s *Server) unread(kind string, id uuid.UUID, err error) {
	var refused *problem
	switch {
	case store.Unavailable(err):
		s.Jobs.Unstored(kind)
	case !errors.As(hookProblem(err), &refused):
		s.Jobs.Unstored(kind, id)
	}
}

// channelsOf are those for which something came.
func channelsOf(all []hookDelivery) (ids []uuid.UUID) {
	for _, d := range all {
		if len(d.what.Events) > 0 {
			ids = append(ids, d.row.ID)
		}
	}
	return ids
}

// answerHook answers 2xx with what the messenger expects.
func answerHook(c *fiber.Ctx, d channels.Delivery) error {
	answer, kind := d.Answer, d.AnswerType
	if answer == nil {
		answer = []byte("{}")
	}
	if kind == "" {
		kind = fiber.MIMEApplicationJSON
	}
	c.Set(fiber.HeaderContentType, kind)
	return c.Send(answer)
}

// readHook finds the channel and has its adapter authenticate and parse the request. The first delivery is that of the channel
// the request is addressed to.
func (s *Server) readHook(ctx context.Context, c *fiber.Ctx, a channels.Adapter, kind string, id uuid.UUID) ([]hookDelivery, error) {
	r := channels.Request{
		Method: c.Method(),
		Header: func(name string) string { return c.Get(name) },
		Query:  func(name string) string { return c.Query(name) },
		Body:   c.Request().Body(), // as it came, for it is not packed; takeBody made its memory ours
	}
	if group, is := a.(channels.Group); is && r.Method == http.MethodPost {
		return s.readGroup(ctx, a, group, kind, id, r)
	}
	if r.Method == http.MethodGet {
		s.hooks.forget(id) // a challenge may come while the channel's credentials are being changed: the new ones answer it
	}
	h, d, err := readAs(ctx, s, kind, id, func(ch channels.Channel) (channels.Delivery, error) { return a.Webhook(ctx, ch, r) })
	return []hookDelivery{{h.row, d}}, err
}

// readAs reads a request by a channel's credentials, and once more if they were changed a moment ago, by another process.
func readAs[T any](ctx context.Context, s *Server, kind string, id uuid.UUID, read func(channels.Channel) (T, error)) (hookChannel, T, error) {
	var none T
	h, err := s.hooks.get(ctx, s, kind, id, hookViewAge)
	if err != nil {
		return h, none, err
	}
	found, err := read(h.view)
	if errors.Is(err, channels.ErrUnauthorized) {
		again, failed := s.hooks.get(ctx, s, kind, id, hookViewMinAge)
		if failed != nil {
			return h, none, failed
		}
		if again.row.Version != h.row.Version {
			h = again
			found, err = read(h.view)
		}
	}
	return h, found, err
}

func hookProblem(err error) error {
	switch {
	case errors.Is(err, channels.ErrChallenge):
		return fail(http.StatusForbidden, "not-our-challenge", "The verify token is not the one entered for this channel.").because(err)
	case errors.Is(err, channels.ErrUnauthorized):
		return unauthorized("not-the-messenger", withWhy("The request does not prove that it comes from the messenger", err)).because(err)
	case errors.Is(err, channels.ErrMalformed):
		return fail(http.StatusBadRequest, "not-a-delivery", withWhy("The body is not one this messenger sends", err)).because(err)
	default:
		return storeProblem(err, "webhook")
	}
}

// withWhy ends a sentence with the adapter's reason, where it gave one.
func withWhy(sentence string, err error) string {
	if why := channels.Why(err); why != "" {
		return sentence + ": " + why + "."
	}
	return sentence + "."
}

// noteDelivery adds to the request's log line what became of a delivery: numbers, and nothing of its content.
func noteDelivery(c *fiber.Ctx, ch *store.Channel, events int, t jobs.Taken) {
	note(c, func() []slog.Attr {
		return []slog.Attr{
			slog.String("environment_id", ch.EnvironmentID.String()), slog.String("channel_id", ch.ID.String()), slog.String("kind", ch.Kind),
			slog.Int("events", events), slog.Int("stored", t.Stored), slog.Int("repeats", t.Repeats), slog.Int("dropped", t.Dropped),
			slog.Int("parked", t.Parked), slog.Int("ignored", t.Ignored),
		}
	})
}
