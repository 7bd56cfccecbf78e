package chat

import (
	"bytes"
	"cmp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// RoutedAgent is what routing goes by when it looks at an agent.
type RoutedAgent struct {
	ID          uuid.UUID
	Name        string
	Enabled     bool
	Status      AgentStatus
	GroupID     uuid.UUID // zero: in no group
	Position    int       // of his group
	Limit       Limit
	Load        Load
	LastTakenAt time.Time // zero: never
	Queues      map[uuid.UUID]bool
	Channels    map[uuid.UUID]bool // empty: all channels of his queues (b16)
}

// RoutedChat is what routing goes by when it looks at a chat.
type RoutedChat struct {
	QueueID   uuid.UUID // zero: none
	ChannelID uuid.UUID
	Weight    int
	Tried     map[uuid.UUID]bool // agents who had it for the present unanswered message
}

// Serves reports whether the agent belongs to the chat's team: a member of its queue whose channel list, if he has one,
// names its channel; without a queue whoever lists the channel (b16).
func (a *RoutedAgent) Serves(c RoutedChat) bool {
	if c.QueueID == uuid.Nil {
		return a.Channels[c.ChannelID]
	}
	return a.Queues[c.QueueID] && (len(a.Channels) == 0 || a.Channels[c.ChannelID])
}

// Ready reports whether the agent may be given any chat at all; if not, why says it.
func (a *RoutedAgent) Ready() (ok bool, why string) {
	switch {
	case !a.Enabled:
		return false, "is switched off"
	case a.Status != Active:
		return false, "is " + string(a.Status)
	default:
		return true, ""
	}
}

// CanTake reports whether the agent may be given the chat: ready, and with room for it.
func (a *RoutedAgent) CanTake(weight int) (ok bool, why string) {
	if ok, why := a.Ready(); !ok {
		return false, why
	}
	return a.Limit.Room(a.Load, weight)
}

// Took counts a chat the agent was just given.
func (a *RoutedAgent) Took(weight int, at time.Time) {
	a.Load.Chats++
	a.Load.Weight += weight
	a.LastTakenAt = at
}

// before orders agents by who takes a chat first: the lowest queue position, those in no group last; then the fewest open
// chats (S3.11); then who has not taken one for longest, never counting as longest (S3.12).
func before(a, b *RoutedAgent) int {
	if inGroup := (a.GroupID != uuid.Nil); inGroup != (b.GroupID != uuid.Nil) {
		if inGroup {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Position, b.Position),
		cmp.Compare(a.Load.Chats, b.Load.Chats),
		a.LastTakenAt.Compare(b.LastTakenAt),
		bytes.Compare(a.ID[:], b.ID[:]),
	)
}

// Pick chooses who gets a waiting chat: of those who serve it and can take it the first. Agents who had it already come
// after all others. Nobody can: nil.
func Pick(agents []*RoutedAgent, c RoutedChat) *RoutedAgent {
	if first, _ := best(agents, c, func(a *RoutedAgent) bool { return a.Serves(c) && !c.Tried[a.ID] }); first != nil {
		return first
	}
	again, _ := best(agents, c, func(a *RoutedAgent) bool { return a.Serves(c) })
	return again
}

// PickNext chooses who gets a chat its agent has not answered or accepted: another one who serves it, can take it and has
// not had it yet. Nobody can: nil, and why tells it of each ("Ann: 4 + 3 > 5; Bob: is offline").
func PickNext(agents []*RoutedAgent, c RoutedChat, present uuid.UUID) (next *RoutedAgent, why string) {
	next, why = best(agents, c, func(a *RoutedAgent) bool { return a.Serves(c) && a.ID != present && !c.Tried[a.ID] })
	if next == nil && why == "" {
		why = "no other agent serves this chat"
	}
	return next, why
}

// PickOfGroup chooses who of a group gets a chat transferred to it; its queue does not matter, the agents' channel lists do.
func PickOfGroup(agents []*RoutedAgent, c RoutedChat, group, present uuid.UUID) (next *RoutedAgent, why string) {
	next, why = best(agents, c, func(a *RoutedAgent) bool {
		return a.GroupID == group && a.ID != present && (len(a.Channels) == 0 || a.Channels[c.ChannelID])
	})
	if next == nil && why == "" {
		why = "no other agent of the group serves this channel"
	}
	return next, why
}

// reasons bounds how many agents a why names.
const reasons = 5

func best(agents []*RoutedAgent, c RoutedChat, may func(*RoutedAgent) bool) (first *RoutedAgent, why string) {
	var not []string
	for _, a := range agents {
		if !may(a) {
			continue
		}
		ok, reason := a.CanTake(c.Weight)
		switch {
		case !ok && len(not) < reasons:
			not = append(not, a.Name+": "+reason)
		case ok && (first == nil || before(a, first) < 0):
			first = a
		}
	}
	if first != nil {
		return first, ""
	}
	return nil, strings.Join(not, "; ")
}
