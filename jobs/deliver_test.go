package jobs_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

const longLease = time.Minute

func plainRules(string) (store.SendRules, error) { return store.SendRules{TextLimit: 10}, nil }

func TestDeliverSendsInOrderOnce_S2_2(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		long, short := w.replies(id, "good morning to you"), w.replies(id, "bye")
		require.Equal(w, 1, w.deliver())
		require.Equal(w, []string{"good", "morning to", "you", "bye"}, w.messenger.texts())
		require.Equal(w, chat.MessageDelivered, w.entry(long).State)
		require.Equal(w, chat.MessageDelivered, w.entry(short).State)
		c := w.chat(id)
		require.False(w, c.ClosingSince.IsZero(), "the closing clock runs from the delivery of the last message")
		require.Equal(w, c.LastSeq, c.OutSeq)
		require.True(w, c.OutDueAt.IsZero())
		require.Zero(w, w.deliver(), "nothing is sent twice")
		require.Len(w, w.messenger.texts(), 4)
		require.Equal(w, []string{"s1", "s2", "s3"}, []string{w.parts(long)[0].ExternalID, w.parts(long)[1].ExternalID, w.parts(long)[2].ExternalID})
	})
}

func TestDeliverAMessageOfTheClientSinceKeepsTheClosingClockOff(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.replies(id, "hi")
		w.writes(w.channel, "ann", "one more")
		w.deliver()
		require.True(w, w.chat(id).ClosingSince.IsZero())
	})
}

func TestDeliverPermanentFailureReturnsTheClientToUnanswered(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		agent := uuid.New()
		since := w.chat(id).UnansweredSince
		w.set("chats", "agent_id = ?, assigned_at = ?", agent, store.At(since.Add(time.Second)))
		failing := w.replies(id, "good morning to you")
		w.messenger.program(func(_ channels.Channel, p channels.Part) error {
			if p.Text == "morning to" {
				return &channels.Error{Outcome: channels.Permanent, Reason: "the customer has blocked the bot"}
			}
			return nil
		})
		version := w.chat(id).CRMVersion
		w.deliver()
		require.Equal(w, []string{"good"}, w.messenger.texts(), "the rest of the message is not sent")
		e := w.entry(failing)
		require.Equal(w, chat.MessageFailed, e.State)
		require.Equal(w, "the customer has blocked the bot", e.Error)
		require.Equal(w, chat.PartFailed, w.parts(failing)[2].State)
		c := w.chat(id)
		require.Equal(w, since, c.UnansweredSince)
		require.Equal(w, c.AssignedAt, c.AgentDueSince, "the agent's clock runs again, from the later of both facts")
		require.True(w, c.ClosingSince.IsZero())
		require.Greater(w, c.CRMVersion, version)

		w.replies(id, "next")
		w.deliver()
		require.Equal(w, []string{"good", "next"}, w.messenger.texts(), "the lane goes on")
		require.Len(w, w.failures(store.FailureOpen), 1)

		w.messenger.program(nil)
		f, err := w.jobs.Redrive(w.ctx, w.env, w.failures(store.FailureOpen)[0].ID)
		require.NoError(w, err)
		require.Equal(w, store.FailureRedriven, f.Status)
		w.deliver()
		require.Equal(w, []string{"good", "next", "morning to", "you"}, w.messenger.texts(), "what had arrived is not sent again")
		require.Equal(w, chat.MessageDelivered, w.entry(failing).State)
	})
}

func TestDeliverAFailureLeavesAnOtherReplyAlone(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.replies(id, "one")
		w.replies(id, "two")
		w.messenger.program(func(_ channels.Channel, p channels.Part) error {
			if p.Text == "two" {
				return &channels.Error{Outcome: channels.Permanent, Reason: "no"}
			}
			return nil
		})
		w.deliver()
		require.True(w, w.chat(id).UnansweredSince.IsZero(), "the first reply has answered the client")
	})
}

func TestDeliverObeysALimitOfTheWholeChannel(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		first, second := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hello")
		other := w.newChannel(w.env)
		third := w.writes(other, "eve", "hello")
		at := time.Now().Add(time.Hour)
		w.messenger.program(func(ch channels.Channel, _ channels.Part) error {
			if ch.ID == w.channel {
				return &channels.Error{Outcome: channels.RetryAt, At: at, WholeChannel: true, Reason: "Telegram asks to slow down"} // 429 with retry_after
			}
			return nil
		})
		m := w.replies(first, "one")
		w.deliver()
		w.replies(second, "two")
		w.replies(third, "three")
		w.deliver()
		require.Equal(w, []string{"three"}, w.messenger.texts(), "other channels do not wait")
		for _, id := range []uuid.UUID{first, second} {
			require.WithinDuration(w, at, w.chat(id).OutDueAt.Time, 5*time.Second, "all of the channel's lanes wait until then")
		}
		require.Equal(w, chat.MessageAccepted, w.entry(m).State)
		require.Equal(w, chat.PartPlanned, w.parts(m)[0].State)

		w.messenger.program(nil)
		w.set("chats", "out_due_at = 1")
		w.deliver()
		require.Equal(w, []string{"three"}, w.messenger.texts(), "a lane that comes too early is put back")
		w.set("channels", "send_retry_at = 1")
		w.set("chats", "out_due_at = 1")
		w.deliver()
		require.ElementsMatch(w, []string{"three", "one", "two"}, w.messenger.texts())
	})
}

