package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

var ctx = context.Background()

// desk is a scene with two agents in a queue "To all agents" and its channel.
type desk struct {
	*storetest.Scene
	a, b, queue, channel uuid.UUID
}

func newDesk(t testing.TB, s *store.Store) *desk {
	sc := storetest.NewScene(t, s)
	d := &desk{Scene: sc, a: sc.Agent("Ann"), b: sc.Agent("Bob")}
	d.queue = sc.Queue(chat.ToAllAgents, 0, d.a, d.b)
	d.channel = sc.Channel(d.queue, 1)
	return d
}

// accepted is a chat that Ann has accepted.
func (d *desk) accepted(user string) uuid.UUID {
	d.T.Helper()
	id := d.Writes(d.channel, user)
	_, err := d.Accept(ctx, d.Env, id, d.a)
	require.NoError(d.T, err)
	return id
}

func TestAccept_S3_9(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.Writes(d.channel, "u")
		require.Equal(t, chat.Waiting, must(d.Look(id)).Status())
		_, err := d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		c := d.Look(id)
		assert.Equal(t, chat.InProgress, c.Status())
		assert.Equal(t, d.a, c.AgentID)
		assert.Equal(t, c.AssignedAt, c.AgentDueSince, "the client waits since before: the agent's clock runs from his assignment (b15)")
		_, err = d.Accept(ctx, d.Env, id, d.b)
		require.ErrorIs(t, err, store.ErrConflict)
		_, err = d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err, "accepting twice is once")
		assert.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage, chat.EntryAssigned}, d.Kinds(id))

		stranger := d.Agent("Carl")
		_, err = d.Accept(ctx, d.Env, d.Writes(d.channel, "v"), stranger)
		require.ErrorIs(t, err, store.ErrNotFound, "S3.5: agents of another queue cannot accept")
	})
}

func must(c store.Chat) *store.Chat { return &c }

func TestRoom_S3_62(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		d.accepted("1")
		second := d.accepted("2")
		third := d.Writes(d.channel, "3")
		_, err := d.Accept(ctx, d.Env, third, d.a)
		require.ErrorIs(t, err, store.ErrConflict, "S3.63: the default limit is 2")
		assert.ErrorContains(t, err, "2 of 2 chats")
		_, err = d.TransferToAgent(ctx, d.Env, d.Writes(d.channel, "4"), d.a, uuid.Nil)
		require.ErrorIs(t, err, store.ErrConflict, "a transfer does not exceed it either")

		_, err = d.Hold(ctx, d.Env, second, d.a)
		require.NoError(t, err)
		_, err = d.Accept(ctx, d.Env, third, d.a)
		require.NoError(t, err, "b8: a chat on hold does not count")
		_, err = d.Unhold(ctx, d.Env, second, d.a)
		require.NoError(t, err, "taking off hold may exceed the limit")

		d.Set(func(e *store.Environment) { five := 5; e.SimultaneousChats = &five })
		_, err = d.Accept(ctx, d.Env, d.Writes(d.channel, "5"), d.a)
		require.NoError(t, err, "S3.64")
	})
}

func TestMaxLoad_S0_50(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		d.Card(d.a, func(a *store.Agent) { five := 5; a.MaxLoad = &five })
		for _, user := range []string{"1", "2", "3", "4"} {
			d.accepted(user)
		}
		heavy := d.Channel(d.queue, 3)
		id := d.Writes(heavy, "5")
		_, err := d.Accept(ctx, d.Env, id, d.a)
		require.ErrorIs(t, err, store.ErrConflict)
		assert.ErrorContains(t, err, "4 + 3 > 5")
		d.accepted("6")
		light := d.Channel(d.queue, 0)
		_, err = d.Accept(ctx, d.Env, d.Writes(light, "7"), d.a)
		require.ErrorIs(t, err, store.ErrConflict, "sum 5 of 5: not even weight 0")
	})
}

