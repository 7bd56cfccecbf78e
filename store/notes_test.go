package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/store"
)

// note is an event of a kind that is no word.
func (r *receiving) note(kind channels.EventKind, user string) store.Inbound {
	in := r.event(user, 0, "")
	in.Event.Kind, in.Event.Key, in.Event.MessageID = kind, string(kind)+":"+user, ""
	return in
}

func (r *receiving) blocked(user string) bool {
	r.t.Helper()
	var i store.Identity
	require.NoError(r.t, r.DB().NewSelect().Model(&i).Where("channel_id = ?", r.channel).Where("external_id = ?", user).Scan(context.Background()))
	return !i.BlockedAt.IsZero()
}

func TestNoteBlockIsAFactOfTheCustomer(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		ctx := context.Background()
		block := func(kind channels.EventKind, user string) (store.ReceiveOutcome, uuid.UUID) {
			out, chatID, err := r.NoteBlock(ctx, r.note(kind, user))
			require.NoError(t, err)
			return out, chatID
		}
		out, _ := block(channels.Block, "7")
		require.Equal(t, store.Ignored, out, "nobody of this name is known")

		chatID := r.take(r.event("7", 1, "hello"), r.event("8", 1, "hello"))[0].ChatID
		out, told := block(channels.Block, "7")
		require.Equal(t, store.Stored, out)
		require.Equal(t, chatID, told)
		require.True(t, r.blocked("7"))
		require.False(t, r.blocked("8"))

		out, told = block(channels.Block, "7")
		require.Equal(t, store.Repeat, out)
		require.Equal(t, uuid.Nil, told)

		require.Equal(t, store.Repeat, r.take(r.event("7", 1, "hello"))[0].Outcome)
		r.take(r.edit("7", 1, 1, "hello?"))
		require.True(t, r.blocked("7"), "neither a repeat nor an edit is a new message")
		r.take(r.event("8", 2, "and me"), r.event("7", 2, "hello again"))
		require.False(t, r.blocked("7"), "who writes takes messages again")

		block(channels.Block, "7")
		r.close(chatID)
		out, told = block(channels.Unblock, "7")
		require.Equal(t, store.Stored, out)
		require.Equal(t, uuid.Nil, told, "he has no open chat")
		require.False(t, r.blocked("7"))
		block(channels.Block, "7")
		require.True(t, r.take(r.event("7", 3, "a new one"))[0].Opened)
		require.False(t, r.blocked("7"))
	})
}

func TestNoteOfAnotherEnvironmentOrChannelIsDropped(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		r.take(r.event("7", 1, "hello"))
		in := r.note(channels.Block, "7")
		in.EnvironmentID = uuid.Must(uuid.NewV7())
		out, _, err := r.NoteBlock(context.Background(), in)
		require.NoError(t, err)
		require.Equal(t, store.Dropped, out)
		require.False(t, r.blocked("7"))
	})
}

func TestLateBlockIsNone(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		first, later := r.event("7", 1, "hello"), r.event("7", 2, "I am back")
		later.Event.At = first.Event.At.Add(time.Minute)
		r.take(first, later)
		note := func(at time.Time) store.ReceiveOutcome {
			in := r.note(channels.Block, "7")
			in.Event.At = at
			out, _, err := r.NoteBlock(context.Background(), in)
			require.NoError(t, err)
			return out
		}
		require.Equal(t, store.Repeat, note(later.Event.At.Add(-time.Second)))
		require.False(t, r.blocked("7"), "he has written since")
		require.Equal(t, store.Stored, note(later.Event.At.Add(time.Second)))
		require.True(t, r.blocked("7"))
	})
}
