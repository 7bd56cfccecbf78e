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
