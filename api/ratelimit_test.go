package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/jobs"
)

func TestTokenRequestsAreLimitedPerSource(t *testing.T) {
	h := newAPI(t)
	for range tokenRequestBurst {
		h.call("POST", "/token-requests", "", map[string]any{}).problem(422)
	}
	a := h.call("POST", "/token-requests", "", tokenRequest("ann@acme.example"))
	a.problem(429)
	wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, wait)
	require.LessOrEqual(t, wait, int(tokenRequestEvery.Seconds()))
	h.call("GET", "/wizard", "", nil).problem(401)
}

func TestSourceLimit(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLimits[netip.Prefix](2, time.Minute, func() time.Time { return now })
	one, two := sourceAt("192.0.2.1"), sourceAt("192.0.2.2")
	require.Zero(t, l.take(one))
	require.Zero(t, l.take(one))
	require.Equal(t, time.Minute, l.take(one))
	require.Equal(t, time.Minute, l.take(one), "a refusal costs nothing more")
	require.Zero(t, l.take(two), "another source has its own")
	now = now.Add(time.Minute)
	require.Zero(t, l.take(one))
	require.NotZero(t, l.take(one))
}

func TestSourceLimitIsBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLimits[netip.Prefix](1, time.Minute, func() time.Time { return now })
	for i := range maxLimited + 10 {
		l.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	require.Len(t, l.known, maxLimited)
	require.NotZero(t, l.take(sourceAt("192.0.2.1")), "what does not fit shares one limit")
	now = now.Add(time.Hour)
	require.Zero(t, l.take(sourceAt("192.0.2.1")))
	require.Len(t, l.known, 1, "rested sources are forgotten")
}

func TestSourcesAreNetworks(t *testing.T) {
	for _, tc := range []struct{ a, b string }{
		{"2001:db8::1", "2001:db8::ffff:2"}, {"::ffff:192.0.2.1", "192.0.2.1"}, {"", "nonsense"},
	} {
		require.Equal(t, sourceAt(tc.a), sourceAt(tc.b), fmt.Sprint(tc))
	}
	require.NotEqual(t, sourceAt("2001:db8::1"), sourceAt("2001:db8:0:1::1"))
}

// untilLimited tries until the answer is 429 instead of this problem: burst times at least, and a few more where the test is slower
// than the limit fills up again.
func untilLimited(t *testing.T, burst, problem int, try func() *answer) *answer {
	t.Helper()
	for n := range 3 * burst {
		a := try()
		if a.Status == http.StatusTooManyRequests {
			require.GreaterOrEqual(t, n, burst)
			return a
		}
		a.problem(problem)
	}
	require.Fail(t, "never limited")
	return nil
}

func TestUnknownKeysAreLimitedPerSource(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	a := untilLimited(t, wrongKeyBurst, http.StatusUnauthorized, func() *answer { return h.call("GET", "/wizard", "wsk_guess", nil) })
	require.Equal(t, "urn:waggle:problem:too-many-requests", a.problem(429).Type)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	h.call("GET", "/wizard", key, nil).problem(429)
	h.call("GET", "/wizard", "", nil).problem(401)
}

func TestCallsAreLimitedPerEnvironment(t *testing.T) {
	h := newAPI(t, func(s *Server) { s.Options.CallsPerSecond = 1 })
	key, other := h.secretKey(), h.secretKey()
	h.call("GET", "/wizard", key, nil).status(200)
	h.call("GET", "/wizard", key, nil).status(200)
	a := h.call("GET", "/wizard", key, nil)
	a.problem(429)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	h.call("GET", "/wizard", other, nil).status(200)
}

func TestWrongProofsAreLimitedPerSourceAndChannel(t *testing.T) {
	m := newMessengers(t)
	m.telegram.AddBot("222:second", "shop_bot")
	guessed, other := m.add(m.customChannel()), m.add(telegramChannel("222:second"))
	hook := func(kind string, id uuid.UUID, code string) *answer {
		return m.raw("POST", "/hooks/"+kind+"/"+id.String(), "", `{`, "X-Confirmation-Code", code)
	}
	untilLimited(t, wrongProofBurst, http.StatusUnauthorized, func() *answer { return hook("custom", guessed.ID, "a guess") })
	for _, code := range []string{"a guess", url.PathEscape(confirmationCode)} {
		a := hook("custom", guessed.ID, code)
		a.problem(429)
		require.Equal(t, "1", a.Header.Get("Retry-After"))
	}
	hook("telegram", other.ID, "").problem(401)
}

