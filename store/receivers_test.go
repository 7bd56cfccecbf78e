package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// gaps tells of a channel what may be missing of it.
type gaps struct {
	*storetest.Scene
	ch uuid.UUID
}

const silence = time.Minute

var telegram = []string{"telegram"}

func eachGap(t *testing.T, f func(t *testing.T, g gaps)) {
	eachScene(t, func(t *testing.T, sc *storetest.Scene) {
		g := gaps{sc, sc.Channel(uuid.Nil, 1)}
		g.set("receiving_ok = ?", true)
		f(t, g)
	})
}

func (g gaps) set(what string, args ...any) {
	g.T.Helper()
	_, err := g.DB().NewUpdate().Table("channels").Set(what, args...).Where("1 = 1").Exec(context.Background())
	require.NoError(g.T, err)
	storetest.NextMoment(g.T, g.Store)
}

// ago moves a process's last beat back and returns when it is then.
func (g gaps) ago(owner string, d time.Duration) store.Time {
	g.T.Helper()
	var at store.Time
	err := g.DB().NewUpdate().Table("receivers").Set("beat_at = beat_at - ?", d.Microseconds()).Where("owner = ?", owner).Returning("beat_at").Scan(context.Background(), &at)
	require.NoError(g.T, err)
	return at
}

func (g gaps) beats(owner string) {
	g.T.Helper()
	require.NoError(g.T, g.Receiving(context.Background(), owner, telegram, silence))
}

func (g gaps) ends(owner string, storedAll bool) {
	g.T.Helper()
	require.NoError(g.T, g.ReceivingEnds(context.Background(), owner, storedAll, time.Second, silence))
}

// missing is since when something is missing that is asked for.
func (g gaps) missing() store.Time {
	g.T.Helper()
	ch := readChannel(g.Scene, g.ch)
	require.Equal(g.T, ch.RereadFrom.IsZero(), ch.RereadAt.IsZero())
	return ch.RereadFrom
}

// read ends the reading that is asked for.
func (g gaps) read() {
	g.T.Helper()
	ch := readChannel(g.Scene, g.ch)
	require.NoError(g.T, g.EndReread(context.Background(), ch.ID, ch.RereadFrom, ch.RereadAt))
	storetest.NextMoment(g.T, g.Store)
}

// S4.3: as long as somebody takes deliveries nothing is missing; afterwards it is from the last beat on.
func TestGapsOfProcesses(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		g.beats("a")
		g.beats("a")
		require.True(t, g.missing().IsZero(), "the first ever has missed nothing")

		g.beats("b")
		g.ends("a", true)
		g.beats("b")
		g.beats("c")
		g.ends("b", true)
		g.beats("c")
		require.True(t, g.missing().IsZero(), "one deployment after another, never nobody")

		g.ends("c", true)
		ended := g.ago("c", 0)
		now, err := g.Unmoved(t.Context())
		require.NoError(t, err)
		require.WithinRange(t, ended.Time, now.Add(-time.Minute), now.Add(-time.Second), "since it took no more")
		g.beats("d")
		require.Equal(t, ended, g.missing(), "nobody took them after the last one")
		g.read()
		g.beats("d")
		require.True(t, g.missing().IsZero(), "once")

		died := g.ago("d", 2*silence)
		g.beats("e")
		require.Equal(t, died, g.missing(), "one that is killed had some in hand")
		g.read()
		g.beats("e")
		require.True(t, g.missing().IsZero(), "once")

		froze := g.ago("e", 2*silence)
		g.beats("e")
		require.Equal(t, froze, g.missing(), "its own silence, too: it stood still, or the database was away")
		g.read()

		g.beats("f")
		g.ends("e", false)
		ended = g.ago("e", 0)
		g.beats("f")
		require.Equal(t, ended, g.missing(), "one that could not answer all")
		g.read()

		died = g.ago("f", 2*silence)
		g.beats("g")
		g.ago("g", 3*silence)
		earlier := g.ago("g", 0)
		g.beats("h")
		require.Equal(t, earlier, g.missing(), "the earliest of all that is not read yet")
		require.True(t, earlier.Before(died.Time))
	})
}

