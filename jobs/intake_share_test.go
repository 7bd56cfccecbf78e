package jobs

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/store"
)

// A flood of one environment fills its share and no more, however long the database is stuck and though nobody waits for these
// deliveries any more: the others' are taken.
func TestAFloodOfOneEnvironmentLeavesTheOthersTheirIntake_M_4(t *testing.T) {
	q := newIntakeQueue(1)
	flooded, other := uuid.New(), uuid.New()
	of := func(environment uuid.UUID) *waiting {
		return &waiting{events: []store.Inbound{{EnvironmentID: environment, Event: channels.Event{User: channels.User{ID: uuid.NewString()}}}}}
	}
	for range intakeShare {
		require.NoError(t, q.put(of(flooded)))
	}
	stuck := q.take()
	require.Len(t, stuck, intakeSlice)
	require.ErrorIs(t, q.put(of(flooded)), ErrIntakeShare, "what is being stored counts too")
	require.NoError(t, q.put(of(other)))
	q.done(stuck)
	for range intakeSlice {
		require.NoError(t, q.put(of(flooded)))
	}
	require.ErrorIs(t, q.put(of(flooded)), ErrIntakeShare)
	q.close()
	require.ErrorIs(t, q.put(of(other)), ErrIntakeBusy)
	for slice := q.take(); slice != nil; slice = q.take() {
		q.done(slice)
	}
	require.Empty(t, q.held, "what is settled is forgotten")
}

// A transaction that breaks off by a fault of ours leaves nobody waiting: all who ride in it are told to deliver again, and the next
// one may begin.
func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	in := &Intake{jobs: &Jobs{}, queue: newIntakeQueue(1)} // without a store
	var riding []*waiting
	for range 3 {
		w := &waiting{events: []store.Inbound{{Event: channels.Event{User: channels.User{ID: uuid.NewString()}}}}, settled: make(chan []store.Received, 1)}
		require.NoError(t, in.queue.put(w))
		riding = append(riding, w)
	}
	require.Panics(t, func() { in.lead(riding[1]) })
	for _, w := range riding {
		require.ErrorIs(t, (<-w.settled)[0].Err, errBrokenOff)
	}
	require.NoError(t, in.queue.put(riding[0]))
	require.Len(t, in.queue.take(), 1)
}

// A lone delivery goes at once; beside a transaction begins another one once as many wait as are worth it.
func TestATransactionBeginsBesideOthersOnceAsManyWaitAsRide(t *testing.T) {
	for _, c := range []struct {
		waiting, writing, riding int
		due                      bool
	}{
		{0, 0, 0, false},
		{1, 0, 0, true},
		{15, 1, 1, false},
		{16, 1, 1, true},
		{39, 1, 40, false},
		{40, 1, 40, true},
		{40, 2, 81, false},
		{41, 2, 81, true},
		{500, 3, 3, false}, // no more at once
	} {
		q := newIntakeQueue(3)
		for range c.waiting {
			q.waiting = append(q.waiting, &waiting{since: time.Now().Add(time.Hour)}) // patience is not tried here
		}
		q.writing, q.riding = c.writing, c.riding
		require.Equal(t, c.due, q.due(), "%+v", c)
	}
}
