package jobs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

func TestPollStoresBeforeItConfirms(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.set("channels", "receive = 'polling'")
		offsets := make(chan string, 100)
		n := 0
		w.messenger.polled = func(offset string) (channels.Delivery, string, error) {
			offsets <- offset
			n++
			switch n {
			case 1:
				return channels.Delivery{Events: []channels.Event{{Kind: channels.Message, Key: "1", Text: "hello", User: channels.User{ID: "ann"}}}}, "2", nil
			case 2:
				stored, err := w.db.NewSelect().Table("timeline").Where("text = 'hello'").Exists(w.ctx)
				if err != nil || !stored {
					return channels.Delivery{}, "", fmt.Errorf("confirmed before it was stored: %t %w", stored, err)
				}
				return channels.Delivery{}, "", &channels.Error{Outcome: channels.Refused, Reason: "another program uses this bot"}
			default:
				return channels.Delivery{}, offset, nil
			}
		}
		ctx, stop := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- w.jobs.Poll(ctx) }()
		require.Empty(w, <-offsets)
		require.Equal(w, "2", <-offsets)
		require.Eventually(w, func() bool {
			ch, err := w.store.Channel(w.ctx, w.env, w.channel)
			return err == nil && !ch.ReceivingOK && ch.ReceivingWhy == "another program uses this bot"
		}, time.Minute, 10*time.Millisecond, "trouble shows at the channel")
		stop()
		require.NoError(w, <-ended)
		ch, err := w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		require.Equal(w, "2", ch.PollOffset)
		require.Empty(w, ch.PollOwner, "the channel is given back")
	})
}

// pollsOnly is a messenger that is not read beside a webhook.
type pollsOnly struct {
	channels.Adapter
	channels.Poller
}

// A channel that gets a webhook while it is polled is left alone: there is nothing to be read beside it.
func TestPollEndsWhenAWebhookTakesItsPlace_S3_42(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.set("channels", "receive = 'polling'")
		kind := w.row(w.channel).Kind
		w.jobs.Channels[kind] = pollsOnly{w.jobs.Channels[kind], w.messenger}
		w.messenger.polled = func(offset string) (channels.Delivery, string, error) {
			w.set("channels", "receive = 'webhook', reread_at = 1")
			return channels.Delivery{}, offset, nil
		}
		w.messenger.reread = func(_ channels.Channel, offset string, _ time.Time) (channels.Delivery, string, bool, error) {
			w.Error("it was read beside its webhook")
			return channels.Delivery{}, offset, true, nil
		}
		ctx, stop := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- w.jobs.Poll(ctx) }()
		require.Eventually(w, func() bool {
			ch := w.row(w.channel)
			return ch.Receive == string(channels.Webhook) && ch.PollOwner == ""
		}, time.Minute, 10*time.Millisecond, "the channel is given back")
		stop()
		require.NoError(w, <-ended)
	})
}

// A poll that was under way while its channel was disconnected and connected again brings nothing: what was written between is not
// wanted, and the rest comes by the new connection.
func TestAPollOfAFormerConnectionBringsNothing_S2_27_b39(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.set("channels", "receive = 'polling'")
		message := func(key string) channels.Delivery {
			return channels.Delivery{Events: []channels.Event{{Kind: channels.Message, Key: key, Text: key, User: channels.User{ID: "ann"}}}}
		}
		offsets := make(chan string, 100)
		n := 0
		w.messenger.polled = func(offset string) (channels.Delivery, string, error) {
			offsets <- offset
			switch n++; n {
			case 1:
				w.set("channels", "version = version + 1")
				return message("not wanted"), "1", nil
			case 2:
				return message("wanted"), "2", nil
			}
			return channels.Delivery{}, offset, nil
		}
		ctx, stop := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- w.jobs.Poll(ctx) }()
		for _, asked := range []string{"", "", "2"} {
			require.Equal(w, asked, <-offsets)
		}
		stop()
		require.NoError(w, <-ended)
		var texts []string
		require.NoError(w, w.db.NewSelect().Table("timeline").Column("text").Where("kind = 'message'").Scan(w.ctx, &texts))
		require.Equal(w, []string{"wanted"}, texts)
	})
}

