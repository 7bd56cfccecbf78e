package jobs_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

// keptHints keeps the events; nothing may depend on hints.
type keptHints struct{ events []jobs.Event }

func (*keptHints) Look(jobs.Look)         {}
func (k *keptHints) Publish(e jobs.Event) { k.events = append(k.events, e) }
func (*keptHints) Subscribe(context.Context, uuid.UUID) <-chan *jobs.Event {
	return make(chan *jobs.Event)
}

// floor is a scene with jobs to run in it.
type floor struct {
	*storetest.Scene
	*jobs.Jobs
	hints *keptHints
}

func newFloor(t testing.TB, s *store.Store) *floor {
	hints := &keptHints{}
	j := &jobs.Jobs{
		Store: s, Hints: hints, Metrics: jobs.NewMetrics(prometheus.NewRegistry()),
		Log: slog.New(slog.DiscardHandler), Owner: "test",
	}
	return &floor{Scene: storetest.NewScene(t, s), Jobs: j, hints: hints}
}

func (f *floor) route() {
	f.T.Helper()
	require.NoError(f.T, f.Route(context.Background(), f.Env))
}

func (f *floor) tick(processes ...store.Process) {
	f.T.Helper()
	for _, p := range processes {
		run := f.SaveAfkChats
		if p.Name == chat.CloseOldChats {
			run = f.CloseOldChats
		}
		require.NoError(f.T, run(context.Background(), p.ID))
	}
	require.NoError(f.T, f.Timeouts(context.Background()))
}

func (f *floor) agentOf(id uuid.UUID) uuid.UUID { f.T.Helper(); return f.Look(id).AgentID }
func (f *floor) closed(id uuid.UUID) bool       { f.T.Helper(); return !f.Look(id).ClosedAt.IsZero() }

func each(t *testing.T, f func(t *testing.T, fl *floor)) {
	storetest.Each(t, func(t *testing.T, s *store.Store) { f(t, newFloor(t, s)) })
}

func transferAfter(minutes int) func(*store.Environment) {
	return func(e *store.Environment) { e.TransferOn, e.TransferMinutes = true, &minutes }
}

func closeAfter(minutes int) func(*store.Environment) {
	return func(e *store.Environment) { e.CloseOn, e.CloseMinutes = true, &minutes }
}

func noLimit(e *store.Environment) { zero := 0; e.SimultaneousChats = &zero }

// late lets accept timeouts come only after everything else.
func late(e *store.Environment) { day := 1440; e.AcceptTimeoutMinutes = &day }

func TestSaveAfkChats_S0_25(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		f.Set(late)
		ps := f.Start(transferAfter(5))
		a := f.Agent("Ann")
		queue := f.Queue(chat.ToAnAvailableAgent, 0, a)
		channel := f.Channel(queue, 1)
		id := f.Writes(channel, "u")
		f.route()
		require.Equal(t, a, f.agentOf(id))
		b := f.Agent("Bob")
		f.Members(queue, a, b)

		f.Pass(4*time.Minute + 50*time.Second)
		f.Writes(channel, "u") // b15: writing again does not restart the agent's clock
		f.tick(ps...)
		require.Equal(t, a, f.agentOf(id), "S0.25: not before the period is over")
		f.Pass(11 * time.Second)
		f.tick(ps...)
		require.Equal(t, b, f.agentOf(id), "S0.25")
		for _, concerned := range []uuid.UUID{a, b} {
			assert.Contains(t, f.hints.events, jobs.Event{Type: "chat", Environment: f.Env, ID: id, AgentID: concerned}, "S0.25: an event for who lost it and who has it")
		}
		assert.Equal(t, chat.Active, f.StatusOf(a), "S3.14: SaveAfkChats leaves the agent's status alone")
		p, err := f.Process(context.Background(), f.Env, ps[0].ID)
		require.NoError(t, err)
		assert.EqualValues(t, 1, p.Affected, "M.3: the runs are counted")
		assert.EqualValues(t, 2, p.Runs)
		entries, err := f.Timeline(context.Background(), f.Env, id, 0, 100)
		require.NoError(t, err)
		last := entries[len(entries)-1].DataOf()
		assert.Equal(t, store.EntryData{From: a, To: b, Why: "no answer for 5 minutes", Process: ps[0].ID}, last)

		f.Pass(6 * time.Minute)
		f.tick(ps...)
		require.Equal(t, b, f.agentOf(id), "S0.25: not back to one who had it for the same message")
		f.Replies(id, b)
		f.Settle(chat.PartSent)
		f.Pass(time.Hour)
		f.tick(ps...)
		require.Equal(t, b, f.agentOf(id), "S0.52: answered, so never moved, however old")
		f.Kinds(id)
	})
}

