package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"waggle/channels"
	"waggle/store"
)

const (
	checkEvery   = 3 * time.Minute
	checksAtOnce = 16
)

// Check asks messengers whether they deliver to the channels whose turn it is, and shows what it learns as the channels' health.
// It returns how many it asked. Any number may run at once: each turn is one process's.
func (j *Jobs) Check(ctx context.Context) (int, error) {
	every := j.CheckEvery
	if every == 0 {
		every = checkEvery
	}
	due, err := j.Store.ClaimChecks(ctx, kindsThat[channels.Checker](j), checksAtOnce, every+rand.N(every/4)) // so that they spread
	if err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	for i := range due {
		all.Go(func() { j.checkChannel(ctx, &due[i], 2*every) })
	}
	all.Wait()
	return len(due), nil
}

// checkChannel asks once. Failure policy: a messenger that cannot be asked has said nothing about its deliveries; the health stays
// what it was, and the next turn asks again. A refusal of the credentials is an answer.
func (j *Jobs) checkChannel(ctx context.Context, ch *store.Channel, recent time.Duration) {
	found, err := j.askChannel(ctx, ch)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		e := channels.AsError(err)
		j.Metrics.Errors.WithLabelValues("check", string(e.Outcome)).Inc()
		j.Log.Warn("a messenger could not be asked how it delivers", "environment", ch.EnvironmentID, "channel", ch.ID, "kind", ch.Kind, "outcome", e.Outcome, "error", err)
		if !cannotSend(e.Outcome) {
			return
		}
		found = channels.Checkup{Wrong: e.Reason, CannotSend: e.Reason}
	}
	// Sending first: who is alarmed that a channel does not receive finds there whether it sends.
	j.showCannotSend(ctx, ch, found.CannotSend)
	why := receivingTrouble(found, time.Now(), recent)
	_ = j.showReceiving(ctx, ch, why == "", why, found.Late) // logged there; the next turn finds it again
	if _, can := j.Channels[ch.Kind].(channels.Rereader); can && why == "" {
		if err := j.Store.Delivers(ctx, ch, rereadEvery); err != nil {
			j.Log.Error("that a channel is delivered to was not written; should it end, more is read than was missed", "channel", ch.ID, "error", err)
		}
	}
}

// showCannotSend shows what a check found wrong with sending, if anything, and alarms where that is news. What sends again shows by
// the next message that goes out: a check sees only some of what can be wrong.
func (j *Jobs) showCannotSend(ctx context.Context, ch *store.Channel, why string) {
	if why == "" {
		return
	}
	news, err := j.Store.SendingDoubtful(ctx, ch, why)
	if err != nil {
		j.Log.Error("the channel's health was not written", "channel", ch.ID, "error", err)
	}
	if news {
		j.tellCannotSend(ch, why)
	}
}

func (j *Jobs) askChannel(ctx context.Context, ch *store.Channel) (channels.Checkup, error) {
	ctx, cancel := context.WithTimeout(ctx, messengerDeadline)
	defer cancel()
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return channels.Checkup{}, err
	}
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return channels.Checkup{}, err
	}
	return adapter.(channels.Checker).Check(ctx, view)
}

// receivingTrouble says why a channel does not receive; empty where it does. An error counts while something waits behind it and
// the messenger, which tries again every few minutes, met it lately.
func receivingTrouble(c channels.Checkup, now time.Time, recent time.Duration) string {
	switch {
	case c.Wrong != "":
		return c.Wrong
	case c.Pending > 0 && c.LastError != "" && now.Sub(c.LastErrorAt) < recent:
		return "The messenger cannot deliver: " + c.LastError + ". See that the public address of this installation reaches it from the Internet; what waits is delivered then."
	default:
		return ""
	}
}

// showReceiving shows whether a channel receives, where that is news, and alarms where it does not; it may not have for late before it
// was well last. A failure to write it is logged; whoever found it out finds it again.
func (j *Jobs) showReceiving(ctx context.Context, ch *store.Channel, ok bool, why string, late time.Duration) error {
	if ok == ch.ReceivingOK && why == ch.ReceivingWhy {
		return nil
	}
	shown, err := j.Store.ReceivingHealth(ctx, ch, ok, why, late)
	if err != nil {
		j.Log.Error("the channel's health was not written", "channel", ch.ID, "error", err)
		return err
	}
	if !shown {
		return nil
	}
	j.publishChannel(ch.EnvironmentID, ch.ID)
	if !ok {
		j.Hints.Publish(Event{Type: "alert", Environment: ch.EnvironmentID, ID: ch.ID, Detail: fmt.Sprintf("channel %q does not receive: %s", ch.Name, why)})
	}
	return nil
}

// tellCannotSend alarms the administrators.
func (j *Jobs) tellCannotSend(ch *store.Channel, why string) {
	j.Hints.Publish(Event{Type: "alert", Environment: ch.EnvironmentID, ID: ch.ID, Detail: fmt.Sprintf("channel %q cannot send: %s", ch.Name, why)})
	j.publishChannel(ch.EnvironmentID, ch.ID)
}