// Two that end at once: the one that ends last knows that it is the last.
func TestGapsOfProcessesThatEndAtOnce(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		for range 10 {
			g.beats("a")
			g.beats("b")
			var both sync.WaitGroup
			for _, owner := range []string{"a", "b"} {
				both.Go(func() { g.ends(owner, true) })
			}
			both.Wait()
			g.beats("c")
			require.False(t, g.missing().IsZero())
			g.read()
			g.ends("c", true)
			g.beats("d")
			g.read()
			g.beats("d")
			g.ends("d", true)
			_, err := g.DB().NewDelete().Table("receivers").Where("1 = 1").Exec(t.Context())
			require.NoError(t, err)
		}
	})
}

// Only channels in service whose messenger delivers, and can be asked for what it did not.
func TestGapsOfOtherChannels(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		for what, set := range map[string]string{"disconnected": "state = 'disconnected'", "polled": "receive = 'polling'", "of another kind": "kind = 'custom'"} {
			g.set(set)
			g.beats("a")
			g.ends("a", false)
			g.beats("b")
			require.NoError(t, g.Unstored(t.Context(), telegram, []uuid.UUID{g.ch}, 0, 0))
			require.True(t, g.missing().IsZero(), what)
			g.set("state = 'active', receive = 'webhook', kind = 'telegram'")
		}
	})
}

// What one process could not store is due a while after it happened last, from when it happened first.
func TestGapsOfWhatCouldNotBeStored(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		ctx := t.Context()
		claim := func() int {
			claimed, err := g.ClaimPolls(ctx, "p", nil, telegram, -time.Second)
			require.NoError(t, err)
			return len(claimed)
		}
		other := g.Channel(uuid.Nil, 1)
		require.NoError(t, g.Unstored(ctx, telegram, []uuid.UUID{g.ch}, time.Hour, time.Hour))
		require.Zero(t, claim(), "it may still be refused")
		first := g.missing()
		require.True(t, readChannel(g.Scene, other).RereadFrom.IsZero())
		require.NoError(t, g.Unstored(ctx, telegram, nil, time.Minute, -time.Second))
		require.Equal(t, first, g.missing())
		require.Equal(t, 2, claim())
		require.False(t, readChannel(g.Scene, other).RereadFrom.IsZero(), "of any channel")
	})
}

// A reading ends what it was begun for, and nothing else.
func TestEndReread(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		ctx := t.Context()
		ask := func(ago time.Duration) *store.Channel {
			storetest.NextMoment(g.T, g.Store)
			require.NoError(t, g.Unstored(ctx, telegram, nil, ago, 0))
			return readChannel(g.Scene, g.ch)
		}
		first := ask(time.Hour)
		second := ask(time.Minute)
		require.Equal(t, first.RereadFrom, second.RereadFrom)
		require.NoError(t, g.EndReread(ctx, g.ch, first.RereadFrom, first.RereadAt))
		require.Equal(t, second.RereadAt, readChannel(g.Scene, g.ch).RereadAt, "it was asked for once more")
		g.set("reread_from = reread_from - 1")
		require.NoError(t, g.EndReread(ctx, g.ch, second.RereadFrom, second.RereadAt))
		require.False(t, g.missing().IsZero(), "of an earlier time")
		g.read()
		require.True(t, g.missing().IsZero())

		last := ask(time.Hour)
		g.set("receiving_ok = ?", false)
		g.read()
		ch := readChannel(g.Scene, g.ch)
		require.Equal(t, last.RereadAt, ch.RereadFrom, "while nothing arrives, what comes after is missing")
		require.True(t, ch.RereadAt.IsZero(), "and is not read yet")
	})
}

