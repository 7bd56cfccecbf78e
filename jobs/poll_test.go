package jobs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/store"
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
		w.messenger.reread = func(offset string) (channels.Delivery, string, bool, error) {
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

// What a webhook may have missed is read when the messenger delivers again, once, and once more where that was asked for
// meanwhile. A reading that fails is no trouble of the webhook's.
func TestWhatAWebhookMissedIsRead(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.jobs.CheckEvery = time.Hour
		w.set("channels", "receiving_ok = ?", true)
		found := channels.Checkup{Wrong: "The webhook is invalid."}
		w.messenger.checked = func(channels.Channel) (channels.Checkup, error) { return found, nil }
		check := func() {
			w.set("channels", "check_at = NULL")
			n, err := w.jobs.Check(w.ctx)
			require.NoError(w, err)
			require.Equal(w, 1, n)
		}
		check()
		require.False(w, w.row(w.channel).ReceivingOK)
		require.True(w, w.row(w.channel).RereadAt.IsZero(), "not while it is away")
		found.Wrong = ""
		check()
		require.True(w, w.row(w.channel).ReceivingOK)
		require.False(w, w.row(w.channel).RereadAt.IsZero())

		offsets := make(chan string, 100)
		n := 0
		w.messenger.reread = func(offset string) (channels.Delivery, string, bool, error) {
			offsets <- offset
			n++
			switch n {
			case 1:
				return channels.Delivery{}, offset, false, &channels.Error{Outcome: channels.RetryAt, Reason: "away"}
			case 2: // a first step, in which another outage comes to its end
				return channels.Delivery{}, offset, false, w.jobs.Missed(w.ctx)
			case 3:
				return channels.Delivery{Events: []channels.Event{{Kind: channels.Message, Key: "1", Text: "missed", User: channels.User{ID: "ann"}}}}, "7", true, nil
			default:
				return channels.Delivery{}, "8", true, nil
			}
		}
		ctx, stop := context.WithCancel(w.ctx)
		ended := make(chan error)
		go func() { ended <- w.jobs.Poll(ctx) }()
		for _, want := range []string{"", "", "", "7"} {
			require.Equal(w, want, <-offsets)
		}
		require.Eventually(w, func() bool {
			ch := w.row(w.channel)
			return ch.RereadAt.IsZero() && ch.PollOwner == "" && ch.PollOffset == "8"
		}, time.Minute, 10*time.Millisecond, "it is over")
		stored, err := w.db.NewSelect().Table("timeline").Where("text = 'missed'").Exists(w.ctx)
		require.NoError(w, err)
		require.True(w, stored)
		require.True(w, w.row(w.channel).ReceivingOK)
		require.NoError(w, w.store.ConnectChannel(w.ctx, w.row(w.channel), store.ChannelConnection{Secrets: w.row(w.channel).Secrets, Receive: "webhook"}))
		require.Equal(w, "8", <-offsets, "after a connection, too")
		stop()
		require.NoError(w, <-ended)
	})
}
