package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// S3.56, S3.60, S3.61, b6: what another app is to answer is a chat without an agent that waits for none.
func TestABotsChat_S3_60_S3_61(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		auto := d.Channel(d.Queue(chat.ToAnAvailableAgent, 0, d.b), 1)
		for _, channel := range []uuid.UUID{d.channel, auto} {
			id := d.Standby(channel, "u")
			c := d.Look(id)
			require.Equal(t, chat.BotProcessing, c.Status(), "S3.60")
			require.Equal(t, uuid.Nil, c.AgentID, "S3.61")
			require.False(t, c.UnansweredSince.IsZero())
			require.Equal(t, id, d.Standby(channel, "u"), "the same chat")

			_, err := d.Accept(ctx, d.Env, id, d.b)
			require.ErrorIs(t, err, store.ErrConflict, "S3.61")
			require.ErrorContains(t, err, "another app holds this conversation")
			_, err = d.TransferToAgent(ctx, d.Env, id, d.b, uuid.Nil)
			require.ErrorIs(t, err, store.ErrConflict, "S3.61")
			_, err = d.AssignTo(ctx, d.Env, id, d.Look(id).AssignmentVersion, d.b)
			require.ErrorIs(t, err, store.ErrConflict, "S3.61")
			_, _, _, err = d.SendReply(ctx, d.Env, store.Reply{ChatID: id, Text: "x"}, store.Idem{})
			require.ErrorIs(t, err, store.ErrConflict, "S3.59")
			require.ErrorContains(t, err, "take it back first", "S3.59 it says what to do")
		}
		waits, err := s.ChatsWait(ctx, d.Env)
		require.NoError(t, err)
		require.False(t, waits, "S3.61")
		team, err := s.Team(ctx, d.Env)
		require.NoError(t, err)
		routable, err := s.Routable(ctx, d.Env, team, 10)
		require.NoError(t, err)
		require.Empty(t, routable, "S3.61")
		environments, err := s.EnvironmentsToRoute(ctx)
		require.NoError(t, err)
		require.NotContains(t, environments, d.Env)

		for status, want := range map[chat.Status]int{chat.BotProcessing: 2, chat.Waiting: 0, "": 2} {
			chats, err := s.ListChats(ctx, d.Env, store.ChatFilter{Viewer: store.Viewer{All: true}, Status: status, Limit: 10})
			require.NoError(t, err)
			require.Len(t, chats, want, status)
		}
		waiting, err := s.ListChats(ctx, d.Env, store.ChatFilter{Viewer: store.Viewer{Agent: d.b}, Waiting: true, Limit: 10})
		require.NoError(t, err)
		require.Empty(t, waiting, "nobody is offered it")
		seen, err := s.ListChats(ctx, d.Env, store.ChatFilter{Viewer: store.Viewer{Agent: d.b}, Limit: 10})
		require.NoError(t, err)
		require.Len(t, seen, 2, "S3.60 displayed to who serves its queue, whatever the queue's rule")
	})
}

// S3.59: a thread that is passed to us is routed as any waiting chat, in whatever order the events come.
func TestThreadPassedToUs_S3_59(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		now, err := s.Unmoved(ctx)
		require.NoError(t, err)
		told := func(user string, owner chat.ThreadOwner, at time.Duration) store.ThreadNoted {
			t.Helper()
			noted, err := s.NoteThread(ctx, store.ThreadNote{
				EnvironmentID: d.Env, ChannelID: d.channel, UserID: user, Word: chat.Thread{Owner: owner, App: "7", At: now.Add(at - time.Minute)},
			})
			require.NoError(t, err)
			return noted
		}
		told("passed after", chat.ThreadOthers, 1*time.Second)
		id := d.WritesKey(d.channel, "passed after", "1")
		require.Equal(t, chat.BotProcessing, must(d.Look(id)).Status())
		noted := told("passed after", chat.ThreadOurs, 2*time.Second)
		require.True(t, noted.Routes)
		require.Equal(t, id, noted.Chat.ID)
		require.Equal(t, chat.Waiting, must(d.Look(id)).Status())
		before := d.Look(id)
		require.Equal(t, store.Repeat, told("passed after", chat.ThreadOurs, 2*time.Second).Outcome, "repeated")
		require.Equal(t, store.Repeat, told("passed after", chat.ThreadOthers, 1*time.Second).Outcome, "reordered")
		require.Equal(t, before, d.Look(id), "nothing has changed")
		_, err = d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		require.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage, chat.EntryThread, chat.EntryAssigned}, d.Kinds(id))

		told("passed before", chat.ThreadOurs, 2*time.Second)
		told("passed before", chat.ThreadOthers, 1*time.Second)
		require.Equal(t, chat.Waiting, must(d.Look(d.WritesKey(d.channel, "passed before", "1"))).Status(), "the event overtook the message")

		told("of the future", chat.ThreadOthers, 48*time.Hour)
		require.Equal(t, store.Stored, d.Told(d.channel, "of the future", chat.ThreadOurs, "").Outcome, "a clock that is wrong once does not count for ever")
	})
}

