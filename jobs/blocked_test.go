package jobs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// A send that the messenger refuses because the customer has blocked the channel is as good as his own word, and one that
// arrives is, too.
func TestDeliverLearnsWhoHasBlockedTheChannel(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "are you there?")
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.Permanent, Reason: "the customer has blocked the bot", Blocked: true}
		})
		w.deliver()
		require.Equal(w, chat.MessageFailed, w.entry(m).State)
		view := func() store.ChatView {
			c, err := w.store.ChatFor(w.ctx, w.env, id, store.Viewer{All: true})
			require.NoError(w, err)
			return c
		}
		require.False(w, view().BlockedAt.IsZero())
		_, _, _, err := w.store.SendReply(w.ctx, w.env, store.Reply{ChatID: id, Text: "hello?"}, store.Idem{})
		require.ErrorIs(w, err, store.ErrConflict)
		require.ErrorContains(w, err, "the customer has blocked the channel")

		// What failed may be tried again: not every messenger tells that he takes messages again.
		w.messenger.program(nil)
		_, err = w.jobs.Redrive(w.ctx, w.env, w.failures(store.FailureOpen)[0].ID)
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
		require.True(w, view().BlockedAt.IsZero())
		w.replies(id, "there you are")
	})
}
