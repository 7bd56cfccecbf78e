// Package guard makes the one HTTP client that may call addresses somebody configured: webhooks, CRM addresses, files a
// messenger points at. It keeps such calls away from the inside of our own network and bounds them in size and time.
package guard

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// DefaultBodyLimit is how much of an answer's body, after decompression, is read unless WithBodyLimit says otherwise.
const DefaultBodyLimit = 16 << 20

// The bounds of every call. A caller's context may be shorter; nothing makes them longer.
const (
	dialTimeout    = 5 * time.Second
	tlsTimeout     = 5 * time.Second
	headerTimeout  = 60 * time.Second // longer than any long poll we make
	totalTimeout   = 10 * time.Minute // the largest file over a slow line
	maxRedirects   = 5
	maxHeaderBytes = 256 << 10
	idlePerHost    = 64 // a burst of messages to one messenger reuses its connections
	idleTotal      = 512
	idleTimeout    = 90 * time.Second
)

// Policy says where the client may go beyond the public Internet.
type Policy struct {
	// AllowHosts is the operator's list (ALLOW_HOSTS): host names, host:port, addresses or CIDRs. To these, and only to
	// these, private addresses and plain http:// are permitted. A host name is trusted with whatever it resolves to.
	AllowHosts []string
	Resolver   *net.Resolver  // nil: the system's
	RootCAs    *x509.CertPool // nil: the system's
}

// New returns a client for calls to configured addresses, or an error naming the entry of AllowHosts that cannot be read.
//
// Each connection's real address is checked when it is dialled, so neither a redirect nor a name that changes its mind
// (DNS rebinding) leads inside. Proxies of the environment are ignored: behind one, the address could not be seen.
// Redirects are followed for GET and HEAD only, at most five; other methods get the 3xx answer itself. A redirect to
// another origin loses every header that might carry a secret.
//
// What is refused fails with ErrBlocked; a body over its limit fails its reading with ErrTooLarge.
func New(p Policy) (*http.Client, error) {
	allow, err := parseRules(p.AllowHosts)
	if err != nil {
		return nil, err
	}
	d := dialer{allow: allow, resolver: p.Resolver}
	return &http.Client{
		Transport:     &transport{https: newTransport(d.dial, p.RootCAs), http: newTransport(d.dialPlain, nil)},
		CheckRedirect: checkRedirect,
		Timeout:       totalTimeout,
	}, nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func newTransport(dial dialFunc, roots *x509.CertPool) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,
		DialContext:            dial,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
	}
	if roots != nil {
		t.TLSClientConfig = tlsConfig(roots)
	}
	return t
}

// dialer opens connections to permitted addresses.
type dialer struct {
	allow    rules
	resolver *net.Resolver
}

// dial serves https://, which may go to every public address.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dialChecked(ctx, network, address, func(ip addrPort) error {
		if d.allow.address(ip) || public(ip.Addr()) {
			return nil
		}
		return errInternal
	})
}

// dialPlain serves http://, which goes to allowed places only.
func (d dialer) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dialChecked(ctx, network, address, func(ip addrPort) error {
		switch {
		case d.allow.address(ip):
			return nil
		case public(ip.Addr()):
			return errPlain
		default:
			return errInternal
		}
	})
}

// dialChecked connects unless check refuses the address that is really about to be used.
func (d dialer) dialChecked(ctx context.Context, network, address string, check func(addrPort) error) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	nd := net.Dialer{Timeout: dialTimeout, Resolver: d.resolver}
	if !d.allow.name(host, port) {
		nd.Control = func(_, resolved string, _ syscall.RawConn) error {
			ip, err := parseAddrPort(resolved)
			if err != nil {
				return err
			}
			return check(ip)
		}
	}
	conn, err := nd.DialContext(ctx, network, address)
	if why := (refusal("")); errors.As(err, &why) {
		// The resolved address is left out: it would tell a tenant what our name servers know.
		return nil, &blocked{host: host, why: why}
	}
	return conn, err
}