func TestSaveAfkChats_conditions(t *testing.T) {
	tests := []struct {
		name  string
		given func(f *floor, b, channel uuid.UUID)
		moves bool
	}{
		{"S0.46 all conditions true: moves", func(*floor, uuid.UUID, uuid.UUID) {}, true},
		{"S0.46 the checkbox off: stays", func(f *floor, _, _ uuid.UUID) { f.Start(func(e *store.Environment) { e.TransferOn = false }) }, false},
		{"S0.45 another period takes effect for chats already waiting", func(f *floor, _, _ uuid.UUID) { f.Start(transferAfter(60)) }, false},
		{"S0.48 B not on the channel: stays", func(f *floor, b, _ uuid.UUID) { f.Card(b, func(*store.Agent) {}, f.Channel(uuid.Nil, 1)) }, false},
		{"S0.48 B on the channel: moves", func(f *floor, b, channel uuid.UUID) { f.Card(b, func(*store.Agent) {}, channel) }, true},
		{"S0.49 B offline: stays", func(f *floor, b, _ uuid.UUID) { f.Status(b, chat.Offline) }, false},
		{"S0.50 B full: stays", func(f *floor, b, _ uuid.UUID) { f.Card(b, func(a *store.Agent) { zero := 0; a.MaxLoad = &zero }) }, false},
		{"S0.50 Max load 1, sum 0: moves", func(f *floor, b, _ uuid.UUID) { f.Card(b, func(a *store.Agent) { one := 1; a.MaxLoad = &one }) }, true},
		{"S1.10 chats switched off: nothing moves", func(f *floor, _, _ uuid.UUID) { f.Set(func(e *store.Environment) { e.ChatsEnabled = false }) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, f *floor) {
				f.Set(late)
				ps := f.Start(transferAfter(5))
				a := f.Agent("Ann")
				queue := f.Queue(chat.ToAnAvailableAgent, 0, a)
				channel := f.Channel(queue, 1)
				id := f.Writes(channel, "u")
				f.route()
				b := f.Agent("Bob")
				f.Members(queue, a, b)
				tt.given(f, b, channel)
				f.Pass(6 * time.Minute)
				f.tick(ps...)
				if tt.moves {
					require.Equal(t, b, f.agentOf(id))
				} else {
					require.Equal(t, a, f.agentOf(id))
				}
			})
		})
	}
}

func TestSaveAfkChats_reason_S0_50(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		f.Set(late)
		ps := f.Start(transferAfter(5))
		a := f.Agent("Ann")
		queue := f.Queue(chat.ToAnAvailableAgent, 0, a)
		light, heavy := f.Channel(queue, 1), f.Channel(queue, 3)
		id := f.Writes(heavy, "u")
		f.route()
		b := f.Agent("Bob")
		f.Card(b, func(x *store.Agent) { five := 5; x.MaxLoad = &five })
		f.Members(queue, b)
		for _, user := range []string{"1", "2", "3", "4"} {
			f.Writes(light, user)
		}
		f.route()
		f.Members(queue, a, b)
		f.Pass(6 * time.Minute)
		f.tick(ps...)
		c := f.Look(id)
		require.Equal(t, a, c.AgentID)
		assert.Equal(t, "Bob: 4 + 3 > 5", c.TransferWhy)
		f.Card(b, func(x *store.Agent) { seven := 7; x.MaxLoad = &seven })
		f.Pass(5 * time.Second)
		f.tick(ps...)
		require.Equal(t, b, f.agentOf(id), "room was made: it moves at the next tick")
	})
}

func TestCloseOldChats_S0_42(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		ps := f.Start(closeAfter(5))
		a := f.Agent("Ann")
		channel := f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1)
		id := f.Writes(channel, "u")
		f.route()
		f.Pass(3 * time.Minute)
		f.Replies(id, a)
		f.Pass(10 * time.Minute)
		f.tick(ps...)
		require.False(t, f.closed(id), "S0.21: only a delivered message starts the clock")
		f.Settle(chat.PartSent)
		f.Pass(4*time.Minute + 50*time.Second)
		f.tick(ps...)
		require.False(t, f.closed(id), "S0.42: one moment less")
		f.Pass(11 * time.Second)
		f.tick(ps...)
		require.True(t, f.closed(id), "S0.42")
		c := f.Look(id)
		assert.Equal(t, chat.NoAnswerOfClient, c.CloseReason, "S0.21")
		assert.NotZero(t, c.CRMDueAt, "S0.21: the CRM is to see it")
		kinds := f.Kinds(id)
		assert.Equal(t, chat.EntryClosed, kinds[len(kinds)-1])
		require.NotEqual(t, id, f.Writes(channel, "u"), "S3.19: the next message is a new chat")
	})
}

