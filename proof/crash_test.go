package proof

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/channels/double"
	"waggle/crm/creatio/creatiotest"
	"waggle/proof/runner"
)

// drainLimit is how long a process may take to end when it is asked to.
const drainLimit = 15 * time.Second

// killWorkers ends every worker as a crash does, starts new ones and ends the leases of the dead.
func (p place) killWorkers(t *testing.T, ctx context.Context) {
	for _, w := range p.Workers {
		w.Kill()
	}
	lanes, err := p.Database.EndLeases(ctx)
	require.NoError(t, err)
	require.Positive(t, lanes, "they were killed in the middle of something")
	for _, w := range p.Workers {
		require.NoError(t, w.Restart(ctx))
	}
}

// arrives waits until a gate holds a request.
func arrives(t *testing.T, ctx context.Context, g *creatiotest.Gate) {
	select {
	case <-g.Arrived():
	case <-ctx.Done():
		require.NoError(t, ctx.Err(), "nothing reached the CRM")
	}
}

func TestWorkerKilledInTheMiddleOfAPush(t *testing.T) {
	cases := []struct {
		name string
		gate func(creatiotest.Request) bool
	}{
		{"M.4 while the chats' records are made", creatiotest.Holding(creatiotest.Inserts("OmniChat"))},
		{"M.4 while the messages' records are made", creatiotest.Holding(creatiotest.Inserts("ChatMessages"))},
	}
	for _, c := range cases {
		everywhere(t, c.name, func(t *testing.T, ctx context.Context, p place) {
			gate := p.CRM.Hold(c.gate)
			runner.WriteAll(ctx, append(p.town.OnTelegram(4), p.town.OnMessenger(4)...), 3)
			arrives(t, ctx, gate)
			p.killWorkers(t, ctx)
			gate.Open()
		})
	}
	everywhere(t, "M.4 after the records were made and before the answer", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(4)
		p.CRM.LoseAnswer(2, creatiotest.Holding(creatiotest.Inserts("ChatMessages")))
		gate := p.CRM.Hold(func(r creatiotest.Request) bool {
			return r.Method == "GET" && len(r.Ops) > 0 && r.Ops[0].Object == "ChatMessages"
		})
		defer gate.Open()
		runner.WriteAll(ctx, people, 3)
		require.NoError(t, client.Until(ctx, "the CRM has some messages", func() (bool, error) { return len(p.CRM.Messages("")) > 0, nil }))
		for _, w := range p.Workers {
			w.Kill()
		}
		_, err := p.Database.EndLeases(ctx)
		require.NoError(t, err)
		gate.Open()
		for _, w := range p.Workers {
			require.NoError(t, w.Restart(ctx))
		}
	})
}

func TestWorkerKilledInTheMiddleOfASend(t *testing.T) {
	everywhere(t, "M.3 the reply stands as unknown, the next ones go on", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(2)
		runner.WriteAll(ctx, people, 1)
		chats, err := p.town.Assigned(ctx, people)
		require.NoError(t, err)
		p.Bot.FailNext("sendMessage", double.AfterAccepting(double.Hang()))
		c := people[0]
		require.NoError(t, p.town.Reply(ctx, c, chats[c.Name], 1))
		require.NoError(t, c.Has(ctx, 1))
		p.killWorkers(t, ctx)
		require.NoError(t, p.town.Reply(ctx, c, chats[c.Name], 2))
		require.NoError(t, p.town.Reply(ctx, people[1], chats[people[1].Name], 1))
		require.NoError(t, c.Has(ctx, 3))
		require.NoError(t, p.town.Audit(ctx))
		unknown, err := p.town.Unknown(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, unknown)
	})
}

// A worker that hangs longer than its lease finds, when it goes on, that another has done its work: its fence is old.
func TestWorkerFrozenBeyondItsLease(t *testing.T) {
	onServers(t, "M.3 what it still does is done twice nowhere", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(6)
		gate := p.CRM.Hold(creatiotest.Holding(creatiotest.Inserts("ChatMessages")))
		p.Workers[1].Kill()
		runner.WriteAll(ctx, people, 3)
		arrives(t, ctx, gate)
		frozen := p.Workers[0].Process
		frozen.Freeze()
		// It may hold the lock of a row; PostgreSQL ends its transaction for it after a while.
		require.NoError(t, client.Until(ctx, "the frozen worker's locks are gone", func() (bool, error) {
			_, err := p.Database.EndLeases(ctx)
			return err == nil, nil
		}))
		require.NoError(t, p.Workers[1].Restart(ctx))
		arrives(t, ctx, gate)
		gate.Open()
		require.NoError(t, p.town.Audit(ctx))
		frozen.Thaw()
		runner.WriteAll(ctx, people, 2)
	})
}