func TestReply_M_6(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.Writes(d.channel, "u")
		first := d.Look(id)
		idem := store.Idem{Operation: "sendMessage", Key: "k", RequestHash: []byte("h")}
		r := store.Reply{ChatID: id, Agent: d.a, Take: true, Text: "hello"}
		message, _, replayed, err := d.SendReply(ctx, d.Env, r, idem)
		require.NoError(t, err)
		require.False(t, replayed)
		again, _, replayed, err := d.SendReply(ctx, d.Env, r, idem)
		require.NoError(t, err)
		assert.True(t, replayed)
		assert.Equal(t, message, again, "the same Idempotency-Key writes once")

		c := d.Look(id)
		assert.Equal(t, chat.InProgress, c.Status(), "a reply to a waiting chat takes it")
		assert.True(t, c.UnansweredSince.IsZero() && c.AgentDueSince.IsZero() && c.ClosingSince.IsZero(), "accepted, not yet delivered")
		assert.Equal(t, first.UnansweredSince, c.AnsweredFrom)
		assert.Equal(t, chat.Out, c.LastDirection)
		assert.False(t, c.OutDueAt.IsZero())
		assert.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage, chat.EntryAssigned, chat.EntryMessage}, d.Kinds(id))

		d.Settle(chat.PartSent)
		assert.False(t, d.Look(id).ClosingSince.IsZero(), "S0.21: only the delivery starts the closing clock")
		m, err := d.MessageOf(ctx, d.Env, id, message)
		require.NoError(t, err)
		assert.Equal(t, chat.MessageDelivered, m.State)
		require.Len(t, m.Parts, 1)

		_, _, _, err = d.SendReply(ctx, d.Env, store.Reply{ChatID: id, Agent: d.a, Text: "x", ReplyTo: uuid.New()}, store.Idem{})
		require.ErrorIs(t, err, store.ErrReplyTo)
	})
}

func TestReply_S2_22(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		ch, err := d.Store.Channel(ctx, d.Env, d.channel)
		require.NoError(t, err)
		_, err = d.DisconnectChannel(ctx, ch.EnvironmentID, ch.ID)
		require.NoError(t, err)
		_, _, _, err = d.SendReply(ctx, d.Env, store.Reply{ChatID: id, Agent: d.a, Text: "hello"}, store.Idem{})
		require.ErrorIs(t, err, store.ErrConflict)
		assert.ErrorContains(t, err, "Disconnected")
	})
}

func TestResend(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		waits := d.Look(id).UnansweredSince
		message := d.Replies(id, d.a)
		_, err := d.Resend(ctx, d.Env, id, message, d.a, 0)
		require.ErrorIs(t, err, store.ErrConflict, "it is on its way")
		d.Settle(chat.PartFailed)
		assert.Equal(t, waits, d.Look(id).UnansweredSince, "a reply that failed answered nothing")

		_, err = d.Resend(ctx, d.Env, id, message, d.a, 0)
		require.NoError(t, err)
		assert.True(t, d.Look(id).UnansweredSince.IsZero())
		d.Settle(chat.PartSent)
		m, err := d.MessageOf(ctx, d.Env, id, message)
		require.NoError(t, err)
		assert.Equal(t, chat.MessageDelivered, m.State)
		assert.False(t, d.Look(id).ClosingSince.IsZero())
		d.Kinds(id)
	})
}

// A message that is sent again was written before what the client has written since: he still waits (b15).
func TestResendDoesNotAnswerWhatCameLater(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		for _, end := range []chat.PartState{chat.PartFailed, chat.PartUnknown} {
			user := string(end)
			id := d.accepted(user)
			message := d.Replies(id, d.a)
			d.Settle(end)
			d.Writes(d.channel, user)
			before := d.Look(id)
			require.False(t, before.UnansweredSince.IsZero())
			_, err := d.Resend(ctx, d.Env, id, message, d.a, 0)
			require.NoError(t, err)
			after := d.Look(id)
			assert.Equal(t, before.UnansweredSince, after.UnansweredSince, user)
			assert.Equal(t, before.AgentDueSince, after.AgentDueSince, user)
			d.Settle(chat.PartSent)
			after = d.Look(id)
			assert.Equal(t, before.UnansweredSince, after.UnansweredSince, user)
			assert.True(t, after.ClosingSince.IsZero(), "it does not start the closing clock either")
			m, err := d.MessageOf(ctx, d.Env, id, message)
			require.NoError(t, err)
			assert.Equal(t, chat.MessageDelivered, m.State)
		}
	})
}

func TestCloseReopen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		d.Replies(id, d.a)
		d.Settle(chat.PartSent)
		_, err := d.CloseChat(ctx, d.Env, id, d.a, "")
		require.NoError(t, err)
		c := d.Look(id)
		assert.Equal(t, chat.ClosedByAgent, c.CloseReason)
		assert.True(t, c.ClosingSince.IsZero())
		assert.Equal(t, d.a, c.AgentID, "who had it last stays visible")
		_, err = d.CloseChat(ctx, d.Env, id, d.a, "")
		require.ErrorIs(t, err, store.ErrConflict)

		other := d.Writes(d.channel, "u")
		require.NotEqual(t, id, other, "S3.19: the next message is a new chat")
		_, err = d.ReopenChat(ctx, d.Env, id, d.b)
		require.ErrorIs(t, err, store.ErrConflict, "while another is open")
		_, err = d.CloseChat(ctx, d.Env, other, uuid.Nil, "")
		require.NoError(t, err)
		assert.Equal(t, chat.ClosedManually, d.Look(other).CloseReason)

		_, err = d.ReopenChat(ctx, d.Env, id, d.b)
		require.NoError(t, err)
		c = d.Look(id)
		assert.Equal(t, d.b, c.AgentID)
		assert.Equal(t, chat.InProgress, c.Status())
		assert.False(t, c.ClosingSince.IsZero(), "our last message reached the client: his turn")
		assert.Equal(t, id, d.Writes(d.channel, "u"), "S2.5: the open chat takes the next message")
		d.Kinds(id)
	})
}

