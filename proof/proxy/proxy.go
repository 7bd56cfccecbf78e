// Package proxy stands between Waggle and its servers. It imports none of ours, so that any package's tests may use it.
package proxy

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// Proxy stands between Waggle and a database or Redis, so that their connections can be cut, refused and frozen.
type Proxy struct {
	Addr string // where clients connect

	target   string
	listener net.Listener

	mu      sync.Mutex
	open    map[net.Conn]bool
	refuse  bool
	refused int
	held    int
	gate    chan struct{} // closed while traffic flows
}

// New listens on a free loopback port and passes everything on to target ("host:port").
func New(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy of %s: %w", target, err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listener: l, open: map[net.Conn]bool{}, gate: make(chan struct{})}
	close(p.gate)
	go p.accept()
	return p, nil
}

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Thaw()
	p.Cut()
}

// Cut ends every connection there is, and tells how many; new ones are taken.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	cut := 0
	for c := range p.open {
		if c.Close() == nil { // each has two ends, one of which may have ended it already
			cut++
		}
	}
	return cut
}

// Refuse cuts every connection and takes no new ones until Heal.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.refuse = true
	p.mu.Unlock()
	p.Cut()
}

// Refused is how many connections were not taken so far.
func (p *Proxy) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Held is how often anything on its way was stopped by Freeze so far.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Heal takes connections again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
}

// Freeze lets nothing through until Thaw; connections stay open.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Thaw ends Freeze.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(c)
	}
}

func (p *Proxy) serve(client net.Conn) {
	if !p.track(client) {
		return
	}
	defer p.forget(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	if !p.track(server) {
		return
	}
	defer p.forget(server)
	done := make(chan struct{}, 2)
	go func() { p.pipe(server, client); done <- struct{}{} }()
	go func() { p.pipe(client, server); done <- struct{}{} }()
	<-done
}

// pipe copies until either side ends, stopping at the gate while the proxy is frozen.
func (p *Proxy) pipe(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		gate := p.gate
		select {
		case <-gate:
		default:
			p.held++
		}
		p.mu.Unlock()
		<-gate
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		p.refused++
		_ = c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	_ = c.Close()
}
