package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Front is the load balancer before the API processes: each request goes to the next of them. One that cannot be connected
// to is passed over; a request that got lost on the way is answered 502, since nobody knows whether it was done.
type Front struct {
	Addr string // where clients connect

	targets []string
	next    atomic.Uint64
	lose    atomic.Int64
	double  atomic.Int64
	lost    atomic.Int64
	doubled atomic.Int64
	seen    atomic.Pointer[Watcher]
	client  *http.Client
	server  *http.Server
	ended   sync.WaitGroup
}

// NewFront listens on a free loopback port and passes requests on to targets ("host:port").
func NewFront(targets ...string) (*Front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the API processes: %w", err)
	}
	f := &Front{Addr: l.Addr().String(), targets: targets}
	f.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	f.ended.Go(func() { _ = f.server.Serve(l) })
	return f, nil
}

// Close ends the load balancer and every connection through it.
func (f *Front) Close() {
	_ = f.server.Close()
	f.ended.Wait()
	f.client.CloseIdleConnections()
}

// Watcher is told each request; what it returns is told the status that was answered.
type Watcher func(path string, body []byte) (answered func(status int))

// Watch lets a watcher see every request from now on.
func (f *Front) Watch(w Watcher) { f.seen.Store(&w) }

// LoseAnswers answers the next n requests 502 after they were done: their callers do not know that they were.
func (f *Front) LoseAnswers(n int) { f.lose.Store(int64(n)) }

// DoubleDeliveries passes the next n deliveries of messengers on twice at the same time, as after a timeout on the way.
func (f *Front) DoubleDeliveries(n int) { f.double.Store(int64(n)) }

// Lost is how many answers to requests that were done got lost because of LoseAnswers.
func (f *Front) Lost() int { return int(f.lost.Load()) }

// Doubled is how many deliveries were taken a second time, with 2xx, because of DoubleDeliveries.
func (f *Front) Doubled() int { return int(f.doubled.Load()) }

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	seen := f.seen.Load()
	if seen == nil {
		f.route(w, r, body)
		return
	}
	answered := (*seen)(r.URL.Path, body)
	noting := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	f.route(noting, r, body)
	answered(noting.status)
}

// statusWriter notes what is answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// route passes a request to the next process that can be connected to.
func (f *Front) route(w http.ResponseWriter, r *http.Request, body []byte) {
	first := f.next.Add(1)
	if strings.HasPrefix(r.URL.Path, "/hooks/") && f.double.Load() > 0 && f.double.Add(-1) >= 0 {
		other := f.targets[(first+1)%uint64(len(f.targets))]
		f.ended.Go(func() { f.passTwin(r, other, body) })
	}
	for i := range f.targets {
		target := f.targets[(first+uint64(i))%uint64(len(f.targets))]
		res, err := f.pass(r, target, body)
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			continue
		}
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if f.lose.Load() > 0 && f.lose.Add(-1) >= 0 {
			_ = res.Body.Close()
			if res.StatusCode/100 == 2 {
				f.lost.Add(1)
			}
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answer(w, res)
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

// passTwin passes a request on whose caller waits for another answer.
func (f *Front) passTwin(r *http.Request, target string, body []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
	defer cancel()
	if res, err := f.pass(r.WithContext(ctx), target, body); err == nil {
		_ = res.Body.Close()
		if res.StatusCode/100 == 2 {
			f.doubled.Add(1)
		}
	}
}

func (f *Front) pass(r *http.Request, target string, body []byte) (*http.Response, error) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	return f.client.Do(out)
}

func answer(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}
