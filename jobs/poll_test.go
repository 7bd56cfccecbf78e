package jobs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels"
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
		}, 10*time.Second, 10*time.Millisecond, "trouble shows at the channel")
		stop()
		require.NoError(w, <-ended)
		ch, err := w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		require.Equal(w, "2", ch.PollOffset)
		require.Empty(w, ch.PollOwner, "the channel is given back")
	})
}
