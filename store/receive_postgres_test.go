package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

func newReceivingOnPostgres(t *testing.T) *receiving {
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

// A chat that changes between the look-up and its lock is taken as it is then: once, and in its place.
func TestReceiveMeetsAChatThatChanges_S2_5(t *testing.T) {
	for _, meanwhile := range []struct {
		set  string
		want func(t *testing.T, r *receiving, before uuid.UUID, got store.Received)
	}{
		{"weight = weight", func(t *testing.T, r *receiving, before uuid.UUID, got store.Received) {
			require.Equal(t, before, got.ChatID)
			require.EqualValues(t, 3, got.Seq)
			require.Len(t, r.chats(), 1)
		}},
		{"closed_at = 1, unanswered_since = NULL", func(t *testing.T, r *receiving, before uuid.UUID, got store.Received) {
			require.True(t, got.Opened)
			require.Len(t, r.timeline(before), 2)
			require.Len(t, r.timeline(got.ChatID), 2)
		}},
		{"thread_owner = 'other'", func(t *testing.T, r *receiving, before uuid.UUID, got store.Received) {
			require.Equal(t, before, got.ChatID)
			require.True(t, got.Elsewhere)
		}},
	} {
		t.Run(meanwhile.set, func(t *testing.T) {
			r := newReceivingOnPostgres(t)
			ctx := context.Background()
			before := r.take(r.event("7", 1, "hello"))[0].ChatID
			tx, err := r.DB().BeginTx(ctx, nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.NewUpdate().Model((*store.Chat)(nil)).Set(meanwhile.set).Where("id = ?", before).Exec(ctx)
			require.NoError(t, err)
			var holder int
			require.NoError(t, tx.NewSelect().ColumnExpr("pg_backend_pid()").Scan(ctx, &holder))
			got := make(chan []store.Received)
			go func() { got <- r.Receive(ctx, []store.Inbound{r.event("7", 2, "are you there?")}) }()
			require.Eventually(t, func() bool {
				n, err := r.DB().NewSelect().TableExpr("pg_locks").Where("NOT granted").
					Where("transactionid = (SELECT transactionid FROM pg_locks WHERE pid = ? AND locktype = 'transactionid')", holder).Count(ctx)
				return err == nil && n > 0
			}, 10*time.Second, time.Millisecond, "the message waits for the chat")
			require.NoError(t, tx.Commit())
			out := <-got
			require.NoError(t, out[0].Err)
			require.Equal(t, store.Stored, out[0].Outcome)
			meanwhile.want(t, r, before, out[0])
		})
	}
}

// What was committed before the rest of its slice was refused is told as stored, not as a repeat.
func TestReceiveTellsWhatWasStoredBesideARefusedOne(t *testing.T) {
	r := newReceivingOnPostgres(t)
	r.take(r.event("7", 1, "hello"))
	poison := r.event("8", 2, "a key that no index takes")
	for range 400 {
		poison.Event.Key += uuid.NewString()
	}
	out := r.take(r.event("7", 3, "well?"), poison)
	require.Equal(t, store.Stored, out[0].Outcome)
	require.EqualValues(t, 3, out[0].Seq)
	require.Equal(t, store.Parking, out[1].Outcome)
	require.Zero(t, r.WatchesFor(), "nothing came twice")
}