func TestDeliverRetriesRarerAndShowsLastingTrouble_S2_26(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.replies(id, "one")
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.RetryAt, WholeChannel: true, Reason: "the messenger cannot be reached"}
		})
		for range 3 {
			require.Equal(w, 1, w.deliver())
			w.set("channels", "send_retry_at = 1")
			w.set("chats", "out_due_at = 1")
		}
		ch, err := w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		require.False(w, ch.SendingOK)
		require.Equal(w, "the messenger cannot be reached", ch.SendingWhy)
		require.False(w, ch.SendingSince.IsZero())
		w.messenger.program(nil)
		w.deliver()
		require.Equal(w, []string{"one"}, w.messenger.texts(), "what only fails for now is tried until it works")
		ch, err = w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		require.True(w, ch.SendingOK)
		require.Empty(w, ch.SendingWhy)
		require.Equal(w, 4, w.parts(w.lastMessage(id))[0].Attempts)
	})
}

func (w *laneWorld) lastMessage(chatID uuid.UUID) (id uuid.UUID) {
	w.Helper()
	require.NoError(w, w.db.NewSelect().Table("timeline").Column("id").Where("chat_id = ?", chatID).Where("kind = 'message'").OrderExpr("seq DESC").Limit(1).Scan(w.ctx, &id))
	return id
}

// now is the channel as it stands.
func (w *laneWorld) now(channel uuid.UUID) *store.Channel {
	w.Helper()
	ch, err := w.store.Channel(w.ctx, w.env, channel)
	require.NoError(w, err)
	return ch
}

func TestDeliverWaitsWhileTheChannelIsDisconnected_b40(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "one")
		_, err := w.store.DisconnectChannel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		w.deliver()
		require.Empty(w, w.messenger.texts())
		require.Equal(w, chat.MessageAccepted, w.entry(m).State, "what was accepted before waits")
		ch := w.now(w.channel)
		require.NoError(w, w.store.ConnectChannel(w.ctx, ch, store.ChannelConnection{AccountID: ch.AccountID, Fields: ch.Fields, Secrets: ch.Secrets, Receive: ch.Receive}))
		w.deliver()
		require.Equal(w, []string{"one"}, w.messenger.texts())
	})
}

func TestDeliverWaitsWhileChatsAreOff_S1_10(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.replies(id, "one")
		w.set("environments", "chats_enabled = ?", false)
		require.Zero(w, w.deliver())
		w.set("environments", "chats_enabled = ?", true)
		w.deliver()
		require.Equal(w, []string{"one"}, w.messenger.texts())
	})
}

func TestDeliverNeverResendsAnUnknownOutcome(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "one")
		w.messenger.program(func(channels.Channel, channels.Part) error {
			return &channels.Error{Outcome: channels.Unknown, Reason: "no clear answer"}
		})
		w.deliver()
		w.messenger.program(nil)
		w.replies(id, "two")
		w.deliver()
		require.Equal(w, []string{"two"}, w.messenger.texts())
		require.Equal(w, chat.MessageUnknown, w.entry(m).State)
		require.True(w, w.chat(id).UnansweredSince.IsZero(), "the client may have it")
		require.Len(w, w.failures(store.FailureOpen), 1)
		n, err := w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{Kind: store.FailureUnsent})
		require.NoError(w, err)
		require.Equal(w, 1, n)
		w.deliver()
		require.Equal(w, []string{"two", "one"}, w.messenger.texts(), "an administrator may send it again")
		require.Empty(w, w.failures(store.FailureOpen))
	})
}

// A worker that dies in the middle of a send leaves its attempt written and its lease behind.
func TestDeliverAfterAKillInTheMiddleOfASend_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "one")
		w.replies(id, "two")
		lanes, err := w.store.ClaimSends(w.ctx, "dead", 10, 8, nil, longLease)
		require.NoError(w, err)
		require.Len(w, lanes, 1)
		send, _, err := w.store.NextSend(w.ctx, lanes[0], plainRules, longLease)
		require.NoError(w, err)
		require.Equal(w, "one", send.Part.Text)

		require.Zero(w, w.deliver(), "the lease keeps others away")
		w.set("chats", "out_until = 1")
		require.Equal(w, 1, w.deliver())
		require.Equal(w, chat.MessageUnknown, w.entry(m).State, "it may have been sent: it is not sent again")
		require.Equal(w, []string{"two"}, w.messenger.texts())

		_, _, err = w.store.NextSend(w.ctx, lanes[0], plainRules, longLease)
		require.ErrorIs(w, err, store.ErrConflict, "the fence keeps the dead worker out")
		settled, err := w.store.SettleSend(w.ctx, send, store.PartOutcome{State: chat.PartSent, ExternalID: "77"}, false)
		require.NoError(w, err)
		require.Equal(w, chat.MessageDelivered, settled.State, "but its late answer is proof")
		require.Equal(w, "77", w.parts(m)[0].ExternalID)
		require.Empty(w, w.failures(store.FailureOpen))
	})
}

