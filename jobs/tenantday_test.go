package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/dialect"

	"waggle/channels"
	"waggle/chat"
	"waggle/crm"
	"waggle/store"
	"waggle/store/storetest"
)

// day is an environment's day: what its customers, its agents and the workers do.
type day struct {
	*laneWorld
	*storetest.Scene
	bots      *botMessenger
	queue     uuid.UUID
	agents    []uuid.UUID
	processes []store.Process
	done      int // seconds of the day
}

// known is a customer whose messenger vouches for his phone number.
const known = "79991234567"

// newDay prepares a day of the world's present environment.
func newDay(w *laneWorld, b *botMessenger) *day {
	d := &day{laneWorld: w, Scene: &storetest.Scene{Store: w.store, T: w.T, Env: w.env}, bots: b}
	d.agents = []uuid.UUID{d.Agent("Ann"), d.Agent("Bob")}
	d.queue = d.Queue(chat.ToAnAvailableAgent, 0, d.agents...)
	require.NoError(w, w.store.ChangeChannel(w.ctx, w.env, w.channel, store.ChannelSettings{Queue: &d.queue}))
	d.processes = d.Start(func(e *store.Environment) { transferAfter(20)(e); closeAfter(20)(e) })
	w.messenger.echoes = true
	w.messenger.checked = func(channels.Channel) (channels.Checkup, error) { return channels.Checkup{}, nil }
	w.messenger.known = func(user string) (channels.User, error) { return channels.User{ID: user, Name: "Ann"}, nil }
	w.messenger.file = func(context.Context, string) (channels.File, error) {
		return channels.File{ReadCloser: io.NopCloser(bytes.NewReader([]byte("%PDF-1.7"))), Size: 8}, nil
	}
	return d
}

// event hands an event of a customer's to the intake.
func (d *day) event(user string, e channels.Event) {
	d.Helper()
	ch := d.row(d.channel)
	d.done++
	e.User, e.At = channels.User{ID: user, Phone: phoneOf(user)}, time.Now().Add(time.Duration(d.done)*time.Millisecond-time.Minute)
	if e.Key == "" {
		e.Key = nextKey()
	}
	_, err := d.jobs.Intake.Take(d.ctx, ch, channels.Delivery{Events: []channels.Event{e}})
	require.NoError(d, err)
}

// says is a message of a customer's.
func (d *day) says(user, id, text string, files ...channels.Attachment) {
	d.event(user, channels.Event{Kind: channels.Message, Key: user + id, MessageID: id, Text: text, Attachments: files})
}

func (d *day) chatOf(user string) store.Chat {
	d.Helper()
	var c store.Chat
	require.NoError(d, d.db.NewSelect().Model(&c).Where("c.channel_id = ?", d.channel).Where("c.user_id = ?", user).OrderExpr("c.id DESC").Limit(1).Scan(d.ctx))
	return c
}

func (d *day) try(err error) {
	d.Helper()
	require.NoError(d, err)
}

// answers has an agent reply to a customer, and the messenger answer with this, once.
func (d *day) answers(user string, outcome error) uuid.UUID {
	d.Helper()
	c := d.chatOf(user)
	var once atomic.Bool
	d.bots.program(func(channels.Channel, channels.Part) error {
		if once.Swap(true) {
			return nil
		}
		return outcome
	})
	id := d.Replies(c.ID, c.AgentID)
	d.deliver()
	d.bots.program(nil)
	return id
}

func (d *day) words() {
	d.says(known, "1", "hello", channels.Attachment{Kind: "document", Name: "a.pdf", Ref: "r"})
	d.says(known, "1", "hello")
	d.says(known, "2", "are you there?")
	d.event(known, channels.Event{Kind: channels.Edit, MessageKey: known + "2", MessageID: "2", Text: "anybody?"})
	d.event(known, channels.Event{Kind: channels.Message, MessageID: "3", ReplyTo: "2", Text: "there?"})
	d.says("bob", "4", "hi")
	d.event("bob", channels.Event{Kind: channels.Block})
	d.event("bob", channels.Event{Kind: channels.Unblock})
	d.event("bob", channels.Event{Kind: channels.Control, Control: &channels.ControlNote{Owner: channels.Asked, App: "7"}})
}

