package api

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// What one environment may hold of a process at once.
const (
	// A stream keeps its connection, and the server counts it no more among its own.
	streamsAtOnce = maxConnections / 4
	streamsInAll  = maxConnections
	streamsRetry  = time.Minute
)

// everybody is whose share all environments' are.
var everybody = uuid.Nil

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
