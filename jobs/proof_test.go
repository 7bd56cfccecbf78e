package jobs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// Where a messenger shows what was sent, an unknown outcome waits a while for that, and what comes after it waits, too; then it
// goes on. It is never sent again by itself.
func TestDeliverWaitsForProofOfAnUnknownOutcome(t *testing.T) {
	for name, comes := range map[string]bool{"which comes": true, "which does not come": false} {
		t.Run(name, func(t *testing.T) {
			eachLane(t, func(w *laneWorld) {
				w.jobs.Lease = 3 * time.Second
				w.messenger.echoes = true
				id := w.writes(w.channel, "ann", "hello")
				first, second := w.replies(id, "one"), w.replies(id, "two")
				var key string
				w.messenger.program(func(_ channels.Channel, p channels.Part) error {
					if p.Text == "one" {
						key = p.Key
						return &channels.Error{Outcome: channels.Unknown, Reason: "no answer"}
					}
					return nil
				})
				w.deliver()
				require.Equal(w, chat.MessageSending, w.entry(first).State)
				require.Equal(w, chat.MessageAccepted, w.entry(second).State)

				end := chat.MessageUnknown
				if comes {
					end = chat.MessageDelivered
					ch, err := w.store.Channel(w.ctx, w.env, w.channel)
					require.NoError(w, err)
					_, err = w.jobs.Intake.Take(w.ctx, ch, channels.Delivery{Events: []channels.Event{{
						Kind: channels.Echo, Key: "o:1", MessageID: "1", Text: "one", User: channels.User{ID: "ann"}, Echo: &channels.EchoNote{PartKey: key},
					}}})
					require.NoError(w, err)
					w.deliver()
					require.Equal(w, chat.MessageDelivered, w.entry(second).State, "the lane goes on at once")
				}
				require.Eventually(w, func() bool { w.deliver(); return w.entry(second).State == chat.MessageDelivered }, time.Minute, 50*time.Millisecond)
				require.Equal(w, end, w.entry(first).State)
				require.Equal(w, []string{"two"}, w.messenger.texts(), "it is not sent again")
			})
		})
	}
}

// What a message has left is given up once the fate of one part is unknown. Where that part turns out to be sent, the rest is not
// sent by itself, behind what was said since: the message says what happened, and a resend brings the rest alone.
func TestDeliverGivesUpTheRestOfAnUnknownMessage_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		m := w.replies(id, "one two")
		lanes, err := w.store.ClaimSends(w.ctx, "dead", 10, 8, nil, longLease)
		require.NoError(w, err)
		inTwo := func(string) (store.SendRules, error) { return store.SendRules{TextLimit: 4}, nil }
		send, _, err := w.store.NextSend(w.ctx, lanes[0], inTwo, longLease)
		require.NoError(w, err)
		require.Equal(w, "one", strings.TrimSpace(send.Part.Text))
		w.set("chats", "out_until = 1")
		w.deliver()
		require.Equal(w, chat.MessageUnknown, w.entry(m).State)

		settled, err := w.store.SettleSend(w.ctx, send, store.PartOutcome{State: chat.PartSent, ExternalID: "77"}, false)
		require.NoError(w, err)
		require.Equal(w, chat.MessageFailed, settled.State)
		require.Contains(w, w.entry(m).Error, "only the beginning arrived")
		require.Len(w, w.failures(store.FailureOpen), 1)
		_, err = w.store.Resend(w.ctx, w.env, id, m, uuid.Nil, 0)
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
		require.Equal(w, []string{"two"}, w.messenger.texts(), "what has arrived is not sent again")
		require.Empty(w, w.failures(store.FailureOpen))
	})
}
