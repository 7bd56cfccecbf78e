package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/proof/runner"
)

// lease is short, so that a frozen process loses its work within the run.
const lease = 6 * time.Second

const (
	staff = 12
	room  = 14 // Max load of each agent: not enough for all chats, so that some wait
)

// world is the place, the people and their books.
type world struct {
	plan    plan
	in      *runner.Installation
	servers *runner.Servers // nil: embedded
	dir     string
	town    *runner.Town
	ledger  *ledger
	agents  []*agent
	queues  [2]uuid.UUID
	began   time.Time
	finish  context.Context // ends after the run: calls under way are brought to their end

	mu       sync.Mutex
	skies    []sky
	effects  effects
	actions  effects
	findings []finding
	settled  time.Duration
	facts    facts
}

// finding is one thing that should not be.
type finding struct{ kind, what string }

// The kinds of findings, in the order of the verdict.
const (
	lost    = "lost"
	doubled = "doubled"
	swapped = "swapped"
	stuck   = "stuck"
	over    = "over"
	wrong   = "wrong" // all else: two winners, a close while the client waited, a process that ended
)

func (w *world) find(kind, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.findings = append(w.findings, finding{kind, fmt.Sprintf(format, args...)})
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "%6.1fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// random is the dice of one actor: the same for the same seed.
func (w *world) random(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(w.plan.seed, actor)) } //nolint:gosec // no secret

// between is a random duration.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)+1))
}

// rest waits; false: the run is over.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// build starts everything and lets the people come.
func build(ctx context.Context, p plan) (*world, error) {
	w := &world{plan: p, began: time.Now(), effects: effects{}, actions: effects{}, finish: ctx, ledger: newLedger()}
	for _, step := range []func(context.Context) error{w.install, w.furnish} {
		if err := step(ctx); err != nil {
			w.close()
			return nil, err
		}
	}
	w.say("seed %d, %d customers, %d agents, %s", p.seed, p.customers, staff, p.kind())
	return w, nil
}

// install starts the servers, Waggle and the doubles.
func (w *world) install(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "waggle-chaos-"); err != nil {
		return err
	}
	o := runner.Options{
		Binary: w.plan.binary, Dir: w.dir, Clocks: !w.plan.embedded, Tick: 500 * time.Millisecond, Sweep: 500 * time.Millisecond,
		Env: []string{"MOVABLE_CLOCK=true", "LEASE=" + lease.String()},
	}
	for i := range staff {
		o.Agents = append(o.Agents, fmt.Sprint("Agent ", i+1))
	}
	if !w.plan.embedded {
		if err := os.Chmod(w.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's user goes through
			return err
		}
		// Audits replay what happened in the order it was committed.
		if w.servers, err = runner.StartServers(ctx, w.dir, "track_commit_timestamp=on"); err != nil {
			return err
		}
		o.DatabaseURL, o.RedisURL = w.servers.DatabaseURL(), w.servers.RedisURL()
	}
	if w.in, err = runner.Install(ctx, o); err != nil {
		return err
	}
	if err = w.disagree(); err != nil {
		return err
	}
	if w.town, err = w.in.SetUp(ctx); err != nil {
		return err
	}
	w.in.Front.Watch(w.ledger.seen)
	w.come(w.plan.customers)
	return nil
}

// furnish gives the agents their room, makes a second queue in which agents take chats themselves, and leads the company's
// messenger there, with chats that weigh more.
func (w *world) furnish(ctx context.Context) error {
	for i, id := range w.town.Staff() {
		load := gen.AgentPatch{MaxLoad: nullable.NewNullableWithValue(room)}
		if err := w.town.API.Call(ctx, http.MethodPatch, "/api/v1/agents/"+id.String(), load, nil); err != nil {
			return err
		}
		w.agents = append(w.agents, &agent{w: w, id: id, name: fmt.Sprint("agent ", i+1), api: w.town.Agent(id)})
	}
	var list gen.QueueList
	if err := w.town.API.Call(ctx, http.MethodGet, "/api/v1/queues", nil, &list); err != nil {
		return err
	}
	var q gen.Queue
	rule := gen.RoutingRuleToAllAgents
	in := gen.QueueInput{Name: "Whoever is first", RoutingRule: &rule, AgentIds: w.town.Staff()}
	if err := w.town.API.Call(ctx, http.MethodPost, "/api/v1/queues", in, &q); err != nil {
		return err
	}
	w.queues = [2]uuid.UUID{list.Items[0].ID, q.ID}
	var channels gen.ChannelList
	if err := w.town.API.Call(ctx, http.MethodGet, "/api/v1/channels", nil, &channels); err != nil {
		return err
	}
	for _, c := range channels.Items {
		if c.Kind != "custom" {
			continue
		}
		weight := 2
		patch := gen.ChannelPatch{QueueID: nullable.NewNullableWithValue(q.ID), Weight: &weight}
		if err := w.town.API.Call(ctx, http.MethodPatch, "/api/v1/channels/"+c.ID.String(), patch, nil); err != nil {
			return err
		}
	}
	return nil
}

// live lets everybody act and the faults strike for a while, and brings what was begun to its end.
func (w *world) live(ctx context.Context, length time.Duration) {
	w.skies = w.expected()
	for _, s := range w.skies {
		w.effects.expect(s.faults)
	}
	for _, a := range everyAction {
		w.actions.add(string(a), 0, 0)
	}
	finish, cancel := context.WithTimeout(ctx, length+settleLimit)
	defer cancel()
	w.finish = finish
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	var people, weather sync.WaitGroup
	for i, c := range w.ledger.customers {
		people.Go(func() { c.live(ctx, w.random(uint64(1000+i))) })
	}
	for i, a := range w.agents {
		people.Go(func() { a.live(ctx, w.random(uint64(100+i))) })
	}
	people.Go(func() { w.administer(ctx, w.random(1)) })
	people.Go(func() { w.repeat(ctx) })
	people.Go(func() { w.progress(ctx) })
	for _, s := range w.skies {
		weather.Go(func() { w.weather(ctx, s, length) })
	}
	weather.Wait()
	w.calm()
	people.Wait()
}

// repeat lets the messengers deliver again what Waggle did not take: a real one waits longer between its attempts.
func (w *world) repeat(ctx context.Context) {
	for rest(ctx, 2*time.Second) {
		w.again(ctx)
	}
}

func (w *world) again(ctx context.Context) {
	w.in.Bot.RetryNow()
	w.in.MetaApp.RetryNow()
	_ = w.in.Messenger.Retry(ctx)
}

func (w *world) progress(ctx context.Context) {
	for rest(ctx, 15*time.Second) {
		w.mu.Lock()
		faults := 0
		for _, e := range w.effects {
			faults += e.struck
		}
		w.mu.Unlock()
		written, replies := w.ledger.count()
		w.say("%d messages written, %d replies accepted, %d records in the CRM, %d faults struck", written, replies, len(w.in.CRM.Messages("")), faults)
	}
}

func (w *world) close() {
	if w.in != nil {
		w.in.Close()
	}
	if w.servers != nil {
		w.servers.Close()
	}
	_ = os.RemoveAll(w.dir)
}

// passing tells errors after which a call may be made again: no answer, one of 5xx, or one that asks to wait.
func passing(err error) bool {
	status := statusOf(err)
	return status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// statusOf is the status of an answer that was no success; 0: there was no answer.
func statusOf(err error) int {
	var answered *client.Error
	if errors.As(err, &answered) {
		return answered.Status
	}
	return 0
}
