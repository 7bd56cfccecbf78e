package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// A reply names the message it answers by the messenger's id: the client's own, or that of our first part.
func TestAReplyNamesWhatItAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		sc := storetest.NewScene(t, s)
		agent := sc.Agent("Ann")
		chatID := sc.WritesKey(sc.Channel(sc.Queue(chat.ToAllAgents, 0, agent), 1), "carl", "7")
		entries, err := s.Timeline(ctx, sc.Env, chatID, 0, 10)
		require.NoError(t, err)
		question := entries[len(entries)-1].ID

		answers := func(message uuid.UUID) store.Part {
			_, _, _, err := s.SendReply(ctx, sc.Env, store.Reply{ChatID: chatID, Agent: agent, Text: "reply", ReplyTo: message}, store.Idem{})
			require.NoError(t, err)
			lanes, err := s.ClaimSends(ctx, "test", 1, 1, nil, time.Minute)
			require.NoError(t, err)
			require.Len(t, lanes, 1)
			send, _, err := s.NextSend(ctx, lanes[0], func(string) (store.SendRules, error) { return store.SendRules{}, nil }, time.Minute)
			require.NoError(t, err)
			_, err = s.SettleSend(ctx, send, store.PartOutcome{State: chat.PartSent, ExternalID: "sent-1"}, false)
			require.NoError(t, err)
			return send.Part
		}
		first := answers(question)
		require.Equal(t, "7", first.ReplyTo)
		require.Equal(t, "sent-1", answers(first.MessageID).ReplyTo)
	})
}

// A client who wrote too long ago may not be written to, nor sent again to; a repetition of what was accepted is answered as it
// was.
func TestRepliesOutsideTheWindow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		sc := storetest.NewScene(t, s)
		channel := sc.Channel(uuid.Nil, 1)
		agent := sc.Agent("Ann", channel)
		chatID := sc.Writes(channel, "carl")
		const day = 24 * time.Hour
		once := store.Idem{Operation: "sendMessage", Key: "once", RequestHash: []byte("the request")}
		reply := func(i store.Idem) (uuid.UUID, error) {
			id, _, _, err := s.SendReply(ctx, sc.Env, store.Reply{ChatID: chatID, Agent: agent, Take: true, Text: "reply", Window: day}, i)
			return id, err
		}
		sent, err := reply(once)
		require.NoError(t, err)
		sc.Settle(chat.PartFailed)
		sc.Pass(day - time.Minute)
		_, err = reply(store.Idem{})
		require.NoError(t, err, "until the last moment; our own messages do not count")
		sc.Pass(time.Hour)
		_, err = reply(store.Idem{})
		require.ErrorIs(t, err, store.ErrConflict)
		require.Contains(t, err.Error(), chat.WindowClosed(day))
		_, err = s.Resend(ctx, sc.Env, chatID, sent, agent, day)
		require.ErrorIs(t, err, store.ErrConflict)
		again, err := reply(once)
		require.NoError(t, err)
		require.Equal(t, sent, again)
		sc.Writes(channel, "carl")
		_, err = s.Resend(ctx, sc.Env, chatID, sent, agent, day)
		require.NoError(t, err)
	})
}