func (d *day) routes() {
	_, err := d.jobs.RouteDue(d.ctx)
	d.try(err)
	d.try(d.jobs.Route(d.ctx, d.env))
	for _, user := range []string{known, "bob"} {
		c := d.chatOf(user)
		require.NotZero(d, c.AgentID, "it is routed")
		_, err := d.store.Accept(d.ctx, d.env, c.ID, c.AgentID)
		d.try(err)
	}
}

func (d *day) replies() {
	d.answers("bob", nil)
	sent := fmt.Sprintf("s%d", len(d.bots.texts()))
	d.event("bob", channels.Event{Kind: channels.Receipt, Receipt: &channels.ReceiptNote{MessageIDs: []string{sent}, Until: time.Now()}})
	d.event("bob", channels.Event{Kind: channels.Receipt, Receipt: &channels.ReceiptNote{MessageIDs: []string{sent}, Read: true}})
	d.event("bob", channels.Event{Kind: channels.Echo, MessageID: sent, Text: "reply", Echo: &channels.EchoNote{}})
	d.event("bob", channels.Event{Kind: channels.Echo, MessageID: "e1", ReplyTo: "4", Text: "from the phone", Attachments: []channels.Attachment{{Kind: "document", Name: "b.pdf", Ref: "r2"}}, Echo: &channels.EchoNote{}})
	d.answers(known, &channels.Error{Outcome: channels.Permanent, Reason: "no"})
	unknown := d.answers(known, &channels.Error{Outcome: channels.Unknown, Reason: "who knows"})
	d.event(known, channels.Event{Kind: channels.Receipt, Receipt: &channels.ReceiptNote{MessageIDs: []string{"early"}}})
	d.event(known, channels.Event{Kind: channels.Echo, MessageID: "early", Text: "reply", Echo: &channels.EchoNote{}})
	require.True(d, d.entry(unknown).State.Taken(), "its echo proves it")
	d.answers(known, &channels.Error{Outcome: channels.RetryAt, At: time.Now(), Reason: "busy"})
	d.answers("bob", &channels.Error{Outcome: channels.Permanent, Blocked: true, Reason: "blocked"})
	_, err := d.jobs.Release(d.ctx)
	d.try(err)
	d.try(d.store.ForgetEarlyReceipts(d.ctx))
}

func (d *day) pushes() {
	_, err := d.jobs.PushDue(d.ctx)
	d.try(err)
	d.crm.refuse = func(record any) string {
		if m, is := record.(crm.Message); is && m.Text == "hi" {
			return "no"
		}
		return ""
	}
	d.push(d.env)
	d.crm.refuse = nil
	_, err = d.jobs.RedriveAll(d.ctx, d.env, store.FailureFilter{})
	d.try(err)
	d.push(d.env)
	require.Equal(d, store.JobDone, d.synchronize(d.startSynchronize()).State)
}

// polls reads the channel once by polling and once beside its webhook.
func (d *day) polls() {
	ctx, stop := context.WithCancel(d.ctx)
	ended := make(chan error)
	var once sync.Once
	d.messenger.polled = func(offset string) (channels.Delivery, string, error) {
		if offset == "2" {
			d.change("channels", "receive = 'webhook', reread_at = 1, reread_from = 1", d.channel)
			return channels.Delivery{}, offset, nil
		}
		return channels.Delivery{Events: []channels.Event{{Kind: channels.Message, Key: "p1", Text: "polled", User: channels.User{ID: "bob"}}}}, "2", nil
	}
	read := make(chan struct{})
	d.messenger.reread = func(_ channels.Channel, offset string, _ time.Time) (channels.Delivery, string, bool, error) {
		once.Do(func() { close(read) })
		return channels.Delivery{}, offset, true, nil
	}
	d.change("channels", "receive = 'polling'", d.channel)
	go func() { ended <- d.jobs.Poll(ctx) }()
	<-read
	require.Eventually(d, func() bool { return d.row(d.channel).RereadAt.IsZero() }, time.Minute, 10*time.Millisecond, "it is read to the end")
	stop()
	d.try(<-ended)
}

