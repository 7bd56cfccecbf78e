package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// talk is a chat of one customer with an agent, on a channel whose messenger tells what became of what was sent.
type talk struct {
	*storetest.Scene
	t       *testing.T
	ctx     context.Context
	channel uuid.UUID
	agent   uuid.UUID
	chat    uuid.UUID
	now     time.Time // the messenger's clock, which is not ours
}

func eachTalk(t *testing.T, f func(t *testing.T, k *talk)) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		k := &talk{Scene: sc, t: t, ctx: context.Background(), channel: sc.Channel(uuid.Nil, 1), now: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)}
		k.agent = sc.Agent("Bea", k.channel)
		k.chat = sc.Writes(k.channel, "ann")
		_, err := sc.Accept(k.ctx, sc.Env, k.chat, k.agent)
		require.NoError(t, err)
		f(t, k)
	})
}

// begin replies and begins to send, up to the messenger's answer. limit is the longest text of a part.
func (k *talk) begin(limit int) (message uuid.UUID, send *store.Send) {
	k.t.Helper()
	message = k.Replies(k.chat, k.agent)
	return message, k.next(limit)
}

// next begins to send the part that is due; nil where none is.
func (k *talk) next(limit int) *store.Send {
	k.t.Helper()
	lanes, err := k.ClaimSends(k.ctx, "test", 10, 10, nil, time.Minute)
	require.NoError(k.t, err)
	if len(lanes) == 0 {
		return nil
	}
	rules := store.SendRules{TextLimit: limit, Proof: time.Hour}
	send, _, err := k.NextSend(k.ctx, lanes[0], func(string) (store.SendRules, error) { return rules, nil }, time.Minute)
	require.NoError(k.t, err)
	return send
}

// answer settles a send as taken by the messenger.
func (k *talk) answer(send *store.Send, id string, at time.Time) {
	k.t.Helper()
	_, err := k.SettleSend(k.ctx, send, store.PartOutcome{State: chat.PartSent, ExternalID: id, SentAt: at}, true)
	require.NoError(k.t, err)
}

func (k *talk) sent(id string, at time.Time) uuid.UUID {
	k.t.Helper()
	m, send := k.begin(0)
	k.answer(send, id, at)
	require.Nil(k.t, k.next(0))
	return m
}

func (k *talk) state(message uuid.UUID) chat.MessageState {
	k.t.Helper()
	m, _ := k.entry(message)
	return m.State
}

func (k *talk) entry(message uuid.UUID) (store.Entry, []store.Part) {
	k.t.Helper()
	var m store.Entry
	require.NoError(k.t, k.DB().NewSelect().Model(&m).Where("t.id = ?", message).Scan(k.ctx))
	var parts []store.Part
	require.NoError(k.t, k.DB().NewSelect().Model(&parts).Where("pt.message_id = ?", message).OrderExpr("n").Scan(k.ctx))
	return m, parts
}

// receipt takes one in; ids of messages, or none, and the moment it counts to, or zero.
func (k *talk) receipt(read bool, until time.Time, ids ...string) (store.ReceiveOutcome, []store.Settled) {
	k.t.Helper()
	out, settled, err := k.NoteReceipt(k.ctx, k.inbound(channels.Event{
		Kind: channels.Receipt, Key: fmt.Sprint("r:", read, until, ids), Receipt: &channels.ReceiptNote{Read: read, Until: until, MessageIDs: ids},
	}))
	require.NoError(k.t, err)
	return out, settled
}

func (k *talk) inbound(e channels.Event) store.Inbound {
	e.User = channels.User{ID: "ann"}
	return store.Inbound{EnvironmentID: k.Env, ChannelID: k.channel, AccountID: k.channel.String(), Event: e}
}

// Deliveries may lag behind by minutes, in which a customer was served several times.
func TestAReceiptReachesWhatWasSentSeveralChatsAgo_S0_21(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		byMoment, byID := k.sent("m1", k.now), k.sent("m2", k.now.Add(time.Minute))
		underWay, send := k.begin(0)
		for range 5 {
			_, err := k.CloseChat(k.ctx, k.Env, k.chat, k.agent, "")
			require.NoError(t, err)
			k.Pass(time.Minute)
			k.chat = k.Writes(k.channel, "ann")
			_, err = k.Accept(k.ctx, k.Env, k.chat, k.agent)
			require.NoError(t, err)
		}
		_, settled := k.receipt(true, k.now)
		require.Len(t, settled, 1)
		require.Equal(t, chat.MessageRead, k.state(byMoment))
		k.receipt(false, time.Time{}, "m2", "m3")
		require.Equal(t, chat.MessageDelivered, k.state(byID))
		out, _ := k.receipt(false, time.Time{}, "m2")
		require.Equal(t, store.Repeat, out)
		k.answer(send, "m3", k.now.Add(2*time.Minute))
		require.Equal(t, chat.MessageDelivered, k.state(underWay), "what was on its way then")
	})
}

