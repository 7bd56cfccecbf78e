package jobs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// botMessenger is a fake messenger whose conversations other apps may hold. It counts the sends it got while one did.
type botMessenger struct {
	*fakeMessenger
	mu      sync.Mutex
	calls   []string
	answers map[string]error // by call; nil: done
}

func (b *botMessenger) call(what string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, what)
	return b.answers[what]
}

func (b *botMessenger) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

func (b *botMessenger) Take(context.Context, channels.Channel, string) error { return b.call("take") }
func (b *botMessenger) Pass(_ context.Context, _ channels.Channel, _, app string) error {
	return b.call("pass " + app)
}
func (b *botMessenger) Request(context.Context, channels.Channel, string) error {
	return b.call("request")
}
func (b *botMessenger) Release(context.Context, channels.Channel, string) error {
	return b.call("release")
}

func eachBots(t *testing.T, f func(w *laneWorld, b *botMessenger)) {
	eachLane(t, func(w *laneWorld) {
		b := &botMessenger{fakeMessenger: w.messenger, answers: map[string]error{}}
		w.jobs.Channels = channels.NewRegistry(b)
		f(w, b)
	})
}

func refusal(o channels.Outcome) error { return &channels.Error{Outcome: o, Reason: "because"} }

// delivers hands an event of Ann's to the intake, some seconds after the test began.
func (w *laneWorld) delivers(after time.Duration, e channels.Event) {
	w.Helper()
	ch, err := w.store.Channel(w.ctx, w.env, w.channel)
	require.NoError(w, err)
	e.User, e.At = channels.User{ID: "ann"}, time.Now().Add(after-time.Minute)
	if e.Key == "" {
		e.Key, e.MessageID, e.Text = nextKey(), nextKey(), "hello"
	}
	_, err = w.jobs.Intake.Take(w.ctx, ch, channels.Delivery{Events: []channels.Event{e}})
	require.NoError(w, err)
}

func (w *laneWorld) control(after time.Duration, owner channels.ControlOwner) {
	w.Helper()
	w.delivers(after, channels.Event{Kind: channels.Control, Key: nextKey(), Control: &channels.ControlNote{Owner: owner, App: "7"}})
}

func standby() channels.Event { return channels.Event{Kind: channels.Message, Standby: true} }

// theChat is Ann's newest chat.
func (w *laneWorld) theChat() store.Chat {
	w.Helper()
	chats, err := w.store.ListChats(w.ctx, w.env, store.ChatFilter{Viewer: store.Viewer{All: true}, Limit: 1})
	require.NoError(w, err)
	require.NotEmpty(w, chats)
	return chats[0].Chat
}

func (w *laneWorld) status() chat.Status { c := w.theChat(); return c.Status() }

// wishes runs the ticks and asks what is wished; what was put off is due at once.
func (w *laneWorld) wishes() {
	w.Helper()
	require.NoError(w, w.jobs.Timeouts(w.ctx))
	_, err := w.jobs.Threads(w.ctx)
	require.NoError(w, err)
	w.set("chats", "thread_due_at = CASE WHEN thread_due_at IS NOT NULL THEN 0 END")
}

// S3.56–S3.61: a bot's conversation from its first message to an agent's, in each order in which the events may come.
func TestBotsConversation_S3_59(t *testing.T) {
	eachBots(t, func(w *laneWorld, _ *botMessenger) {
		w.delivers(1*time.Second, standby())
		require.Equal(w, chat.BotProcessing, w.status(), "S3.60")
		w.delivers(2*time.Second, channels.Event{Kind: channels.Echo, Key: "o:1", MessageID: "1", Standby: true, Echo: &channels.EchoNote{App: "7"}})
		require.Equal(w, "7", w.theChat().ThreadApp, "its echo tells which app it is")
		w.control(3*time.Second, channels.OwnedByUs)
		require.Equal(w, chat.Waiting, w.status(), "S3.59")
		require.Contains(w, w.hints.looks, jobs.Look{At: jobs.LookRoute, Environment: w.env}, "S3.59 routed at once")
		w.delivers(2*time.Second, standby())
		require.Equal(w, chat.Waiting, w.status(), "a message of before that comes late")
		w.control(4*time.Second, channels.OwnedByOther)
		require.Equal(w, chat.BotProcessing, w.status())
		w.delivers(5*time.Second, channels.Event{Kind: channels.Message})
		require.Equal(w, chat.Waiting, w.status(), "another app's hold has run out without a word: the message came to us")
		w.delivers(3*time.Second, standby())
		require.Equal(w, chat.Waiting, w.status())
	})
}