func TestCloseOldChats_conditions(t *testing.T) {
	tests := []struct {
		name   string
		queue  int // minutes of its own timeout
		given  func(f *floor, id, channel uuid.UUID)
		closes bool
	}{
		{"S0.41 on: closes", 0, func(*floor, uuid.UUID, uuid.UUID) {}, true},
		{"S0.41 off: minutes alone change nothing", 0, func(f *floor, _, _ uuid.UUID) { f.Start(func(e *store.Environment) { e.CloseOn = false }) }, false},
		{"S0.43 a longer period takes effect at once", 0, func(f *floor, _, _ uuid.UUID) { f.Start(closeAfter(60)) }, false},
		{"S0.21 the client has written since: stays (b2)", 0, func(f *floor, _, channel uuid.UUID) { f.Writes(channel, "u") }, false},
		{"S3.18 on hold: stays (b8)", 0, func(f *floor, id, _ uuid.UUID) {
			_, err := f.Hold(context.Background(), f.Env, id, uuid.Nil)
			require.NoError(f.T, err)
		}, false},
		{"S1.17 nobody has it: stays", 0, func(f *floor, id, _ uuid.UUID) {
			empty := f.Queue(chat.ToAllAgents, 0)
			_, err := f.TransferToQueue(context.Background(), f.Env, id, empty, uuid.Nil)
			require.NoError(f.T, err)
		}, false},
		{"S3.21 the queue's own longer timeout replaces the environment's (b4)", 30, func(*floor, uuid.UUID, uuid.UUID) {}, false},
		{"S3.17 the queue's own shorter timeout closes", 3, func(f *floor, _, _ uuid.UUID) { f.Start(func(e *store.Environment) { e.CloseOn = false }) }, true},
		{"S1.10 chats switched off: nothing closes (b24)", 0, func(f *floor, _, _ uuid.UUID) { f.Set(func(e *store.Environment) { e.ChatsEnabled = false }) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, f *floor) {
				ps := f.Start(closeAfter(5))
				a := f.Agent("Ann")
				channel := f.Channel(f.Queue(chat.ToAnAvailableAgent, tt.queue, a), 1)
				id := f.Writes(channel, "u")
				f.route()
				f.Replies(id, a)
				f.Settle(chat.PartSent)
				tt.given(f, id, channel)
				f.Pass(6 * time.Minute)
				f.tick(ps...)
				require.Equal(t, tt.closes, f.closed(id))
			})
		})
	}
}

func TestQueueTimeout_S3_17(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a := f.Agent("Ann")
		timed, none := f.Channel(f.Queue(chat.ToAnAvailableAgent, 10, a), 1), f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1)
		id, other := f.Writes(timed, "u"), f.Writes(none, "u")
		f.route()
		f.Replies(id, a)
		f.Replies(other, a)
		f.Settle(chat.PartSent)
		f.Pass(5 * time.Minute)
		f.Replies(id, a)
		f.Settle(chat.PartSent)
		f.Pass(9*time.Minute + 50*time.Second)
		f.tick()
		require.False(t, f.closed(id), "S3.17: counted from the last outgoing message")
		f.Pass(11 * time.Second)
		f.tick()
		require.True(t, f.closed(id), "S3.18: without anyone's call")
		f.Pass(10 * 24 * time.Hour)
		f.tick()
		require.False(t, f.closed(other), "S3.21: no value, no closing")
	})
}

// The next run is expected, and a chat that nobody could take is looked at again, at the scheduler's next tick, whatever that is.
func TestTheNextRunIsAtTheNextTick_M_3(t *testing.T) {
	for name, tick := range map[string]struct{ set, every time.Duration }{
		"as it is by default": {0, 5 * time.Second}, "set by the operator": {time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f *floor) {
				f.Tick = tick.set
				f.Set(late)
				ps := f.Start(transferAfter(5))
				id := f.Writes(f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, f.Agent("Ann")), 1), "u")
				f.route()
				f.Pass(6 * time.Minute)
				f.tick(ps...)
				p, err := f.Process(context.Background(), f.Env, ps[0].ID)
				require.NoError(t, err)
				require.Equal(t, tick.every, p.NextRunAt.Sub(p.LastRunAt.Time))
				look := time.UnixMicro(f.Look(id).LookAt)
				require.True(t, look.Before(p.NextRunAt.Time), "by the next run, nobody having been free")
				require.True(t, look.After(p.LastRunAt.Time), "not by another instance that runs now")
			})
		})
	}
}

