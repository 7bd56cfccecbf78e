package messengertest

import (
	"context"
	"io"
	"net/http"
	"strconv"
)

// Fault is what the double answers instead of the truth.
type Fault struct {
	fail       *graphError
	retryAfter int // seconds
	html       int // status of an answer that is no JSON
	hang       bool
	drop       bool
	accepts    bool // the call is carried out first; only its answer is lost
}

// Refuse is any row of the error table (wire/messenger.md §4), with HTTP 400.
func Refuse(code, subcode int, message string) Fault {
	return Fault{fail: refuse(code, subcode, message)}
}

// RefuseWith is Refuse with another HTTP status.
func RefuseWith(status, code, subcode int, message string) Fault {
	f := Refuse(code, subcode, message)
	f.fail.status = status
	return f
}

// TooFast is error 613, with a Retry-After of so many seconds if there are any.
func TooFast(seconds int) Fault {
	f := Refuse(613, 0, "(#613) Calls to this api have exceeded the rate limit.")
	f.retryAfter = seconds
	return f
}

// BadGateway is a front proxy's 502 with an HTML body.
func BadGateway() Fault { return Fault{html: http.StatusBadGateway} }

// Hang never answers; nothing is done.
func Hang() Fault { return Fault{hang: true} }

// Drop closes the connection without an answer; nothing is done.
func Drop() Fault { return Fault{drop: true} }

// AfterAccepting carries the call out and then spoils its answer: AfterAccepting(Hang()) is a message that was delivered
// though its sender saw a timeout.
func AfterAccepting(f Fault) Fault {
	f.accepts = true
	return f
}

// FailNext makes the next calls of an edge ("messages", "subscribed_apps"; "node" for a page or a profile) meet these
// faults, one each.
func (s *Server) FailNext(edge string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[edge] = append(s.faults[edge], faults...)
}

// Calls counts the calls of an edge so far, refused ones too.
func (s *Server) Calls(edge string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[edge]
}

// WaitForCalls blocks until an edge was called n times.
func (s *Server) WaitForCalls(ctx context.Context, edge string, n int) error {
	return s.wait(ctx, "calls of "+edge, func() bool { return s.calls[edge] >= n })
}

func (s *Server) takeFault(edge string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[edge]++
	s.announce()
	queued := s.faults[edge]
	if len(queued) == 0 {
		return Fault{}, false
	}
	s.faults[edge] = queued[1:]
	return queued[0], true
}

func (f Fault) write(w http.ResponseWriter, client, server context.Context) {
	switch {
	case f.hang:
		select {
		case <-client.Done():
		case <-server.Done():
		}
		panic(http.ErrAbortHandler)
	case f.drop:
		panic(http.ErrAbortHandler)
	case f.html != 0:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.html)
		_, _ = io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head><body>Sorry, something went wrong.</body></html>")
	default:
		if f.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
		}
		writeError(w, f.fail)
	}
}