func TestDeliverRepeatsAnAbandonedSendWhereTheMessengerFoldsRepeats_S2_2(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.messenger.idempotent = true
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "one")
		lanes, err := w.store.ClaimSends(w.ctx, "dead", 10, 8, nil, longLease)
		require.NoError(w, err)
		send, _, err := w.store.NextSend(w.ctx, lanes[0], plainRules, longLease)
		require.NoError(w, err)
		w.set("chats", "out_until = 1")
		w.deliver()
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
		require.Equal(w, send.Part.ID.String(), w.messenger.sent[0].Key, "under the same key")
	})
}

func TestDeliverASlowChannelKeepsNobodyWaiting(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		open, arrived := make(chan struct{}), make(chan struct{}, 100)
		w.messenger.program(func(ch channels.Channel, _ channels.Part) error {
			if ch.ID == w.channel {
				arrived <- struct{}{}
				<-open
			}
			return nil
		})
		for range 20 {
			id := w.writes(w.channel, uuid.NewString(), "hello")
			w.replies(id, "slow")
		}
		done := make(chan int)
		go func() { done <- w.deliver() }()
		for range 8 {
			<-arrived
		}
		quick := w.replies(w.writes(w.newChannel(w.env), "eve", "hello"), "quick")
		require.Eventually(w, func() bool { return w.entry(quick).State == chat.MessageDelivered }, time.Minute, 10*time.Millisecond)
		require.Empty(w, arrived, "one channel has at most eight sends under way")
		close(open)
		require.Equal(w, 21, <-done)
		require.Len(w, w.messenger.texts(), 21)
	})
}

func TestDeliverManyHangingChannelsKeepNobodyWaiting(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.Lease = 30 * time.Second // a call that hangs may take a third of it
		open, arrived := make(chan struct{}), make(chan struct{}, 100)
		hanging := map[uuid.UUID]bool{}
		w.messenger.program(func(ch channels.Channel, _ channels.Part) error {
			if hanging[ch.ID] {
				arrived <- struct{}{}
				<-open
			}
			return nil
		})
		for range 8 {
			id := w.newChannel(w.env)
			hanging[id] = true
			for range 9 {
				w.replies(w.writes(id, uuid.NewString(), "hello"), "slow")
			}
		}
		done := make(chan int)
		go func() { done <- w.deliver() }()
		for range 64 { // as many as one Deliver works at once
			<-arrived
		}
		quick := w.replies(w.writes(w.channel, "eve", "hello"), "quick")
		require.Eventually(w, func() bool { return w.entry(quick).State == chat.MessageDelivered }, 8*time.Second, 10*time.Millisecond)
		require.Empty(w, arrived, "a channel has at most eight sends under way")
		close(open)
		require.Equal(w, 73, <-done)
		require.Len(w, w.messenger.texts(), 73)
	})
}

// Channels with much to send take turns with the others, though their messages have been waiting for longer.
func TestDeliverChannelsTakeTurns(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		const busy, each = 16, 12 // the first claim of as many lanes as fit takes four of each
		for range busy {
			id := w.newChannel(w.env)
			for range each {
				w.replies(w.writes(id, uuid.NewString(), "hello"), "many")
			}
		}
		w.replies(w.writes(w.channel, "ann", "hello"), "alone")
		arrived, next := make(chan string), make(chan struct{})
		w.messenger.program(func(_ channels.Channel, p channels.Part) error {
			arrived <- p.Text
			<-next
			return nil
		})
		done := make(chan int, 1)
		go func() { done <- w.deliver() }()
		arrival := func() (text string) {
			select {
			case text = <-arrived:
			case n := <-done:
				require.FailNow(w, "it never came", "Deliver ended after %d", n)
			case <-time.After(time.Minute):
				require.FailNow(w, "it never came", "fewer are under way than may be")
			}
			return text
		}
		place := 0
		for ; arrival() != "alone"; place++ {
			if place >= 4*busy-1 { // as many as one Deliver works at once are under way: one ends, so that one more comes
				next <- struct{}{}
			}
		}
		close(next)
		go func() {
			for range arrived { // the rest may come as it likes
			}
		}()
		require.Equal(w, busy*each+1, <-done)
		close(arrived)
		require.Less(w, place, 2*4*busy, "it waits for nobody's second turn")
	})
}