// change changes a row behind the program's back.
func (d *day) change(table, what string, id uuid.UUID) {
	_, err := d.db.NewUpdate().Table(table).Set(what).Where("id = ?", id).Exec(d.ctx)
	d.try(err)
}

func (d *day) looksAfter() {
	for _, look := range []func(context.Context) (int, error){d.jobs.Profiles, d.jobs.Check, d.jobs.Threads} {
		_, err := look(d.ctx)
		d.try(err)
	}
	_, err := d.jobs.FetchDue(d.ctx)
	d.try(err)
	_, err = d.jobs.Fetch(d.ctx, d.env)
	d.try(err)
	d.try(d.jobs.Receiving(d.ctx))
	d.try(d.store.Unstored(d.ctx, []string{"fake"}, []uuid.UUID{d.channel}, time.Minute, 0))
	d.jobs.PublishChats(d.ctx, []uuid.UUID{d.chatOf("bob").ID})
}

// ticks lets time pass until everything has closed.
func (d *day) ticks() {
	d.says("carl", "5", "hello")
	d.try(d.jobs.Route(d.ctx, d.env))
	d.event("dora", channels.Event{Kind: channels.Message, MessageID: "6", Text: "bot?", Standby: true})
	d.answers("bob", nil)
	for _, passed := range []time.Duration{6 * time.Minute, 25 * time.Minute, 40 * 24 * time.Hour} {
		d.Pass(passed)
		for _, p := range d.processes {
			run := d.jobs.SaveAfkChats
			if p.Name == chat.CloseOldChats {
				run = d.jobs.CloseOldChats
			}
			d.try(run(d.ctx, p.ID))
		}
		d.wishes()
	}
	for _, user := range []string{known, "bob", "carl", "dora"} {
		require.False(d, d.chatOf(user).ClosedAt.IsZero(), "%s's chat is closed", user)
	}
}

func (d *day) lives() {
	d.words()
	d.routes()
	d.replies()
	d.pushes()
	d.polls()
	d.looksAfter()
	d.ticks()
	d.push(d.env)
}

// rows is all that stands in the tables of customers and chats of an environment.
func (w *laneWorld) rows(env uuid.UUID) map[string]string {
	w.Helper()
	all := map[string]string{}
	for _, table := range []string{"chats", "timeline", "parts", "contacts", "identities", "files", "failures"} {
		var rows []map[string]any
		require.NoError(w, w.db.NewSelect().Table(table).Where("environment_id = ?", env).OrderExpr("id").Scan(w.ctx, &rows))
		text, err := json.Marshal(rows)
		require.NoError(w, err)
		all[table] = string(text)
	}
	return all
}

// Every statement of an environment's day — the way in, the lanes, the ticks — names it where it is on a table of tenants, and what
// is another's stays as it is.
func TestS0_35_EveryStatementOfTheWorkersNamesItsEnvironment(t *testing.T) {
	eachBots(t, func(w *laneWorld, b *botMessenger) {
		newDay(w, b).lives()
		theirs := w.env
		_, err := w.jobs.Profiles(w.ctx) // nothing of theirs is left to do
		require.NoError(w, err)
		w.set("channels", "reread_at = NULL")
		w.env = w.newEnvironment()
		w.channel = w.newChannel(w.env)
		_, err = w.db.NewUpdate().Table("environments").Set("chats_enabled = ?", false).Where("id = ?", theirs).Exec(w.ctx)
		require.NoError(w, err)
		before, ours := w.rows(theirs), newDay(w, b)

		var mu sync.Mutex
		var statements []string
		w.watch.Store(func(statement string) {
			mu.Lock()
			defer mu.Unlock()
			statements = append(statements, statement)
		})
		ours.lives()
		w.jobs.Intake.Close()
		mu.Lock()
		defer mu.Unlock()
		allowed := maps.Clone(beyond)
		allowed[wayIn[w.db.Dialect().Name()]] = "the way in"
		scope := storetest.NewScope(w, allowed)
		scope.Check(w.env, "a day", statements)
		scope.Report()
		scope.Saw(150)
		require.Equal(t, before, w.rows(theirs))
	})
}

