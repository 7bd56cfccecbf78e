package jobs_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/dialect"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// wait is what a message waits for.
func (w *laneWorld) wait(chatID, message uuid.UUID) *store.Wait {
	w.Helper()
	m, err := w.store.MessageOf(w.ctx, w.env, chatID, message)
	require.NoError(w, err)
	return m.Wait
}

// expected are the chats of which browsers were told when a waiting message should go.
func (h *heard) expected() map[uuid.UUID]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := map[uuid.UUID]time.Time{}
	for _, e := range h.events {
		if e.Type == "message" && !e.ExpectedAt.IsZero() {
			told[e.ChatID] = e.ExpectedAt
		}
	}
	return told
}

// What waits for a limit is told with the time it should go, its place in the channel's line, and no failure.
func TestDeliverSaysWhenWhatWaitsShouldGo(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		ann, bob := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hello")
		one := w.replies(ann, "one")
		require.Nil(w, w.wait(ann, one), "what is about to be sent waits for nothing")
		require.NoError(w, w.store.Advance(w.ctx, time.Hour)) // the time is told by the clock people see
		at := time.Now().Add(15 * time.Minute)
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.RetryAt, At: at, WholeChannel: true, Reason: "X's limit is used up"}
		})
		w.deliver()
		two, three := w.replies(bob, "two"), w.replies(ann, "three")
		w.deliver()
		for i, m := range []struct{ chat, id uuid.UUID }{{ann, one}, {bob, two}, {ann, three}} {
			wait := w.wait(m.chat, m.id)
			require.NotNil(w, wait)
			require.WithinDuration(w, at.Add(time.Hour), wait.Next.Time, 5*time.Second)
			require.Equal(w, i, wait.Ahead)
			require.Equal(w, "fake", wait.Kind)
		}
		require.Equal(w, "X's limit is used up", w.parts(one)[0].Error)
		require.WithinDuration(w, at.Add(time.Hour), w.hints.expected()[ann], 5*time.Second)
		require.True(w, w.now(w.channel).SendingOK, "a limit is no trouble")
		require.Empty(w, w.failures(store.FailureOpen))

		w.messenger.program(nil)
		w.set("channels", "send_retry_at = 1")
		w.set("chats", "out_due_at = 1")
		w.deliver()
		require.Len(w, w.messenger.texts(), 3)
		require.Nil(w, w.wait(ann, one))
	})
}

// A limit that is hit again and again has an end each time: it never becomes trouble of the channel.
func TestDeliverALimitIsNoTrouble(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.replies(id, "one")
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.RetryAt, At: time.Now().Add(time.Hour), WholeChannel: true, Reason: "X's limit is used up"}
		})
		for range 4 {
			require.Equal(w, 1, w.deliver())
			w.set("channels", "send_retry_at = 1")
			w.set("chats", "out_due_at = 1")
		}
		require.True(w, w.now(w.channel).SendingOK)
	})
}

// Where the messenger says that a send has used its limit up, nothing more is tried until it ends, by any process.
func TestDeliverRestsWhereTheLimitIsUsedUp(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		ann, bob := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hello")
		w.messenger.rest = time.Now().Add(time.Hour)
		w.replies(ann, "one")
		w.deliver()
		two := w.replies(bob, "two")
		w.deliver()
		require.Equal(w, []string{"one"}, w.messenger.texts())
		require.WithinDuration(w, w.messenger.rest, w.wait(bob, two).Next.Time, 5*time.Second)
		require.Zero(w, w.parts(two), "it was not even tried")
	})
}

// A message of a channel that is not in service waits and says so (b40).
func TestDeliverMarksWhatWaitsForItsChannel_b40(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "one")
		_, err := w.store.DisconnectChannel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		for range 2 {
			require.Equal(w, &store.Wait{Kind: "fake", Inactive: true, Next: w.wait(id, m).Next}, w.wait(id, m))
			w.deliver()
		}
		require.True(w, w.wait(id, m).Next.IsZero(), "nobody knows when")
	})
}

// What waits until its messenger takes nothing for the client any more fails with the reason, without a call.
func TestDeliverNothingOutsideTheWindow(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.messenger.window = 24
		ann, bob := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hello")
		late, other := w.replies(ann, "one"), w.replies(bob, "two")
		require.NoError(w, w.store.Advance(w.ctx, 24*time.Hour+time.Minute))
		w.writes(w.channel, "bob", "I am back")
		w.deliver()
		require.Equal(w, []string{"two"}, w.messenger.texts(), "his last message counts, not the one that is answered")
		require.Equal(w, chat.MessageDelivered, w.entry(other).State)
		require.Equal(w, chat.MessageFailed, w.entry(late).State)
		require.Equal(w, chat.WindowClosed(24*time.Hour), w.entry(late).Error)
		require.Len(w, w.failures(store.FailureOpen), 1)
		require.True(w, w.now(w.channel).SendingOK)

		_, err := w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{})
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, chat.MessageFailed, w.entry(late).State, "redriven too early it fails again")
		w.writes(w.channel, "ann", "me too")
		_, err = w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{})
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, []string{"two", "one"}, w.messenger.texts())
	})
}

// Both lanes of a chat become due at once, so that their claims meet. Whoever finds it locked looks again; no sweep is waited for.
func TestALaneWhoseChatIsLockedIsNotPassedOver_S2_2(t *testing.T) {
	for lane, work := range map[string]func(w *laneWorld) (int, error){
		"out": func(w *laneWorld) (int, error) { return w.jobs.Deliver(w.ctx) },
		"crm": func(w *laneWorld) (int, error) { return w.jobs.Push(w.ctx, w.env) },
	} {
		t.Run(lane, func(t *testing.T) {
			eachLane(t, func(w *laneWorld) {
				if w.db.Dialect().Name() == dialect.SQLite {
					return // it has one writer at a time, for whom the others wait
				}
				id := w.writes(w.channel, "ann", "hello")
				w.replies(id, "hi")
				tx, err := w.db.BeginTx(w.ctx, nil)
				require.NoError(w, err)
				_, err = tx.NewUpdate().Table("chats").Set("weight = weight").Where("id = ?", id).Exec(w.ctx)
				require.NoError(w, err)
				before, worked := w.asked.Load(), make(chan int, 1)
				go func() {
					n, _ := work(w)
					worked <- n
				}()
				// One look takes fewer statements.
				require.Eventually(w, func() bool { return w.asked.Load() > before+12 }, time.Minute, time.Millisecond, "it looks again")
				require.NoError(w, tx.Commit())
				require.Equal(w, 1, <-worked)
			})
		})
	}
}
