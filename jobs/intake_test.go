package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

// toldHints keeps the hints it was given.
type toldHints struct {
	mu     sync.Mutex
	looks  []jobs.Look
	events []jobs.Event
}

func (h *toldHints) Look(l jobs.Look) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks = append(h.looks, l)
}

func (h *toldHints) Publish(e jobs.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *toldHints) Subscribe(context.Context, uuid.UUID) <-chan *jobs.Event { return nil }

// taking is an intake on a store with one active channel.
type taking struct {
	*jobs.Intake
	t     testing.TB
	jobs  *jobs.Jobs
	hints *toldHints
	ch    *store.Channel
}

func newTaking(t testing.TB, s *store.Store) *taking {
	t.Helper()
	ctx := context.Background()
	_, key, err := s.IssueKey(ctx, store.KeyOwner{}, 0)
	require.NoError(t, err)
	hints := &toldHints{}
	j := &jobs.Jobs{Store: s, Hints: hints, Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)}
	ch := &store.Channel{
		ID: uuid.Must(uuid.NewV7()), EnvironmentID: key.EnvironmentID, Kind: "telegram", Name: "Bot", State: chat.ChannelActive,
		AccountID: "1", Weight: 1, Receive: "webhook", Fields: map[string]string{},
	}
	_, _, err = s.CreateChannel(ctx, ch, store.Idem{})
	require.NoError(t, err)
	tk := &taking{Intake: jobs.NewIntake(j), t: t, jobs: j, hints: hints, ch: ch}
	t.Cleanup(tk.Close)
	return tk
}

func message(user string, n int) channels.Event {
	return channels.Event{
		Kind: channels.Message, Key: fmt.Sprintf("m:%s:%d", user, n), MessageID: fmt.Sprint(n), Text: fmt.Sprint(n),
		User: channels.User{ID: user, Name: "Ann"},
	}
}

func delivery(events ...channels.Event) channels.Delivery { return channels.Delivery{Events: events} }

// texts are the texts of a channel's chats, each in the order of its timeline.
func (tk *taking) texts() map[uuid.UUID][]string {
	tk.t.Helper()
	ctx := context.Background()
	all := map[uuid.UUID][]string{}
	chats, err := tk.jobs.Store.ListChats(ctx, tk.ch.EnvironmentID, store.ChatFilter{Viewer: store.Viewer{All: true}, Limit: 1000})
	require.NoError(tk.t, err)
	for _, c := range chats {
		entries, err := tk.jobs.Store.Timeline(ctx, tk.ch.EnvironmentID, c.ID, 0, 10_000)
		require.NoError(tk.t, err)
		for i, e := range entries {
			require.EqualValues(tk.t, i+1, e.Seq, "a gap in the timeline")
			if e.Kind == chat.EntryMessage {
				all[c.ID] = append(all[c.ID], e.Text)
			}
		}
	}
	return all
}

// slowHints says when it is told something, and comes back once it may.
type slowHints struct {
	toldHints
	told chan string
	may  chan struct{}
}

func (h *slowHints) Publish(e jobs.Event) {
	h.told <- e.Type
	<-h.may
	h.toldHints.Publish(e)
}

// What is stored waits no longer, though not everybody has been told yet: what comes now need not wait for that.
func TestWhatIsStoredNoLongerWaits_M_4(t *testing.T) {
	tk := newTaking(t, storetest.SQLite(t)) // one transaction at once
	hints := &slowHints{told: make(chan string), may: make(chan struct{})}
	tk.jobs.Hints = hints
	var delivering sync.WaitGroup
	for n := range 2 {
		delivering.Go(func() {
			if _, err := tk.Take(t.Context(), tk.ch, delivery(message(fmt.Sprint("user ", n), n))); err != nil {
				t.Error(err)
			}
		})
		select {
		case <-hints.told:
		case <-time.After(10 * time.Second):
			t.Error("the second delivery waits until everybody has been told of the first one")
		}
	}
	close(hints.may)
	settled := make(chan struct{})
	go func() {
		delivering.Wait()
		tk.Close()
		close(settled)
	}()
	for {
		select {
		case <-hints.told: // nobody need wait for the rest
		case <-settled:
			return
		}
	}
}