func TestTransfer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		group := &store.AgentGroup{EnvironmentID: d.Env, Name: "Line 2"}
		require.NoError(t, d.CreateAgentGroup(ctx, group))
		elsewhere := d.Channel(uuid.Nil, 1)
		carl := d.Agent("Carl", elsewhere)
		id := d.accepted("u")

		_, err := d.TransferToAgent(ctx, d.Env, id, carl, d.a)
		require.NoError(t, err, "a chosen agent may have it whatever he serves")
		c := d.Look(id)
		assert.Equal(t, carl, c.AgentID)
		assert.Equal(t, chat.Assigned, c.Status())
		assert.Equal(t, c.AssignedAt, c.AgentDueSince)

		_, err = d.TransferToGroup(ctx, d.Env, id, group.ID, carl)
		require.ErrorIs(t, err, store.ErrConflict, "nobody in the group")
		d.Card(d.b, func(a *store.Agent) { a.GroupID = group.ID })
		_, err = d.TransferToGroup(ctx, d.Env, id, group.ID, carl)
		require.NoError(t, err)
		assert.Equal(t, d.b, d.Look(id).AgentID)

		second := d.Queue(chat.ToAllAgents, 0, carl)
		_, err = d.TransferToQueue(ctx, d.Env, id, second, d.b)
		require.NoError(t, err)
		c = d.Look(id)
		assert.Equal(t, chat.Waiting, c.Status())
		assert.Equal(t, second, c.QueueID)
		assert.True(t, c.AgentDueSince.IsZero())

		d.Status(carl, chat.Offline)
		_, err = d.TransferToAgent(ctx, d.Env, id, carl, uuid.Nil)
		require.ErrorIs(t, err, store.ErrConflict)
		assert.ErrorContains(t, err, "is offline")
		_, err = d.TransferToAgent(ctx, d.Env, id, uuid.New(), uuid.Nil)
		require.ErrorIs(t, err, store.ErrNotFound)
		d.Kinds(id)
	})
}

func TestHold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		waiting := d.Writes(d.channel, "w")
		_, err := d.Hold(ctx, d.Env, waiting, uuid.Nil)
		require.ErrorIs(t, err, store.ErrConflict, "nobody has it")
		id := d.accepted("u")
		_, err = d.Hold(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		c := d.Look(id)
		assert.Equal(t, chat.OnHold, c.Status())
		assert.True(t, c.AgentDueSince.IsZero(), "b8: no clock runs on hold")
		d.Writes(d.channel, "u")
		assert.True(t, must(d.Look(id)).AgentDueSince.IsZero())
		d.Pass(time.Hour)
		_, err = d.Unhold(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		c = d.Look(id)
		assert.True(t, c.AgentDueSince.After(c.AssignedAt.Add(time.Hour-time.Second)), "the clock counts from when it was taken up again")
		d.Kinds(id)
	})
}

func TestForeignEnvironment_S4_8(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		foreign := storetest.NewScene(t, s)
		_, err := s.Chat(ctx, foreign.Env, id)
		require.ErrorIs(t, err, store.ErrNotFound)
		for name, do := range map[string]func() error{
			"accept":   func() error { _, err := s.Accept(ctx, foreign.Env, id, d.a); return err },
			"hold":     func() error { _, err := s.Hold(ctx, foreign.Env, id, d.a); return err },
			"close":    func() error { _, err := s.CloseChat(ctx, foreign.Env, id, d.a, ""); return err },
			"reopen":   func() error { _, err := s.ReopenChat(ctx, foreign.Env, id, d.a); return err },
			"transfer": func() error { _, err := s.TransferToAgent(ctx, foreign.Env, id, d.b, d.a); return err },
			"reply": func() error {
				_, _, _, err := s.SendReply(ctx, foreign.Env, store.Reply{ChatID: id, Agent: d.a, Text: "x"}, store.Idem{})
				return err
			},
		} {
			require.ErrorIs(t, do(), store.ErrNotFound, name)
		}
	})
}
