package guard

import (
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// What CheckURL lets pass is an address with a host and without a password; what it refuses is not repeated.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://shop.example/hook", "http://[::ffff:127.0.0.1]:80/", "https://u:p@h/", "//h", "https:h", "https://h:0/", "https://h\\@evil/", "http://[fe80::1%25eth0]/", "https://%31%32", "https://h#@x", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if err := CheckURL(raw); err != nil {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
	})
}

// An address of any form that belongs to no public network is not public, also inside an IPv6 one.
func FuzzPublic(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "fe80::1%eth0", "2606:4700::1111", "0.0.0.0", "fd00:ec2::254", "2002:7f00:1::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ip, err := netip.ParseAddr(text)
		if err != nil || !public(ip) {
			return
		}
		ip = embedded(ip)
		require.True(t, ip.IsGlobalUnicast() && !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast() && !ip.IsUnspecified(), text)
		require.Empty(t, ip.Zone())
	})
}

// An entry of ALLOW_HOSTS allows what it names and, whatever it is, not everything.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{"bots.internal", "host:80", "10.0.0.0/8", "[::1]:80", "::1", "*", ".", "", "0.0.0.0", "::ffff:0:0/96", "a/b", "[", "fe80::1%eth0/64"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		rs, err := parseRules([]string{entry})
		if err != nil {
			require.ErrorContains(t, err, "ALLOW_HOSTS")
			return
		}
		for _, r := range rs {
			require.NotEqual(t, r.host == "", !r.prefix.IsValid(), "a name or a network")
			require.False(t, rs.name("evil.example", "1") && rs.name("another.example", "1"))
		}
	})
}
