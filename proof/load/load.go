// Package load sends webhooks over a fixed number of connections, each its next one when the last has been answered, and
// measures every answer. It calls loopback addresses only.
package load

import (
	"fmt"
	"net"
	"net/url"
	"slices"
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
	targets := []string{o.URL}
	if o.Beside != "" {
		targets = append(targets, o.Beside)
	}
	for _, target := range targets {
		if err := atHome(target); err != nil {
			return Result{}, err
		}
	}
	var next atomic.Int64
	connections := make([]connection, o.Connections)
	began := time.Now()
	var running sync.WaitGroup
	for i := range connections {
		running.Go(func() { connections[i].run(o, targets[i%len(targets)], &next, began) })
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

// atHome refuses what is not on this machine.
func atHome(target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("load: %s is no loopback address", u.Host)
	}
	return nil
}

// connection is one client with one request under way at a time.
type connection struct {
	answers []time.Duration
	faults  map[string]int64
}

func (c *connection) run(o Options, target string, next *atomic.Int64, began time.Time) {
	var req fasthttp.Request
	var res fasthttp.Response
	req.SetRequestURI(target)
	client := &fasthttp.HostClient{
		Addr: string(req.URI().Host()), MaxConns: 1, ReadTimeout: answerLimit, WriteTimeout: answerLimit, MaxIdemponentCallAttempts: 1,
		RetryIf: func(*fasthttp.Request) bool { return false },
	}
	defer client.CloseIdleConnections()
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	for name, value := range o.Header {
		req.Header.Set(name, value)
	}
	c.faults = map[string]int64{}
	c.answers = make([]time.Duration, 0, 1<<14)
	var buf []byte
	for time.Since(began) < o.Duration {
		n := next.Add(1) - 1
		if o.Limit > 0 && n >= o.Limit {
			return
		}
		buf = o.Body(buf[:0], o.First+n)
		req.SetBodyRaw(buf)
		if o.Sign != nil {
			req.Header.Set(o.Sign(buf))
		}
		sent := time.Now()
		err := client.DoTimeout(&req, &res, answerLimit)
		switch {
		case err != nil:
			c.faults[err.Error()]++
		case res.StatusCode() != fasthttp.StatusOK:
			c.faults[fmt.Sprint("status ", res.StatusCode())]++
		default:
			c.answers = append(c.answers, time.Since(sent))
		}
	}
}
