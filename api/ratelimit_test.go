package api

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	one, two := sourceOf("192.0.2.1"), sourceOf("192.0.2.2")
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
	require.NotZero(t, l.take(sourceOf("192.0.2.1")), "what does not fit shares one limit")
	now = now.Add(time.Hour)
	require.Zero(t, l.take(sourceOf("192.0.2.1")))
	require.Len(t, l.known, 1, "rested sources are forgotten")
}

func TestSourcesAreNetworks(t *testing.T) {
	for _, tc := range []struct{ a, b string }{
		{"2001:db8::1", "2001:db8::ffff:2"}, {"::ffff:192.0.2.1", "192.0.2.1"}, {"", "nonsense"},
	} {
		require.Equal(t, sourceOf(tc.a), sourceOf(tc.b), fmt.Sprint(tc))
	}
	require.NotEqual(t, sourceOf("2001:db8::1"), sourceOf("2001:db8:0:1::1"))
}
