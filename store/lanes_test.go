package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// A limit of the whole channel that is asked for by the answers of several calls: the latest time counts, in whatever order
// the answers come.
func TestTheLongestLimitOfAChannelCounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		id := sc.Channel(uuid.Nil, 1)
		chatID := sc.Writes(id, "ann")
		sc.Replies(chatID, uuid.Nil)
		for _, wait := range []time.Duration{time.Second, time.Hour, time.Minute} {
			_, err := s.PostponeSends(ctx, readChannel(sc, id), wait, "")
			require.NoError(t, err)
		}
		ch, err := s.Channel(ctx, sc.Env, id)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(time.Hour), ch.SendRetryAt.Time, time.Minute)
		require.WithinDuration(t, time.Now().Add(time.Hour), sc.Look(chatID).OutDueAt.Time, time.Minute)
	})
}

// However much one channel has to send, a claim sees the others: those that have been waiting longest come first.
func TestABacklogHidesNoOtherChannel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		long, second, third, off := sc.Channel(uuid.Nil, 1), sc.Channel(uuid.Nil, 1), sc.Channel(uuid.Nil, 1), storetest.NewScene(t, s)
		var slice []store.Inbound
		for i := range 1_100 {
			key := fmt.Sprint(i)
			slice = append(slice, store.Inbound{EnvironmentID: sc.Env, ChannelID: long, AccountID: long.String(), Event: channels.Event{
				Kind: channels.Message, Key: key, MessageID: key, Text: key, User: channels.User{ID: key},
			}})
		}
		for _, r := range sc.Receive(ctx, slice) {
			require.NoError(t, r.Err)
		}
		sc.Writes(third, "client")
		sc.Writes(second, "client")
		sc.Writes(second, "another client")
		off.Set(func(e *store.Environment) { e.ChatsEnabled = false })
		off.Writes(off.Channel(uuid.Nil, 1), "client")
		for i, channel := range []uuid.UUID{long, second, third} {
			_, err := s.DB().NewUpdate().Table("chats").Set("out_due_at = ?", 1_000*(i+1)).Where("channel_id = ?", channel).Exec(ctx)
			require.NoError(t, err)
		}
		_, err := s.DB().NewUpdate().Table("chats").Set("out_due_at = 1").Where("environment_id = ?", off.Env).Exec(ctx)
		require.NoError(t, err)
		claim := func(limit int, busy ...uuid.UUID) (of []uuid.UUID) {
			t.Helper()
			lanes, err := s.ClaimSends(ctx, "worker", limit, 4, busy, time.Minute)
			require.NoError(t, err)
			for _, l := range lanes {
				of = append(of, l.ChannelID)
			}
			slices.SortFunc(of, func(a, b uuid.UUID) int {
				return slices.Index([]uuid.UUID{long, second, third}, a) - slices.Index([]uuid.UUID{long, second, third}, b)
			})
			return of
		}
		require.Equal(t, []uuid.UUID{second}, claim(1, long), "one is busy")
		require.Equal(t, []uuid.UUID{long, long, long, long, second}, claim(5), "the longest waiting first, four of each at most")
		require.Equal(t, []uuid.UUID{long, long, long, long, third}, claim(64), "what is leased is not claimed again")
		require.Equal(t, []uuid.UUID{long, long, long, long}, claim(64))
	})
}

// Synchronize jobs of several environments take turns: one that moves on at once does not keep a later one waiting.
func TestJobsTakeTurns_S0_54(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var turns []uuid.UUID
		for range 2 {
			_, environment := freshEnvironment(t, s)
			_, _, err := s.StartJob(ctx, environment, store.JobSynchronize)
			require.NoError(t, err)
		}
		for range 4 {
			j, err := s.ClaimJob(ctx, store.JobSynchronize, "worker", time.Minute)
			require.NoError(t, err)
			turns = append(turns, j.EnvironmentID)
			require.NoError(t, s.ProgressJob(ctx, j, store.JobProgress{}, -time.Millisecond))
		}
		require.NotEqual(t, turns[0], turns[1])
		require.Equal(t, turns[:2], turns[2:])
	})
}

