package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/store"
)

// intakeQueue holds the deliveries that wait for a transaction, in the order they came. Several transactions may run at once;
// none has a user of another one's, so that each user's order stands and two transactions rarely meet in a chat.
type intakeQueue struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting []*waiting
	writing int               // transactions under way
	users   map[senderKey]int // whose deliveries are in them
	held    map[uuid.UUID]int // by environment: deliveries that wait or are in them, whoever still waits for their end
	closed  bool
}

// senderKey is a user of a channel.
type senderKey struct {
	channel uuid.UUID
	user    string
}

func senderOf(e store.Inbound) senderKey { return senderKey{e.ChannelID, e.Event.User.ID} }

func newIntakeQueue() *intakeQueue {
	q := &intakeQueue{users: map[senderKey]int{}, held: map[uuid.UUID]int{}}
	q.changed = sync.NewCond(&q.mu)
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
	if q.due() {
		q.changed.Signal()
	}
	return nil
}

// due reports whether a transaction may begin. A few deliveries wait for the one under way: it costs less that they ride
// together than that they ride sooner. Of one that is stuck they do not wait long.
func (q *intakeQueue) due() bool {
	if len(q.waiting) == 0 {
		return false
	}
	return q.writing == 0 || len(q.waiting) >= intakeSpread || time.Since(q.waiting[0].since) > intakePatience
}

// remind has the queue looked at again every intakePatience until ctx ends: time makes deliveries due, too.
func (q *intakeQueue) remind(ctx context.Context) {
	tick := time.NewTicker(intakePatience)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			q.changed.Signal()
		case <-ctx.Done():
			return
		}
	}
}

// take waits until a transaction may begin and gives what rides in it; nil once the queue is closed and empty.
func (q *intakeQueue) take() []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.due() {
			if slice := q.pick(); len(slice) > 0 {
				q.writing++
				return slice
			}
		}
		if q.closed && len(q.waiting) == 0 {
			return nil
		}
		q.changed.Wait()
	}
}

// pick removes up to intakeSlice events, whole deliveries only and at least one. It leaves those of users in another
// transaction, and what these users sent after them.
func (q *intakeQueue) pick() []*waiting {
	var slice, left []*waiting
	events := 0
	passed := map[senderKey]bool{}
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
			q.users[senderOf(e)]++
		}
	}
	q.waiting = left
	return slice
}

// blocked reports whether a delivery must wait for another one of its users, and notes that later ones must wait for it.
func (q *intakeQueue) blocked(w *waiting, passed map[senderKey]bool) bool {
	if len(q.users) == 0 {
		return false
	}
	for _, e := range w.events {
		if k := senderOf(e); q.users[k] > 0 || passed[k] {
			for _, e := range w.events {
				passed[senderOf(e)] = true
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
	q.writing--
	for _, w := range slice {
		if q.held[w.environment()]--; q.held[w.environment()] == 0 {
			delete(q.held, w.environment())
		}
		for _, e := range w.events {
			k := senderOf(e)
			if q.users[k]--; q.users[k] == 0 {
				delete(q.users, k)
			}
		}
	}
	q.changed.Broadcast()
}

func (q *intakeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