func TestReceiptsBringAMessageForwardOnly_S0_21(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		m := k.sent("m1", time.Time{})
		require.Equal(t, chat.MessageSent, k.state(m))
		waits := k.Look(k.chat).ClosingSince
		require.WithinDuration(t, time.Now().Add(chat.AssumedDelivered), waits.Time, time.Minute, "without a receipt it counts as delivered in a while")

		out, settled := k.receipt(false, time.Time{}, "m1")
		require.Equal(t, store.Stored, out)
		require.Len(t, settled, 1)
		require.Equal(t, m, settled[0].MessageID)
		require.Equal(t, chat.MessageDelivered, settled[0].State)
		require.Equal(t, k.agent, settled[0].AgentID)
		since := k.Look(k.chat).ClosingSince
		require.WithinDuration(t, time.Now(), since.Time, time.Minute, "delivered starts the closing clock")

		k.Pass(10 * time.Minute)
		for _, again := range []bool{false, true, true, false} {
			k.receipt(again, time.Time{}, "m1")
		}
		require.Equal(t, chat.MessageRead, k.state(m))
		require.Equal(t, since, k.Look(k.chat).ClosingSince, "reading does not start it again")
		out, settled = k.receipt(false, time.Time{}, "m1")
		require.Equal(t, store.Repeat, out)
		require.Empty(t, settled)
		require.EqualValues(t, 4, k.Look(k.chat).LastSeq, "opened, hers, assigned, ours: receipts are no entries")
	})
}

func TestReceiptOfOthersMessagesIsIgnored(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		m := k.sent("m1", time.Time{})
		out, settled := k.receipt(true, time.Time{}, "of somebody else")
		require.Equal(t, store.Ignored, out)
		require.Empty(t, settled)
		require.Equal(t, chat.MessageSent, k.state(m))
		in := k.inbound(channels.Event{Kind: channels.Receipt, Receipt: &channels.ReceiptNote{Until: k.now}})
		in.Event.User.ID = "stranger"
		out, _, err := k.NoteReceipt(k.ctx, in)
		require.NoError(t, err)
		require.Equal(t, store.Ignored, out)
	})
}

// An old chat that was taken up again is among those a receipt is looked for in, however many came after it.
func TestReceiptInAReopenedChat_S0_21(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		closes := func(id uuid.UUID) {
			_, err := k.CloseChat(k.ctx, k.Env, id, uuid.Nil, "")
			require.NoError(t, err)
		}
		closes(k.chat)
		for range 3 {
			closes(k.Writes(k.channel, "ann"))
		}
		_, err := k.ReopenChat(k.ctx, k.Env, k.chat, k.agent)
		require.NoError(t, err)
		m := k.sent("m1", k.now)
		_, settled := k.receipt(false, k.now)
		require.Len(t, settled, 1)
		require.Equal(t, chat.MessageDelivered, k.state(m))
	})
}

func TestWatermarkIsByTheMessengersClock(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		first, second := k.sent("m1", k.now), k.sent("m2", k.now.Add(time.Second))
		out, settled := k.receipt(true, k.now.Add(500*time.Millisecond), "m1")
		require.Equal(t, store.Stored, out)
		require.Equal(t, chat.MessageRead, k.state(first))
		require.Equal(t, chat.MessageSent, k.state(second), "it was sent after that moment")
		require.NotEmpty(t, settled)
		k.receipt(true, k.now.Add(time.Second))
		require.Equal(t, chat.MessageRead, k.state(second), "up to and with that moment")
		out, _ = k.receipt(true, k.now)
		require.Equal(t, store.Repeat, out, "an older moment tells nothing")
	})
}

