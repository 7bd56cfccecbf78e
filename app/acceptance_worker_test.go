package app_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/crm/creatio/creatiotest"
)

// redisNumber is this package's own database of the Redis under test: asynq's keys have a fixed prefix.
const redisNumber = 7

// ownRedis lets the installation use a Redis that the test can reach: one in this process.
func ownRedis(t *testing.T) (*redis.Client, func(*app.Config)) {
	t.Helper()
	m := miniredis.RunT(t)
	r := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = r.Close() })
	return r, func(c *app.Config) { c.RedisURL = "redis://" + m.Addr() }
}

func TestS0_31_ACancelledInstanceTransfersNothingMore(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		const many = 30
		p.wizard(0, 2)
		p.staff("Ann", "Bob")
		for _, name := range []string{"Ann", "Bob"} {
			p.card(name, body{"max_load": 1000})
		}
		p.status("Bob", gen.AgentStatusOffline)
		var chats []uuid.UUID
		for i := range many {
			chats = append(chats, p.writes(fmt.Sprint("Client ", i), "Hello?").ID)
		}
		for _, c := range chats {
			p.given(c, "Ann")
		}
		old := p.processes("BeesenderSaveAfkChats")[0].ID
		p.status("Bob", gen.AgentStatusActive)
		p.advance(2 * time.Minute)
		p.until("the old instance is in mid-run", func() bool {
			for _, c := range chats {
				if p.holder(c) == "Bob" {
					return true
				}
			}
			return false
		})
		var done gen.WizardFinish
		p.post("/wizard/finish", body{"save_afk": "yes"}, &done)
		require.Len(t, done.Cancelled, 1)
		require.Equal(t, old, done.Cancelled[0].ID)
		var cancelled gen.Process
		p.get("/processes/"+old.String(), &cancelled)
		require.Equal(t, gen.ProcessStatusCanceled, cancelled.Status)
		for _, c := range chats {
			p.given(c, "Bob")
			moves := p.transfers(c)
			require.Len(t, moves, 1, "an effect happens once")
			if *moves[0].ProcessID == old {
				require.False(t, moves[0].At.After(*cancelled.CanceledAt), "no transfer carries the id of a cancelled instance")
			} else {
				require.Equal(t, done.Started[0].ID, *moves[0].ProcessID, "the new one goes on")
			}
		}
	})
}

func TestS0_30_InstancesThatRunBesideEachOtherDoEverythingOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 2)
		for range 3 {
			p.post("/wizard/finish", body{"save_afk": "no", "close_old": "no"}, nil)
		}
		p.staff("Ann", "Bob")
		chat := p.writes("Carl", "Hello?")
		p.until("somebody has it", func() bool { return p.holder(chat.ID) != "" })
		had := p.holder(chat.ID)
		p.advance(2 * time.Minute)
		p.until("the other one has it", func() bool { return p.holder(chat.ID) != had })
		p.stays("b26 it is moved once", func() bool { return len(p.transfers(chat.ID)) == 1 })
		require.Equal(t, "no answer for 2 minutes", *p.chat(chat.ID).TransferReason, "whoever comes second leaves no other reason")
		p.replies(p.holder(chat.ID), chat.ID, "Hello!")
		p.advance(5 * time.Minute)
		p.closed(chat.ID)
		var line gen.Timeline
		p.get("/chats/"+chat.ID.String()+"/timeline?limit=100", &line)
		closes := 0
		for _, e := range line.Items {
			if e.Kind == gen.TimelineKindClosed {
				closes++
				require.NotNil(t, e.ProcessID)
			}
		}
		require.Equal(t, 1, closes, "b26 closed once")
	})
}

func TestM_2_FinishCancelsTheStaleTasks(t *testing.T) {
	r, reached := ownRedis(t)
	// Nothing ticks: the tasks are the test's own.
	p := newPlace(t, reached, func(c *app.Config) { c.Tick = time.Hour })
	inspector := asynq.NewInspectorFromRedisClient(r)
	tasks := asynq.NewClientFromRedisClient(r)
	p.wizard(5, 3)
	p.until("the queue is there", func() bool { return inspector.PauseQueue("waggle") == nil })
	old := p.processes("")
	require.Len(t, old, 2)
	enqueue := func(id uuid.UUID, name gen.ProcessName, o ...asynq.Option) {
		kind := map[gen.ProcessName]string{
			gen.ProcessNameBeesenderSaveAfkChats: "tick:save_afk_chats", gen.ProcessNameBeesenderCloseOldChats: "tick:close_old_chats",
		}[name]
		_, err := tasks.Enqueue(asynq.NewTask(kind, []byte(`{"process":"`+id.String()+`"}`)), append(o, asynq.Queue("waggle"))...)
		require.NoError(t, err)
	}
	for _, i := range old {
		enqueue(i.ID, i.Process)
		enqueue(i.ID, i.Process, asynq.ProcessIn(time.Hour))
	}
	count := func() (pending, scheduled int) {
		for _, list := range []struct {
			tasks func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)
			n     *int
		}{{inspector.ListPendingTasks, &pending}, {inspector.ListScheduledTasks, &scheduled}} {
			found, err := list.tasks("waggle")
			require.NoError(t, err)
			for _, task := range found {
				if task.Type != "look" {
					*list.n++
				}
			}
		}
		return pending, scheduled
	}
	pending, scheduled := count()
	require.Equal(t, []int{2, 2}, []int{pending, scheduled})
	p.post("/wizard/finish", body{"save_afk": "yes", "close_old": "no"}, nil)
	pending, scheduled = count()
	require.Equal(t, []int{1, 1}, []int{pending, scheduled}, "only those of the instance that was not cancelled are left")
}

func TestM_3_ProcessesGoOnAfterARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 3)
		p.staff("Ann")
		p.ticks()
		before := p.processes("")
		require.Len(t, before, 2)
		for _, i := range before {
			require.NotNil(t, i.LastRunAt)
			require.NotNil(t, i.NextRunAt)
			require.Equal(t, p.config.Tick, i.NextRunAt.Sub(*i.LastRunAt), "the operator sets the tick")
			require.Positive(t, i.Runs)
		}
		chat := p.silent("Carl", "Ann")
		p.app.Stop()
		p.start()
		p.ticks()
		after := p.processes("")
		require.Len(t, after, 2, "the same instances, no others")
		for n, i := range after {
			require.Equal(t, before[n].ID, i.ID)
			require.Greater(t, i.Runs, before[n].Runs, "they go on")
		}
		p.advance(5 * time.Minute)
		p.closed(chat.ID)
		var closing gen.Process
		for _, i := range after {
			if i.Process == gen.ProcessNameBeesenderCloseOldChats {
				p.until("the close is counted", func() bool { p.get("/processes/"+i.ID.String(), &closing); return closing.AffectedChats == 1 })
			}
		}
	})
}

func TestM_4_TheCRMEqualsTheFacadeAfterFlushAndOutage(t *testing.T) {
	t.Run("in this process", func(t *testing.T) {
		r, reached := ownRedis(t)
		crmEquals(t, newPlace(t, reached), r)
	})
	if os.Getenv("TEST_REDIS_URL") != "" {
		t.Run("redis", func(t *testing.T) {
			o, err := redis.ParseURL(os.Getenv("TEST_REDIS_URL"))
			require.NoError(t, err)
			o.DB = redisNumber
			r := redis.NewClient(o)
			t.Cleanup(func() { _ = r.Close() })
			require.NoError(t, r.FlushDB(t.Context()).Err())
			crmEquals(t, newPlace(t, func(c *app.Config) { c.RedisURL = fmt.Sprintf("redis://%s/%d", o.Addr, redisNumber) }), r)
		})
	}
}

// crmEquals has customers write and agents answer while the CRM is down, Redis is emptied and Waggle restarts; afterwards the
// CRM must have what the façade shows.
func crmEquals(t *testing.T, p *place, r *redis.Client) {
	const customers = 8
	p.wizard(0, 0)
	p.staff("Ann")
	p.card("Ann", body{"max_load": 1000})
	p.crm.Down()
	for i := range customers {
		p.writes(fmt.Sprint("Client ", i), "One")
	}
	require.NoError(t, r.FlushDB(t.Context()).Err())
	for _, c := range p.chats() {
		p.given(c.ID, "Ann")
		p.replies("Ann", c.ID, "Two")
	}
	p.app.Stop()
	p.start()
	for i := range customers {
		p.writes(fmt.Sprint("Client ", i), "Three")
	}
	require.NoError(t, r.FlushDB(t.Context()).Err())
	p.crm.Up()
	p.synchronize() // somebody repairs by hand too: it must not harm
	for _, c := range p.chats() {
		p.until("the chat is proven to be in the CRM", func() bool { return p.chat(c.ID).CRM.State == gen.CRMStatePushed })
		p.until("with its three messages", func() bool { return len(p.crm.Messages(c.ID.String())) == 3 })
		for n, m := range p.crm.Messages(c.ID.String()) {
			require.Equal(t, p.texts(c.ID)[n], m["Message"], "once, in order")
		}
		row := p.crm.Row("OmniChat", c.ID.String())
		require.Equal(t, []any{p.agents["Ann"].crm.ID, creatiotest.StatusInProgress}, []any{row["OperatorId"], row["StatusId"]})
	}
	require.Len(t, p.crm.Chats(), customers, "no chat more")
	require.Empty(t, p.crm.Doubled("ChatMessages", "OmniChatId", "Message"))
	var contacts gen.ContactList
	p.get("/contacts?limit=100", &contacts)
	require.Len(t, contacts.Items, customers)
	for _, c := range contacts.Items {
		require.NotNil(t, c.CRM.Ref, c.Name)
		row := p.crm.Row("Contact", *c.CRM.Ref)
		require.NotNil(t, row, c.Name)
		require.Equal(t, c.Name, row["Name"])
	}
	require.Len(t, p.crm.Rows("ContactIdentity"), customers)
}