func TestCancelled_S0_31(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		ps := f.Start(closeAfter(5))
		a := f.Agent("Ann")
		id := f.Writes(f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1), "u")
		f.route()
		f.Replies(id, a)
		f.Settle(chat.PartSent)
		f.Pass(6 * time.Minute)
		_, _, err := f.CancelProcess(context.Background(), f.Env, ps[0].ID)
		require.NoError(t, err)
		f.tick(ps...)
		require.False(t, f.closed(id), "a cancelled instance has no effect any more")
		now, err := f.Now(context.Background())
		require.NoError(t, err)
		_, err = f.CloseSilent(context.Background(), f.Env, ps[0].ID, id, now)
		require.ErrorIs(t, err, store.ErrCancelled, "nor in mid-run")
	})
}

func TestAcceptTimeout_S3_13(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		f.Set(noLimit)
		a := f.Agent("Ann")
		queue := f.Queue(chat.ToAnAvailableAgent, 0, a)
		id := f.Writes(f.Channel(queue, 1), "u")
		f.route()
		b := f.Agent("Bob")
		f.Members(queue, a, b)
		f.Pass(4*time.Minute + 50*time.Second)
		f.tick()
		require.Equal(t, a, f.agentOf(id), "S3.13: 4:50 → not")
		f.Pass(11 * time.Second)
		f.tick()
		require.Equal(t, b, f.agentOf(id), "S3.13: 5:00 → the next agent")
		assert.Equal(t, chat.Inactive, f.StatusOf(a), "S3.14")

		f.Set(func(e *store.Environment) { two := 2; e.AcceptTimeoutMinutes = &two })
		f.Pass(2*time.Minute + time.Second)
		f.tick()
		require.Equal(t, uuid.Nil, f.agentOf(id), "S3.15: 2 minutes at once, for a chat already offered; nobody is left, so it waits")
		assert.Equal(t, chat.Inactive, f.StatusOf(b))
		f.route()
		require.Equal(t, uuid.Nil, f.agentOf(id), "S3.16: an inactive agent gets nothing")
		f.Status(a, chat.Active)
		f.route()
		require.Equal(t, a, f.agentOf(id), "S3.16: active again, the waiting chat is his at once")
		_, err := f.Accept(context.Background(), f.Env, id, a)
		require.NoError(t, err)
		f.Pass(time.Hour)
		f.tick()
		require.Equal(t, a, f.agentOf(id), "S3.13: accepted, so it stays")
		f.Kinds(id)
	})
}

func TestMonth_S1_19(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a := f.Agent("Ann")
		channel, mine := f.Channel(uuid.Nil, 1), f.Channel(f.Queue(chat.ToAnAvailableAgent, 0, a), 1)
		waiting, assigned, held := f.Writes(channel, "w"), f.Writes(mine, "a"), f.Writes(mine, "h")
		f.route()
		_, err := f.Accept(context.Background(), f.Env, assigned, a)
		require.NoError(t, err)
		_, err = f.Hold(context.Background(), f.Env, held, a)
		require.NoError(t, err)
		f.Pass(27 * 24 * time.Hour)
		f.tick()
		require.False(t, f.closed(waiting), "S1.18: kept open for a month")
		f.Pass(5 * 24 * time.Hour)
		f.tick()
		require.True(t, f.closed(waiting), "S1.19: also with neither process on")
		assert.Equal(t, chat.NobodyTookIt, f.Look(waiting).CloseReason)
		require.True(t, f.closed(held), "b8: on hold too, though the client waits")
		require.False(t, f.closed(assigned), "S1.17: not what an agent has")
	})
}

func TestMonthWhileChatsAreOff_S1_10(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		waiting := f.Writes(f.Channel(uuid.Nil, 1), "w")
		f.Set(func(e *store.Environment) { e.ChatsEnabled = false })
		f.Pass(40 * 24 * time.Hour)
		f.tick()
		require.False(t, f.closed(waiting), "b24: nothing is closed")
		f.Set(func(e *store.Environment) { e.ChatsEnabled = true })
		f.Pass(27 * 24 * time.Hour)
		f.tick()
		require.False(t, f.closed(waiting), "b24: the month counts from then")
		f.Pass(5 * 24 * time.Hour)
		f.tick()
		require.True(t, f.closed(waiting))
	})
}

func TestPresence_S0_49(t *testing.T) {
	each(t, func(t *testing.T, f *floor) {
		a, b := f.Agent("Ann"), f.Agent("Bob")
		require.NoError(t, f.AgentHeartbeat(context.Background(), f.Env, a))
		f.Pass(time.Hour)
		f.tick()
		assert.Equal(t, chat.Active, f.StatusOf(a), "the moved clock makes nobody silent")
		assert.Equal(t, chat.Active, f.StatusOf(b), "who never sent a heartbeat is not watched")
	})
}