// Where the messenger does not tell its time, ours counts once the messenger had answered: a part that it took later than the
// moment is never called read where the clocks agree.
func TestWatermarkWithoutTheMessengersTime(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		before := time.Now().Add(-time.Second)
		m := k.sent("m1", time.Time{})
		k.receipt(false, before)
		require.Equal(t, chat.MessageSent, k.state(m))
		k.receipt(false, time.Now().Add(time.Second))
		require.Equal(t, chat.MessageDelivered, k.state(m))
	})
}

func TestReceiptBeforeTheAnswerIsNotLost(t *testing.T) {
	t.Run("by its id", func(t *testing.T) {
		eachTalk(t, func(t *testing.T, k *talk) {
			m, send := k.begin(0)
			for _, read := range []bool{true, false, true} {
				out, _ := k.receipt(read, time.Time{}, "m1")
				require.Equal(t, store.Stored, out)
			}
			require.Equal(t, chat.MessageSending, k.state(m), "which part it is about is not known yet")
			k.answer(send, "m1", time.Time{})
			require.Equal(t, chat.MessageRead, k.state(m))
			require.WithinDuration(t, time.Now(), k.Look(k.chat).ClosingSince.Time, time.Minute)
			left, err := k.DB().NewSelect().Table("early_receipts").Count(k.ctx)
			require.NoError(t, err)
			require.Zero(t, left)
		})
	})
	t.Run("by its moment", func(t *testing.T) {
		eachTalk(t, func(t *testing.T, k *talk) {
			m, send := k.begin(0)
			k.receipt(false, k.now.Add(time.Second))
			k.receipt(true, k.now.Add(-time.Second))
			k.answer(send, "m1", k.now)
			require.Equal(t, chat.MessageDelivered, k.state(m), "delivered up to after it was sent, read up to before")
		})
	})
}

func TestMessageOfSeveralPartsIsAsFarAsItsLast(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		m, send := k.begin(3) // "reply": two parts
		k.answer(send, "p1", k.now)
		k.receipt(true, time.Time{}, "p1")
		require.Equal(t, chat.MessageSending, k.state(m))
		// The lane is still ours: the next part is due at once.
		rules := func(string) (store.SendRules, error) { return store.SendRules{TextLimit: 3}, nil }
		send, _, err := k.NextSend(k.ctx, send.Lane, rules, time.Minute)
		require.NoError(t, err)
		k.answer(send, "p2", k.now)
		require.Equal(t, chat.MessageSent, k.state(m))
		k.receipt(false, k.now)
		require.Equal(t, chat.MessageDelivered, k.state(m))
		k.receipt(true, k.now)
		require.Equal(t, chat.MessageRead, k.state(m))
	})
}

// b1, S3.17: the clock of a chat whose client has written since does not start by a late receipt.
func TestLateReceiptStartsNoClockWhileTheClientWaits_b1_S3_17(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		k.sent("m1", k.now)
		k.Writes(k.channel, "ann")
		k.receipt(false, k.now)
		require.True(t, k.Look(k.chat).ClosingSince.IsZero())
		require.False(t, k.Look(k.chat).UnansweredSince.IsZero())
	})
}

// S0.21, S3.17: a receipt that never comes keeps no chat open for ever.
func TestChatWithoutReceiptsStillCloses_S0_21_S3_17(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		k.sent("m1", k.now)
		due := func() int {
			now, err := k.Now(k.ctx)
			require.NoError(t, err)
			chats, err := k.ClientsDue(k.ctx, k.Env, uuid.Nil, now.Add(-5*time.Minute), 10)
			require.NoError(t, err)
			return len(chats)
		}
		k.Pass(chat.AssumedDelivered + 4*time.Minute)
		require.Zero(t, due())
		k.Pass(2 * time.Minute)
		require.Equal(t, 1, due())
	})
}

func TestEarlyReceiptsAreForgotten(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		_, _ = k.begin(0)
		k.receipt(false, time.Time{}, "somebody else's")
		left := func() int {
			require.NoError(t, k.ForgetEarlyReceipts(k.ctx))
			n, err := k.DB().NewSelect().Table("early_receipts").Count(k.ctx)
			require.NoError(t, err)
			return n
		}
		require.Equal(t, 1, left(), "the answer may be on its way")
		_, err := k.DB().NewUpdate().Table("early_receipts").Set("at = at - ?", (2 * time.Hour).Microseconds()).Where("true").Exec(k.ctx)
		require.NoError(t, err)
		require.Zero(t, left())
	})
}
