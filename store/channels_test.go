package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

func eachScene(t *testing.T, f func(t *testing.T, sc *storetest.Scene)) {
	storetest.Each(t, func(t *testing.T, s *store.Store) { f(t, storetest.NewScene(t, s)) })
}

func newBot(sc *storetest.Scene, account string) *store.Channel {
	return &store.Channel{
		ID: uuid.Must(uuid.NewV7()), EnvironmentID: sc.Env, Kind: "telegram", Name: "Bot " + account, State: chat.ChannelActive, AccountID: account,
		Weight: 1, Receive: "webhook", Fields: map[string]string{},
	}
}

func readChannel(sc *storetest.Scene, id uuid.UUID) *store.Channel {
	sc.T.Helper()
	ch, err := sc.Store.Channel(context.Background(), sc.Env, id)
	require.NoError(sc.T, err)
	return ch
}

func TestAccountIsTakenOnceAtOnce_S2_9(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		var wg sync.WaitGroup
		outcomes := make([]error, 16)
		for i := range outcomes {
			wg.Go(func() { _, _, outcomes[i] = sc.CreateChannel(context.Background(), newBot(sc, "1"), store.Idem{}) })
		}
		wg.Wait()
		won := 0
		for _, err := range outcomes {
			var taken *store.AccountTakenError
			if err == nil {
				won++
				continue
			}
			require.ErrorAs(t, err, &taken)
			require.ErrorIs(t, err, store.ErrConflict)
			require.Equal(t, "Bot 1", taken.Channel)
			require.False(t, taken.Foreign)
		}
		require.Equal(t, 1, won)
	})
}

func TestSecretsOpenForTheirChannelOnly(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ch := newBot(sc, "1")
		want := store.ChannelSecrets{Fields: map[string]string{"Token": "1:a"}, HookSecret: "s"}
		var err error
		ch.Secrets, err = sc.SealSecrets(ch.ID, want)
		require.NoError(t, err)
		got, err := sc.OpenSecrets(ch)
		require.NoError(t, err)
		require.Equal(t, want, got)
		ch.ID = uuid.New()
		_, err = sc.OpenSecrets(ch)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "1:a")
	})
}

// Lanes that wait for the channel, and one that waits for a time, are due when it is connected anew.
func TestConnectHealsAndWakes_S2_26(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		id := sc.Channel(uuid.Nil, 1)
		waiting, settled := sc.Writes(id, "waiting"), sc.Writes(id, "settled")
		never := int64(9223372036854775807)
		exec := func(table, set string, args ...any) {
			_, err := sc.DB().NewUpdate().Table(table).Set(set, args...).Where("id IN (?, ?)", id, waiting).Exec(ctx)
			require.NoError(t, err)
		}
		exec("chats", "out_due_at = ?", never)
		exec("channels", "sending_ok = ?, sending_why = 'dead token', send_retry_at = 1", false)

		ch := readChannel(sc, id)
		require.NoError(t, sc.ConnectChannel(ctx, ch, store.ChannelConnection{AccountID: ch.AccountID, Fields: ch.Fields, Receive: ch.Receive}))
		healed := readChannel(sc, id)
		require.Equal(t, chat.ChannelActive, healed.State)
		require.True(t, healed.SendingOK && healed.ReceivingOK)
		require.Empty(t, healed.SendingWhy)
		require.True(t, healed.SendRetryAt.IsZero())
		now, err := sc.Unmoved(ctx)
		require.NoError(t, err)
		require.False(t, sc.Look(waiting).OutDueAt.After(now), "due now")
		require.True(t, sc.Look(settled).OutDueAt.IsZero(), "nothing to do stays nothing to do")

		require.ErrorIs(t, sc.ConnectChannel(ctx, ch, store.ChannelConnection{AccountID: "other"}), store.ErrMoved, "what was seen has moved")
		since := healed.SendingSince
		require.NoError(t, sc.ConnectChannel(ctx, healed, store.ChannelConnection{AccountID: ch.AccountID, Fields: ch.Fields, Receive: ch.Receive}))
		require.Equal(t, since, readChannel(sc, id).SendingSince, "since when it is so")

		news, err := sc.SendingBroken(ctx, ch, now, "dead token")
		require.NoError(t, err)
		require.False(t, news, "S3.48 a send with the former token ends late: it says nothing about the new one")
		shown, err := sc.ReceivingHealth(ctx, ch, false, "dead token", 0)
		require.NoError(t, err)
		require.False(t, shown, "S3.48 nor does a poll")
		latest := readChannel(sc, id)
		require.True(t, latest.SendingOK && latest.ReceivingOK)
		news, err = sc.SendingBroken(ctx, latest, now, "dead token")
		require.NoError(t, err)
		require.True(t, news)
		require.False(t, readChannel(sc, id).SendingOK)
	})
}

