package jobs_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"waggle/channels"
	"waggle/chat"
	"waggle/crm"
	"waggle/jobs"
	"waggle/media"
	"waggle/store"
	"waggle/store/storetest"
)

// laneWorld is one environment with one channel, on a database of its own, with a fake messenger and a fake CRM.
type laneWorld struct {
	*testing.T
	ctx       context.Context
	store     *store.Store
	db        *bun.DB // to arrange rows and to look at them
	jobs      *jobs.Jobs
	hints     *heard
	messenger *fakeMessenger
	crm       *fakeCRM
	env       uuid.UUID
	channel   uuid.UUID
	asked     atomic.Int64 // statements of the store so far
	watch     atomic.Value // func(statement string), told of each; nil: nobody
}

func eachLane(t *testing.T, f func(w *laneWorld)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "waggle.db")
		raw, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
		require.NoError(t, err)
		f(newLaneWorld(t, "sqlite:"+path, bun.NewDB(raw, sqlitedialect.New())))
	})
	if storetest.HasPostgres() {
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			url := storetest.PostgresURL(t)
			f(newLaneWorld(t, url, bun.NewDB(sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(url))), pgdialect.New())))
		})
	}
}

type openSealer struct{}

func (openSealer) Seal(p []byte, _ string) ([]byte, error) { return p, nil }
func (openSealer) Open(c []byte, _ string) ([]byte, error) { return c, nil }

func newLaneWorld(t *testing.T, url string, db *bun.DB) *laneWorld {
	ctx := context.Background()
	w := &laneWorld{T: t, ctx: ctx, db: db, hints: &heard{}, messenger: newFakeMessenger(), crm: newFakeCRM()}
	s, err := store.Open(ctx, store.Options{URL: url, MaxConns: 10, Sealer: openSealer{}, Watch: func(statement string) {
		w.asked.Add(1)
		if watch, is := w.watch.Load().(func(string)); is {
			watch(statement)
		}
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(); _ = s.Close() })
	_, err = s.Migrate(ctx)
	require.NoError(t, err)
	w.store = s
	files, err := media.Open("file://" + t.TempDir())
	require.NoError(t, err)
	w.jobs = &jobs.Jobs{
		Store: s, Media: files, Channels: channels.NewRegistry(w.messenger), CRMs: crm.NewRegistry(w.crm), Hints: w.hints,
		Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
		PublicURL: "https://waggle.example.com", Owner: "test",
	}
	w.jobs.Intake = jobs.NewIntake(w.jobs)
	t.Cleanup(w.jobs.Intake.Close)
	w.env = w.newEnvironment()
	w.channel = w.newChannel(w.env)
	return w
}

func (w *laneWorld) insert(m any) {
	w.Helper()
	_, err := w.db.NewInsert().Model(m).Exec(w.ctx)
	require.NoError(w, err)
}

func (w *laneWorld) newEnvironment() uuid.UUID {
	id, now := uuid.Must(uuid.NewV7()), store.At(time.Now())
	w.insert(&store.Environment{
		ID: id, CreatedAt: now, CRMKind: "fake", CRMURL: "https://" + id.String(), CRMPrefix: "", Auth: string(crm.Login), Login: "Supervisor",
		WizardStep: 2, WizardRevision: 1, Display: "popup", ChatsEnabled: true, CRMState: store.CRMOK,
	})
	w.insert(&store.SecretKey{ID: uuid.New(), EnvironmentID: id, Hash: []byte(id.String()), Hint: "…", Source: "operator", IssuedAt: now})
	return id
}

func (w *laneWorld) newChannel(env uuid.UUID) uuid.UUID {
	ch := &store.Channel{
		ID: uuid.Must(uuid.NewV7()), EnvironmentID: env, Kind: "fake", Name: "Support bot", State: chat.ChannelActive, Weight: 1, Receive: "webhook",
		Fields: map[string]string{}, CreatedAt: store.At(time.Now()), Version: 1, ReceivingOK: true, SendingOK: true,
	}
	ch.AccountID = ch.ID.String()
	var err error
	ch.Secrets, err = w.store.SealSecrets(ch.ID, store.ChannelSecrets{})
	require.NoError(w, err)
	w.insert(ch)
	return ch.ID
}

var lastKey struct {
	sync.Mutex
	n int
}

func nextKey() string {
	lastKey.Lock()
	defer lastKey.Unlock()
	lastKey.n++
	return fmt.Sprint(lastKey.n)
}

// writes lets a customer write to a channel and returns the chat's id.
func (w *laneWorld) writes(channel uuid.UUID, user, text string) uuid.UUID {
	w.Helper()
	ch := new(store.Channel)
	require.NoError(w, w.db.NewSelect().Model(ch).Where("id = ?", channel).Scan(w.ctx))
	key := nextKey()
	out := w.store.Receive(w.ctx, []store.Inbound{{EnvironmentID: ch.EnvironmentID, ChannelID: channel, AccountID: ch.AccountID, Event: channels.Event{
		Kind: channels.Message, Key: key, MessageID: "m" + key, Text: text, User: channels.User{ID: user, Name: "Ann " + user, Phone: phoneOf(user)},
	}}})
	require.NoError(w, out[0].Err)
	require.Equal(w, store.Stored, out[0].Outcome)
	return out[0].ChatID
}

// phoneOf: users named by digits have vouched for a phone number.
func phoneOf(user string) string {
	if strings.Trim(user, "0123456789") == "" && len(user) > 6 {
		return user
	}
	return ""
}

// replies accepts an agent's message.
func (w *laneWorld) replies(chatID uuid.UUID, text string) uuid.UUID {
	w.Helper()
	id := uuid.Must(uuid.NewV7())
	now, err := w.store.Now(w.ctx)
	require.NoError(w, err)
	unmoved, err := w.store.Unmoved(w.ctx)
	require.NoError(w, err)
	require.NoError(w, w.db.RunInTx(w.ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		c := new(store.Chat)
		err := tx.NewUpdate().Model(c).Where("id = ?", chatID).Set("last_seq = last_seq + 1").Set("last_direction = 'out'").
			Set("last_message_at = ?", store.At(now)).Set("last_message_day = ?", store.At(now.Truncate(24*time.Hour))).Set("answered_from = coalesce(unanswered_since, answered_from)").
			Set("unanswered_since = NULL").Set("agent_due_since = NULL").Set("closing_since = NULL").
			Set("out_version = out_version + 1").Set("out_due_at = coalesce(out_due_at, ?)", store.At(unmoved)).
			Set("crm_version = crm_version + 1").Set("crm_due_at = coalesce(crm_due_at, ?)", store.At(unmoved)).
			Returning("*").Scan(ctx, c)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&store.Entry{
			ID: id, EnvironmentID: c.EnvironmentID, ChatID: chatID, Seq: c.LastSeq, Kind: chat.EntryMessage, At: store.At(now), Direction: chat.Out,
			Author: chat.ByAgent, AgentID: c.AgentID, Text: text, State: chat.MessageAccepted,
		}).Exec(ctx)
		return err
	}))
	return id
}