// When one event of a user could not be stored, his later ones are not either: the messenger brings all of them again, and
// nothing is swapped. Other users' are stored.
func TestAFailedEventHoldsTheUsersLaterOnesBack_S2_3(t *testing.T) {
	s := storetest.SQLite(t)
	sc := storetest.NewScene(t, s)
	channel := sc.Channel(uuid.Nil, 1)
	var slice []store.Inbound
	for i, user := range []string{"ann", "ann", "ann", "bob"} {
		key := fmt.Sprint(i)
		slice = append(slice, store.Inbound{EnvironmentID: sc.Env, ChannelID: channel, AccountID: channel.String(), Event: channels.Event{
			Kind: channels.Message, Key: key, MessageID: key, Text: key, User: channels.User{ID: user},
		}})
	}
	s.BreakReceive("1")
	out := s.Receive(ctx, slice)
	require.Equal(t, store.Stored, out[0].Outcome)
	require.Error(t, out[1].Err)
	require.Error(t, out[2].Err, "it would come before the one that failed")
	require.Equal(t, store.Stored, out[3].Outcome)
}

// What was parked is not forgotten because its channel happens to be disconnected when it is redriven.
func TestRedrivingAParkedEventOfADisconnectedChannelKeepsIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		channel := sc.Channel(uuid.Nil, 1)
		id := uuid.Must(uuid.NewV7())
		now := store.At(time.Now())
		raw := fmt.Sprintf(`{"environment_id":%q,"channel_id":%q,"account_id":%q,"user_id":"ann","user_name":"Ann","kind":"message","event_key":"1","body":"hello",
			"entry_id":%q,"opened_id":%q,"new_identity":%q,"new_contact":%q,"new_chat":%q}`,
			sc.Env, channel, channel, uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New())
		_, err := s.DB().NewInsert().Model(&store.Failure{
			ID: id, EnvironmentID: sc.Env, Kind: store.FailureParked, Status: store.FailureOpen, Subject: store.SubjectEvent, SubjectKey: "1", ChannelID: channel,
			Raw: []byte(raw), Attempts: 1, FirstAt: now, LastAt: now,
		}).Exec(ctx)
		require.NoError(t, err)
		_, err = s.DisconnectChannel(ctx, sc.Env, channel)
		require.NoError(t, err)
		_, _, err = s.ReceiveAgain(ctx, sc.Env, id)
		require.ErrorIs(t, err, store.ErrConflict)
		f, err := s.Failure(ctx, sc.Env, id)
		require.NoError(t, err)
		require.Equal(t, store.FailureOpen, f.Status)

		_, err = s.DB().NewUpdate().Table("channels").Set("state = ?", chat.ChannelActive).Where("id = ?", channel).Exec(ctx)
		require.NoError(t, err)
		f, r, err := s.ReceiveAgain(ctx, sc.Env, id)
		require.NoError(t, err)
		require.Equal(t, store.Stored, r.Outcome)
		require.Equal(t, store.FailureRedriven, f.Status)
	})
}

// A transaction whose context ends says so, and nothing that looks like a defect.
func TestACancelledTransactionSaysSo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		_, err := s.SaveSettings(ctx, sc.Env, func(*store.Environment) error { return nil })
		require.NoError(t, err)
		once, cancel := context.WithCancel(ctx)
		_, err = s.SaveSettings(once, sc.Env, func(*store.Environment) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A chat whose last agent and queue are gone is reopened to wait where the channel's chats wait, not with nobody for ever.
func TestAReopenedChatIsWhereSomebodyServesIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		ann := sc.Agent("Ann")
		old, fresh := sc.Queue(chat.ToAnAvailableAgent, 0, ann), sc.Queue(chat.ToAnAvailableAgent, 0)
		channel := sc.Channel(old, 1)
		id := sc.Writes(channel, "client")
		_, err := s.AssignTo(ctx, sc.Env, id, 0, ann)
		require.NoError(t, err)
		_, err = s.CloseChat(ctx, sc.Env, id, ann, "")
		require.NoError(t, err)
		require.NoError(t, s.ChangeChannel(ctx, sc.Env, channel, store.ChannelSettings{Queue: &fresh}))
		require.NoError(t, s.DeleteQueue(ctx, sc.Env, old))
		_, err = s.DeleteAgent(ctx, sc.Env, ann)
		require.NoError(t, err)

		_, err = s.ReopenChat(ctx, sc.Env, id, ann)
		require.ErrorIs(t, err, store.ErrConflict)
		ch, err := s.ReopenChat(ctx, sc.Env, id, uuid.Nil)
		require.NoError(t, err)
		require.Equal(t, chat.Waiting, ch.Chat.Status())
		require.Equal(t, fresh, ch.Chat.QueueID)
	})
}
