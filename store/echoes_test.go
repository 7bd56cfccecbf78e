package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// echo takes one in: of the part with this key, or of what somebody else wrote.
func (k *talk) echo(id, partKey, text string) (store.ReceiveOutcome, store.Echoed) {
	k.t.Helper()
	return k.echoOf(channels.Event{MessageID: id, Text: text, Echo: &channels.EchoNote{PartKey: partKey}})
}

func (k *talk) echoOf(e channels.Event) (store.ReceiveOutcome, store.Echoed) {
	k.t.Helper()
	e.Kind, e.Key = channels.Echo, "o:"+e.MessageID
	if e.At.IsZero() {
		e.At = k.now
	}
	out, echoed, err := k.NoteEcho(k.ctx, k.inbound(e), true)
	require.NoError(k.t, err)
	return out, echoed
}

func (k *talk) messages() (texts []string) {
	k.t.Helper()
	entries, err := k.Timeline(k.ctx, k.Env, k.chat, 0, 100)
	require.NoError(k.t, err)
	for _, e := range entries {
		if e.Kind == chat.EntryMessage {
			texts = append(texts, string(e.Author)+": "+e.Text)
		}
	}
	return texts
}

func TestEchoOfAKnownMessageIsNotShownAgain(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		m, send := k.begin(0)
		k.answer(send, "m1", time.Time{})
		k.receipt(true, k.now.Add(time.Second))
		require.Equal(t, chat.MessageRead, k.state(m), "by our clock")
		before := k.Kinds(k.chat)
		for range 2 {
			out, echoed := k.echo("m1", send.Part.ID.String(), "reply")
			require.Equal(t, store.Repeat, out)
			require.Equal(t, uuid.Nil, echoed.Written)
		}
		out, _ := k.echo("m1", "", "reply")
		require.Equal(t, store.Repeat, out, "known by its id alone")
		require.Equal(t, before, k.Kinds(k.chat))
	})
}

func TestEchoBeforeTheAnswerSettlesThePart(t *testing.T) {
	for name, key := range map[string]func(*store.Send) string{
		"by its key":  func(s *store.Send) string { return s.Part.ID.String() },
		"by its text": func(*store.Send) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			eachTalk(t, func(t *testing.T, k *talk) {
				m, send := k.begin(0)
				out, echoed := k.echo("m1", key(send), "reply")
				require.Equal(t, store.Stored, out)
				require.Len(t, echoed.Settled, 1)
				require.Equal(t, chat.MessageSent, echoed.Settled[0].State)
				k.receipt(false, time.Time{}, "m1")
				k.answer(send, "m1", time.Time{})
				require.Equal(t, chat.MessageDelivered, k.state(m), "the answer comes second and changes nothing")
				require.Equal(t, []string{"client: message 1", "agent: reply"}, k.messages())
			})
		})
	}
}

// What tells that it failed is wrong where the messenger shows it.
func TestEchoIsProofWhateverWasKnown(t *testing.T) {
	for _, end := range []chat.PartState{chat.PartUnknown, chat.PartFailed} {
		t.Run(string(end), func(t *testing.T) {
			eachTalk(t, func(t *testing.T, k *talk) {
				m, send := k.begin(0)
				_, err := k.SettleSend(k.ctx, send, store.PartOutcome{State: end, Reason: "no answer"}, true)
				require.NoError(t, err)
				require.Equal(t, chat.MessageState(end), k.state(m))
				out, echoed := k.echo("m1", send.Part.ID.String(), "reply")
				require.Equal(t, store.Stored, out)
				require.Len(t, echoed.Settled, 1)
				entry, parts := k.entry(m)
				require.Equal(t, chat.MessageSent, entry.State)
				require.Empty(t, entry.Error)
				require.Equal(t, "m1", parts[0].ExternalID)
				require.Equal(t, k.now, parts[0].SentAt.Time)
				require.True(t, k.Look(k.chat).UnansweredSince.IsZero(), "the client has it")
				failures, _, err := k.Failures(k.ctx, k.Env, store.FailureOpen, store.FailureFilter{}, store.Page{Limit: 10})
				require.NoError(t, err)
				require.Empty(t, failures, "nobody need look at it any more")
			})
		})
	}
}