// S3.59: the messenger's own word counts: what it keeps from us for another app waits, and goes out once the conversation is ours.
func TestRefusedForAnotherApp_S3_59(t *testing.T) {
	eachBots(t, func(w *laneWorld, b *botMessenger) {
		id := w.writes(w.channel, "ann", "hello")
		message := w.replies(id, "hi")
		b.program(func(channels.Channel, channels.Part) error { return refusal(channels.Elsewhere) })
		w.deliver()
		require.Equal(w, chat.BotProcessing, w.status(), "we did not know, and know now")
		require.Equal(w, chat.MessageAccepted, w.entry(message).State)
		b.program(nil)
		w.set("chats", "out_due_at = CASE WHEN out_due_at < 9223372036854775806 THEN 0 ELSE out_due_at END")
		w.deliver()
		require.Empty(w, b.texts(), "no further try")
		_, err := w.store.NoteThread(w.ctx, store.ThreadNote{EnvironmentID: w.env, ChannelID: w.channel, UserID: "ann", Word: chat.Thread{Owner: chat.ThreadOurs}})
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, []string{"hi"}, b.texts())
		require.Equal(w, chat.MessageDelivered, w.entry(message).State)
	})
}

// What is nobody's is ours once we have answered.
func TestAnsweringTakesWhatIsNobodys(t *testing.T) {
	eachBots(t, func(w *laneWorld, b *botMessenger) {
		id := w.writes(w.channel, "ann", "hello")
		w.control(time.Second, channels.OwnedByNobody)
		require.Equal(w, chat.ThreadNobodys, w.chat(id).ThreadOwner)
		w.replies(id, "hi")
		w.deliver()
		require.Equal(w, []string{"hi"}, b.texts())
		require.Equal(w, chat.ThreadOurs, w.chat(id).ThreadOwner)
	})
}

// S3.59: a silent bot's conversation is taken; where that is refused it is asked for. Each answer of the messenger has its
// consequence, and it happens once.
func TestSilentBotHandsOver_S3_59(t *testing.T) {
	for _, row := range []struct {
		name    string
		answers map[string]error
		asked   []string // by the first run, and by the second after the first wish was put off
		status  chat.Status
		why     string // what the timeline says at the end
		alerts  int
	}{
		{"taken", nil, []string{"take"}, chat.Waiting, "the conversation is ours: another app left the client unanswered", 0},
		{
			"may not be taken", map[string]error{"take": refusal(channels.Permanent)}, []string{"take", "request"}, chat.BotProcessing,
			"another app leaves the client unanswered: we asked it for the conversation", 0,
		},
		{
			"may neither be taken nor asked for", map[string]error{"take": refusal(channels.Permanent), "request": refusal(channels.Permanent)},
			[]string{"take", "request"}, chat.BotProcessing, "another app leaves the client unanswered, and the messenger neither lets us take the conversation nor ask for it: because", 1,
		},
		{"no clear answer", map[string]error{"take": refusal(channels.Unknown)}, []string{"take", "take"}, chat.BotProcessing, "another app (7) holds the conversation", 0},
		{"asked to wait", map[string]error{"take": refusal(channels.RetryAt)}, []string{"take", "take"}, chat.BotProcessing, "another app (7) holds the conversation", 0},
		{"a dead token", map[string]error{"take": refusal(channels.Broken)}, []string{"take", "take"}, chat.BotProcessing, "another app (7) holds the conversation", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBots(t, func(w *laneWorld, b *botMessenger) {
				if row.answers != nil {
					b.answers = row.answers
				}
				w.writes(w.channel, "ann", "hello")
				w.control(time.Second, channels.OwnedByOther)
				w.delivers(2*time.Second, standby())
				w.wishes()
				require.Empty(w, b.asked(), "it has five minutes")
				require.NoError(w, w.store.Advance(w.ctx, 6*time.Minute))
				w.wishes()
				w.wishes()
				require.Equal(w, row.asked, b.asked())
				require.Equal(w, row.status, w.status())
				entries, err := w.store.Timeline(w.ctx, w.env, w.theChat().ID, 0, 100)
				require.NoError(w, err)
				why := ""
				for _, e := range entries {
					if e.Kind == chat.EntryThread {
						why = e.DataOf().Why
					}
				}
				require.Contains(w, why, row.why)
				require.Equal(w, row.alerts, w.hints.count("alert"))
			})
		})
	}
}

