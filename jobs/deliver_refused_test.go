package jobs_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/dialect"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// However much waits on a channel that the messenger refuses, it is asked a few times: what is being sent, and no more. What is
// written, resent or redriven afterwards is a new try, and once the channel sends again nothing is refused any more.
func TestDeliverARefusedChannelIsNotAskedForEveryMessage_S4_29(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		const waiting, why = 60, "the account has no credits left: top it up"
		var messages []uuid.UUID
		for n := range waiting {
			chatID := w.writes(w.channel, fmt.Sprint("client ", n), "hello")
			messages = append(messages, w.replies(chatID, "one"))
		}
		other := w.newChannel(w.env)
		elsewhere := w.replies(w.writes(other, "bob", "hello"), "other")
		var calls atomic.Int32
		w.messenger.program(func(ch channels.Channel, _ channels.Part) error {
			if ch.ID == other {
				return nil
			}
			calls.Add(1)
			return &channels.Error{Outcome: channels.Broken, Reason: why}
		})
		w.deliver()
		w.deliver()
		require.LessOrEqual(w, calls.Load(), int32(8), "no more than are under way at once")
		for _, m := range messages {
			require.Equal(w, chat.MessageFailed, w.entry(m).State)
			require.Equal(w, why, w.entry(m).Error)
		}
		require.Len(w, w.failures(store.FailureOpen), waiting)
		require.Equal(w, waiting, w.hints.count("failure"), "every agent reads it")
		require.Equal(w, chat.MessageDelivered, w.entry(elsewhere).State, "another channel does not notice")

		calls.Store(0)
		next := w.replies(w.entry(messages[0]).ChatID, "two")
		w.deliver()
		require.Equal(w, int32(1), calls.Load(), "what is written later is tried")
		_, err := w.store.Resend(w.ctx, w.env, w.entry(messages[1]).ChatID, messages[1], uuid.Nil, 0)
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, int32(2), calls.Load(), "what is resent too")
		require.Equal(w, chat.MessageFailed, w.entry(next).State)

		w.messenger.program(nil)
		n, err := w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{Kind: store.FailureUnsent, ChannelID: w.channel})
		require.NoError(w, err)
		require.Equal(w, waiting+1, n)
		w.deliver()
		for _, m := range append(messages, next) {
			require.Equal(w, chat.MessageDelivered, w.entry(m).State, "S4.29 after the top-up, redrive")
		}
		require.Empty(w, w.failures(store.FailureOpen))
	})
}

// What waits when an administrator connects the channel anew is sent, whatever was refused before.
func TestDeliverAConnectedChannelForgetsThatItWasRefused_S3_48(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		m := w.replies(w.writes(w.channel, "ann", "hello"), "one")
		ch := w.now(w.channel)
		_, err := w.store.SendingBroken(w.ctx, ch, time.Now(), "the token was revoked")
		require.NoError(w, err)
		require.NoError(w, w.store.ConnectChannel(w.ctx, ch, store.ChannelConnection{AccountID: ch.AccountID, Fields: map[string]string{}, Secrets: ch.Secrets, Receive: ch.Receive}))
		_, err = w.store.SendingBroken(w.ctx, ch, time.Now(), "what the old token was told says nothing about the new one")
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
	})
}