// S3.59, S3.61: another app takes a chat from its agent.
func TestThreadTakenFromAnAgent_S3_61(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		waits := d.Replies(id, d.a)
		noted := d.Told(d.channel, "u", chat.ThreadOthers, "7")
		require.Equal(t, d.a, noted.From, "his page is told")
		c := d.Look(id)
		require.Equal(t, chat.BotProcessing, c.Status())
		require.Equal(t, uuid.Nil, c.AgentID)
		require.Equal(t, "7", c.ThreadApp)
		d.Settle(chat.PartSent)
		m, err := s.MessageOf(ctx, d.Env, id, waits)
		require.NoError(t, err)
		require.Equal(t, chat.MessageAccepted, m.State, "S3.59 what was accepted before waits")
		for _, p := range m.Parts {
			require.Zero(t, p.Attempts, "S3.59 and is not tried")
		}
		due, err := s.AcceptsDue(ctx, d.Env, time.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.Empty(t, due, "nobody has to accept it")

		d.Told(d.channel, "u", chat.ThreadNobodys, "")
		require.Equal(t, chat.Waiting, must(d.Look(id)).Status(), "what is nobody's anybody may answer")
		d.Settle(chat.PartSent)
		m, err = s.MessageOf(ctx, d.Env, id, waits)
		require.NoError(t, err)
		require.Equal(t, chat.MessageDelivered, m.State, "S3.59 it goes out when the thread is ours again")
		_, err = d.Accept(ctx, d.Env, id, d.b)
		require.NoError(t, err)
		d.Kinds(id)
	})
}

// What waits for another app fails once its chat is closed, and says why.
func TestClosedWhileElsewhere_S3_59(t *testing.T) {
	for name, taken := range map[string]func(d *desk, id uuid.UUID){
		"taken, then closed": func(d *desk, id uuid.UUID) {
			d.Told(d.channel, "u", chat.ThreadOthers, "7")
			_, err := d.CloseChat(ctx, d.Env, id, uuid.Nil, "")
			require.NoError(d.T, err)
		},
		"closed, then taken": func(d *desk, id uuid.UUID) {
			_, err := d.CloseChat(ctx, d.Env, id, uuid.Nil, "")
			require.NoError(d.T, err)
			d.Told(d.channel, "u", chat.ThreadOthers, "7")
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				d := newDesk(t, s)
				id := d.accepted("u")
				waits := d.Replies(id, d.a)
				taken(d, id)
				d.Settle(chat.PartSent)
				m, err := s.MessageOf(ctx, d.Env, id, waits)
				require.NoError(t, err)
				require.Equal(t, chat.MessageFailed, m.State)
				require.Contains(t, m.Error, "another app held the conversation")
				require.True(t, must(d.Look(id)).OutDueAt.IsZero())
			})
		})
	}
}

// Another app asks: the agent keeps the chat and is told once.
func TestThreadAskedFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		asked := store.ThreadNote{
			EnvironmentID: d.Env, ChannelID: d.channel, UserID: "u", AccountID: d.channel.String(), Key: "c:request:1", Asked: true, Word: chat.Thread{App: "7"},
		}
		noted, err := s.NoteThread(ctx, asked)
		require.NoError(t, err)
		require.Equal(t, store.Ignored, noted.Outcome, "nobody is there to be told")
		id := d.accepted("u")
		for _, want := range []store.ReceiveOutcome{store.Stored, store.Repeat} {
			noted, err = s.NoteThread(ctx, asked)
			require.NoError(t, err)
			require.Equal(t, want, noted.Outcome)
		}
		entries, err := s.Timeline(ctx, d.Env, id, 0, 10)
		require.NoError(t, err)
		last := entries[len(entries)-1]
		require.Equal(t, chat.EntryThread, last.Kind)
		require.Equal(t, "another app (7) asks for the conversation", last.DataOf().Why)
		require.Equal(t, d.a, d.Look(id).AgentID)
		d.Kinds(id)
	})
}

