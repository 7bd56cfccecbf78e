package guard

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// rule is one entry of ALLOW_HOSTS: a name or a network, perhaps with a port.
type rule struct {
	host   string       // lower case, without trailing dot; empty for a network
	prefix netip.Prefix // valid for a network; an address is a network of one
	port   uint16       // 0: every port
}

type rules []rule

func parseRules(entries []string) (rules, error) {
	var out rules
	for _, e := range entries {
		e = strings.TrimSpace(e)
		if e == "" {
			continue
		}
		r, err := parseRule(e)
		if err != nil {
			return nil, fmt.Errorf("ALLOW_HOSTS: %q is no host, host:port, address or CIDR", e)
		}
		out = append(out, r)
	}
	return out, nil
}

func parseRule(e string) (rule, error) {
	if strings.Contains(e, "/") {
		p, err := netip.ParsePrefix(e)
		return rule{prefix: p.Masked()}, err
	}
	if ip, err := netip.ParseAddr(strings.Trim(e, "[]")); err == nil {
		return addressRule(ip, 0), nil
	}
	host, port := e, uint16(0)
	if h, p, err := net.SplitHostPort(e); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return rule{}, fmt.Errorf("port %q", p)
		}
		host, port = h, uint16(n)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return addressRule(ip, port), nil
	}
	host = canonical(host)
	if host == "" || strings.ContainsAny(host, ":*@?#[] \t") {
		return rule{}, fmt.Errorf("host %q", host)
	}
	return rule{host: host, port: port}, nil
}

func addressRule(ip netip.Addr, port uint16) rule {
	ip = ip.Unmap().WithZone("")
	return rule{prefix: netip.PrefixFrom(ip, ip.BitLen()), port: port}
}

func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// name says whether the operator allowed this host by its name.
func (rs rules) name(host, port string) bool {
	host = canonical(host)
	for _, r := range rs {
		if r.host != "" && r.host == host && (r.port == 0 || strconv.Itoa(int(r.port)) == port) {
			return true
		}
	}
	return false
}

// address says whether the operator allowed this address, or the IPv4 address it embeds.
func (rs rules) address(ap addrPort) bool {
	for _, r := range rs {
		if !r.prefix.IsValid() || (r.port != 0 && r.port != ap.Port()) {
			continue
		}
		if r.prefix.Contains(ap.Addr().WithZone("")) || r.prefix.Contains(embedded(ap.Addr())) {
			return true
		}
	}
	return false
}