func (w *laneWorld) chat(id uuid.UUID) store.Chat {
	w.Helper()
	var c store.Chat
	require.NoError(w, w.db.NewSelect().Model(&c).Where("id = ?", id).Scan(w.ctx))
	return c
}

func (w *laneWorld) entry(id uuid.UUID) store.Entry {
	w.Helper()
	var e store.Entry
	require.NoError(w, w.db.NewSelect().Model(&e).Where("id = ?", id).Scan(w.ctx))
	return e
}

func (w *laneWorld) parts(message uuid.UUID) (all []store.Part) {
	w.Helper()
	require.NoError(w, w.db.NewSelect().Model(&all).Where("message_id = ?", message).Order("n").Scan(w.ctx))
	return all
}

func (w *laneWorld) environment() store.Environment {
	w.Helper()
	e, err := w.store.Environment(w.ctx, w.env)
	require.NoError(w, err)
	return e
}

func (w *laneWorld) failures(status string) []store.Failure {
	w.Helper()
	all, _, err := w.store.Failures(w.ctx, w.env, status, store.FailureFilter{}, store.Page{Limit: 100})
	require.NoError(w, err)
	return all
}

// set changes rows behind the program's back: a lease that ends, a time that comes.
func (w *laneWorld) set(table, what string, args ...any) {
	w.Helper()
	_, err := w.db.NewUpdate().Table(table).Set(what, args...).Where("1 = 1").Exec(w.ctx)
	require.NoError(w, err)
}

