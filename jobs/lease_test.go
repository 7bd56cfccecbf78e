package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// A worker that was frozen between taking a lane and calling the messenger finds its time over: it sends nothing, as another
// one may have taken over, and leaves nothing unknown.
func TestAWorkerThatWasHeldUpSendsNothing_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "5", "hello")
		m := w.replies(id, "one")
		lanes, err := w.store.ClaimSends(w.ctx, "test", 1, 1, nil, time.Minute)
		require.NoError(w, err)
		require.Len(w, lanes, 1)
		more, err := jobs.SendBy(w.jobs, w.ctx, lanes[0], time.Now())
		require.NoError(w, err)
		require.False(w, more, "the lane is given back")
		require.Empty(w, w.messenger.texts())
		require.Equal(w, chat.MessageAccepted, w.entry(m).State)
		w.set("chats", "out_due_at = 1")
		w.deliver()
		require.Equal(w, []string{"one"}, w.messenger.texts())
	})
}

// The same in front of the CRM: that we were slow is no trouble of the CRM's.
func TestAWorkerThatWasHeldUpPushesNothing_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "5", "hello")
		w.jobs.Lease = time.Nanosecond
		_, err := w.jobs.Push(w.ctx, w.env)
		require.ErrorContains(w, err, "held up")
		require.Zero(w, w.crm.count())
		require.Equal(w, store.CRMOK, w.environment().CRMState)
		w.jobs.Lease = 0
		w.set("chats", "crm_due_at = 1")
		w.push(w.env)
		require.Equal(w, []string{"hello"}, w.crm.texts(id))
	})
}

// Calls to the outside end before the lease does, however short it is.
func TestCallsEndBeforeTheLease_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.Lease = 900 * time.Millisecond
		id := w.writes(w.channel, "5", "hello")
		m := w.replies(id, "one")
		w.messenger.hangs = true
		began := time.Now()
		w.deliver()
		require.Less(w, time.Since(began), w.jobs.Lease)
		require.Equal(w, chat.MessageUnknown, w.entry(m).State)
	})
}

// hang waits until the caller's time is over.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return &channels.Error{Outcome: channels.Unknown, Reason: "no answer in time", Err: ctx.Err()}
}