// A channel that cannot send fails what was to be sent, once and with the reason; what is sent later is a new try, and the
// first that goes through makes the channel well.
func TestDeliverABrokenChannelFailsTheMessage_S3_48_S4_29(t *testing.T) {
	for _, outcome := range []channels.Outcome{channels.Broken, channels.Refused, channels.Foreign} {
		t.Run(string(outcome), func(t *testing.T) {
			eachLane(t, func(w *laneWorld) {
				id := w.writes(w.channel, "ann", "hello")
				one, two := w.replies(id, "one"), w.replies(id, "two")
				const why = "the account has no credits left: top it up"
				calls := 0
				w.messenger.program(func(channels.Channel, channels.Part) error {
					calls++
					return &channels.Error{Outcome: outcome, Reason: why}
				})
				w.deliver()
				w.deliver()
				require.Equal(w, 1, calls, "what waits fails with it, untried, and not again by itself")
				for _, m := range []uuid.UUID{one, two} {
					require.Equal(w, chat.MessageFailed, w.entry(m).State)
					require.Equal(w, why, w.entry(m).Error, "the agent reads why")
				}
				require.False(w, w.chat(id).UnansweredSince.IsZero())
				ch := w.now(w.channel)
				require.False(w, ch.SendingOK)
				require.Equal(w, why, ch.SendingWhy)
				require.True(w, ch.ReceivingOK, "S4.28 it goes on receiving")
				require.Equal(w, 1, w.hints.count("alert"), "the administrator is told once")
				require.Equal(w, 2, w.hints.count("failure"))
				require.Len(w, w.failures(store.FailureOpen), 2)
				w.writes(w.channel, "ann", "still there?")

				_, err := w.jobs.Redrive(w.ctx, w.env, w.failures(store.FailureOpen)[0].ID)
				require.NoError(w, err)
				w.deliver()
				require.Equal(w, 2, calls, "a redrive is a new try")
				require.Len(w, w.failures(store.FailureOpen), 2, "and open again when it fails")

				w.messenger.program(nil)
				w.replies(id, "three")
				w.deliver()
				ch = w.now(w.channel)
				require.True(w, ch.SendingOK, "the first success makes it well")
				require.Empty(w, ch.SendingWhy)
				n, err := w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{Kind: store.FailureUnsent, ChannelID: w.channel})
				require.NoError(w, err)
				require.Equal(w, 2, n)
				w.deliver()
				require.ElementsMatch(w, []string{"three", "one", "two"}, w.messenger.texts(), "S4.29 redrive works")
				require.Empty(w, w.failures(store.FailureOpen))
			})
		})
	}
}

// What waits is marked before anybody sees that a message failed: what an agent writes then, perhaps because the account was
// topped up, is a new try.
func TestDeliverMarksWhatWaitsBeforeTheFailureIsSeen_S4_29(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		m := w.replies(w.writes(w.channel, "ann", "hello"), "one")
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.Broken, Reason: "no credits"}
		})
		var seen []chat.MessageState
		w.watch.Store(func(statement string) {
			if strings.Contains(statement, "out_refused = out_version") {
				seen = append(seen, w.entry(m).State)
			}
		})
		w.deliver()
		require.Equal(w, []chat.MessageState{chat.MessageSending}, seen)
		require.Equal(w, chat.MessageFailed, w.entry(m).State)
	})
}

// What could not be written before the outcome is written after it: the administrator is told all the same.
func TestDeliverShowsABrokenChannelAfterAMomentsTrouble_S4_29(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		m := w.replies(w.writes(w.channel, "ann", "hello"), "one")
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.Broken, Reason: "no credits"}
		})
		statements := []string{`CREATE TRIGGER trouble BEFORE UPDATE ON channels WHEN EXISTS (SELECT 1 FROM timeline WHERE state = 'sending')
			BEGIN SELECT RAISE(ABORT, 'trouble'); END`}
		if w.db.Dialect().Name() == dialect.PG {
			statements = []string{
				`CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN IF EXISTS (SELECT 1 FROM timeline WHERE state = ''sending'') THEN RAISE ''trouble''; END IF; RETURN NEW; END'`,
				`CREATE TRIGGER trouble BEFORE UPDATE ON channels FOR EACH ROW EXECUTE FUNCTION trouble()`,
			}
		}
		for _, s := range statements {
			_, err := w.db.ExecContext(w.ctx, s)
			require.NoError(w, err)
		}
		w.deliver()
		require.Equal(w, chat.MessageFailed, w.entry(m).State)
		require.False(w, w.now(w.channel).SendingOK)
		require.Equal(w, 1, w.hints.count("alert"))
	})
}