func (w *laneWorld) deliver() int {
	w.Helper()
	n, err := w.jobs.Deliver(w.ctx)
	require.NoError(w, err)
	return n
}

// push pushes until nothing is due.
func (w *laneWorld) push(env uuid.UUID) (worked int) {
	w.Helper()
	for range 100 {
		n, err := w.jobs.Push(w.ctx, env)
		require.NoError(w, err)
		if n == 0 {
			return worked
		}
		worked += n
	}
	w.Fatal("pushing does not end")
	return 0
}

// heard records hints.
type heard struct {
	mu     sync.Mutex
	looks  []jobs.Look
	events []jobs.Event
}

func (h *heard) Look(l jobs.Look) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks = append(h.looks, l)
}

func (h *heard) Publish(e jobs.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *heard) Subscribe(context.Context, uuid.UUID) <-chan *jobs.Event { return nil }

func (h *heard) count(kind string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// fakeMessenger sends as its program says.
type fakeMessenger struct {
	mu         sync.Mutex
	sent       []channels.Part
	on         func(ch channels.Channel, p channels.Part) error // nil: every send succeeds
	idempotent bool
	window     int       // hours
	rest       time.Time // what a send says about the limit
	echoes     bool
	hangs      bool
	polled     func(offset string) (channels.Delivery, string, error)
	reread     func(ch channels.Channel, offset string, asked time.Time) (channels.Delivery, string, bool, error)
	checked    func(ch channels.Channel) (channels.Checkup, error)
	file       func(ctx context.Context, ref string) (channels.File, error)
	known      func(user string) (channels.User, error)
}

func newFakeMessenger() *fakeMessenger { return &fakeMessenger{} }

func (f *fakeMessenger) Describe() channels.Description {
	f.mu.Lock()
	defer f.mu.Unlock()
	return channels.Description{Kind: "fake", Name: "Fake", Capabilities: channels.Capabilities{TextLimit: 10, Idempotent: f.idempotent, WindowHours: f.window, Echoes: f.echoes}}
}

func (f *fakeMessenger) Verify(context.Context, channels.Channel) (channels.Account, error) {
	return channels.Account{ID: "1"}, nil
}

func (f *fakeMessenger) Connect(context.Context, channels.Channel, channels.ConnectOptions) error {
	return nil
}

func (f *fakeMessenger) Disconnect(context.Context, channels.Channel) error { return nil }

func (f *fakeMessenger) Webhook(context.Context, channels.Channel, channels.Request) (channels.Delivery, error) {
	return channels.Delivery{}, channels.ErrMalformed
}

func (f *fakeMessenger) program(on func(ch channels.Channel, p channels.Part) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = on
}

func (f *fakeMessenger) Send(ctx context.Context, ch channels.Channel, p channels.Part) (channels.Sent, error) {
	if f.hangs {
		return channels.Sent{}, hang(ctx)
	}
	f.mu.Lock()
	on := f.on
	f.mu.Unlock()
	if on != nil {
		if err := on(ch, p); err != nil {
			return channels.Sent{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, p)
	return channels.Sent{MessageID: fmt.Sprintf("s%d", len(f.sent)), Rest: f.rest}, nil
}

func (f *fakeMessenger) texts() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.sent {
		all = append(all, p.Text)
	}
	return all
}

func (f *fakeMessenger) Profile(_ context.Context, _ channels.Channel, user string) (channels.User, error) {
	f.mu.Lock() // several are asked for at once
	defer f.mu.Unlock()
	return f.known(user)
}

func (f *fakeMessenger) Check(_ context.Context, ch channels.Channel) (channels.Checkup, error) {
	f.mu.Lock() // several are asked at once
	defer f.mu.Unlock()
	return f.checked(ch)
}

func (f *fakeMessenger) OpenFile(ctx context.Context, _ channels.Channel, ref string) (channels.File, error) {
	f.mu.Lock()
	file := f.file
	f.mu.Unlock()
	return file(ctx, ref)
}

func (f *fakeMessenger) Poll(_ context.Context, _ channels.Channel, offset string) (channels.Delivery, string, error) {
	return f.polled(offset)
}

func (f *fakeMessenger) Reread(_ context.Context, ch channels.Channel, offset string, asked time.Time) (channels.Delivery, string, bool, error) {
	return f.reread(ch, offset, asked)
}