// Proof that comes too late does not send what was held back meanwhile: the agent may, and is told so.
func TestLateProofOfAMessagesBeginning(t *testing.T) {
	for _, end := range []chat.PartState{chat.PartUnknown, chat.PartFailed} {
		t.Run(string(end), func(t *testing.T) {
			eachTalk(t, func(t *testing.T, k *talk) {
				m, send := k.begin(3)
				_, err := k.SettleSend(k.ctx, send, store.PartOutcome{State: end, Reason: "no answer"}, true)
				require.NoError(t, err)
				_, parts := k.entry(m)
				require.Contains(t, parts[1].Error, "an earlier part was not")
				out, echoed := k.echo("m1", send.Part.ID.String(), "rep")
				require.Equal(t, store.Stored, out)
				require.Len(t, echoed.Settled, 1, "browsers are told")
				require.Equal(t, chat.MessageFailed, echoed.Settled[0].State)
				entry, parts := k.entry(m)
				require.Equal(t, entry.Error, echoed.Settled[0].Reason)
				require.Equal(t, chat.MessageFailed, entry.State)
				for _, why := range []string{entry.Error, parts[1].Error} {
					require.Contains(t, why, "only the beginning arrived")
				}
				_, again := k.echo("m1", send.Part.ID.String(), "rep")
				require.Empty(t, again.Settled, "once")
				failures, _, err := k.Failures(k.ctx, k.Env, store.FailureOpen, store.FailureFilter{}, store.Page{Limit: 10})
				require.NoError(t, err)
				require.Len(t, failures, 1)
				require.Equal(t, entry.Error, failures[0].Error)

				_, err = k.Resend(k.ctx, k.Env, k.chat, m, k.agent, 0)
				require.NoError(t, err)
				rest := k.next(3)
				require.Equal(t, "ly", rest.Part.Text, "the beginning is not sent again")
				k.answer(rest, "m2", time.Time{})
				require.Equal(t, chat.MessageSent, k.state(m))
			})
		})
	}
}

// Design §3: an unknown outcome waits a while for proof, then goes on; it is never silently sent again.
func TestUnknownOutcomeWaitsForProof(t *testing.T) {
	const wait = 300 * time.Millisecond
	unknown := func(k *talk, send *store.Send) {
		settled, err := k.SettleSend(k.ctx, send, store.PartOutcome{State: chat.PartUnknown, Reason: "no answer", Wait: wait}, true)
		require.NoError(k.t, err)
		require.True(k.t, settled.Released)
	}
	t.Run("which comes", func(t *testing.T) {
		eachTalk(t, func(t *testing.T, k *talk) {
			m, send := k.begin(0)
			unknown(k, send)
			require.Equal(t, chat.MessageSending, k.state(m))
			later := k.Replies(k.chat, k.agent)
			require.Nil(t, k.next(0), "the order stands: what comes after it waits, too")
			k.echo("m1", send.Part.ID.String(), "reply")
			require.Equal(t, chat.MessageSent, k.state(m))
			next := k.next(0)
			require.NotNil(t, next, "the lane goes on at once")
			require.Equal(t, later, next.Part.MessageID)
		})
	})
	t.Run("which does not come", func(t *testing.T) {
		eachTalk(t, func(t *testing.T, k *talk) {
			m, send := k.begin(0)
			unknown(k, send)
			later := k.Replies(k.chat, k.agent)
			rules := store.SendRules{Proof: wait}
			require.Eventually(t, func() bool {
				lanes, err := k.ClaimSends(k.ctx, "test", 10, 10, nil, time.Minute)
				require.NoError(t, err)
				if len(lanes) == 0 {
					return false
				}
				next, settled, err := k.NextSend(k.ctx, lanes[0], func(string) (store.SendRules, error) { return rules, nil }, time.Minute)
				require.NoError(t, err)
				require.Len(t, settled, 1)
				require.Equal(t, later, next.Part.MessageID)
				return true
			}, time.Minute, 20*time.Millisecond)
			entry, _ := k.entry(m)
			require.Equal(t, chat.MessageUnknown, entry.State)
			require.Equal(t, "no answer", entry.Error, "the reason is the one the messenger gave")
			k.echo("m1", send.Part.ID.String(), "reply")
			require.Equal(t, chat.MessageSent, k.state(m), "proof that comes late is still proof")
		})
	})
	t.Run("of a worker that stopped", func(t *testing.T) {
		eachTalk(t, func(t *testing.T, k *talk) {
			m, send := k.begin(0)
			rules := func(string) (store.SendRules, error) { return store.SendRules{Proof: time.Hour}, nil }
			next, settled, err := k.NextSend(k.ctx, send.Lane, rules, time.Minute)
			require.NoError(t, err)
			require.Nil(t, next)
			require.Empty(t, settled)
			require.Equal(t, chat.MessageSending, k.state(m))
			k.echo("m1", send.Part.ID.String(), "reply")
			require.Equal(t, chat.MessageSent, k.state(m))
		})
	})
}

