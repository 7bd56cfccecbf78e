package storetest

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
)

// Scene is an environment whose chats are switched on, arranged through the store's own methods.
type Scene struct {
	*store.Store
	T   testing.TB
	Key string // its secret key
	Env uuid.UUID

	sent int
}

// NewScene makes an environment with a valid key in s.
func NewScene(t testing.TB, s *store.Store) *Scene {
	t.Helper()
	token, key, err := s.IssueKey(context.Background(), store.KeyOwner{}, 0)
	require.NoError(t, err)
	sc := &Scene{Store: s, T: t, Key: token, Env: key.EnvironmentID}
	sc.Set(func(e *store.Environment) { e.ChatsEnabled = true })
	return sc
}

// Set changes the environment's settings.
func (sc *Scene) Set(change func(e *store.Environment)) {
	sc.T.Helper()
	_, err := sc.SaveSettings(context.Background(), sc.Env, func(e *store.Environment) error { change(e); return nil })
	require.NoError(sc.T, err)
}

// Start changes the left panel and returns the process instances that this started.
func (sc *Scene) Start(change func(e *store.Environment)) []store.Process {
	sc.T.Helper()
	_, started, err := sc.SaveConfiguration(context.Background(), sc.Env, nil, func(e *store.Environment) error { change(e); return nil })
	require.NoError(sc.T, err)
	return started
}

// Queue adds a queue with these agents. No minutes: no timeout of its own.
func (sc *Scene) Queue(rule chat.RoutingRule, minutes int, agents ...uuid.UUID) uuid.UUID {
	sc.T.Helper()
	q := &store.Queue{EnvironmentID: sc.Env, Name: "Queue", Rule: rule}
	if minutes > 0 {
		q.TimeoutMinutes = &minutes
	}
	require.NoError(sc.T, sc.CreateQueue(context.Background(), q, agents))
	return q.ID
}

// Members sets a queue's agents.
func (sc *Scene) Members(queue uuid.UUID, agents ...uuid.UUID) {
	sc.T.Helper()
	q, err := sc.Store.Queue(context.Background(), sc.Env, queue)
	require.NoError(sc.T, err)
	require.NoError(sc.T, sc.ChangeQueue(context.Background(), q, agents))
}

// Agent adds an enabled, active agent without a Max load who serves these channels.
func (sc *Scene) Agent(name string, channels ...uuid.UUID) uuid.UUID {
	sc.T.Helper()
	a := &store.Agent{EnvironmentID: sc.Env, Name: name, Enabled: true, Status: chat.Active}
	require.NoError(sc.T, sc.CreateAgent(context.Background(), a, channels))
	return a.ID
}

// Card changes an agent's card; channels nil: they stay.
func (sc *Scene) Card(agent uuid.UUID, change func(a *store.Agent), channels ...uuid.UUID) {
	sc.T.Helper()
	card, err := sc.Store.Agent(context.Background(), sc.Env, agent)
	require.NoError(sc.T, err)
	change(&card.Agent)
	_, err = sc.ChangeAgent(context.Background(), &card.Agent, channels)
	require.NoError(sc.T, err)
}

// Status sets an agent's status.
func (sc *Scene) Status(agent uuid.UUID, status chat.AgentStatus) {
	sc.T.Helper()
	require.NoError(sc.T, sc.SetAgentStatus(context.Background(), sc.Env, agent, status))
}

// StatusOf is an agent's present status.
func (sc *Scene) StatusOf(agent uuid.UUID) chat.AgentStatus {
	sc.T.Helper()
	card, err := sc.Store.Agent(context.Background(), sc.Env, agent)
	require.NoError(sc.T, err)
	return card.Status
}

// Channel adds an active channel of kind telegram; a zero queue: none.
func (sc *Scene) Channel(queue uuid.UUID, weight int) uuid.UUID {
	sc.T.Helper()
	id := uuid.Must(uuid.NewV7())
	_, _, err := sc.CreateChannel(context.Background(), &store.Channel{
		ID: id, EnvironmentID: sc.Env, Kind: "telegram", Name: "Bot", State: chat.ChannelActive, AccountID: id.String(),
		QueueID: queue, Weight: weight, Receive: "webhook", Fields: map[string]string{},
	}, store.Idem{})
	require.NoError(sc.T, err)
	return id
}

// Writes lets a client write one message and returns his chat.
func (sc *Scene) Writes(channel uuid.UUID, user string) uuid.UUID {
	sc.T.Helper()
	sc.sent++
	return sc.WritesKey(channel, user, fmt.Sprint(sc.sent))
}