func unmoved(w *laneWorld) time.Time {
	w.Helper()
	now, err := w.store.Unmoved(w.ctx)
	require.NoError(w, err)
	return now
}

// rereadCall is what a messenger was asked for beside its webhook.
type rereadCall struct {
	since, asked time.Time
	offset       string
}

// What a webhook may have missed is read when the messenger delivers again, from the check before it did not, once, and once more
// where that was asked for meanwhile. A reading that fails is no trouble of the webhook's.
func TestWhatAWebhookMissedIsRead(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.CheckEvery = time.Hour
		w.set("channels", "receiving_ok = ?", true)
		found := channels.Checkup{}
		w.messenger.checked = func(channels.Channel) (channels.Checkup, error) { return found, nil }
		check := func() {
			w.set("channels", "check_at = NULL")
			n, err := w.jobs.Check(w.ctx)
			require.NoError(w, err)
			require.Equal(w, 1, n)
		}
		check()
		well := w.row(w.channel).DeliversAt
		require.False(w, well.IsZero())
		found = channels.Checkup{Wrong: "The webhook is invalid.", Late: time.Hour}
		check()
		check()
		require.False(w, w.row(w.channel).ReceivingOK)
		require.True(w, w.row(w.channel).RereadAt.IsZero(), "not while it is away")
		found = channels.Checkup{}
		check()
		require.True(w, w.row(w.channel).ReceivingOK)
		require.False(w, w.row(w.channel).RereadAt.IsZero())

		calls := make(chan rereadCall, 100)
		n := 0
		w.messenger.reread = func(ch channels.Channel, offset string, asked time.Time) (channels.Delivery, string, bool, error) {
			calls <- rereadCall{ch.Since, asked, offset}
			n++
			switch n {
			case 1:
				return channels.Delivery{}, offset, false, &channels.Error{Outcome: channels.RetryAt, Reason: "away"}
			case 2: // a first part
				return channels.Delivery{Events: []channels.Event{{Kind: channels.Message, Key: "1", Text: "missed", User: channels.User{ID: "ann"}}}}, "7", false, nil
			case 3: // another gap comes to its end
				return channels.Delivery{}, "8", false, w.store.Unstored(w.ctx, []string{"fake"}, nil, 3*time.Hour, 0)
			default:
				return channels.Delivery{}, "9", true, nil
			}
		}
		ctx, stop := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- w.jobs.Poll(ctx) }()
		first := <-calls
		require.Equal(w, well.Add(-65*time.Minute), first.since, "S4.3 no more than the gap, with a margin, from before the messenger could know")
		for _, offset := range []string{"", "7", "8"} {
			call := <-calls
			require.Equal(w, rereadCall{first.since, first.asked, offset}, call, "one reading is one, whatever is asked for meanwhile")
		}
		again := <-calls
		require.True(w, again.asked.After(first.asked), "what was asked for meanwhile needs another")
		require.Empty(w, again.offset)
		require.WithinDuration(w, well.Add(-185*time.Minute), again.since, time.Minute)
		require.Eventually(w, func() bool {
			ch := w.row(w.channel)
			return ch.RereadAt.IsZero() && ch.RereadFrom.IsZero() && ch.PollOwner == ""
		}, time.Minute, 10*time.Millisecond, "it is over")
		stored, err := w.db.NewSelect().Table("timeline").Where("text = 'missed'").Exists(w.ctx)
		require.NoError(w, err)
		require.True(w, stored)
		require.True(w, w.row(w.channel).ReceivingOK)
		well = w.row(w.channel).DeliversAt
		require.NoError(w, w.store.ConnectChannel(w.ctx, w.row(w.channel), store.ChannelConnection{Secrets: w.row(w.channel).Secrets, Receive: "webhook"}))
		require.Equal(w, well.Add(-5*time.Minute), (<-calls).since, "after a connection, too")
		stop()
		require.NoError(w, <-ended)
	})
}

