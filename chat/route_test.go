package chat_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"waggle/chat"
)

var (
	queue   = uuid.MustParse("00000000-0000-0000-0000-0000000000aa")
	channel = uuid.MustParse("00000000-0000-0000-0000-0000000000cc")
	other   = uuid.MustParse("00000000-0000-0000-0000-0000000000dd")
	group   = uuid.MustParse("00000000-0000-0000-0000-0000000000ee")
	noon    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

type change func(*chat.RoutedAgent)

func load(n int) change { return func(a *chat.RoutedAgent) { a.Load = chat.Load{Chats: n, Weight: n} } }
func took(ago time.Duration) change {
	return func(a *chat.RoutedAgent) { a.LastTakenAt = noon.Add(-ago) }
}
func only(c uuid.UUID) change {
	return func(a *chat.RoutedAgent) { a.Channels = map[uuid.UUID]bool{c: true} }
}
func status(s chat.AgentStatus) change {
	return func(a *chat.RoutedAgent) { a.Status = s }
}
func disabled(a *chat.RoutedAgent) { a.Enabled = false }
func stranger(a *chat.RoutedAgent) { a.Queues = nil }
func maxLoad(n int) change         { return func(a *chat.RoutedAgent) { a.Limit.MaxLoad = &n } }
func position(n int) change {
	return func(a *chat.RoutedAgent) { a.GroupID, a.Position = group, n }
}

// agent is an enabled, active agent of the queue with a limit of 10 chats.
func agent(name string, changes ...change) *chat.RoutedAgent {
	a := &chat.RoutedAgent{
		ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)), Name: name, Enabled: true, Status: chat.Active,
		Limit: chat.Limit{SimultaneousChats: 10}, Queues: map[uuid.UUID]bool{queue: true},
	}
	for _, c := range changes {
		c(a)
	}
	return a
}

func TestPick(t *testing.T) {
	inQueue := chat.RoutedChat{QueueID: queue, ChannelID: channel, Weight: 1}
	noQueue := chat.RoutedChat{ChannelID: channel, Weight: 1}
	tests := []struct {
		name   string
		chat   chat.RoutedChat
		agents []*chat.RoutedAgent
		want   string
	}{
		{"S3.11 loads 2/1/1/0: the one with 0", inQueue, []*chat.RoutedAgent{agent("a", load(2)), agent("b", load(1)), agent("c", load(1)), agent("d")}, "d"},
		{"S3.12 equal loads: who has not taken one for longest", inQueue, []*chat.RoutedAgent{agent("a", took(time.Minute)), agent("b", took(time.Hour))}, "b"},
		{"S3.12 who has never taken one comes first", inQueue, []*chat.RoutedAgent{agent("a", took(time.Hour)), agent("b")}, "b"},
		{"S3.11 the load counts before the time", inQueue, []*chat.RoutedAgent{agent("a", load(1)), agent("b", took(time.Minute))}, "b"},
		{"S3.11 the lowest queue position comes before the load", inQueue, []*chat.RoutedAgent{agent("a", position(2)), agent("b", position(1), load(3))}, "b"},
		{"S3.11 agents in no group come last", inQueue, []*chat.RoutedAgent{agent("a"), agent("b", position(7), load(3))}, "b"},
		{"S3.16 an inactive agent gets nothing", inQueue, []*chat.RoutedAgent{agent("a", status(chat.Inactive)), agent("b", load(3))}, "b"},
		{"S0.49 an offline agent gets nothing", inQueue, []*chat.RoutedAgent{agent("a", status(chat.Offline))}, ""},
		{"S3.20 a switched off agent gets nothing", inQueue, []*chat.RoutedAgent{agent("a", disabled)}, ""},
		{"S3.5 an agent of another queue gets nothing", inQueue, []*chat.RoutedAgent{agent("a", stranger)}, ""},
		{"S0.48 an agent with other channels gets nothing", inQueue, []*chat.RoutedAgent{agent("a", only(other))}, ""},
		{"S0.48 an agent with this channel gets it", inQueue, []*chat.RoutedAgent{agent("a", only(channel))}, "a"},
		{"S3.4 without a queue: who lists the channel", noQueue, []*chat.RoutedAgent{agent("a"), agent("b", stranger, only(channel))}, "b"},
		{"S3.4 without a queue and listed by no agent: nobody", noQueue, []*chat.RoutedAgent{agent("a")}, ""},
		{"S3.62 at the limit he is skipped", inQueue, []*chat.RoutedAgent{agent("a", maxLoad(1), load(1)), agent("b", load(5))}, "b"},
		{"S3.20 who had it already comes after all others", chat.RoutedChat{QueueID: queue, Tried: map[uuid.UUID]bool{agent("a").ID: true}},
			[]*chat.RoutedAgent{agent("a"), agent("b", load(5))}, "b"},
		{"S3.20 …but he gets it if nobody else can", chat.RoutedChat{QueueID: queue, Tried: map[uuid.UUID]bool{agent("a").ID: true}},
			[]*chat.RoutedAgent{agent("a")}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := chat.Pick(tt.agents, tt.chat)
			if tt.want == "" {
				assert.Nil(t, got)
				return
			}
			if assert.NotNil(t, got) {
				assert.Equal(t, tt.want, got.Name)
			}
		})
	}
}

