package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// S3.9: of many who accept at once exactly one has the chat.
func TestOneWinner_S3_9(t *testing.T) {
	t.Parallel()
	sc := storetest.NewScene(t, storetest.Concurrent(t))
	agents := make([]uuid.UUID, 6)
	for i := range agents {
		agents[i] = sc.Agent(fmt.Sprint("agent ", i))
	}
	channel := sc.Channel(sc.Queue(chat.ToAllAgents, 0, agents...), 1)
	for round := range 5 {
		id := sc.Writes(channel, fmt.Sprint(round))
		won := make([]bool, len(agents))
		var all sync.WaitGroup
		for i, a := range agents {
			all.Go(func() {
				_, err := sc.Accept(ctx, sc.Env, id, a)
				won[i] = err == nil
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("accept: %v", err)
				}
			})
		}
		all.Wait()
		winners := 0
		for i := range won {
			if won[i] {
				winners++
				require.Equal(t, agents[i], sc.Look(id).AgentID)
			}
		}
		require.Equal(t, 1, winners)
		_, err := sc.CloseChat(ctx, sc.Env, id, uuid.Nil, "")
		require.NoError(t, err)
	}
}

// S3.62 and S0.50: whatever happens at once, nobody is given more than he has room for, and no timeline has a gap. Hold,
// unhold and reopen may exceed the room, so they are left out here.
func TestRoomUnderFire_S3_62(t *testing.T) {
	t.Parallel()
	sc := storetest.NewScene(t, storetest.Concurrent(t))
	agents := make([]uuid.UUID, 4)
	for i := range agents {
		agents[i] = sc.Agent(fmt.Sprint("agent ", i))
	}
	// Two count chats (2 each), two count weights.
	for i, limit := range map[int]int{2: 5, 3: 4} {
		sc.Card(agents[i], func(a *store.Agent) { a.MaxLoad = &limit })
	}
	toAll, auto := sc.Queue(chat.ToAllAgents, 0, agents...), sc.Queue(chat.ToAnAvailableAgent, 0, agents...)
	channels := []uuid.UUID{sc.Channel(toAll, 1), sc.Channel(auto, 1), sc.Channel(auto, 3), sc.Channel(toAll, 2)}

	fire := &fire{Scene: sc, agents: agents, queues: []uuid.UUID{toAll, auto}, channels: channels}
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() { fire.run(n, 60) })
	}
	all.Wait()
	for id := range fire.chats {
		sc.Kinds(id)
	}
	require.Positive(t, fire.given, "the chats moved")
}

// fire acts at random on the chats of a scene.
type fire struct {
	*storetest.Scene
	agents, queues, channels []uuid.UUID

	mu    sync.Mutex
	chats map[uuid.UUID]bool
	given int
}

func (f *fire) run(n, times int) {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	for i := range times {
		id := f.WritesKey(f.channels[r.IntN(len(f.channels))], fmt.Sprint("client ", r.IntN(20)), fmt.Sprintf("%d.%d", n, i))
		f.remember(id)
		agent := f.agents[r.IntN(len(f.agents))]
		var err error
		switch r.IntN(6) {
		case 0, 1:
			_, err = f.Accept(ctx, f.Env, id, agent)
		case 2:
			_, err = f.TransferToAgent(ctx, f.Env, id, agent, uuid.Nil)
		case 3:
			_, err = f.TransferToQueue(ctx, f.Env, id, f.queues[r.IntN(2)], uuid.Nil)
		case 4:
			_, err = f.CloseChat(ctx, f.Env, id, uuid.Nil, "")
		default:
			c := f.Look(id)
			_, err = f.AssignTo(ctx, f.Env, id, c.AssignmentVersion, agent)
		}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			f.T.Errorf("action: %v", err)
		}
		f.room()
	}
}

func (f *fire) remember(id uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.chats == nil {
		f.chats = map[uuid.UUID]bool{}
	}
	f.chats[id] = true
}

// room counts all agents' chats in the midst of it: nobody has more than he may, and what his row says of them is true.
func (f *fire) room() {
	for _, a := range loads(f.Scene) {
		f.mu.Lock()
		f.given += a.Chats
		f.mu.Unlock()
		if a.MaxLoad != nil && a.Weight > *a.MaxLoad || a.MaxLoad == nil && a.Chats > 2 {
			f.T.Errorf("%s has %d chats of weight %d", a.Name, a.Chats, a.Weight)
		}
		if a.OpenChats != a.Chats || a.OpenWeight != a.Weight {
			f.T.Errorf("%s has %d chats of weight %d, and his row says %d of %d", a.Name, a.Chats, a.Weight, a.OpenChats, a.OpenWeight)
		}
	}
}
