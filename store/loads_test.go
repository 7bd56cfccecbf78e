package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// load is an agent with what he has, counted from the chats at the moment his row was read.
type load struct {
	store.Agent `bun:",extend"`
	Chats       int
	Weight      int
}

func loads(sc *storetest.Scene) []load {
	sc.T.Helper()
	var all []load
	err := sc.DB().NewSelect().Model(&all).ColumnExpr("a.*").
		ColumnExpr("(SELECT count(*) FROM chats AS c WHERE c.agent_id = a.id AND c.closed_at IS NULL AND NOT c.on_hold) AS chats").
		ColumnExpr("(SELECT coalesce(sum(weight), 0) FROM chats AS c WHERE c.agent_id = a.id AND c.closed_at IS NULL AND NOT c.on_hold) AS weight").
		Where("a.environment_id = ?", sc.Env).OrderExpr("a.name").Scan(ctx)
	if err != nil {
		sc.T.Errorf("count the loads: %v", err)
	}
	return all
}

// S0.50: an agent's row tells what he has after everything that can happen to a chat.
func TestLoadsFollowTheChats_S0_50(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		sc := storetest.NewScene(t, s)
		sc.Set(func(e *store.Environment) { e.SimultaneousChats = new(int) })
		ann, ben := sc.Agent("Ann"), sc.Agent("Ben")
		queue := sc.Queue(chat.ToAllAgents, 0, ann, ben)
		light, heavy := sc.Channel(queue, 1), sc.Channel(queue, 3)
		have := func(what string, want ...int) {
			t.Helper()
			var got []int
			for _, a := range loads(sc) {
				require.Equal(t, []int{a.Chats, a.Weight}, []int{a.OpenChats, a.OpenWeight}, what)
				got = append(got, a.OpenChats, a.OpenWeight)
			}
			require.Equal(t, want, got, what)
		}
		must := func(_ store.Changed, err error) { t.Helper(); require.NoError(t, err) }
		a, b := sc.Writes(light, "one"), sc.Writes(heavy, "two")
		have("they wait", 0, 0, 0, 0)
		must(sc.Accept(ctx, sc.Env, a, ann))
		must(sc.Accept(ctx, sc.Env, b, ann))
		have("accepted", 2, 4, 0, 0)
		must(sc.TransferToAgent(ctx, sc.Env, b, ben, uuid.Nil))
		have("transferred", 1, 1, 1, 3)
		must(sc.Hold(ctx, sc.Env, b, uuid.Nil))
		have("on hold", 1, 1, 0, 0)
		must(sc.TransferToAgent(ctx, sc.Env, b, ann, uuid.Nil))
		have("transferred while on hold", 2, 4, 0, 0)
		must(sc.Hold(ctx, sc.Env, b, uuid.Nil))
		must(sc.Unhold(ctx, sc.Env, b, uuid.Nil))
		have("off hold", 2, 4, 0, 0)
		must(sc.TransferToQueue(ctx, sc.Env, a, queue, uuid.Nil))
		have("back in the queue", 1, 3, 0, 0)
		must(sc.CloseChat(ctx, sc.Env, b, uuid.Nil, ""))
		have("closed", 0, 0, 0, 0)
		must(sc.ReopenChat(ctx, sc.Env, b, ben))
		have("reopened", 0, 0, 1, 3)
		_, _, _, err := sc.StartChat(ctx, sc.Env, store.NewChat{ChannelID: light, ContactID: sc.Look(b).ContactID, Agent: ann, Text: "hello"}, store.Idem{})
		require.ErrorIs(t, err, store.ErrNotFound)
		must(sc.CloseChat(ctx, sc.Env, a, uuid.Nil, ""))
		_, _, _, err = sc.StartChat(ctx, sc.Env, store.NewChat{ChannelID: light, ContactID: sc.Look(a).ContactID, Agent: ann, Text: "hello"}, store.Idem{})
		require.NoError(t, err)
		have("started by an agent", 1, 1, 1, 3)
		sc.Card(ben, func(a *store.Agent) { a.Enabled = false })
		have("deactivated", 1, 1, 0, 0)
	})
}
