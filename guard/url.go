package guard

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// CheckURL says whether raw can be called at all: an absolute http or https URL with a host and without a user name or
// password. Its errors are sentences for people and never repeat raw, which may hold a secret. Whether the address is
// permitted is decided at each call, not here.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("this is not a URL")
	}
	return check(u)
}

// HostOf names an address for people by its host alone: what else stands in it may be somebody's secret. One without a sound
// host is "another address".
func HostOf(raw string) string {
	const longest = 253 // bytes of a name (RFC 1035)
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || len(u.Hostname()) > longest || !utf8.ValidString(u.Hostname()) {
		return "another address"
	}
	return u.Hostname()
}

func check(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must begin with https:// or http://")
	case u.User != nil:
		return errors.New("the URL must not contain a user name or password")
	case u.Hostname() == "":
		return errors.New("the URL names no host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("the URL's port must be between 1 and 65535")
		}
	}
	return nil
}

// numeric is a host that browsers and resolvers take for an IPv4 address though it is not written as one: 2130706433, 0x7f.1.
var numeric = regexp.MustCompile(`^(.*\.)?(0[xX][0-9a-fA-F]*|[0-9]+)\.?$`)

// CheckURL is the function of this name and, beyond it, refuses an address that is internal by its spelling alone, unless
// AllowHosts names it: what can never be called, nor opened by those who are shown it, need not be stored. Where another name
// leads is seen at each call only.
func (p Policy) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return CheckURL(raw)
	}
	if err := check(u); err != nil {
		return err
	}
	allow, err := parseRules(p.AllowHosts)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := canonical(u.Hostname())
	if allow.name(host, port) {
		return nil
	}
	ip, err := parseAddrPort(net.JoinHostPort(host, port))
	switch {
	case err == nil && (allow.address(ip) || public(ip.Addr())):
		return nil
	case err == nil, host == "localhost", strings.HasSuffix(host, ".localhost"), strings.HasSuffix(host, ".internal"), numeric.MatchString(host):
		return &blocked{host: host, why: errInternal}
	default:
		return nil
	}
}
