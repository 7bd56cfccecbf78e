package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// S3.59: what a bot leaves unanswered is wished back once for each silence.
func TestSilentBot_S3_59(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.Standby(d.channel, "u")
		silent := func() int {
			t.Helper()
			now, err := s.Now(ctx)
			require.NoError(t, err)
			n, err := s.WishSilentBots(ctx, d.Env, now.Add(-5*time.Minute), 10)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, silent(), "not yet")
		d.Pass(3 * time.Minute)
		d.Standby(d.channel, "u")
		d.Pass(3 * time.Minute)
		require.Equal(t, 1, silent(), "the first message that nobody has answered counts")
		require.Zero(t, silent(), "once")
		d.Standby(d.channel, "u")
		d.Pass(time.Hour)
		require.Zero(t, silent(), "once, however often the client writes")

		wishes := claimWishes(t, s, 1)
		require.Equal(t, chat.WishTake, wishes[0].Chat.ThreadWish)
		require.False(t, wishes[0].Moot)
		claimWishes(t, s, 0) // it is leased
		require.NoError(t, s.PutOffWish(ctx, wishes[0], 0))
		again := claimWishes(t, s, 1)
		require.NoError(t, s.ForgetWish(ctx, wishes[0]), "whose lease is lost changes nothing")
		require.Equal(t, chat.WishTake, d.Look(id).ThreadWish)
		require.NoError(t, s.PutOffWish(ctx, again[0], 0))
		require.Equal(t, 3, claimWishes(t, s, 1)[0].Chat.ThreadTries)
		require.NoError(t, s.PutOffWish(ctx, store.ThreadWish{Chat: d.Look(id)}, 0))
		d.Told(d.channel, "u", chat.ThreadOurs, "")
		claimWishes(t, s, 0) // it is ours: there is nothing to wish for
		require.Equal(t, chat.Waiting, must(d.Look(id)).Status())

		d.Told(d.channel, "u", chat.ThreadOthers, "")
		d.Pass(6 * time.Minute)
		require.Equal(t, 1, silent(), "another app has it again and is silent again")
		_, err := d.CloseChat(ctx, d.Env, id, uuid.Nil, "")
		require.NoError(t, err)
		claimWishes(t, s, 0) // it is closed
	})
}

// A conversation that was ours is given back when its chat is closed, after the last message of it.
func TestReleasedWhenClosed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		untold := d.accepted("never told")
		_, err := d.CloseChat(ctx, d.Env, untold, d.a, "")
		require.NoError(t, err)
		claimWishes(t, s, 0)

		id := d.Standby(d.channel, "u")
		d.Told(d.channel, "u", chat.ThreadOurs, "")
		_, err = d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		d.Replies(id, d.a)
		_, err = d.CloseChat(ctx, d.Env, id, d.a, "")
		require.NoError(t, err)
		claimWishes(t, s, 0) // there is something to send yet
		d.Settle(chat.PartSent)
		wish := claimWishes(t, s, 1)[0]
		require.Equal(t, chat.WishRelease, wish.Chat.ThreadWish)
		require.False(t, wish.Moot)
		require.NoError(t, s.PutOffWish(ctx, wish, 0))
		d.Writes(d.channel, "u")
		require.True(t, claimWishes(t, s, 1)[0].Moot, "the client has written again: the conversation goes on")
	})
}

func claimWishes(t *testing.T, s *store.Store, want int) []store.ThreadWish {
	t.Helper()
	wishes, err := s.ClaimWishes(ctx, 10, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, wishes, want)
	return wishes
}