// crowd is a toy that reads no delivery before so many have come.
type crowd struct {
	toy
	coming sync.WaitGroup
}

func (k *crowd) Webhook(ctx context.Context, ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	k.coming.Done()
	k.coming.Wait()
	return k.toy.Webhook(ctx, ch, r)
}

func TestWhatIsTriedAtOnceIsWorkedOff(t *testing.T) {
	k := &crowd{}
	h := newAPI(t, func(s *Server) {
		s.Channels["toy"] = k
		s.Jobs.Intake = jobs.NewIntake(s.Jobs)
		t.Cleanup(s.Jobs.Intake.Close)
	})
	now := time.Now()
	h.Server.wrongProofs.now = func() time.Time { return now }
	var ch gen.Channel
	h.call("POST", "/channels", h.secretKey(), map[string]any{"kind": "toy", "name": "Toy", "fields": map[string]string{"Cup": "1", "String": "long"}}).status(201).into(&ch)
	deliver := func(line string, n int) *answer {
		return h.raw("POST", "/hooks/toy/"+ch.ID.String(), "", fmt.Sprintf(`{"id": "%d", "from": "ann", "text": "hello?"}`, n), "X-String", line)
	}
	together := func(line string, times, status int) {
		k.coming.Add(times)
		var all sync.WaitGroup
		for n := range times {
			all.Go(func() { deliver(line, n).status(status) })
		}
		all.Wait()
	}
	for range wrongProofBurst - 1 {
		h.Server.wrongProofs.charge(door{sourceAt("0.0.0.0"), ch.ID})
	}
	together("long", wrongProofBurst, http.StatusOK) // sound ones are not limited
	together("guess", 20, http.StatusUnauthorized)
	require.Equal(t, "20", deliver("guess", 0).status(429).Header.Get("Retry-After"))
	now = now.Add(19 * wrongProofEvery)
	require.Equal(t, "1", deliver("guess", 0).status(429).Header.Get("Retry-After"))
	now = now.Add(wrongProofEvery)
	together("guess", 1, http.StatusUnauthorized)
}

func TestWrongStatesAreLimitedPerSource(t *testing.T) {
	d := newLoginDesk(t)
	now := time.Now()
	d.Server.wrongStates.now = func() time.Time { return now }
	_, back := d.begin()
	guess := func() *answer { return d.raw("GET", loginPath+"messenger?state=guess&code=1", "", nil) }
	a := untilLimited(t, wrongStateBurst, http.StatusForbidden, guess)
	require.Equal(t, "urn:waggle:problem:too-many-requests", a.problem(429).Type)
	require.Equal(t, "10", a.Header.Get("Retry-After"))
	d.raw("GET", back, "", nil).problem(429)
	d.raw("HEAD", back, "", nil).status(200)
	d.call("GET", "/wizard", d.key, nil).status(200)
	require.Zero(t, d.Server.wrongStates.exhausted(sourceAt("192.0.2.1")), "another source has its own")

	now = now.Add(wrongStateEvery)
	d.raw("GET", back, "", nil).status(200) // what came too early has used up no login
	guess().problem(403)
	guess().problem(429)
}

func TestALimitIsLookedAtForNothing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLimits[string](1, time.Minute, func() time.Time { return now })
	require.Zero(t, l.exhausted("a"))
	require.Empty(t, l.known)
	l.charge("a")
	require.Equal(t, time.Minute, l.exhausted("a"))
	require.Equal(t, time.Minute, l.exhausted("a"))
	now = now.Add(45 * time.Second)
	require.Equal(t, 15*time.Second, l.exhausted("a").Round(time.Second))
	require.Zero(t, l.exhausted("b"))
	for range 1000 {
		l.charge("a")
	}
	require.LessOrEqual(t, l.exhausted("a"), 3*time.Minute, "what is worked off ends: many may be behind one address")
}

func sourceAt(ip string) netip.Prefix {
	a, _ := netip.ParseAddr(ip)
	return sourceOf(a)
}
