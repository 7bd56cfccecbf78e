package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// redrive redrives the one thing that failed of a chat, even if that was done before.
func (d *desk) redrive(id uuid.UUID) error {
	d.T.Helper()
	var found []store.Failure
	for _, status := range []string{store.FailureOpen, store.FailureRedriven} {
		some, _, err := d.Failures(ctx, d.Env, status, store.FailureFilter{ChatID: id}, store.Page{Limit: 10})
		require.NoError(d.T, err)
		found = append(found, some...)
	}
	require.Len(d.T, found, 1)
	_, err := d.RedriveFailure(ctx, d.Env, found[0].ID)
	return err
}

// Whether an agent resends a message that failed or an administrator redrives it: it is an accepted reply again, and nothing of the
// time in which nobody had answered stays behind.
func TestSentAgainTheClientCountsAsAnswered_S0_25(t *testing.T) {
	ways := map[string]func(d *desk, id, message uuid.UUID) error{
		"resend": func(d *desk, id, message uuid.UUID) error {
			_, err := d.Resend(ctx, d.Env, id, message, d.b, 0)
			return err
		},
		"redrive": func(d *desk, id, _ uuid.UUID) error { return d.redrive(id) },
	}
	for name, again := range ways {
		for _, end := range []chat.PartState{chat.PartFailed, chat.PartUnknown} {
			t.Run(name+" "+string(end), func(t *testing.T) {
				storetest.Each(t, func(t *testing.T, s *store.Store) {
					d := newDesk(t, s)
					id := d.accepted("u")
					message := d.Replies(id, d.a)
					d.Settle(chat.PartFailed)
					_, err := d.TransferToAgent(ctx, d.Env, id, d.b, uuid.Nil)
					require.NoError(t, err)
					now, err := d.Now(ctx)
					require.NoError(t, err)
					require.NoError(t, d.PutOff(ctx, d.Env, []uuid.UUID{id}, "nobody is there", now, now.Add(time.Hour)))
					if end == chat.PartUnknown {
						require.NoError(t, again(d, id, message))
						d.Settle(end)
					}
					require.NoError(t, again(d, id, message))

					c := d.Look(id)
					assert.True(t, c.UnansweredSince.IsZero())
					assert.True(t, c.AgentDueSince.IsZero())
					assert.Zero(t, c.LookAt)
					assert.Empty(t, c.TransferWhy)
					tried, err := d.Tried(ctx, d.Env, []store.Chat{c})
					require.NoError(t, err)
					assert.Empty(t, tried, "Ann may have it again when the client writes next")
					require.ErrorIs(t, again(d, id, message), store.ErrConflict, "it is on its way")
					d.Settle(chat.PartSent)
					m, err := d.MessageOf(ctx, d.Env, id, message)
					require.NoError(t, err)
					assert.Equal(t, chat.MessageDelivered, m.State)
					d.Kinds(id)
				})
			})
		}
	}
}

// What was accepted while a chat was open may be redriven once it is closed; an agent writes no more in it.
func TestAClosedChatIsRedrivenAndNotResent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		message := d.Replies(id, d.a)
		d.Settle(chat.PartFailed)
		_, err := d.CloseChat(ctx, d.Env, id, d.a, "")
		require.NoError(t, err)
		_, err = d.Resend(ctx, d.Env, id, message, d.a, 0)
		require.ErrorIs(t, err, store.ErrConflict)
		require.NoError(t, d.redrive(id))
		d.Settle(chat.PartSent)
		m, err := d.MessageOf(ctx, d.Env, id, message)
		require.NoError(t, err)
		assert.Equal(t, chat.MessageDelivered, m.State)
		assert.Equal(t, chat.Closed, must(d.Look(id)).Status(), "it stays closed")
	})
}

// What is redriven while another app holds the conversation waits for it. That app's silence goes on counting: else it would wait
// for ever.
func TestARedriveLeavesASilentBotDue_S3_59(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		d.Replies(id, d.a)
		d.Settle(chat.PartFailed)
		d.Told(d.channel, "u", chat.ThreadOthers, "7")
		before := d.Look(id)
		require.False(t, before.BotDueSince.IsZero())
		require.NoError(t, d.redrive(id))
		after := d.Look(id)
		assert.True(t, after.UnansweredSince.IsZero())
		assert.Equal(t, before.BotDueSince, after.BotDueSince)
	})
}