// A refusal that comes slowly says nothing, once a send that began later has gone through.
func TestOnlyTheLatestSendTellsWhetherAChannelSends_S4_29(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		id := sc.Channel(uuid.Nil, 1)
		waits := sc.Writes(id, "ann")
		sc.Replies(waits, uuid.Nil)
		refused := func() bool { return sc.Look(waits).OutRefused != 0 }
		ch := readChannel(sc, id)
		first, err := sc.Unmoved(ctx)
		require.NoError(t, err)
		later := first.Add(time.Millisecond)
		tell := func(news bool, err error) bool { require.NoError(t, err); return news }

		require.True(t, tell(sc.SendingBroken(ctx, ch, first, "no credits")))
		require.True(t, refused())
		require.True(t, tell(sc.SendingWorks(ctx, ch, later)))
		require.False(t, refused())
		require.False(t, tell(sc.SendingBroken(ctx, ch, first, "no credits")), "another of the first sends, which is slower")
		require.False(t, refused())
		require.True(t, readChannel(sc, id).SendingOK)
		require.True(t, tell(sc.SendingBroken(ctx, ch, later.Add(time.Millisecond), "no credits")))
		require.False(t, tell(sc.SendingWorks(ctx, ch, later)), "nor does a slow success")
		require.True(t, refused())
		require.False(t, readChannel(sc, id).SendingOK)
	})
}

func TestDisconnectOnlyWhatIsActive_S2_22(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		fresh := newBot(sc, "1")
		fresh.State = chat.ChannelInactive
		_, _, err := sc.CreateChannel(ctx, fresh, store.Idem{})
		require.NoError(t, err)
		was, err := sc.DisconnectChannel(ctx, sc.Env, fresh.ID)
		require.NoError(t, err)
		require.False(t, was)
		require.Equal(t, chat.ChannelInactive, readChannel(sc, fresh.ID).State)

		id := sc.Channel(uuid.Nil, 1)
		was, err = sc.DisconnectChannel(ctx, uuid.New(), id)
		require.NoError(t, err)
		require.False(t, was, "another environment's channel is none")
		was, err = sc.DisconnectChannel(ctx, sc.Env, id)
		require.NoError(t, err)
		require.True(t, was)
		require.Equal(t, chat.ChannelDisconnected, readChannel(sc, id).State)
	})
}

func TestDeleteChannelWithChats_S3_28(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		used, unused := sc.Channel(uuid.Nil, 1), sc.Channel(uuid.Nil, 1)
		sc.Writes(used, "7")
		require.ErrorIs(t, sc.DeleteChannel(ctx, sc.Env, used), store.ErrHasChats)
		require.ErrorIs(t, sc.DeleteChannel(ctx, uuid.New(), unused), store.ErrNotFound)
		sc.Agent("Ann", unused)
		require.NoError(t, sc.DeleteChannel(ctx, sc.Env, unused))
		_, err := sc.Store.Channel(ctx, sc.Env, unused)
		require.ErrorIs(t, err, store.ErrNotFound)

		require.NoError(t, sc.DiscardChannel(ctx, sc.Env, used, store.Idem{}), "one that has taken a message stays")
		require.Equal(t, chat.ChannelDisconnected, readChannel(sc, used).State)
	})
}

func TestChannelUseAddsUp(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		a, b := sc.Channel(uuid.Nil, 1), sc.Channel(uuid.Nil, 1)
		for range 2 {
			require.NoError(t, sc.NoteChannelUse(ctx, []store.ChannelUse{{Channel: b, Dropped: 2}, {Channel: a, Received: true, Ignored: 3}}))
		}
		require.EqualValues(t, 6, readChannel(sc, a).Ignored)
		require.False(t, readChannel(sc, a).LastInboundAt.IsZero())
		require.EqualValues(t, 4, readChannel(sc, b).Dropped)
		require.True(t, readChannel(sc, b).LastInboundAt.IsZero())
	})
}

