package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/dialect"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// Everything at once: customers write in slices, agents do all they can, the messenger limits, the CRM is pushed, Synchronize
// begins again and again, settings change. Whatever the interleaving: no error but "someone was faster", no gap in a timeline,
// no message lost, doubled or swapped on either side.
func TestEverythingAtOnce_S2_3_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		s := &storm{laneWorld: w, agents: make([]uuid.UUID, 3), rounds: 25}
		if w.db.Dialect().Name() == dialect.SQLite {
			s.rounds = 3 // it serialises writers: there are no races to be found
		}
		for i := range s.agents {
			a := &store.Agent{EnvironmentID: w.env, Name: fmt.Sprint("agent ", i), Enabled: true, Status: chat.Active}
			require.NoError(w, w.store.CreateAgent(w.ctx, a, nil))
			s.agents[i] = a.ID
		}
		for range 2 {
			q := &store.Queue{EnvironmentID: w.env, Name: "Queue", Rule: chat.ToAnAvailableAgent}
			require.NoError(w, w.store.CreateQueue(w.ctx, q, s.agents))
			s.queues = append(s.queues, q.ID)
		}
		s.set("environments", "simultaneous_chats = 0")
		s.messenger.program(func(_ channels.Channel, p channels.Part) error {
			if rand.IntN(10) == 0 {
				return &channels.Error{Outcome: channels.RetryAt, At: time.Now().Add(5 * time.Millisecond), WholeChannel: true, Reason: "slower"}
			}
			return nil
		})
		ctx, stop := context.WithCancel(w.ctx)
		var acting, serving sync.WaitGroup
		for n := range 3 {
			acting.Go(func() { s.customers(n) })
			acting.Go(func() { s.people(n) })
		}
		acting.Go(s.administrator)
		for range 2 {
			serving.Go(func() { s.again(ctx, "deliver", func() error { _, err := w.jobs.Deliver(ctx); return err }) })
			serving.Go(func() { s.again(ctx, "push", func() error { _, err := w.jobs.Push(ctx, w.env); return err }) })
			serving.Go(func() { s.again(ctx, "release", func() error { _, err := w.jobs.Release(ctx); return err }) })
			serving.Go(func() { s.again(ctx, "route", func() error { return w.jobs.Route(ctx, w.env) }) })
		}
		acting.Wait()
		stop()
		serving.Wait()
		s.audit()
	})
}

const stormUsers = 12

type storm struct {
	*laneWorld
	agents, queues []uuid.UUID
	rounds         int

	mu    sync.Mutex
	chats []uuid.UUID
}

func (s *storm) fine(what string, err error) {
	if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, context.Canceled) {
		s.Errorf("%s: %v", what, err)
	}
}

func (s *storm) again(ctx context.Context, what string, work func() error) {
	for ctx.Err() == nil {
		s.fine(what, work())
	}
}

// customers write in slices of many users; each slice comes twice.
func (s *storm) customers(n int) {
	for round := range s.rounds {
		var slice []store.Inbound
		for _, user := range rand.Perm(stormUsers) {
			key := fmt.Sprintf("%d.%d.%d", n, round, user)
			slice = append(slice, store.Inbound{EnvironmentID: s.env, ChannelID: s.channel, AccountID: s.channel.String(), Event: channels.Event{
				Kind: channels.Message, Key: key, MessageID: key, Text: key, User: channels.User{ID: fmt.Sprint("user ", user)},
			}})
		}
		for range 2 {
			for _, r := range s.store.Receive(s.ctx, slice) {
				s.fine("receive", r.Err)
				s.mu.Lock()
				if r.Opened {
					s.chats = append(s.chats, r.ChatID)
				}
				s.mu.Unlock()
			}
		}
	}
}

func (s *storm) someChat() uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.chats) == 0 {
		return uuid.New()
	}
	return s.chats[max(0, len(s.chats)-1-rand.IntN(stormUsers))]
}

