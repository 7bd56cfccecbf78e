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

// A lone delivery goes at once; beside a transaction begins another one once as many wait as ride in each of those under way.
func TestATransactionBeginsBesideOthersOnceAsManyWaitAsRide(t *testing.T) {
	stuck := time.Now().Add(-2 * intakePatience)
	for _, c := range []struct {
		name        string
		waiting     int
		since       time.Time // zero: now
		underWay    []int     // deliveries in each
		stuck       []int     // for longer than patience lasts
		closed, due bool
	}{
		{name: "nobody waits"},
		{name: "a lone one", waiting: 1, due: true},
		{name: "a few beside one", waiting: 3, underWay: []int{1}},
		{name: "enough beside one", waiting: 4, underWay: []int{1}, due: true},
		{name: "a few beside two", waiting: 15, underWay: []int{1, 1}},
		{name: "enough beside two", waiting: 16, underWay: []int{1, 1}, due: true},
		{name: "fewer than ride", waiting: 39, underWay: []int{40}},
		{name: "as many as ride", waiting: 40, underWay: []int{40}, due: true},
		{name: "fewer than ride in each", waiting: 40, underWay: []int{16, 65}},
		{name: "as many as ride in each", waiting: 41, underWay: []int{16, 65}, due: true},
		{name: "no more at once", waiting: 500, underWay: []int{1, 1, 1}},
		{name: "beside one that is stuck", waiting: 4, stuck: []int{128}, due: true},
		{name: "a few beside one that is stuck", waiting: 3, stuck: []int{128}},
		{name: "a few beside two that are stuck", waiting: 3, stuck: []int{128, 128}},
		{name: "enough beside two that are stuck", waiting: 4, stuck: []int{128, 128}, due: true},
		{name: "one that is stuck is no measure", waiting: 20, underWay: []int{20}, stuck: []int{128}, due: true},
		{name: "patience has an end", waiting: 1, since: stuck, underWay: []int{40}, due: true},
		{name: "nobody else comes", waiting: 1, underWay: []int{40}, closed: true, due: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newIntakeQueue(3)
			begin := func(sizes []int, since time.Time) {
				for _, n := range sizes {
					q.waiting = waitingSince(n, since)
					slice := q.pick()
					q.underWay = append(q.underWay, transaction{slice[0], n, since})
				}
			}
			now := time.Now().Add(time.Hour) // however slow the test is
			begin(c.stuck, stuck)
			begin(c.underWay, now)
			if c.since.IsZero() {
				c.since = now
			}
			q.waiting, q.closed = waitingSince(c.waiting, c.since), c.closed
			require.Equal(t, c.due, q.due())
		})
	}
}

// What is done is no measure any more.
func TestATransactionThatIsDoneIsForgotten(t *testing.T) {
	q := newIntakeQueue(3)
	q.waiting = waitingSince(100, time.Now())
	large := q.take()
	require.Len(t, large, 100)
	q.waiting = waitingSince(100, time.Now())
	small := q.take()
	require.Len(t, small, 100)
	q.done(large)
	require.Equal(t, []transaction{{small[0], 100, q.underWay[0].since}}, q.underWay)
	q.done(small)
	require.Empty(t, q.underWay)
}

func waitingSince(n int, since time.Time) (all []*waiting) {
	for range n {
		all = append(all, &waiting{events: []store.Inbound{{Event: channels.Event{User: channels.User{ID: uuid.NewString()}}}}, since: since})
	}
	return all
}
