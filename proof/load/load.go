// Package load sends webhooks over a fixed number of connections, each its next one when the last has been answered, and
// measures every answer. It calls loopback addresses only.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Options say what to send and for how long.
type Options struct {
	URL         string
	Beside      string // another process of the same: every other connection calls it; empty: there is none
	Header      map[string]string
	Body        func(buf []byte, n int64) []byte       // appends the body of request n to buf
	Sign        func(body []byte) (name, value string) // a header over the body; nil: there is none
	First       int64                                  // n of the first request
	Connections int
	Duration    time.Duration
	Limit       int64 // requests at most; 0: as many as Duration allows
}

// Result is what came of it.
type Result struct {
	OK      int64            // answered 200
	Faults  map[string]int64 // other statuses and broken connections
	Seconds float64          // from the first request to the last answer
	answers []time.Duration  // of those that are OK, sorted
}

// PerSecond is how many requests were answered 200 in a second.
func (r Result) PerSecond() float64 { return float64(r.OK) / r.Seconds }

// Quantile is the time within which the share q (0 to 1) of the requests was answered.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.answers) == 0 {
		return 0
	}
	return r.answers[min(int(q*float64(len(r.answers))), len(r.answers)-1)]
}

// answerLimit bounds one request.
const answerLimit = 30 * time.Second

// Run sends until the time or the requests are up.
func Run(o Options) (Result, error) {
	targets, err := targetsOf(o)
	if err != nil {
		return Result{}, err
	}
	var next atomic.Int64
	connections := make([]*connection, o.Connections)
	began := time.Now()
	var running sync.WaitGroup
	for i := range connections {
		connections[i] = newConnection(o, targets[i%len(targets)])
		running.Go(func() { connections[i].run(o, &next, began) })
	}
	running.Wait()
	r := Result{Faults: map[string]int64{}, Seconds: time.Since(began).Seconds()}
	for _, c := range connections {
		r.answers = append(r.answers, c.answers...)
		for what, n := range c.faults {
			r.Faults[what] += n
		}
	}
	r.OK = int64(len(r.answers))
	slices.Sort(r.answers)
	return r, nil
}

// targetsOf refuses what is not on this machine.
func targetsOf(o Options) (targets []*url.URL, err error) {
	for _, target := range []string{o.URL, o.Beside} {
		if target == "" {
			continue
		}
		u, err := url.Parse(target)
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("load: %s is no loopback address", u.Host)
		}
		targets = append(targets, u)
	}
	return targets, nil
}

// connection is one client with one request under way at a time. It writes its requests itself: a client made for everything
// takes a third more of the machine from what is measured.
type connection struct {
	address string
	head    []byte // of every request
	answers []time.Duration
	faults  map[string]int64

	wire   net.Conn // nil: there is none
	reader *bufio.Reader
	answer fasthttp.Response
}

func newConnection(o Options, target *url.URL) *connection {
	c := &connection{address: target.Host, faults: map[string]int64{}, answers: make([]time.Duration, 0, 1<<14)}
	c.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n", target.RequestURI(), target.Host)
	for name, value := range o.Header {
		c.head = fmt.Appendf(c.head, "%s: %s\r\n", name, value)
	}
	return c
}

// run sends the next request as soon as the last one has been answered.
func (c *connection) run(o Options, next *atomic.Int64, began time.Time) {
	defer c.hangUp()
	var body, request []byte
	for time.Since(began) < o.Duration {
		n := next.Add(1) - 1
		if o.Limit > 0 && n >= o.Limit {
			return
		}
		body = o.Body(body[:0], o.First+n)
		request = append(request[:0], c.head...)
		if o.Sign != nil {
			name, value := o.Sign(body)
			request = append(append(append(append(request, name...), ": "...), value...), "\r\n"...)
		}
		request = strconv.AppendInt(append(request, "Content-Length: "...), int64(len(body)), 10)
		request = append(append(request, "\r\n\r\n"...), body...)
		sent := time.Now()
		err := c.ask(request, sent.Add(answerLimit))
		switch {
		case err != nil:
			c.faults[reason(err)]++
		case c.answer.StatusCode() != fasthttp.StatusOK:
			c.faults[fmt.Sprint("status ", c.answer.StatusCode())]++
		default:
			c.answers = append(c.answers, time.Since(sent))
		}
	}
}

// reason is why there was no answer, without the addresses of the connection: one word for one reason.
func reason(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, fasthttp.ErrTimeout): // fasthttp has its own for the first byte
		return "no answer in time"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// ask sends a request and reads its answer. It connects where there is no connection.
func (c *connection) ask(request []byte, limit time.Time) (err error) {
	if c.wire == nil {
		to := net.Dialer{Deadline: limit}
		if c.wire, err = to.DialContext(context.Background(), "tcp", c.address); err != nil {
			return err
		}
		c.reader = bufio.NewReader(c.wire)
	}
	if err = c.wire.SetDeadline(limit); err == nil {
		_, err = c.wire.Write(request)
	}
	if err == nil {
		err = c.answer.Read(c.reader)
	}
	if err != nil || c.answer.ConnectionClose() {
		c.hangUp()
	}
	return err
}

func (c *connection) hangUp() {
	if c.wire != nil {
		_ = c.wire.Close()
		c.wire = nil
	}
}
