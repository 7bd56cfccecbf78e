package worker

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"waggle/jobs"
)

// streamBuffer is how many events a slow browser may lag behind before it is told to resync instead.
const streamBuffer = 64

// streams fans events out to the browsers that listen at this process.
type streams struct {
	mu   sync.Mutex
	open map[uuid.UUID]map[*stream]bool
}

type stream struct {
	environment uuid.UUID
	events      chan *jobs.Event
}

// add opens a stream that ends with ctx; its channel is closed then.
func (s *streams) add(ctx context.Context, environment uuid.UUID) <-chan *jobs.Event {
	st := &stream{environment: environment, events: make(chan *jobs.Event, streamBuffer)}
	s.mu.Lock()
	if s.open == nil {
		s.open = map[uuid.UUID]map[*stream]bool{}
	}
	if s.open[environment] == nil {
		s.open[environment] = map[*stream]bool{}
	}
	s.open[environment][st] = true
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(st)
	})
	return st.events
}

func (s *streams) remove(st *stream) {
	if !s.open[st.environment][st] {
		return
	}
	delete(s.open[st.environment], st)
	if len(s.open[st.environment]) == 0 {
		delete(s.open, st.environment)
	}
	close(st.events)
}

// any reports whether a browser of the environment listens here.
func (s *streams) any(environment uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open[environment]) > 0
}

func (s *streams) send(e *jobs.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open[e.Environment] {
		st.send(e)
	}
}

// gap tells every stream that events may be missing.
func (s *streams) gap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for env, all := range s.open {
		for st := range all {
			st.send(&jobs.Event{Type: "resync", Environment: env})
		}
	}
}

func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.open {
		for st := range all {
			s.remove(st)
		}
	}
}

// send never blocks. A browser that lags too far behind gets a resync in place of everything it has not taken.
func (st *stream) send(e *jobs.Event) {
	select {
	case st.events <- e:
		return
	default:
	}
	for len(st.events) > 0 {
		select {
		case <-st.events:
		default:
		}
	}
	st.events <- &jobs.Event{Type: "resync", Environment: e.Environment}
}
