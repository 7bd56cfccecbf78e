package store_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

func newReceivingOnPostgres(t *testing.T) *receiving {
	if os.Getenv("TEST_DATABASE_URL") == "" {
		t.Skip("TEST_DATABASE_URL is not set")
	}
	return newReceiving(t, storetest.Postgres(t))
}

// Repeats are not looked for until one comes, and for a while then: each is one answer and no entry either way.
func TestReceiveWatchesForRepeatsOnceOneCame_S4_3(t *testing.T) {
	r := newReceivingOnPostgres(t)
	chatID := r.take(r.event("7", 1, "hello"))[0].ChatID
	r.take(r.event("8", 2, "good day"))
	require.Zero(t, r.WatchesFor(), "nothing came twice")

	for round := range 3 {
		next := 3 + 2*round
		out := r.take(r.event("7", next, "new"), r.event("8", 2, "good day"), r.event("9", next+1, "new"))
		require.Equal(t, []store.ReceiveOutcome{store.Stored, store.Repeat, store.Stored}, []store.ReceiveOutcome{out[0].Outcome, out[1].Outcome, out[2].Outcome})
		require.EqualValues(t, store.WatchfulSlices-round, r.WatchesFor())
		require.Len(t, r.timeline(chatID), 3+round)
	}
	for n := range store.WatchfulSlices {
		r.take(r.event("7", 100+n, "new"))
	}
	require.Zero(t, r.WatchesFor(), "it is over")
	require.Equal(t, store.Repeat, r.take(r.event("7", 100, "new"))[0].Outcome)
	require.EqualValues(t, store.WatchfulSlices, r.WatchesFor())
}

// A slice that meets a lock gives up at its deadline as when the database is away; its connection is not used again. What it asked
// for may be done later all the same: what comes again is taken once either way.
func TestReceiveGivesUpAtItsDeadline(t *testing.T) {
	r := newReceivingOnPostgres(t)
	ctx := context.Background()
	chatID := r.take(r.event("7", 1, "hello"))[0].ChatID

	tx, err := r.DB().BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.NewUpdate().Model((*store.Chat)(nil)).Set("weight = weight").Where("id = ?", chatID).Exec(ctx)
	require.NoError(t, err)
	for n := range 5 { // more than there are connections
		soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		out := r.Receive(soon, []store.Inbound{r.event("7", 2, fmt.Sprint("again ", n))})
		cancel()
		require.True(t, store.Unavailable(out[0].Err), "%v", out[0].Err)
	}
	require.NoError(t, tx.Rollback())

	require.Contains(t, []store.ReceiveOutcome{store.Stored, store.Repeat}, r.take(r.event("7", 2, "again"))[0].Outcome)
	require.Len(t, r.timeline(chatID), 3)
}
