package api

import (
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// Some at once, and then one each so often. Each process counts for itself.
const (
	// Token requests need no key and each makes an environment.
	tokenRequestBurst = 50
	tokenRequestEvery = 10 * time.Second
	// Browsers from one source that come from no login window of ours. A state cannot be guessed; asking for it costs a write.
	wrongStateBurst = 50
	wrongStateEvery = 10 * time.Second
	// Unknown keys from one source. Ours cannot be guessed; an API key a CRM chose might be.
	wrongKeyBurst = 1000
	wrongKeyEvery = time.Second
	// Wrong proofs from one source at one channel: a messenger's addresses serve all tenants, so that one channel's stale
	// secret must not keep the others' deliveries out. A confirmation code that people chose might be guessed.
	wrongProofBurst = 100
	wrongProofEvery = time.Second
	// What nobody knows and who asks proves nothing: webhooks of no channel, pages of no CRM. Looking for it costs a query.
	strangerBurst = 1000
	strangerEvery = 10 * time.Millisecond

	maxLimited = 10_000
)

// door is a channel as one source knocks at it.
type door struct {
	source  netip.Prefix
	channel uuid.UUID
}

// limits limits requests by what they come from. Its memory is bounded: when it is full of keys that are still limited, all
// further ones share one limit.
type limits[K comparable] struct {
	burst int
	every time.Duration
	now   func() time.Time

	mu       sync.Mutex
	known    map[K]*rate.Limiter
	overflow *rate.Limiter
}

func newLimits[K comparable](burst int, every time.Duration, now func() time.Time) *limits[K] {
	return &limits[K]{
		burst: burst, every: every, now: now,
		known: map[K]*rate.Limiter{}, overflow: rate.NewLimiter(rate.Every(every), burst),
	}
}

// limits makes what the server counts with, and what keeps it from asking twice.
func (s *Server) limits() {
	s.calls = newRate[uuid.UUID](s.Options.CallsPerSecond)
	s.wrongKeys = newLimits[netip.Prefix](wrongKeyBurst, wrongKeyEvery, time.Now)
	s.wrongStates = newLimits[netip.Prefix](wrongStateBurst, wrongStateEvery, time.Now)
	s.wrongProofs = newLimits[door](wrongProofBurst, wrongProofEvery, time.Now)
	s.strangers = newLimits[netip.Prefix](strangerBurst, strangerEvery, time.Now)
	s.noHooks = newGlimpses[hookAddress, struct{}](time.Now)
	s.origins = newGlimpses[string, bool](time.Now)
}

// newRate allows so many requests a second, and twice as many at once. 0 or less: any number.
func newRate[K comparable](n int) *limits[K] {
	if n <= 0 {
		return nil
	}
	return newLimits[K](2*n, time.Second/time.Duration(n), time.Now)
}

// limitSources lets requests pass as long as their source keeps to the limit.
func (s *Server) limitSources(l *limits[netip.Prefix]) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if wait := l.take(s.source(c)); wait > 0 {
			return tooMany("requests from this address", wait)
		}
		return c.Next()
	}
}

// limitEnvironment keeps one environment's calls from taking the others' share.
func (s *Server) limitEnvironment(c *fiber.Ctx) error {
	who, err := callerOf(c.UserContext())
	if err != nil || s.calls == nil {
		return c.Next()
	}
	if wait := s.calls.take(who.Environment); wait > 0 {
		return tooMany("calls of this environment", wait)
	}
	return c.Next()
}

func tooMany(what string, wait time.Duration) *problem {
	p := fail(http.StatusTooManyRequests, "too-many-requests", "Too many "+what+". Try again later.")
	p.retryAfter = int(math.Ceil(wait.Seconds()))
	return p
}

// take returns 0 if the request may pass, else how long to wait.
func (l *limits[K]) take(k K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	r := l.of(k, now).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// charge counts a try that failed, even beyond the limit: of many that are made at once before the first fails, each is worked
// off, as far as the burst goes again. Nobody is kept out for longer than that, who may be many behind one address.
func (l *limits[K]) charge(k K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if limiter := l.of(k, now); limiter.TokensAt(now) > -float64(l.burst) {
		limiter.ReserveN(now, 1)
	}
}

// exhausted returns how long to wait before anything more is tried, 0 if it may be. Only charge costs anything: however many
// tries are sound and made at once, they are not limited.
func (l *limits[K]) exhausted(k K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.known[k]
	if !ok && len(l.known) < maxLimited {
		return 0
	}
	if !ok {
		limiter = l.overflow
	}
	if missing := 1 - limiter.TokensAt(l.now()); missing > 0 {
		return time.Duration(missing * float64(l.every))
	}
	return 0
}

func (l *limits[K]) of(k K, now time.Time) *rate.Limiter {
	if limiter, ok := l.known[k]; ok {
		return limiter
	}
	if len(l.known) >= maxLimited {
		l.forgetRested(now)
	}
	if len(l.known) >= maxLimited {
		return l.overflow
	}
	limiter := rate.NewLimiter(rate.Every(l.every), l.burst)
	l.known[k] = limiter
	return limiter
}

// forgetRested drops the keys whose limit is whole again: a new one is the same.
func (l *limits[K]) forgetRested(now time.Time) {
	for k, limiter := range l.known {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.known, k)
		}
	}
}

// source is where a request comes from. All that comes through a proxy that is not known as ours is one source: the operator is
// told once, as a few wrong keys would then keep everybody out.
func (s *Server) source(c *fiber.Ctx) netip.Prefix {
	if c.Get(fiber.HeaderXForwardedFor) == "" {
		a, _ := netip.AddrFromSlice(c.Context().RemoteIP())
		return sourceOf(a)
	}
	if !c.IsProxyTrusted() {
		s.strangeProxy.Do(func() {
			s.log().Warn("X-Forwarded-For comes from an address that is not in TRUSTED_PROXIES; limits count all its requests together", "address", c.Context().RemoteIP().String())
		})
	}
	a, _ := netip.ParseAddr(c.IP())
	return sourceOf(a)
}

// sourceOf groups an address: IPv6 hosts have whole /64 networks to themselves. What is no address is one source.
func sourceOf(a netip.Addr) netip.Prefix {
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