// WritesKey is Writes with an event key of the caller's, for use from many goroutines.
func (sc *Scene) WritesKey(channel uuid.UUID, user, key string) uuid.UUID {
	sc.T.Helper()
	return sc.writes(channel, user, key, false)
}

func (sc *Scene) writes(channel uuid.UUID, user, key string, standby bool) uuid.UUID {
	out := sc.Receive(context.Background(), []store.Inbound{{EnvironmentID: sc.Env, ChannelID: channel, AccountID: channel.String(), Event: channels.Event{
		Kind: channels.Message, Key: user + ":" + key, MessageID: key, Text: "message " + key, User: channels.User{ID: user, Name: user}, Standby: standby,
	}}})
	require.NoError(sc.T, out[0].Err)
	require.Equal(sc.T, store.Stored, out[0].Outcome)
	return out[0].ChatID
}

// Standby lets a client write what a bot is to answer and returns his chat.
func (sc *Scene) Standby(channel uuid.UUID, user string) uuid.UUID {
	sc.T.Helper()
	sc.Told(channel, user, chat.ThreadOthers, "")
	sc.sent++
	return sc.writes(channel, user, fmt.Sprint(sc.sent), true)
}

// Told lets the messenger tell who holds a conversation from now on.
func (sc *Scene) Told(channel uuid.UUID, user string, owner chat.ThreadOwner, app string) store.ThreadNoted {
	sc.T.Helper()
	noted, err := sc.NoteThread(context.Background(), store.ThreadNote{
		EnvironmentID: sc.Env, ChannelID: channel, UserID: user, Word: chat.Thread{Owner: owner, App: app},
	})
	require.NoError(sc.T, err)
	return noted
}

// Replies lets an agent reply; Settle brings it to the client.
func (sc *Scene) Replies(chatID, agent uuid.UUID) uuid.UUID {
	sc.T.Helper()
	id, _, _, err := sc.SendReply(context.Background(), sc.Env, store.Reply{ChatID: chatID, Agent: agent, Text: "reply"}, store.Idem{})
	require.NoError(sc.T, err)
	return id
}

// Settle sends everything that is due, with this outcome.
func (sc *Scene) Settle(state chat.PartState) {
	sc.T.Helper()
	ctx := context.Background()
	for {
		lanes, err := sc.ClaimSends(ctx, "scene", 100, 100, nil, time.Minute)
		require.NoError(sc.T, err)
		if len(lanes) == 0 {
			return
		}
		for _, lane := range lanes {
			sc.settle(lane, state)
		}
	}
}

func (sc *Scene) settle(lane store.SendLane, state chat.PartState) {
	ctx := context.Background()
	for {
		send, _, err := sc.NextSend(ctx, lane, func(string) (store.SendRules, error) { return store.SendRules{}, nil }, time.Minute)
		require.NoError(sc.T, err)
		if send == nil {
			return
		}
		_, err = sc.SettleSend(ctx, send, store.PartOutcome{State: state, ExternalID: "out-" + send.Part.ID.String(), Reason: "refused by the test"}, false)
		require.NoError(sc.T, err)
	}
}

// Pass moves the business clock.
func (sc *Scene) Pass(d time.Duration) {
	sc.T.Helper()
	require.NoError(sc.T, sc.Advance(context.Background(), d))
}

// Look returns a chat as it stands, and requires that the day of its last message is that of the last message.
func (sc *Scene) Look(chatID uuid.UUID) store.Chat {
	sc.T.Helper()
	c, err := sc.Chat(context.Background(), sc.Env, chatID)
	require.NoError(sc.T, err)
	require.Equal(sc.T, c.LastMessageAt.Truncate(24*time.Hour), c.LastMessageDay.Time)
	return c
}

// Kinds returns the kinds of a chat's entries and requires that they are numbered 1, 2, 3 ….
func (sc *Scene) Kinds(chatID uuid.UUID) []chat.EntryKind {
	sc.T.Helper()
	entries, err := sc.Timeline(context.Background(), sc.Env, chatID, 0, 10000)
	require.NoError(sc.T, err)
	kinds := make([]chat.EntryKind, len(entries))
	for i, e := range entries {
		require.EqualValues(sc.T, i+1, e.Seq, "the timeline of chat %s has no gaps", chatID)
		kinds[i] = e.Kind
	}
	require.EqualValues(sc.T, len(entries), sc.Look(chatID).LastSeq)
	return kinds
}