// One hundred messages, each delivered ten times at once to two processes (as much as one environment may have waiting): one hundred rows, not one hundred and one.
func TestIntakeTakesEachMessageOnce_S2_5_S4_3(t *testing.T) {
	first := newTaking(t, storetest.Concurrent(t))
	second := jobs.NewIntake(first.jobs)
	t.Cleanup(second.Close)
	var wg sync.WaitGroup
	var stored, failed sync.Map
	start := make(chan struct{})
	for n := range 100 {
		for copies := range 10 {
			in := []*jobs.Intake{first.Intake, second}[copies%2]
			wg.Go(func() {
				<-start
				taken, err := in.Take(context.Background(), first.ch, delivery(message(fmt.Sprint("user", n%10), n)))
				if err != nil {
					failed.Store(n, err)
				}
				if taken.Stored == 1 {
					_, twice := stored.LoadOrStore(n, true)
					if twice {
						failed.Store(n, fmt.Errorf("message %d was stored twice", n))
					}
				}
			})
		}
	}
	close(start)
	wg.Wait()
	failed.Range(func(_, err any) bool { require.NoError(t, err.(error)); return false })
	texts := first.texts()
	require.Len(t, texts, 10, "one chat for each customer")
	messages := 0
	for _, of := range texts {
		messages += len(of)
	}
	require.Equal(t, 100, messages)
}

func TestIntakeKeepsOrderUnderBatching(t *testing.T) {
	tk := newTaking(t, storetest.Concurrent(t))
	const users, each = 8, 30
	var wg sync.WaitGroup
	errs := make(chan error, users)
	for u := range users {
		wg.Go(func() {
			user := fmt.Sprint("user", u)
			for n := 0; n < each; n += 3 {
				// A messenger sends one customer's next update when the one before is answered.
				if _, err := tk.Take(context.Background(), tk.ch, delivery(message(user, n), message(user, n+1), message(user, n+2))); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
	var want []string
	for n := range each {
		want = append(want, fmt.Sprint(n))
	}
	texts := tk.texts()
	require.Len(t, texts, users)
	for _, of := range texts {
		require.Equal(t, want, of)
	}
}

func TestIntakeParksPoisonAndStoresTheRest(t *testing.T) {
	if !storetest.HasPostgres() {
		t.Log("SQLite has no limit of an index row; here the poison is stored like anything else")
	}
	tk := newTaking(t, storetest.Concurrent(t))
	var long strings.Builder
	for range 400 {
		long.WriteString(uuid.NewString())
	}
	poison := message("bad", 1)
	poison.Key = long.String()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var total jobs.Taken
	for n := range 40 {
		e := message(fmt.Sprint("user", n), n)
		if n == 20 {
			e = poison
		}
		wg.Go(func() {
			taken, err := tk.Take(context.Background(), tk.ch, delivery(e))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				total.Stored += taken.Stored
				total.Parked += taken.Parked
			}
		})
	}
	wg.Wait()
	require.Equal(t, 40, total.Stored+total.Parked, "every one is settled")
	if storetest.HasPostgres() {
		require.Equal(t, 1, total.Parked)
	}
}

func TestIntakeTellsEveryCallerOfADatabaseError(t *testing.T) {
	s := storetest.Concurrent(t)
	tk := newTaking(t, s)
	require.NoError(t, s.Close())
	for n := range 3 {
		_, err := tk.Take(context.Background(), tk.ch, delivery(message("user", n)))
		require.Error(t, err)
	}
}

func TestIntakeCallerWhoLeavesLosesNothing(t *testing.T) {
	tk := newTaking(t, storetest.Concurrent(t))
	gone, leave := context.WithCancel(context.Background())
	leave()
	_, err := tk.Take(gone, tk.ch, delivery(message("user", 1)))
	if err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err = tk.Take(context.Background(), tk.ch, delivery(message("user", 2)))
	require.NoError(t, err)
	for _, of := range tk.texts() {
		require.Equal(t, []string{"1", "2"}, of)
	}
}

func TestIntakeHintsAndCounts_S2_27(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionCleaner"), goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
	ctx := context.Background()
	tk := newTaking(t, storetest.Concurrent(t))
	d := delivery(message("user", 1))
	d.Ignored = map[string]int{"group": 2}
	taken, err := tk.Take(ctx, tk.ch, d)
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 1, Ignored: 2}, taken)

	was, err := tk.jobs.Store.DisconnectChannel(ctx, tk.ch.EnvironmentID, tk.ch.ID)
	require.NoError(t, err)
	require.True(t, was)
	taken, err = tk.Take(ctx, tk.ch, delivery(message("user", 2), message("user", 3), message("user", 4)))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Dropped: 3}, taken)

	tk.Close()
	_, err = tk.Take(ctx, tk.ch, delivery(message("user", 5)))
	require.ErrorIs(t, err, jobs.ErrIntakeBusy)
	ch, err := tk.jobs.Store.Channel(ctx, tk.ch.EnvironmentID, tk.ch.ID)
	require.NoError(t, err)
	require.EqualValues(t, 3, ch.Dropped)
	require.EqualValues(t, 2, ch.Ignored)
	require.WithinDuration(t, time.Now(), ch.LastInboundAt.Time, time.Minute)

	env := tk.ch.EnvironmentID
	require.ElementsMatch(t, []jobs.Look{{At: jobs.LookCRM, Environment: env}, {At: jobs.LookRoute, Environment: env}}, tk.hints.looks)
	require.Len(t, tk.hints.events, 2)
	require.Equal(t, "chat", tk.hints.events[0].Type)
	require.Equal(t, "message", tk.hints.events[1].Type)
	require.Equal(t, jobs.Administrators, tk.hints.events[0].AgentID, "nobody serves the channel: no agent may know of the chat")
}