func TestListsPageByName(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		for i := range 7 {
			_, _, err := sc.CreateChannel(ctx, newBot(sc, fmt.Sprint(9-i/2, "-", i)), store.Idem{})
			require.NoError(t, err)
		}
		var names []string
		for p := (store.Page{Limit: 2}); ; {
			rows, next, err := sc.ListChannels(ctx, sc.Env, uuid.Nil, p)
			require.NoError(t, err)
			for _, ch := range rows {
				names = append(names, ch.Name)
			}
			if p.Cursor = next; next == "" {
				break
			}
		}
		require.Len(t, names, 7)
		require.IsIncreasing(t, names)
		_, _, err := sc.ListChannels(ctx, sc.Env, uuid.Nil, store.Page{Limit: 2, Cursor: "!"})
		require.ErrorIs(t, err, store.ErrCursor)
	})
}

// An agent is deactivated while chats are being given to him: none is left with him.
func TestDeactivatingWinsOverAssigning(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		many := 1000
		ann := sc.Agent("Ann")
		sc.Card(ann, func(a *store.Agent) { a.MaxLoad = &many })
		queue := sc.Queue(chat.ToAllAgents, 0, ann)
		channel := sc.Channel(queue, 1)
		var chats []uuid.UUID
		for i := range 20 {
			chats = append(chats, sc.Writes(channel, fmt.Sprint(i)))
		}
		var wg sync.WaitGroup
		failed := make(chan error, len(chats))
		for _, id := range chats {
			wg.Go(func() {
				if _, err := sc.Accept(ctx, sc.Env, id, ann); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
					failed <- err
				}
			})
		}
		wg.Go(func() {
			card, err := sc.Store.Agent(ctx, sc.Env, ann)
			if err == nil {
				card.Enabled = false
				_, err = sc.ChangeAgent(ctx, &card.Agent, nil)
			}
			if err != nil {
				failed <- err
			}
		})
		wg.Wait()
		close(failed)
		require.NoError(t, <-failed)
		for _, id := range chats {
			now := sc.Look(id)
			require.Equal(t, chat.Waiting, now.Status())
			sc.Kinds(id)
		}
	})
}

func TestHeartbeatsAreWatchedOnlyOnceThereWasOne(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ctx := context.Background()
		ann := sc.Agent("Ann")
		heartbeat := func() store.Time {
			card, err := sc.Store.Agent(ctx, sc.Env, ann)
			require.NoError(t, err)
			return card.HeartbeatAt
		}
		sc.Status(ann, chat.Active)
		require.True(t, heartbeat().IsZero(), "who never sent one is not watched")
		require.NoError(t, sc.AgentHeartbeat(ctx, sc.Env, ann))
		require.False(t, heartbeat().IsZero())
		_, err := sc.DB().NewUpdate().Model((*store.Agent)(nil)).Set("heartbeat_at = 1").Where("id = ?", ann).Exec(ctx)
		require.NoError(t, err)
		sc.Status(ann, chat.Active)
		require.Greater(t, heartbeat().UnixMicro(), int64(1), "an old one does not send him offline again at once")
		require.ErrorIs(t, sc.AgentHeartbeat(ctx, uuid.New(), ann), store.ErrNotFound)
	})
}

func TestAudiences_S3_5_S3_10(t *testing.T) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		ann := sc.Agent("Ann")
		all, one := sc.Queue(chat.ToAllAgents, 0, ann), sc.Queue(chat.ToAnAvailableAgent, 0, ann)
		offered, automatic, none := sc.Writes(sc.Channel(all, 1), "1"), sc.Writes(sc.Channel(one, 1), "2"), sc.Writes(sc.Channel(uuid.Nil, 1), "3")
		hers := sc.Writes(sc.Channel(all, 1), "4")
		_, err := sc.Accept(context.Background(), sc.Env, hers, ann)
		require.NoError(t, err)
		rows, err := sc.Audiences(context.Background(), []uuid.UUID{offered, automatic, none, hers})
		require.NoError(t, err)
		require.ElementsMatch(t, []store.Audience{
			{ChatID: offered, EnvironmentID: sc.Env, QueueID: all},
			{ChatID: automatic, EnvironmentID: sc.Env},
			{ChatID: none, EnvironmentID: sc.Env},
			{ChatID: hers, EnvironmentID: sc.Env, AgentID: ann},
		}, rows)
	})
}