func (s *storm) people(n int) {
	for i := range s.rounds * 10 {
		id, agent := s.someChat(), s.agents[rand.IntN(len(s.agents))]
		var err error
		switch rand.IntN(9) {
		case 0:
			_, err = s.store.Accept(s.ctx, s.env, id, agent)
		case 1:
			_, err = s.store.Hold(s.ctx, s.env, id, uuid.Nil)
		case 2:
			_, err = s.store.Unhold(s.ctx, s.env, id, uuid.Nil)
		case 3:
			_, err = s.store.TransferToAgent(s.ctx, s.env, id, agent, uuid.Nil)
		case 4:
			_, err = s.store.TransferToQueue(s.ctx, s.env, id, s.queues[rand.IntN(2)], uuid.Nil)
		case 5:
			_, err = s.store.CloseChat(s.ctx, s.env, id, uuid.Nil, "")
		case 6:
			_, err = s.store.ReopenChat(s.ctx, s.env, id, agent)
		default:
			_, _, _, err = s.store.SendReply(s.ctx, s.env, store.Reply{ChatID: id, Agent: agent, Text: fmt.Sprintf("%d.%d", n, i)}, store.Idem{})
		}
		s.fine("action", err)
	}
}

func (s *storm) administrator() {
	for range s.rounds {
		agent := s.agents[rand.IntN(len(s.agents))]
		_, err := s.store.MarkDirty(s.ctx, s.env, uuid.Nil, 100)
		s.fine("mark dirty", err)
		s.fine("forget", s.store.ForgetPushed(s.ctx, s.env))
		s.fine("status", s.store.SetAgentStatus(s.ctx, s.env, agent, chat.Active))
		_, err = s.store.SaveSettings(s.ctx, s.env, func(e *store.Environment) error { e.ChatsEnabled = !e.ChatsEnabled; return nil })
		s.fine("settings", err)
		s.fine("channel", s.store.ChangeChannel(s.ctx, s.env, s.channel, store.ChannelSettings{Queue: &s.queues[rand.IntN(2)]}))
		_, err = s.store.PostponeSends(s.ctx, &store.Channel{ID: s.channel, EnvironmentID: s.env}, time.Millisecond, "")
		s.fine("postpone", err)
	}
}

// audit lets everything come to rest and compares the three sides.
func (s *storm) audit() {
	_, err := s.store.SaveSettings(s.ctx, s.env, func(e *store.Environment) error { e.ChatsEnabled = true; return nil })
	require.NoError(s, err)
	s.messenger.program(nil)
	s.set("channels", "send_retry_at = NULL")
	s.set("chats", "out_due_at = CASE WHEN out_due_at IS NULL THEN NULL ELSE 1 END, crm_due_at = CASE WHEN crm_due_at IS NULL THEN NULL ELSE 1 END")
	s.deliver()
	s.push(s.env)

	sent := map[string]int{}
	for _, p := range s.messenger.sent {
		sent[p.Key]++
	}
	messages, outgoing := 0, 0
	seen := map[string]bool{}
	for _, id := range s.chats {
		c := s.chat(id)
		require.True(s, c.CRMDueAt.IsZero() && c.OutDueAt.IsZero(), "both lanes of chat %s are empty", id)
		entries, err := s.store.Timeline(s.ctx, s.env, id, 0, 100_000)
		require.NoError(s, err)
		var texts []string
		for i, e := range entries {
			require.EqualValues(s, i+1, e.Seq)
			if e.Kind != chat.EntryMessage {
				continue
			}
			texts = append(texts, e.Text)
			if e.Direction == chat.In {
				messages++
				require.False(s, seen[e.Text], "%s is there once", e.Text)
				seen[e.Text] = true
				continue
			}
			outgoing++
			require.Equal(s, chat.MessageDelivered, e.State)
			for _, p := range s.parts(e.ID) {
				require.Equal(s, 1, sent[p.ID.String()])
			}
		}
		require.Equal(s, texts, s.crm.texts(id), "the CRM has chat %s as we do", id)
		record := s.crm.chat(id)
		require.Equal(s, !c.ClosedAt.IsZero(), record.Status == "Completed" || !record.ClosedAt.IsZero())
	}
	require.Equal(s, 3*s.rounds*stormUsers, messages)
	require.Len(s, sent, outgoing)
}
