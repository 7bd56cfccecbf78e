package api

import (
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/time/rate"
)

// Token requests need no key and each makes an environment, so one source gets 20 at once and then one every half minute.
const (
	tokenRequestBurst = 20
	tokenRequestEvery = 30 * time.Second
	maxSources        = 10_000
)

// sourceLimit limits requests by their source address. Its memory is bounded: when it is full of sources that are still
// limited, all further ones share one limit.
type sourceLimit struct {
	burst int
	every time.Duration
	now   func() time.Time

	mu       sync.Mutex
	sources  map[netip.Prefix]*rate.Limiter
	overflow *rate.Limiter
}

func newSourceLimit(burst int, every time.Duration, now func() time.Time) *sourceLimit {
	return &sourceLimit{
		burst: burst, every: every, now: now,
		sources: map[netip.Prefix]*rate.Limiter{}, overflow: rate.NewLimiter(rate.Every(every), burst),
	}
}

func (l *sourceLimit) handle(c *fiber.Ctx) error {
	wait := l.take(sourceOf(c.IP()))
	if wait == 0 {
		return c.Next()
	}
	p := fail(http.StatusTooManyRequests, "too-many-requests", "Too many requests from this address. Try again later.")
	p.retryAfter = int(math.Ceil(wait.Seconds()))
	return p
}

// take returns 0 if the request may pass, else how long to wait.
func (l *sourceLimit) take(source netip.Prefix) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	r := l.of(source, now).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *sourceLimit) of(source netip.Prefix, now time.Time) *rate.Limiter {
	if limiter, ok := l.sources[source]; ok {
		return limiter
	}
	if len(l.sources) >= maxSources {
		l.forgetRested(now)
	}
	if len(l.sources) >= maxSources {
		return l.overflow
	}
	limiter := rate.NewLimiter(rate.Every(l.every), l.burst)
	l.sources[source] = limiter
	return limiter
}

// forgetRested drops the sources whose limit is whole again: a new one is the same.
func (l *sourceLimit) forgetRested(now time.Time) {
	for source, limiter := range l.sources {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.sources, source)
		}
	}
}

// sourceOf groups an address: IPv6 hosts have whole /64 networks to themselves. What is no address is one source.
func sourceOf(ip string) netip.Prefix {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