// b9, S4.5: what somebody of ours wrote elsewhere is part of the conversation, once.
func TestEchoOfSomebodyElseJoinsTheChat_b9_S4_5(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		quoted := k.sent("m1", k.now)
		client := k.Writes(k.channel, "ann")
		require.Equal(t, k.chat, client)
		require.False(t, k.Look(k.chat).UnansweredSince.IsZero())
		version := k.Look(k.chat).CRMVersion
		e := channels.Event{
			MessageID: "x1", Text: "from the inbox", ReplyTo: "m1", At: k.now, Echo: &channels.EchoNote{App: "1"},
			Attachments: []channels.Attachment{{Kind: "photo", Name: "bee.jpg", Ref: "https://example.com/bee.jpg"}},
		}
		out, echoed := k.echoOf(e)
		require.Equal(t, store.Stored, out)
		require.Equal(t, k.chat, echoed.Written)
		out, echoed = k.echoOf(e)
		require.Equal(t, store.Repeat, out)
		require.Equal(t, uuid.Nil, echoed.Written)
		require.Equal(t, []string{"client: message 1", "agent: reply", "client: message 2", "other: from the inbox"}, k.messages())

		c := k.Look(k.chat)
		require.Equal(t, chat.Out, c.LastDirection)
		require.True(t, c.UnansweredSince.IsZero(), "the client is answered")
		require.True(t, c.AgentDueSince.IsZero())
		require.WithinDuration(t, time.Now(), c.ClosingSince.Time, time.Minute)
		require.Equal(t, c.LastMessageAt, c.ClosingSince)
		require.Greater(t, c.CRMVersion, version)
		require.False(t, c.CRMDueAt.IsZero())
		entries, err := k.Timeline(k.ctx, k.Env, k.chat, 0, 100)
		require.NoError(t, err)
		last := entries[len(entries)-1]
		require.Equal(t, chat.MessageDelivered, last.State)
		require.Equal(t, quoted, last.ReplyTo)
		require.Equal(t, e.Attachments, last.Attachments)
		require.Nil(t, k.next(0), "it is not sent")
		file, err := k.ClaimFile(k.ctx, k.Env, time.Minute)
		require.NoError(t, err)
		require.NotNil(t, file, "its file is fetched like a customer's")
		require.Equal(t, last.ID, file.EntryID)
		require.Equal(t, "https://example.com/bee.jpg", file.Ref)

		bot := channels.Event{MessageID: "x2", Text: "beep", Echo: &channels.EchoNote{App: "2", Bot: true}}
		k.echoOf(bot)
		require.Contains(t, k.messages(), "bot: beep")
	})
}

func TestEchoOfSomebodyElseWhereNoChatIsOpen(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		_, err := k.CloseChat(k.ctx, k.Env, k.chat, k.agent, "")
		require.NoError(t, err)
		before := k.Look(k.chat)
		out, echoed := k.echo("x1", "", "one more thing")
		require.Equal(t, store.Stored, out)
		require.Equal(t, k.chat, echoed.Written)
		after := k.Look(k.chat)
		require.False(t, after.ClosedAt.IsZero(), "it opens nothing")
		require.Equal(t, before.LastSeq+1, after.LastSeq)
		require.Equal(t, before.LastMessageAt, after.LastMessageAt, "and moves no clock")

		in := k.inbound(channels.Event{Kind: channels.Echo, Key: "o:x2", MessageID: "x2", Text: "hello", Echo: &channels.EchoNote{}})
		in.Event.User.ID = "stranger"
		out, _, err = k.NoteEcho(k.ctx, in, true)
		require.NoError(t, err)
		require.Equal(t, store.Ignored, out, "a customer is known from his first message on")
	})
}

// A messenger's list that is read again shows what was sent in chats of long ago, too: it is ours.
func TestEchoOfAnOldChatIsNotShownAgain_S4_3(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		k.sent("m1", time.Time{})
		for range 4 {
			_, err := k.CloseChat(k.ctx, k.Env, k.chat, k.agent, "")
			require.NoError(t, err)
			k.chat = k.Writes(k.channel, "ann")
			_, err = k.Accept(k.ctx, k.Env, k.chat, k.agent)
			require.NoError(t, err)
		}
		before := k.messages()
		out, echoed := k.echo("m1", "", "reply")
		require.Equal(t, store.Repeat, out)
		require.Equal(t, store.Echoed{}, echoed)
		require.Equal(t, before, k.messages())
	})
}

// What somebody else wrote in the same words before is no proof of what we try to send now.
func TestAnOldEchoProvesNothing(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		k.echo("by hand", "", "reply")
		m, _ := k.begin(0)
		out, _ := k.echo("by hand", "", "reply")
		require.Equal(t, store.Repeat, out, "it stands there as theirs")
		require.Equal(t, chat.MessageSending, k.state(m))
		k.echoOf(channels.Event{MessageID: "missed", Text: "reply", At: time.Now().Add(-time.Hour), Echo: &channels.EchoNote{}})
		require.Equal(t, chat.MessageSending, k.state(m), "it was written before we tried")
		k.echo("m1", "", "reply")
		require.Equal(t, chat.MessageSent, k.state(m))
	})
}

// What was written elsewhere and comes to light late answers nothing that the customer has written since.
func TestALateEchoAnswersNothing_S0_52(t *testing.T) {
	eachTalk(t, func(t *testing.T, k *talk) {
		asked := channels.Event{Kind: channels.Message, Key: "asked", MessageID: "asked", Text: "and now?", At: k.now.Add(time.Minute)}
		require.Equal(t, store.Stored, k.Receive(k.ctx, []store.Inbound{k.inbound(asked)})[0].Outcome)
		before := k.Look(k.chat)
		out, _ := k.echo("by hand", "", "hello")
		require.Equal(t, store.Stored, out)
		after := k.Look(k.chat)
		require.Contains(t, k.messages(), "other: hello")
		require.Equal(t, before.UnansweredSince, after.UnansweredSince, "he still waits")
		require.Equal(t, before.ClosingSince, after.ClosingSince)
		require.Equal(t, chat.In, after.LastDirection)
	})
}
