package creatiotest

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Request is what a fault may look at.
type Request struct {
	Method string
	Path   string
	Ops    []Op
}

type faultKind int

const (
	answerStatus faultKind = iota + 1
	answerHTML
	answerCrash
	cutBefore
	cutAfter
	endSession
	hold
)

type fault struct {
	kind   faultKind
	match  func(Request) bool
	left   int // how many requests it still hits; negative: all
	status int
	gate   *Gate
}

type opFault struct {
	match  func(Op) bool
	left   int
	omit   bool // leave the answer out of a $batch instead of refusing
	reason string
}

// faults is what is planned to go wrong.
type faults struct {
	requests []*fault
	ops      []*opFault
	slow     time.Duration
}

// Inserts matches the creation of a record of the object.
func Inserts(object string) func(Op) bool {
	return func(op Op) bool { return op.Method == http.MethodPost && op.Object == object }
}

// Holding matches requests, single or $batch, with an operation that matches.
func Holding(match func(Op) bool) func(Request) bool {
	return func(r Request) bool {
		for _, op := range r.Ops {
			if match(op) {
				return true
			}
		}
		return false
	}
}

// OData matches every request to the OData service.
func OData(r Request) bool { return len(r.Ops) > 0 }

// Down cuts every connection until Up.
func (s *Server) Down() { s.plan(&fault{kind: cutBefore, left: -1}) }

// Up ends Down and every other fault.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults{}
}

// Fail answers the next n matching requests with a bare status, without doing
// them. A nil match is every request; a negative n is all to come.
func (s *Server) Fail(n, status int, match func(Request) bool) {
	s.plan(&fault{kind: answerStatus, left: n, status: status, match: match})
}

// Crash answers the next n matching requests with ASP.NET's 500 (wire/creatio.md
// §3, "Error bodies"), without doing them.
func (s *Server) Crash(n int, match func(Request) bool) {
	s.plan(&fault{kind: answerCrash, left: n, match: match})
}

// AnswerHTML answers the next n matching requests with the login page and
// status 200 (wire/creatio.md §2.3), without doing them.
func (s *Server) AnswerHTML(n int, match func(Request) bool) {
	s.plan(&fault{kind: answerHTML, left: n, match: match})
}

// LoseAnswer does the next n matching requests and cuts the connection instead
// of answering.
func (s *Server) LoseAnswer(n int, match func(Request) bool) {
	s.plan(&fault{kind: cutAfter, left: n, match: match})
}

// EndSessionAt ends all sessions and tokens just before the next n matching
// requests.
func (s *Server) EndSessionAt(n int, match func(Request) bool) {
	s.plan(&fault{kind: endSession, left: n, match: match})
}

// Gate holds requests back.
type Gate struct {
	arrived chan struct{}
	open    chan struct{}
	once    sync.Once
}

// Arrived gets one value for each request that reached the gate.
func (g *Gate) Arrived() <-chan struct{} { return g.arrived }

// Open lets the held requests go on; later ones pass.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// Hold makes matching requests wait, undone, until the gate is opened or the
// caller gives up: a slow site.
func (s *Server) Hold(match func(Request) bool) *Gate {
	g := &Gate{arrived: make(chan struct{}, 1024), open: make(chan struct{})}
	s.plan(&fault{kind: hold, left: -1, match: match, gate: g})
	return g
}

// Slow makes every request to the site take this much longer, until Up; a caller who gives up meanwhile is cut off, undone.
func (s *Server) Slow(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.slow = by
}

// Refuse refuses matching operations for ever, as a rule of the site would,
// until Up.
func (s *Server) Refuse(reason string, match func(Op) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.ops = append(s.faults.ops, &opFault{match: match, left: -1, reason: reason})
}

// OmitBatchAnswers does the next n matching operations of batches but leaves
// their answers out.
func (s *Server) OmitBatchAnswers(n int, match func(Op) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.ops = append(s.faults.ops, &opFault{match: match, left: n, omit: true})
}

func (s *Server) plan(f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.requests = append(s.faults.requests, f)
}

// planned finds the fault that hits a request and uses it up.
func (s *Server) planned(ctx context.Context, r Request) fault {
	f, slow := s.take(r)
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return fault{kind: cutBefore}
		}
	}
	switch f.kind {
	case hold:
		f.gate.arrived <- struct{}{}
		select {
		case <-f.gate.open:
		case <-ctx.Done():
			return fault{kind: cutBefore}
		}
	case endSession:
		s.EndSessions()
	}
	return f
}

func (s *Server) take(r Request) (f fault, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults.requests {
		if f.left == 0 || f.match != nil && !f.match(r) {
			continue
		}
		f.left--
		if f.kind != cutAfter { // that one only if there was something to lose
			s.spoil()
		}
		return *f, s.faults.slow
	}
	if s.faults.slow > 0 {
		s.spoil()
	}
	return fault{}, s.faults.slow
}

// spoil counts a request that met a fault. It is called with s.mu held.
func (s *Server) spoil() {
	s.spoilt++
	close(s.met)
	s.met = make(chan struct{})
}

// Spoilt is how many requests met a fault so far, or were slow; of LoseAnswer those that were done.
func (s *Server) Spoilt() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spoilt
}

// WaitSpoilt blocks until n requests met a fault.
func (s *Server) WaitSpoilt(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		done, met := s.spoilt >= n, s.met
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-met:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusal is called with s.mu held.
func (s *Server) refusal(op Op) error {
	for _, f := range s.faults.ops {
		if !f.omit && f.match(op) {
			return badRequest(f.reason)
		}
	}
	return nil
}

// omitted is called with s.mu held.
func (s *Server) omitted(op Op) bool {
	for _, f := range s.faults.ops {
		if f.omit && f.left != 0 && f.match(op) {
			f.left--
			s.spoil()
			return true
		}
	}
	return false
}
