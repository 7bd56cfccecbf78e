package api

import (
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// What one environment may hold of a process at once.
const (
	// Two full transactions of the intake. What is beyond is asked to come again, so that a flood of one environment neither
	// fills the backlog nor keeps the others' deliveries waiting behind it.
	deliveriesAtOnce = 512
	deliveriesRetry  = 1 // s

	// A stream keeps its connection.
	streamsAtOnce = maxConnections / 4
	streamsRetry  = time.Minute
)

// shares counts what each environment holds. The zero value is ready.
type shares struct {
	mu   sync.Mutex
	held map[uuid.UUID]int
}

// take takes one more and reports whether there were fewer than most; who got it gives it back.
func (s *shares) take(environment uuid.UUID, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[environment] >= most {
		return false
	}
	if s.held == nil {
		s.held = map[uuid.UUID]int{}
	}
	s.held[environment]++
	return true
}

func (s *shares) give(environment uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[environment]--; s.held[environment] <= 0 {
		delete(s.held, environment)
	}
}

// tooManyDeliveries is 503 as for any delivery that could not be stored: every messenger knows it and delivers again.
func tooManyDeliveries() *problem {
	p := fail(http.StatusServiceUnavailable, "too-many-deliveries", "Too many deliveries of this environment are waiting to be stored. Deliver it again.")
	p.retryAfter = deliveriesRetry
	return p
}