// beyond are the statements that need no environment, and why.
var beyond = map[string]string{
	`^(WITH RECURSIVE "sending" AS|SELECT "id" FROM \(SELECT id FROM \(SELECT "c"\."id" FROM chats AS c WHERE \(c\.out_due_at <=|UPDATE "chats" SET out_owner = )`: "a worker claims lanes to the messengers, of any environment: they tell whose they are",
	`^(SELECT c\.id FROM chats AS c WHERE \(c\.thread_due_at <=|UPDATE "chats" AS "c" SET thread_due_at = .* RETURNING \*$)`:                                       "a worker claims wishes about conversations, of any environment",
	`^SELECT … FROM "jobs" AS "j" WHERE \(kind = \?\) AND \(state = `:                                                                                              "a worker claims a job, of any environment",
	`^UPDATE "channels" AS "ch" SET (poll_owner = \?, poll_until = [^N]|check_at = )`:                                                                              "a worker claims channels to poll or check, of any environment",
	`^UPDATE "channels" AS "ch" SET (poll_until = |poll_offset = |poll_owner = \?, poll_until = NULL|reread_from = CASE WHEN reread_at = )`:                        "who has claimed a channel goes on by its id",
	`^UPDATE "identities" AS "i" SET profile_at = CASE`:                                                                                                            "a worker claims customers without a name, of any environment",
	`^UPDATE "channels" AS "ch" SET reread_from = CASE WHEN reread_from < .* AND \(kind IN`:                                                                        "what this process could not store, of whatever channels it came for",
	`^UPDATE "channels" AS "ch" SET dropped = dropped`:                                                                                                             "what came for channels is counted by the ids under which it came",
	`^SELECT c\.id AS chat_id, c\.environment_id, c\.agent_id`:                                                                                                     "to whom an event of chats just changed may go; each row names its environment",
	`^SELECT (…|"e"\."id"|e\.id) FROM "?environments"? AS "?e"? WHERE \((e\.chats_enabled|EXISTS)`:                                                                 "a sweep asks which environments have something to do",
	`^SELECT DISTINCT k\.environment_id FROM secret_keys`:                                                                                                          "a sweep asks which environments have a valid key again",
	`^UPDATE "agents" AS "a" SET status = \?, status_at = \? WHERE \(a\.status`:                                                                                    "a sweep makes agents offline whose browsers are silent",
	`^SELECT … FROM "chats" AS "c" WHERE \(c\.closed_at IS NULL\) AND \(c\.agent_id IS NULL OR c\.on_hold\)`:                                                       "a sweep looks for chats that are a month old; each is closed in its environment",
	`^DELETE FROM "early_receipts" WHERE \(at <`:                                                                                                                   "a sweep forgets what is old",
	`^SELECT … FROM "processes" AS "p" WHERE \(p\.id = \?\) AND \(p\.name`:                                                                                         "a task carries its instance's id: it says which environment",
}

// wayIn are those of taking words in: an event's channel is looked up in its environment first, and the rest goes by the channel, the
// customer's id on it, or what they have led to.
var wayIn = map[dialect.Name]string{
	dialect.PG: `^WITH moved AS`,
	dialect.SQLite: `^(SELECT (id, contact_id, blocked_at|id, chat_id FROM timeline|owner, app|c\.closed_at IS NULL AND|coalesce\(target_id, id\))|` +
		`UPDATE (chats SET last_seq = |identities SET blocked_at = NULL WHERE id|contacts SET phone = CASE))`,
}
