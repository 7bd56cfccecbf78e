package jobs_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// An alarm is raised when a channel stops receiving, and its health says why; it is good again when the messenger says so.
func TestCheckShowsWhetherAChannelReceives(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.CheckEvery = time.Hour
		_, err := w.store.ReceivingHealth(w.ctx, w.row(w.channel), true, "", 0)
		require.NoError(w, err)
		lately, long := time.Now().Add(-time.Minute), time.Now().Add(-3*time.Hour)
		alarms := 0
		for _, c := range []struct {
			name      string
			found     channels.Checkup
			fails     error
			receiving string // why it does not; empty: it does
			sending   string
			newAlarms int
		}{
			{name: "all is well"},
			{name: "a webhook of somebody else", found: channels.Checkup{Wrong: "It leads elsewhere."}, receiving: "It leads elsewhere.", newAlarms: 1},
			{name: "still", found: channels.Checkup{Wrong: "It leads elsewhere."}, receiving: "It leads elsewhere."},
			{name: "the messenger cannot be asked: nothing is known", fails: &channels.Error{Outcome: channels.RetryAt, Reason: "away"}, receiving: "It leads elsewhere."},
			{name: "mended"},
			{name: "deliveries fail", found: channels.Checkup{Pending: 3, LastError: "500 Internal Server Error", LastErrorAt: lately}, newAlarms: 1,
				receiving: "The messenger cannot deliver: 500 Internal Server Error. See that the public address of this installation reaches it from the Internet; what waits is delivered then."},
			{name: "they failed, and nothing waits any more", found: channels.Checkup{LastError: "500 Internal Server Error", LastErrorAt: lately}},
			{name: "they failed long ago", found: channels.Checkup{Pending: 1, LastError: "500 Internal Server Error", LastErrorAt: long}},
			{name: "the token is refused", fails: &channels.Error{Outcome: channels.Refused, Field: "Token", Reason: "the token is not valid"},
				receiving: "the token is not valid", sending: "the token is not valid", newAlarms: 2},
			{name: "what sends is shown by a message that goes out", sending: "the token is not valid"},
			{name: "S3.36 a permission was taken away", found: channels.Checkup{CannotSend: "Permit it again."}, sending: "Permit it again.", newAlarms: 1},
		} {
			asked := 0
			w.messenger.checked = func(channels.Channel) (channels.Checkup, error) { asked++; return c.found, c.fails }
			w.set("channels", "check_at = NULL")
			n, err := w.jobs.Check(w.ctx)
			require.NoError(w, err)
			require.Equal(w, 1, n, c.name)
			n, err = w.jobs.Check(w.ctx)
			require.NoError(w, err)
			require.Zero(w, n, "%s: not before its next turn", c.name)
			require.Equal(w, 1, asked, c.name)
			ch := w.row(w.channel)
			require.Equal(w, c.receiving == "", ch.ReceivingOK, c.name)
			require.Equal(w, c.receiving, ch.ReceivingWhy, c.name)
			require.Equal(w, c.sending, ch.SendingWhy, c.name)
			require.Equal(w, c.sending == "", ch.SendingOK, c.name)
			alarms += c.newAlarms
			require.Equal(w, alarms, w.hints.count("alert"), c.name)
		}
		require.Contains(w, w.hints.events, jobs.Event{Type: "alert", Environment: w.env, ID: w.channel, Detail: `channel "Support bot" does not receive: It leads elsewhere.`})
	})
}

// A check does not send: what waits is tried, whatever the check has found out.
func TestCheckFailsNothingThatWaits(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.CheckEvery = time.Hour
		m := w.replies(w.writes(w.channel, "ann", "hello"), "one")
		w.messenger.checked = func(channels.Channel) (channels.Checkup, error) {
			return channels.Checkup{}, &channels.Error{Outcome: channels.Refused, Reason: "the bearer token is not valid"}
		}
		w.set("channels", "check_at = NULL")
		n, err := w.jobs.Check(w.ctx)
		require.NoError(w, err)
		require.Equal(w, 1, n)
		require.False(w, w.row(w.channel).SendingOK)
		w.deliver()
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
		require.True(w, w.row(w.channel).SendingOK, "and what arrives shows that it sends")
	})
}

// Each turn is one process's, however many ask; channels out of service, or that poll, have none.
func TestCheckTurns(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.CheckEvery = time.Hour
		all := map[uuid.UUID]int{w.channel: 0}
		for range 40 {
			all[w.newChannel(w.env)] = 0
		}
		off, polls := w.newChannel(w.env), w.newChannel(w.env)
		for id, change := range map[uuid.UUID]string{off: "state = '" + string(chat.ChannelDisconnected) + "'", polls: "receive = 'polling'"} {
			_, err := w.db.NewUpdate().Table("channels").Set(change).Where("id = ?", id).Exec(w.ctx)
			require.NoError(w, err)
		}
		var mu sync.Mutex
		w.messenger.checked = func(ch channels.Channel) (channels.Checkup, error) {
			mu.Lock()
			defer mu.Unlock()
			all[ch.ID]++
			return channels.Checkup{}, nil
		}
		var done sync.WaitGroup
		for range 4 {
			done.Go(func() {
				for n := 1; n > 0; {
					var err error
					if n, err = w.jobs.Check(w.ctx); err != nil {
						w.Error(err)
					}
				}
			})
		}
		done.Wait()
		require.Len(w, all, 41)
		for id, n := range all {
			require.Equal(w, 1, n, "%s", id)
		}
	})
}

func (w *laneWorld) row(channel uuid.UUID) *store.Channel {
	w.Helper()
	ch, err := w.store.Channel(w.ctx, w.env, channel)
	require.NoError(w, err)
	return ch
}