// What a check found missing begins with the check before, and longer ago where the messenger is slow to say so.
func TestGapsThatAreSeenByACheck(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		ctx := t.Context()
		show := func(ok bool, late time.Duration) *store.Channel {
			storetest.NextMoment(g.T, g.Store)
			shown, err := g.ReceivingHealth(ctx, readChannel(g.Scene, g.ch), ok, "", late)
			require.NoError(t, err)
			require.True(t, shown)
			return readChannel(g.Scene, g.ch)
		}
		connected := readChannel(g.Scene, g.ch).ConnectedAt
		require.Equal(t, connected, show(false, 0).RereadFrom, "it was never asked before")
		require.False(t, show(true, 0).RereadAt.IsZero())
		g.read()

		require.NoError(t, g.Delivers(ctx, readChannel(g.Scene, g.ch), 24*time.Hour))
		well := readChannel(g.Scene, g.ch).DeliversAt
		require.True(t, well.After(connected.Time))
		away := show(false, time.Hour)
		require.Equal(t, well.Add(-time.Hour), away.RereadFrom.Time)
		require.True(t, away.RereadAt.IsZero(), "not before it delivers again")
		require.Equal(t, away.RereadFrom, show(false, 0).RereadFrom, "it is one gap")
		back := show(true, 0)
		require.Equal(t, away.RereadFrom, back.RereadFrom)
		require.False(t, back.RereadAt.IsZero())
		require.Equal(t, back.RereadAt, show(true, 0).RereadAt, "and one reading")

		g.read()
		require.NoError(t, g.Unstored(ctx, telegram, nil, 48*time.Hour, 0))
		early := g.missing()
		require.Equal(t, early, show(false, 0).RereadFrom, "the earliest of all")

		old := readChannel(g.Scene, g.ch)
		old.Version--
		require.NoError(t, g.Delivers(ctx, old, 24*time.Hour))
		require.Equal(t, well, readChannel(g.Scene, g.ch).DeliversAt, "what was said of another connection is nothing")
	})
}

// S4.3: what got lost where nobody saw it is read a day after the last reading at the latest; each day once.
func TestAReadingEveryDay(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		ctx, day := t.Context(), 24*time.Hour
		well := func() *store.Channel {
			storetest.NextMoment(g.T, g.Store)
			require.NoError(t, g.Delivers(ctx, readChannel(g.Scene, g.ch), day))
			return readChannel(g.Scene, g.ch)
		}
		require.True(t, well().RereadAt.IsZero(), "nothing was read yet: that is a connection's")
		require.NoError(t, g.Unstored(ctx, telegram, nil, 0, 0))
		g.read()
		asked := readChannel(g.Scene, g.ch).RereadDone
		require.False(t, asked.IsZero())
		require.True(t, well().RereadAt.IsZero(), "not on the same day")

		g.set(fmt.Sprintf("reread_done = reread_done - %d", day.Microseconds()))
		due := well()
		require.Equal(t, asked.Add(-day), due.RereadFrom.Time, "all since the last reading")
		require.False(t, due.RereadAt.IsZero())
		require.Equal(t, due.RereadAt, well().RereadAt, "it is one reading")
		g.read()
		require.True(t, well().RereadAt.IsZero(), "until the next day")

		g.set(fmt.Sprintf("reread_done = reread_done - %d", day.Microseconds()))
		done := readChannel(g.Scene, g.ch).RereadDone
		require.NoError(t, g.Unstored(ctx, telegram, nil, time.Minute, 0))
		g.read()
		require.Equal(t, done, readChannel(g.Scene, g.ch).RereadDone, "one that reads a short gap is not all since the last")
		require.Equal(t, done, well().RereadFrom)
	})
}

// What a connection has missed: nothing where it was none, and otherwise what came since all was well.
func TestGapsOfConnections(t *testing.T) {
	eachGap(t, func(t *testing.T, g gaps) {
		ctx := t.Context()
		connect := func(receive channels.Receive) *store.Channel {
			ch := readChannel(g.Scene, g.ch)
			require.NoError(t, g.ConnectChannel(ctx, ch, store.ChannelConnection{AccountID: ch.AccountID, Fields: ch.Fields, Receive: string(receive)}))
			return readChannel(g.Scene, g.ch)
		}
		first := connect(channels.Webhook)
		require.Equal(t, first.ConnectedAt, first.RereadFrom)
		g.read()
		require.Equal(t, first.RereadAt, connect(channels.Webhook).RereadFrom, "again, while it is connected: since the last reading")
		g.set("reread_from = 7")
		require.EqualValues(t, 7, connect(channels.Webhook).RereadFrom.UnixMicro(), "what was missing before is")
		g.read()
		polled := connect(channels.Polling)
		require.False(t, polled.RereadFrom.IsZero(), "polling goes on where the webhook was well last")
		require.True(t, polled.DeliversAt.IsZero())
		require.Equal(t, first.ConnectedAt, connect(channels.Webhook).RereadFrom, "its offset says how far it was polled")

		was, err := g.DisconnectChannel(ctx, g.Env, g.ch)
		require.NoError(t, err)
		require.True(t, was)
		anew := connect(channels.Webhook)
		require.Equal(t, chat.ChannelActive, anew.State)
		require.WithinDuration(t, anew.ConnectedAt.Time, anew.RereadFrom.Time, time.Second, "b39")
	})
}