// b9: receipts and the like move no clock and are no messages; a message on standby is one.
func TestIntakeStoresOnlyWhatCustomersWrote_b9(t *testing.T) {
	ctx := context.Background()
	tk := newTaking(t, storetest.Concurrent(t))
	silent := []channels.EventKind{channels.Receipt, channels.Block, channels.Unblock, channels.Control, "of tomorrow"}
	var events []channels.Event
	for i, kind := range silent {
		e := message("silent", i)
		e.Kind, e.Receipt, e.Control = kind, &channels.ReceiptNote{Until: time.Now()}, &channels.ControlNote{Owner: channels.OwnedByUs}
		events = append(events, e)
	}
	taken, err := tk.Take(ctx, tk.ch, delivery(events...))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 1, Ignored: len(silent) - 1}, taken, "who holds the conversation is kept")
	require.Empty(t, tk.texts(), "they open no chat")

	held := message("ann", 2)
	held.Standby = true
	edit := channels.Event{Kind: channels.Edit, Key: "e:1", MessageKey: "m:ann:1", MessageID: "1", Text: "one", User: channels.User{ID: "ann"}}
	d := delivery(append([]channels.Event{message("ann", 1), edit}, append(events, held)...)...)
	d.Ignored = map[string]int{"reaction": 2}
	taken, err = tk.Take(ctx, tk.ch, d)
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 3, Repeats: 1, Ignored: len(silent) - 1 + 2}, taken)
	texts := tk.texts()
	require.Len(t, texts, 1)
	for _, of := range texts {
		require.Equal(t, []string{"1", "2"}, of, "the message on standby is kept")
	}
	tk.Close()
	ch, err := tk.jobs.Store.Channel(ctx, tk.ch.EnvironmentID, tk.ch.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2*(len(silent)-1)+2, ch.Ignored)
}

func BenchmarkIntake(b *testing.B) {
	for _, callers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			tk := newTaking(b, storetest.Concurrent(b))
			var wg sync.WaitGroup
			next := make(chan int)
			for c := range callers {
				wg.Go(func() {
					for n := range next {
						if _, err := tk.Take(context.Background(), tk.ch, delivery(message(fmt.Sprint(c, "-", n%50), n))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				next <- n
			}
			close(next)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