func TestAPIKilledUnderLoad(t *testing.T) {
	everywhere(t, "M.4 what was answered 2xx is kept, the rest is delivered again", func(t *testing.T, ctx context.Context, p place) {
		people := append(p.town.OnTelegram(20), p.town.OnMessenger(10)...)
		written := make(chan struct{})
		go func() { defer close(written); runner.WriteAll(ctx, people, 20) }()
		for round := range 3 {
			require.NoError(t, client.Until(ctx, "messages come in", func() (bool, error) {
				n, err := p.Database.Int(ctx, "SELECT count(*) FROM timeline WHERE kind = 'message'")
				return n > 100*round, err
			}))
			api := p.APIs[round%len(p.APIs)]
			api.Kill()
			if len(p.Workers) == 1 { // the worker went with it
				_, err := p.Database.EndLeases(ctx)
				require.NoError(t, err)
			}
			require.NoError(t, api.Restart(ctx))
			p.Bot.RetryNow()
		}
		<-written
	})
}

func TestDrain(t *testing.T) {
	everywhere(t, "M.3 a stop loses nothing and ends without a fault", func(t *testing.T, ctx context.Context, p place) {
		people := append(p.town.OnTelegram(10), p.town.OnMessenger(5)...)
		runner.WriteAll(ctx, people, 1)
		chats, err := p.town.Assigned(ctx, people)
		require.NoError(t, err)
		gate := p.CRM.Hold(creatiotest.Holding(creatiotest.Inserts("ChatMessages")))
		answers := make(chan error, len(people))
		for _, c := range people {
			go func() {
				c.Write(ctx, 5)
				answers <- p.town.Reply(ctx, c, chats[c.Name], 5)
			}()
		}
		arrives(t, ctx, gate)
		for _, slot := range p.slots() {
			stopped := make(chan error, 1)
			go func() { stopped <- slot.Process.Stop(drainLimit) }()
			gate.Open()
			require.NoError(t, <-stopped)
			require.NoError(t, slot.Restart(ctx))
		}
		for range people {
			require.NoError(t, <-answers)
		}
		leased, err := p.Database.Int(ctx, "SELECT count(*) FROM timeline WHERE state = 'unknown'")
		require.NoError(t, err)
		require.Zero(t, leased, "what was being sent was finished")
	})
}

// slots lists the place's processes, each once.
func (p place) slots() []*runner.Slot {
	if len(p.APIs) == 1 {
		return p.APIs
	}
	return append(append([]*runner.Slot(nil), p.APIs...), p.Workers...)
}

// A worker that was away for an hour counts nobody's silence in that hour: no chat is taken from its agent. When it serves
// again, silence counts again.
func TestClocksRestWhileNoWorkerIsThere(t *testing.T) {
	everywhere(t, "M.3 the outage is nobody's silence", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(4)
		runner.WriteAll(ctx, people, 1)
		before, err := p.town.Assigned(ctx, people)
		require.NoError(t, err)
		for _, w := range p.Workers {
			w.Kill()
		}
		_, err = p.Database.EndLeases(ctx)
		require.NoError(t, err)
		const hour = "3600000000"
		for _, q := range []string{
			"UPDATE clock SET heartbeat_at = heartbeat_at - " + hour,
			"UPDATE chats SET unanswered_since = unanswered_since - " + hour + ", assigned_at = assigned_at - " + hour +
				", agent_due_since = agent_due_since - " + hour,
		} {
			_, err := p.Database.Exec(ctx, q)
			require.NoError(t, err)
		}
		for _, w := range p.Workers {
			require.NoError(t, w.Restart(ctx))
		}
		ran, err := p.town.Runs(ctx, gen.ProcessNameBeesenderSaveAfkChats)
		require.NoError(t, err)
		require.NoError(t, client.Until(ctx, "SaveAfkChats has run three times", func() (bool, error) {
			n, err := p.town.Runs(ctx, gen.ProcessNameBeesenderSaveAfkChats)
			return n >= ran+3, err
		}))
		after, err := p.town.Assigned(ctx, people)
		require.NoError(t, err)
		for _, c := range people {
			require.Equal(t, before[c.Name].Agent.ID, after[c.Name].Agent.ID, "%s keeps the agent", c.Name)
		}
		require.NoError(t, p.town.Advance(ctx, "4m"))
		require.NoError(t, client.Until(ctx, "an agent's own silence counts", func() (bool, error) {
			chats, err := p.town.Chats(ctx)
			moved := 0
			for _, c := range people {
				if a := chats[c.Name].Agent; a != nil && a.ID != before[c.Name].Agent.ID {
					moved++
				}
			}
			return moved == len(people), err
		}))
	}, "MOVABLE_CLOCK=true")
}
