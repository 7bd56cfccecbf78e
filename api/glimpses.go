package api

import (
	"net/netip"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

const (
	glimpseAge  = time.Second // how long an answer is gone by
	maxGlimpses = 10_000
	maxOrigin   = 300 // bytes; a host has 253
)

// glimpses are answers to what anybody may ask, without a proof, kept for a moment: who asks the same again and again costs no
// query each time. Their memory is bounded: when it is full it begins anew.
type glimpses[K comparable, V any] struct {
	now func() time.Time

	mu   sync.Mutex
	last map[K]glimpse[V]
}

type glimpse[V any] struct {
	value V
	at    time.Time
}

func newGlimpses[K comparable, V any](now func() time.Time) *glimpses[K, V] {
	return &glimpses[K, V]{now: now, last: map[K]glimpse[V]{}}
}

// get returns the last answer, and whether it is fresh enough to go by.
func (g *glimpses[K, V]) get(k K) (last V, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	found, ok := g.last[k]
	return found.value, ok && g.now().Sub(found.at) < glimpseAge
}

func (g *glimpses[K, V]) put(k K, v V) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.last) >= maxGlimpses {
		clear(g.last)
	}
	g.last[k] = glimpse[V]{v, g.now()}
}

// hookAddress is where a channel's deliveries arrive.
type hookAddress struct {
	kind    string
	channel uuid.UUID
}

// mayKnock says whether a delivery's channel is looked up. At an address that has just led nowhere it is not, and at those that
// this process knows no channel at only within the source's limit: what is known stays open to a messenger, whatever else it
// is told to deliver.
func (s *Server) mayKnock(source netip.Prefix, at hookAddress) error {
	if s.hooks.has(at) {
		return nil
	}
	if _, fresh := s.noHooks.get(at); fresh {
		return notFound("webhook")
	}
	if wait := s.strangers.exhausted(source); wait > 0 {
		return tooMany("deliveries to no channel from this address", wait)
	}
	return nil
}

// ledNowhere notes that there is no channel at an address.
func (s *Server) ledNowhere(source netip.Prefix, at hookAddress) {
	s.noHooks.put(at, struct{}{})
	s.strangers.charge(source)
}

// knowsOrigin reports whether an origin is that of any environment's CRM. One that was stays open, however many others the
// request's source asks for.
func (s *Server) knowsOrigin(c *fiber.Ctx, origin string) (bool, error) {
	if len(origin) > maxOrigin {
		return false, nil
	}
	known, fresh := s.origins.get(origin)
	if fresh {
		return known, nil
	}
	source := s.source(c)
	if wait := s.strangers.exhausted(source); wait > 0 && !known {
		return false, tooMany("calls from pages of unknown sites", wait)
	}
	known, err := s.Store.KnowsCRMOrigin(c.UserContext(), origin)
	if err != nil {
		return false, err
	}
	s.origins.put(origin, known)
	if !known {
		s.strangers.charge(source)
	}
	return known, nil
}
