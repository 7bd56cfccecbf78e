package jobs

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/store"
)

// intakeQueue holds the deliveries that wait for a transaction, in the order they came. Several transactions may run at once;
// none has a user of another one's, so that each user's order stands and two transactions rarely meet in a chat.
type intakeQueue struct {
	atOnce int // transactions at most

	mu       sync.Mutex
	ended    *sync.Cond // closed, empty, and no transaction under way
	waiting  []*waiting
	underWay []transaction
	users    map[store.Sender]int // whose deliveries are in them
	held     map[uuid.UUID]int    // by environment: deliveries that wait or are in them, whoever still waits for their end
	closed   bool
}

// transaction is one under way.
type transaction struct {
	first  *waiting // of its slice
	riding int      // deliveries
	since  time.Time
}

func newIntakeQueue(atOnce int) *intakeQueue {
	q := &intakeQueue{atOnce: atOnce, users: map[store.Sender]int{}, held: map[uuid.UUID]int{}}
	q.ended = sync.NewCond(&q.mu)
	return q
}

// put appends a delivery, if there is room for it.
func (q *intakeQueue) put(w *waiting) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed || len(q.waiting) >= intakeBacklog:
		return ErrIntakeBusy
	case q.held[w.environment()] >= intakeShare:
		return ErrIntakeShare
	}
	q.held[w.environment()]++
	w.since = time.Now()
	q.waiting = append(q.waiting, w)
	return nil
}

// due reports whether a transaction may begin. A few deliveries wait for those under way: it costs less that they ride
// together than that they ride sooner. Of one that is stuck they do not wait long.
func (q *intakeQueue) due() bool {
	if len(q.waiting) == 0 || len(q.underWay) == q.atOnce {
		return false
	}
	return len(q.underWay) == 0 || q.enough() || q.closed || time.Since(q.waiting[0].since) > intakePatience
}

// enough reports whether as many deliveries wait as are worth a transaction beside those under way: as many as ride in each
// of them, so that they are of one size. At 256 connections that saves PostgreSQL a fifth of its work. One that is stuck is no
// measure. Beside one the least is intakeSpread, beside two its square: over 8 connections the second saves a quarter of the
// time, over 32 a third one would cost a tenth.
func (q *intakeQueue) enough() bool {
	transactions, riding, least := 0, 0, 1
	for _, t := range q.underWay {
		if time.Since(t.since) <= intakePatience {
			transactions++
			riding += t.riding
			least *= intakeSpread
		}
	}
	return len(q.waiting) >= max(least, intakeSpread) && len(q.waiting)*transactions >= riding
}

// take begins a transaction, if one may begin, and gives what rides in it; nil: none may. done ends it; then the next one may.
func (q *intakeQueue) take() []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.due() {
		return nil
	}
	slice := q.pick()
	if len(slice) > 0 {
		q.underWay = append(q.underWay, transaction{slice[0], len(slice), time.Now()})
	}
	return slice
}

// pick removes up to intakeSlice events, whole deliveries only and at least one. It leaves those of users in another
// transaction, and what these users sent after them.
func (q *intakeQueue) pick() []*waiting {
	var slice, left []*waiting
	events := 0
	passed := map[store.Sender]bool{}
	for i, w := range q.waiting {
		if len(slice) > 0 && events+len(w.events) > intakeSlice {
			left = append(left, q.waiting[i:]...)
			break
		}
		if q.blocked(w, passed) {
			left = append(left, w)
			continue
		}
		events += len(w.events)
		slice = append(slice, w)
	}
	for _, w := range slice {
		for _, e := range w.events {
			q.users[e.Sender()]++
		}
	}
	q.waiting = left
	return slice
}

// blocked reports whether a delivery must wait for another one of its users, and notes that later ones must wait for it.
func (q *intakeQueue) blocked(w *waiting, passed map[store.Sender]bool) bool {
	if len(q.users) == 0 {
		return false
	}
	for _, e := range w.events {
		if k := e.Sender(); q.users[k] > 0 || passed[k] {
			for _, e := range w.events {
				passed[e.Sender()] = true
			}
			return true
		}
	}
	return false
}

// done ends the transaction of a slice.
func (q *intakeQueue) done(slice []*waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.underWay = slices.DeleteFunc(q.underWay, func(t transaction) bool { return t.first == slice[0] })
	for _, w := range slice {
		if q.held[w.environment()]--; q.held[w.environment()] == 0 {
			delete(q.held, w.environment())
		}
		for _, e := range w.events {
			k := e.Sender()
			if q.users[k]--; q.users[k] == 0 {
				delete(q.users, k)
			}
		}
	}
	if q.hasEnded() {
		q.ended.Broadcast()
	}
}

// close refuses further deliveries.
func (q *intakeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *intakeQueue) hasEnded() bool { return q.closed && len(q.waiting) == 0 && len(q.underWay) == 0 }

// wait returns once a closed queue is empty and no transaction is under way.
func (q *intakeQueue) wait() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.hasEnded() {
		q.ended.Wait()
	}
}