// A messenger that gives no clear answer is not asked for ever.
func TestSilentBotIsGivenUp(t *testing.T) {
	eachBots(t, func(w *laneWorld, b *botMessenger) {
		b.answers["take"] = refusal(channels.Unknown)
		w.delivers(time.Second, standby())
		require.NoError(w, w.store.Advance(w.ctx, 6*time.Minute))
		for range 20 {
			w.wishes()
		}
		require.Len(w, b.asked(), 10)
		require.Equal(w, 1, w.hints.count("alert"))
	})
}

// When a bot is not silent: it has answered, it may take its time, the setting is off, we were away, it is ours again.
func TestNoSilentBot_S3_59(t *testing.T) {
	set := func(minutes int) func(w *laneWorld) {
		return func(w *laneWorld) {
			_, err := w.store.SaveSettings(w.ctx, w.env, func(e *store.Environment) error { e.BotTimeoutMinutes = &minutes; return nil })
			require.NoError(w, err)
		}
	}
	for name, given := range map[string]func(w *laneWorld){
		"another period":     set(10),
		"switched off":       set(0),
		"passed to us":       func(w *laneWorld) { w.control(2*time.Second, channels.OwnedByUs) },
		"closed":             func(w *laneWorld) { closes(w, w.theChat().ID) },
		"we were away":       func(w *laneWorld) { w.set("clock", "resumed_at = ?", store.At(time.Now().Add(4*time.Minute))) },
		"its channel is off": func(w *laneWorld) { w.set("channels", "state = 'disconnected'") },
	} {
		t.Run(name, func(t *testing.T) {
			eachBots(t, func(w *laneWorld, b *botMessenger) {
				w.delivers(time.Second, standby())
				given(w)
				b.asked()
				require.NoError(w, w.store.Advance(w.ctx, 6*time.Minute))
				w.wishes()
				require.NotContains(w, b.asked(), "take")
			})
		})
	}
}

func closes(w *laneWorld, id uuid.UUID) {
	w.Helper()
	_, err := w.store.CloseChat(w.ctx, w.env, id, uuid.Nil, "")
	require.NoError(w, err)
}

// A conversation that was ours goes back when its chat is closed, and the next message is the bot's.
func TestReleasedWhenItsChatIsClosed(t *testing.T) {
	eachBots(t, func(w *laneWorld, b *botMessenger) {
		w.delivers(1*time.Second, standby())
		w.control(2*time.Second, channels.OwnedByUs)
		closes(w, w.theChat().ID)
		w.wishes()
		require.Equal(w, []string{"release"}, b.asked())
		w.wishes()
		require.Empty(w, b.asked(), "once")
		w.delivers(2*time.Minute, standby())
		require.Equal(w, chat.BotProcessing, w.status(), "S3.56 the bot answers what comes next")

		w.control(3*time.Minute, channels.OwnedByUs)
		b.answers["release"] = refusal(channels.Permanent)
		closes(w, w.theChat().ID)
		w.wishes()
		w.wishes()
		require.Equal(w, []string{"release"}, b.asked(), "a refusal is final")
	})
}
