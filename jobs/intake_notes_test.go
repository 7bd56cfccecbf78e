package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

func note(kind channels.EventKind, user string) channels.Event {
	return channels.Event{Kind: kind, Key: string(kind) + ":" + user, User: channels.User{ID: user}}
}

// blocked reports whether the only customer of the channel takes no messages.
func (tk *taking) blocked() bool {
	tk.t.Helper()
	contacts, _, err := tk.jobs.Store.ListContacts(context.Background(), tk.ch.EnvironmentID, store.ContactFilter{}, store.Page{Limit: 10})
	require.NoError(tk.t, err)
	require.Len(tk.t, contacts, 1)
	return !contacts[0].Identities[0].BlockedAt.IsZero()
}

func TestIntakeTakesNotesInTheirOrderAmongTheWords(t *testing.T) {
	ctx := context.Background()
	tk := newTaking(t, storetest.Concurrent(t))
	taken, err := tk.Take(ctx, tk.ch, delivery(note(channels.Block, "ann"), message("ann", 1)))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 1, Ignored: 1}, taken, "of somebody who never wrote nothing is known")
	require.False(t, tk.blocked())

	taken, err = tk.Take(ctx, tk.ch, delivery(message("ann", 2), note(channels.Block, "ann")))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 2}, taken)
	require.True(t, tk.blocked())

	taken, err = tk.Take(ctx, tk.ch, delivery(message("ann", 2), note(channels.Block, "ann")))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Repeats: 2}, taken)
	require.True(t, tk.blocked(), "a message that comes again is none he wrote since")

	taken, err = tk.Take(ctx, tk.ch, delivery(note(channels.Block, "ann"), message("ann", 3)))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 1, Repeats: 1}, taken)
	require.False(t, tk.blocked(), "who writes takes messages again")
}

func TestIntakeTellsOfABlock(t *testing.T) {
	ctx := context.Background()
	tk := newTaking(t, storetest.Concurrent(t))
	_, err := tk.Take(ctx, tk.ch, delivery(message("ann", 1)))
	require.NoError(t, err)
	for _, step := range []struct {
		kind channels.EventKind
		news bool
	}{{channels.Block, true}, {channels.Block, false}, {channels.Unblock, true}, {channels.Unblock, false}} {
		before := len(tk.hints.events)
		_, err = tk.Take(ctx, tk.ch, delivery(note(step.kind, "ann")))
		require.NoError(t, err)
		told := tk.hints.events[before:]
		if !step.news {
			require.Empty(t, told)
			continue
		}
		require.Len(t, told, 1)
		require.Equal(t, "chat", told[0].Type)
		require.NotEqual(t, uuid.Nil, told[0].ID)
	}
}

func TestIntakeDropsNotesOfAChannelThatIsNotActive_S2_27(t *testing.T) {
	ctx := context.Background()
	tk := newTaking(t, storetest.Concurrent(t))
	_, err := tk.Take(ctx, tk.ch, delivery(message("ann", 1)))
	require.NoError(t, err)
	_, err = tk.jobs.Store.DisconnectChannel(ctx, tk.ch.EnvironmentID, tk.ch.ID)
	require.NoError(t, err)
	taken, err := tk.Take(ctx, tk.ch, delivery(note(channels.Block, "ann")))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Dropped: 1}, taken)
	require.False(t, tk.blocked())
	tk.Close()
	ch, err := tk.jobs.Store.Channel(ctx, tk.ch.EnvironmentID, tk.ch.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, ch.Dropped)
}

func TestIntakeFailsADeliveryWhoseNoteFails(t *testing.T) {
	s := storetest.Concurrent(t)
	tk := newTaking(t, s)
	require.NoError(t, s.Close())
	_, err := tk.Take(context.Background(), tk.ch, delivery(note(channels.Block, "ann")))
	require.Error(t, err, "the messenger must deliver it again")
}

// An echo proves what was sent, and a receipt brings it further; both are told.
func TestIntakeTellsHowFarAMessageHasCome(t *testing.T) {
	ctx := context.Background()
	tk := newTaking(t, storetest.Concurrent(t))
	tk.jobs.Channels = channels.NewRegistry(reporting{})
	_, err := tk.Take(ctx, tk.ch, delivery(message("ann", 1)))
	require.NoError(t, err)
	var chatID uuid.UUID
	for id := range tk.texts() {
		chatID = id
	}
	_, err = tk.jobs.Store.SaveSettings(ctx, tk.ch.EnvironmentID, func(e *store.Environment) error { e.ChatsEnabled = true; return nil })
	require.NoError(t, err)
	m, _, _, err := tk.jobs.Store.SendReply(ctx, tk.ch.EnvironmentID, store.Reply{ChatID: chatID, Text: "hello"}, store.Idem{})
	require.NoError(t, err)
	lanes, err := tk.jobs.Store.ClaimSends(ctx, "test", 1, 1, nil, time.Minute)
	require.NoError(t, err)
	send, _, err := tk.jobs.Store.NextSend(ctx, lanes[0], func(string) (store.SendRules, error) { return store.SendRules{}, nil }, time.Minute)
	require.NoError(t, err)

	at := time.Now()
	echo := note(channels.Echo, "ann")
	echo.MessageID, echo.Text, echo.At, echo.Echo = "m1", "hello", at, &channels.EchoNote{PartKey: send.Part.ID.String()}
	receipt := note(channels.Receipt, "ann")
	receipt.Receipt = &channels.ReceiptNote{Read: true, Until: at}
	elsewhere := note(channels.Echo, "ann")
	elsewhere.Key, elsewhere.MessageID, elsewhere.Text, elsewhere.Echo = "o:x1", "x1", "from the inbox", &channels.EchoNote{}
	before := len(tk.hints.events)
	taken, err := tk.Take(ctx, tk.ch, delivery(echo, receipt, elsewhere))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Stored: 3}, taken)
	var told []string
	for _, e := range tk.hints.events[before:] {
		told = append(told, e.Type+" "+e.Detail)
		if e.Detail != "" {
			require.Equal(t, m, e.ID)
		}
	}
	require.Equal(t, []string{"message sent", "message read", "chat ", "message "}, told)
	require.Contains(t, tk.hints.looks, jobs.Look{At: jobs.LookOut, Environment: tk.ch.EnvironmentID}, "the lane that may have waited goes on")
	require.Equal(t, []string{"1", "hello", "from the inbox"}, tk.texts()[chatID])

	taken, err = tk.Take(ctx, tk.ch, delivery(echo, receipt, elsewhere))
	require.NoError(t, err)
	require.Equal(t, jobs.Taken{Repeats: 3}, taken)
}

// reporting is a kind that reports receipts and echoes. Nothing of it is called.
type reporting struct{ channels.Adapter }

func (reporting) Describe() channels.Description {
	return channels.Description{Kind: "telegram", Capabilities: channels.Capabilities{Receipts: true, Echoes: true}}
}