// A reading that is broken off is begun anew, as it was asked for by then.
func TestAReadingThatIsBrokenOff(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		ask := func() { require.NoError(w, w.store.Unstored(w.ctx, []string{"fake"}, nil, time.Hour, 0)) }
		ask()
		calls := make(chan rereadCall, 100)
		broken, stop := context.WithCancel(w.ctx)
		w.messenger.reread = func(ch channels.Channel, offset string, asked time.Time) (channels.Delivery, string, bool, error) {
			calls <- rereadCall{ch.Since, asked, offset}
			if broken.Err() == nil {
				stop()
				return channels.Delivery{}, "7", false, nil
			}
			return channels.Delivery{}, "9", true, nil
		}
		require.NoError(w, w.jobs.Poll(broken))
		first := <-calls
		storetest.NextMoment(w, w.store)
		ask()
		asked := w.row(w.channel).RereadAt
		require.True(w, asked.After(first.asked))
		ctx, end := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- w.jobs.Poll(ctx) }()
		again := <-calls
		require.Equal(w, rereadCall{first.since, asked.Time, ""}, again)
		require.Eventually(w, func() bool { return w.row(w.channel).RereadFrom.IsZero() }, time.Minute, 10*time.Millisecond)
		end()
		require.NoError(w, <-ended)
	})
}

// What could not be stored is read once the store takes what comes again, once for all of it.
func TestWhatCouldNotBeStoredIsRead(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		other := w.newChannel(w.env)
		require.NoError(w, w.jobs.Receiving(w.ctx))
		before := unmoved(w)
		w.jobs.Unstored("fake", w.channel)
		w.jobs.Unstored("telegram", other) // is not read again
		require.True(w, w.row(w.channel).RereadAt.IsZero(), "not while the store may be away")
		require.NoError(w, w.jobs.Receiving(w.ctx))
		asked := w.row(w.channel)
		require.WithinDuration(w, before, asked.RereadFrom.Time, time.Minute)
		require.True(w, asked.RereadAt.After(unmoved(w)), "and not at once: more may be refused")
		require.True(w, w.row(other).RereadFrom.IsZero(), "no other channel")
		storetest.NextMoment(w, w.store)
		w.jobs.Unstored("fake", w.channel)
		require.NoError(w, w.jobs.Receiving(w.ctx))
		later := w.row(w.channel)
		require.Equal(w, asked.RereadFrom, later.RereadFrom)
		require.True(w, later.RereadAt.After(asked.RereadAt.Time), "as long as it goes on")
		require.NoError(w, w.jobs.Receiving(w.ctx))
		require.Equal(w, later.RereadAt, w.row(w.channel).RereadAt)

		w.jobs.Unstored("fake") // the store was away
		gone, away := context.WithCancel(w.ctx)
		away()
		require.Error(w, w.jobs.Receiving(gone))
		require.NoError(w, w.jobs.EndReceiving(w.ctx, time.Now()), "what is known is written down at the end, too")
		require.False(w, w.row(other).RereadFrom.IsZero())
	})
}

// A process that ends while a delivery is not answered has lost it.
func TestADeliveryThatIsNotAnswered(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		second := &jobs.Jobs{Store: w.store, Channels: w.jobs.Channels, Owner: "second"}
		require.NoError(w, w.jobs.Receiving(w.ctx))
		require.NoError(w, second.Receiving(w.ctx))
		answered := w.jobs.Taking()
		answered()
		require.NoError(w, w.jobs.EndReceiving(w.ctx, time.Now()))
		require.NoError(w, second.Receiving(w.ctx))
		require.True(w, w.row(w.channel).RereadFrom.IsZero(), "one of two ends: nobody misses anything")
		require.NoError(w, w.jobs.Receiving(w.ctx))
		w.jobs.Taking()
		require.NoError(w, w.jobs.EndReceiving(w.ctx, time.Now()))
		require.NoError(w, second.Receiving(w.ctx))
		require.False(w, w.row(w.channel).RereadFrom.IsZero())
	})
}
