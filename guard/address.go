package guard

import (
	"net/netip"
)

type addrPort = netip.AddrPort

// parseAddrPort reads the address a socket is about to connect to; an IPv4 address in IPv6 clothes is undressed.
func parseAddrPort(s string) (addrPort, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return addrPort{}, err
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

var (
	// nat64 is RFC 6052's well-known prefix: its last four bytes are the IPv4 address that is really reached.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// globalIPv6 is the only part of IPv6 in public use; loopback, link-local, unique local (with AWS's fd00:ec2::254),
	// multicast, IPv4-compatible and local NAT64 addresses are all outside it.
	globalIPv6 = netip.MustParsePrefix("2000::/3")
	// internal lists what is not the public Internet (IANA special-purpose registries), and the clouds' metadata services
	// that hide at a public address.
	internal = prefixes(
		"0.0.0.0/8",        // this network
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // carrier-grade NAT; Alibaba's metadata at 100.100.100.200
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // Azure's wire server
		"169.254.0.0/16",   // link-local; most clouds' metadata at 169.254.169.254
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; Oracle's metadata at 192.0.0.192
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // 6to4 relays
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, broadcast
		"2001::/23",        // protocol assignments; Teredo wraps an IPv4 address
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4 wraps an IPv4 address
		"3fff::/20",        // documentation
	)
)

func prefixes(cidrs ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(cidrs))
	for i, c := range cidrs {
		out[i] = netip.MustParsePrefix(c)
	}
	return out
}

// public says whether ip belongs to the public Internet.
func public(ip netip.Addr) bool {
	ip = embedded(ip)
	if ip.Is6() && !globalIPv6.Contains(ip) {
		return false
	}
	for _, p := range internal {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// embedded returns the IPv4 address behind a NAT64 or IPv4-mapped one, and any other address as it is.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if nat64.Contains(ip) {
		b := ip.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}