func TestPickNext(t *testing.T) {
	present := agent("a")
	c := func(weight int, tried ...string) chat.RoutedChat {
		m := map[uuid.UUID]bool{}
		for _, name := range tried {
			m[agent(name).ID] = true
		}
		return chat.RoutedChat{QueueID: queue, ChannelID: channel, Weight: weight, Tried: m}
	}
	tests := []struct {
		name   string
		chat   chat.RoutedChat
		agents []*chat.RoutedAgent
		want   string
		why    string
	}{
		{"S0.25 another agent gets it", c(1), []*chat.RoutedAgent{present, agent("b")}, "b", ""},
		{"S0.25 nobody else: it stays", c(1), []*chat.RoutedAgent{present}, "", "no other agent serves this chat"},
		{"S0.25 not to one who had it for the same message", c(1, "b"), []*chat.RoutedAgent{present, agent("b"), agent("c", load(5))}, "c", ""},
		{"S0.48 B not on the channel", c(1), []*chat.RoutedAgent{present, agent("b", only(other))}, "", "no other agent serves this chat"},
		{"S0.49 B offline", c(1), []*chat.RoutedAgent{present, agent("b", status(chat.Offline))}, "", "b: is offline"},
		{"S0.50 the reason says the sum", c(3), []*chat.RoutedAgent{present, agent("b", maxLoad(5), load(4))}, "", "b: 4 + 3 > 5"},
		{"S0.50 …of each agent", c(3), []*chat.RoutedAgent{present, agent("b", maxLoad(5), load(4)), agent("c", status(chat.Inactive))}, "", "b: 4 + 3 > 5; c: is inactive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, why := chat.PickNext(tt.agents, tt.chat, present.ID)
			assert.Equal(t, tt.why, why)
			if tt.want == "" {
				assert.Nil(t, got)
				return
			}
			if assert.NotNil(t, got) {
				assert.Equal(t, tt.want, got.Name)
			}
		})
	}
}

func TestPickOfGroup(t *testing.T) {
	c := chat.RoutedChat{QueueID: queue, ChannelID: channel, Weight: 1}
	present := agent("a", position(1))
	got, _ := chat.PickOfGroup([]*chat.RoutedAgent{present, agent("b", position(1), load(2)), agent("c", position(1), load(1), stranger), agent("d")}, c, group, present.ID)
	if assert.NotNil(t, got) {
		assert.Equal(t, "c", got.Name, "the one of the group with the fewest chats, whatever his queues")
	}
	got, why := chat.PickOfGroup([]*chat.RoutedAgent{present, agent("b", position(1), only(other))}, c, group, present.ID)
	assert.Nil(t, got)
	assert.Equal(t, "no other agent of the group serves this channel", why)
}

func TestTook(t *testing.T) {
	a := agent("a", maxLoad(2))
	a.Took(2, noon)
	assert.Equal(t, chat.Load{Chats: 1, Weight: 2}, a.Load)
	assert.Equal(t, noon, a.LastTakenAt)
	ok, why := a.CanTake(1)
	assert.False(t, ok)
	assert.Equal(t, "2 + 1 > 2", why)
}
