// Package double is what the doubles of the messengers have in common: a clock, a place to listen at, somebody who waits, and faults. A
// double embeds a Base, and Faults where it has them, and adds its messenger's own shapes.
package double

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Clock is the time a double lives by: what it dates, what ends, when it tries again.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Base is a server of the outside world with whom somebody may wait. Clock and Addr may be set before Start, the rest is for the
// double that embeds it.
type Base struct {
	URL   string // where it listens, without a slash at its end
	Clock Clock  // otherwise the wall's
	Addr  string // "127.0.0.1:8081"; otherwise a free loopback port

	Outward *http.Client    // calls Waggle
	Context context.Context // ends with Close
	Workers sync.WaitGroup  // what Close waits for; one is started under Mu and while Context has not ended

	Mu      sync.Mutex    // guards the double's state
	changed chan struct{} // closed and replaced whenever anything a waiter may look at changes

	name    string
	stop    context.CancelFunc
	handler http.Handler
	http    *http.Server // nil while connections are refused
	serving sync.WaitGroup
}

// Start lets the double called name listen. Its own calls have this much time, and follow no redirect. It panics if it cannot listen: a
// test or a demo cannot go on then.
func (b *Base) Start(name string, handler http.Handler, timeout time.Duration) {
	b.name, b.handler, b.changed = name, handler, make(chan struct{})
	if b.Clock == nil {
		b.Clock = wallClock{}
	}
	if b.Addr == "" {
		b.Addr = "127.0.0.1:0"
	}
	b.Outward = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
	b.Context, b.stop = context.WithCancel(context.Background())
	b.Listen()
}

// Close stops deliveries and the listener and waits until nothing of the double runs any more.
func (b *Base) Close() {
	b.Mu.Lock() // after this no worker starts
	b.stop()
	b.Mu.Unlock()
	b.RefuseConnections()
	b.Workers.Wait()
	b.Outward.CloseIdleConnections()
}

// Listen accepts connections again after RefuseConnections, at the same address.
func (b *Base) Listen() {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	if b.http != nil {
		return
	}
	listener, err := net.Listen("tcp", b.Addr)
	if err != nil {
		panic(fmt.Sprintf("%s: listen on %s: %v", b.name, b.Addr, err))
	}
	b.Addr = listener.Addr().String()
	if b.URL == "" { // it may be read at any time
		b.URL = "http://" + b.Addr
	}
	server := &http.Server{Handler: b.handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	b.http = server
	b.serving.Go(func() { _ = server.Serve(listener) })
}

// RefuseConnections closes the listener and every connection, as a messenger whose host is up and whose program is not.
func (b *Base) RefuseConnections() {
	b.Mu.Lock()
	server := b.http
	b.http = nil
	b.Mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	b.serving.Wait()
}

// Announce wakes everybody who waits for a state. The caller holds Mu.
func (b *Base) Announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Changed is closed with the next Announce. The caller holds Mu.
func (b *Base) Changed() <-chan struct{} { return b.changed }

// Wait blocks until cond, read under Mu, holds.
func (b *Base) Wait(ctx context.Context, what string, cond func() bool) error {
	for {
		b.Mu.Lock()
		done, changed := cond(), b.changed
		b.Mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-b.Context.Done():
			return errors.New(b.name + ": closed while waiting for " + what)
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting for %s: %w", b.name, what, ctx.Err())
		}
	}
}