// What the messenger tells of a channel that is not active is dropped, and another environment cannot tell anything.
func TestThreadOfNoChannel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		foreign := storetest.NewScene(t, s)
		require.Equal(t, store.Dropped, foreign.Told(d.channel, "u", chat.ThreadOthers, "7").Outcome)
		_, err := s.DisconnectChannel(ctx, d.Env, d.channel)
		require.NoError(t, err)
		require.Equal(t, store.Dropped, d.Told(d.channel, "u", chat.ThreadOthers, "7").Outcome)
		require.Equal(t, d.a, d.Look(id).AgentID)
	})
}

// A reopened chat knows who holds the conversation now.
func TestReopenedElsewhere_S3_61(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.accepted("u")
		_, err := d.CloseChat(ctx, d.Env, id, uuid.Nil, "")
		require.NoError(t, err)
		d.Told(d.channel, "u", chat.ThreadOthers, "7")
		_, err = d.ReopenChat(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		require.Equal(t, chat.BotProcessing, must(d.Look(id)).Status())
		d.Told(d.channel, "u", chat.ThreadOurs, "")
		require.Equal(t, chat.Waiting, must(d.Look(id)).Status())
	})
}

// An agent who takes a conversation from a bot has its chat, if he has room.
func TestTakerHasTheChat(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		one := 1
		d.Card(d.a, func(a *store.Agent) { a.MaxLoad = &one })
		id := d.Standby(d.channel, "first")
		take(t, d, "first")
		require.Equal(t, d.a, d.Look(id).AgentID)
		require.Equal(t, chat.InProgress, must(d.Look(id)).Status())
		id = d.Standby(d.channel, "second")
		take(t, d, "second")
		require.Equal(t, chat.Waiting, must(d.Look(id)).Status(), "he has no room: it is routed")
		d.Kinds(id)
	})
}

func take(t *testing.T, d *desk, user string) {
	t.Helper()
	_, err := d.NoteThread(ctx, store.ThreadNote{EnvironmentID: d.Env, ChannelID: d.channel, UserID: user, Word: chat.Thread{Owner: chat.ThreadOurs}, By: d.a, Gets: d.a})
	require.NoError(t, err)
}

// A message on standby is no repeat's business: what comes twice says who holds its conversation both times.
func TestElsewhereIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		receive := func(key string) store.Received {
			return s.Receive(ctx, []store.Inbound{{EnvironmentID: d.Env, ChannelID: d.channel, AccountID: d.channel.String(), Event: channels.Event{
				Kind: channels.Message, Key: key, MessageID: key, Text: "hello", User: channels.User{ID: "u"},
			}}})[0]
		}
		require.False(t, receive("1").Elsewhere)
		d.Told(d.channel, "u", chat.ThreadOthers, "")
		again := receive("1")
		assert.Equal(t, store.Repeat, again.Outcome)
		assert.True(t, again.Elsewhere, "so that it can be noted after a crash in between")
		next := receive("2")
		assert.Equal(t, store.Stored, next.Outcome)
		assert.True(t, next.Elsewhere)
	})
}

// A chat may be opened as another app takes over, and not know it. What is sent in it waits, as the conversation is elsewhere, and
// goes once that is over.
func TestWhatWaitsInAChatThatDoesNotKnowItIsElsewhereIsSent_S3_59(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.Writes(d.channel, "ann")
		_, err := d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		d.Told(d.channel, "ann", chat.ThreadOurs, "")
		d.Replies(id, d.a)
		_, err = s.DB().NewUpdate().Table("threads").Set("owner = ?", chat.ThreadOthers).Where("channel_id = ?", d.channel).Exec(ctx)
		require.NoError(t, err)
		next := func() *store.Send {
			lanes, err := s.ClaimSends(ctx, "test", 1, 1, nil, time.Minute)
			require.NoError(t, err)
			if len(lanes) == 0 {
				return nil
			}
			send, _, err := s.NextSend(ctx, lanes[0], func(string) (store.SendRules, error) { return store.SendRules{}, nil }, time.Minute)
			require.NoError(t, err)
			return send
		}
		require.Nil(t, next())
		require.Nil(t, next(), "it waits")
		d.Told(d.channel, "ann", chat.ThreadOurs, "")
		require.NotNil(t, next())
	})
}
