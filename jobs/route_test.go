package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
)

func TestRoute_S3_10(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a, b, stranger := f.Agent("Ann"), f.Agent("Bob"), f.Agent("Carl")
		channel := f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a, b), 1)
		f.Queue(chat.ToAnAvailableAgent, 0, stranger)
		ids := []uuid.UUID{}
		for _, user := range []string{"1", "2", "3", "4", "5"} {
			ids = append(ids, f.Writes(channel, user))
		}
		due, err := f.RouteDue(context.Background())
		require.NoError(t, err)
		assert.Equal(t, []uuid.UUID{f.Env}, due)
		f.route()
		counts := map[uuid.UUID]int{}
		for _, id := range ids {
			counts[f.agentOf(id)]++
		}
		assert.Equal(t, map[uuid.UUID]int{a: 2, b: 2, uuid.Nil: 1}, counts, "S3.63: two each, the fifth waits; S3.5: none to another queue")
		assert.Equal(t, uuid.Nil, f.agentOf(ids[4]), "the oldest goes first")

		_, err = f.CloseChat(context.Background(), f.Env, ids[0], uuid.Nil, "")
		require.NoError(t, err)
		freed := f.agentOf(ids[0])
		f.route()
		assert.Equal(t, freed, f.agentOf(ids[4]), "S3.65: he has room again")
	})
}

func TestRoute_S3_12(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		f.Set(noLimit)
		a, b := f.Agent("Ann"), f.Agent("Bob")
		channel := f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a, b), 1)
		var order []uuid.UUID
		for _, user := range []string{"1", "2", "3", "4"} {
			id := f.Writes(channel, user)
			f.route()
			order = append(order, f.agentOf(id))
			_, err := f.CloseChat(context.Background(), f.Env, id, uuid.Nil, "")
			require.NoError(t, err)
			f.Pass(time.Second)
		}
		assert.Equal(t, order[:2], order[2:], "equal loads: who has not taken one for longest")
		assert.NotEqual(t, order[0], order[1])
	})
}

func TestRoute_places(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a := f.Agent("Ann")
		unserved := f.Channel(uuid.Nil, 1)
		all := f.Channel(f.Queue(chat.ToAllAgents, 0, a), 1)
		lost, offered := f.Writes(unserved, "1"), f.Writes(all, "1")
		f.route()
		assert.Equal(t, uuid.Nil, f.agentOf(lost), "S3.4: no queue and listed by no agent: kept, not routed")
		assert.Equal(t, uuid.Nil, f.agentOf(offered), "S3.9: to all agents is for whoever accepts first")
		lister := f.Agent("Bob", unserved)
		f.route()
		assert.Equal(t, lister, f.agentOf(lost), "b16: a channel without a queue goes to who lists it")
	})
}

func TestRoute_S3_25(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a := f.Agent("Ann")
		one, two := f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1), f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1)
		ids := []uuid.UUID{f.Writes(one, "1"), f.Writes(two, "2"), f.Writes(one, "3"), f.Writes(two, "4")}
		f.route()
		n := 0
		for _, id := range ids {
			if f.agentOf(id) == a {
				n++
			}
		}
		assert.Equal(t, 2, n, "S3.66: chats of both queues and channels, one limit over all")
	})
}

func TestRoute_S1_10(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a := f.Agent("Ann")
		channel := f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1)
		f.Set(func(e *store.Environment) { e.ChatsEnabled = false })
		id := f.Writes(channel, "1")
		f.route()
		assert.Equal(t, uuid.Nil, f.agentOf(id), "stored, not routed")
		f.Set(func(e *store.Environment) { e.ChatsEnabled = true })
		f.route()
		assert.Equal(t, a, f.agentOf(id), "off and on again loses nothing")
	})
}

func TestRoute_heavy(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a := f.Agent("Ann")
		f.Card(a, func(x *store.Agent) { two := 2; x.MaxLoad = &two })
		queue := f.Queue(chat.ToAnAvailableAgent, 0, a)
		heavy, light := f.Writes(f.Channel(queue, 3), "1"), f.Writes(f.Channel(queue, 1), "2")
		f.route()
		assert.Equal(t, uuid.Nil, f.agentOf(heavy), "S0.50: 0 + 3 > 2")
		assert.Equal(t, a, f.agentOf(light), "the oldest that fits goes first")
	})
}
