package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

const (
	sendsAtOnce    = 64                // lanes in the hands of one Deliver
	sendsPerClaim  = 4                 // of one channel: a slow messenger keeps nobody else waiting
	sendsPerRoute  = 2 * sendsPerClaim // of one channel in the hands of one Deliver
	sendsClaimWait = 50 * time.Millisecond
	longestRetry   = time.Minute // where the messenger names no time, tries are at most this far apart
	troubleAfter   = 3           // tries of one part after which a passing trouble shows at the channel
)

// Deliver sends what agents wrote: it leases lanes that are due, as many as there is room for, works each in timeline order,
// and goes on until nothing is due and nothing is being sent. It returns how many lanes it worked. Any number may run at once.
//
// However many messengers hang, the others are not slower: a lane that is being sent for longer than a moment takes no place
// from others, and sendsPerRoute bounds how many such lanes a channel has.
//
// When ctx ends no more lanes are taken; calls under way are finished, as breaking one off would leave its outcome unknown.
func (j *Jobs) Deliver(ctx context.Context) (worked int, err error) {
	d := delivering{Jobs: j, busy: map[uuid.UUID]int{}, done: make(chan *sending, sendsAtOnce), look: true}
	for {
		d.passOver(time.Now())
		if d.look && d.inFlight-d.slow < sendsAtOnce && err == nil && ctx.Err() == nil {
			n, claimErr := d.claim(ctx)
			worked, err = worked+n, claimErr
		}
		if d.inFlight > 0 {
			d.wait()
			continue
		}
		if ctx.Err() != nil {
			return worked, nil //nolint:nilerr // a claim that ctx broke off is no failure
		}
		if err != nil || !d.look {
			return worked, err
		}
	}
}

// delivering is what one Deliver has in hand.
type delivering struct {
	*Jobs
	busy     map[uuid.UUID]int // lanes by channel
	sending  []*sending        // those that are not slow, oldest first
	done     chan *sending
	inFlight int
	slow     int  // of those in flight
	look     bool // there may be more to claim
}

// sending is a lane that is being worked.
type sending struct {
	channel uuid.UUID
	since   time.Time
	slow    bool
	ended   bool
}

// passOver takes note of the lanes that have become slow.
func (d *delivering) passOver(now time.Time) {
	for len(d.sending) > 0 && (d.sending[0].ended || now.Sub(d.sending[0].since) > d.sendPatience()) {
		if s := d.sending[0]; !s.ended {
			s.slow = true
			d.slow++
			d.look = true
		}
		d.sending = d.sending[1:]
	}
}

// claim leases what there is room for and starts it.
func (d *delivering) claim(ctx context.Context) (int, error) {
	var full []uuid.UUID
	for id, n := range d.busy {
		if n > sendsPerRoute-sendsPerClaim {
			full = append(full, id)
		}
	}
	lanes, err := d.Store.ClaimSends(ctx, d.Owner, sendsAtOnce-(d.inFlight-d.slow), sendsPerClaim, full, d.lease())
	for _, lane := range lanes {
		s := &sending{channel: lane.ChannelID, since: time.Now()}
		d.sending = append(d.sending, s)
		d.busy[s.channel]++
		go func() {
			d.workLane(context.WithoutCancel(ctx), lane)
			d.done <- s
		}()
	}
	d.inFlight += len(lanes)
	d.look = len(lanes) > 0
	return len(lanes), err
}

// wait waits until a lane is done, and takes all that are. It is worth looking again when a channel has room again, and every
// now and then, as something may have become due while others are being sent.
func (d *delivering) wait() {
	select {
	case s := <-d.done:
		d.finish(s)
	case <-time.After(sendsClaimWait):
		d.look = true
	}
	for len(d.done) > 0 {
		d.finish(<-d.done)
	}
}

func (d *delivering) finish(s *sending) {
	s.ended = true
	d.inFlight--
	if s.slow {
		d.slow--
	}
	d.busy[s.channel]--
	if d.busy[s.channel] == sendsPerRoute-sendsPerClaim || d.inFlight == 0 {
		d.look = true
	}
}

// workLane sends a lane's parts one after another until it is released. Failure policy: an error of ours leaves the lane to
// its lease; whoever takes it over finds the attempt.
func (j *Jobs) workLane(ctx context.Context, lane store.SendLane) {
	for {
		more, err := j.sendNext(ctx, lane)
		if err != nil && !errors.Is(err, store.ErrConflict) {
			j.Metrics.Errors.WithLabelValues("deliver", "run").Inc()
			j.Log.Error("a lane to a messenger is left to its lease", "environment", lane.EnvironmentID, "chat", lane.ChatID, "error", err)
		}
		if err != nil || !more {
			return
		}
	}
}

// sendNext makes the lane's next attempt and records what became of it.
func (j *Jobs) sendNext(ctx context.Context, lane store.SendLane) (more bool, err error) {
	deadline := time.Now().Add(j.sendDeadline())
	send, found, err := j.Store.NextSend(ctx, lane, j.sendRules, j.lease())
	for _, m := range found {
		j.tellSettled(lane.EnvironmentID, m)
	}
	if err != nil || send == nil {
		return false, err
	}
	adapter, err := j.adapter(send.Channel.Kind)
	if err != nil {
		return false, err
	}
	receipts := adapter.Describe().Capabilities.Receipts
	began := time.Now()
	sent, sendErr := j.callSend(ctx, deadline, adapter, send)
	outcome := partOutcome(sent, sendErr, send.Part.Attempts)
	settled, err := j.settleSend(ctx, send, outcome, receipts)
	if err != nil {
		return false, err
	}
	j.logSend(send, sendErr, outcome, time.Since(began))
	if err := j.channelHealth(ctx, send, sendErr, outcome); err != nil {
		return false, err
	}
	if settled.State != "" {
		j.tellSettled(lane.EnvironmentID, settled)
	}
	return !settled.Released, nil
}

// settleSend records an outcome. Failure policy: what the messenger said is worth more than a moment's trouble with the
// database, so it is tried again while the lease lasts; after that the outcome is lost, which is an unknown one.
func (j *Jobs) settleSend(ctx context.Context, send *store.Send, o store.PartOutcome, receipts bool) (settled store.Settled, err error) {
	for until := time.Now().Add(j.settleTime()); ; {
		if settled, err = j.Store.SettleSend(ctx, send, o, receipts); err == nil || time.Now().After(until) {
			return settled, err
		}
		pause(ctx, time.Second)
	}
}

// sendRules says what a kind's adapter demands of the parts.
func (j *Jobs) sendRules(kind string) (store.SendRules, error) {
	adapter, err := j.adapter(kind)
	if err != nil {
		return store.SendRules{}, err
	}
	c := adapter.Describe().Capabilities
	return store.SendRules{TextLimit: c.TextLimit, Idempotent: c.Idempotent}, nil
}

// callSend calls the messenger once, inside a deadline that ends before the lease. Where that is over already this process was
// held up: another one may have the lane, and nothing is sent.
func (j *Jobs) callSend(ctx context.Context, deadline time.Time, adapter channels.Adapter, send *store.Send) (channels.Sent, *channels.Error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.RetryAt, Reason: "Waggle was held up and did not try", Err: err}
	}
	view, err := j.OpenChannel(ctx, &send.Channel)
	if err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.RetryAt, At: time.Now().Add(longestRetry), Reason: "the channel's settings cannot be read", Err: err}
	}
	sent, err := adapter.Send(ctx, view, channels.Part{
		Key: send.Part.ID.String(), UserID: send.UserID, Text: send.Part.Text, ReplyTo: send.Part.ReplyTo, Attempt: send.Part.Attempts,
	})
	if err != nil {
		return sent, channels.AsError(err)
	}
	return sent, nil
}

// partOutcome decides what a call's end means for what was sent.
func partOutcome(sent channels.Sent, err *channels.Error, attempts int) store.PartOutcome {
	if err == nil {
		return store.PartOutcome{State: chat.PartSent, ExternalID: sent.MessageID}
	}
	switch err.Outcome {
	case channels.RetryAt:
		return store.PartOutcome{State: chat.PartPlanned, Reason: err.Reason, Wait: retryWait(err.At, attempts)}
	case channels.Broken, channels.Refused, channels.Foreign:
		return store.PartOutcome{State: chat.PartPlanned, Reason: err.Reason, Broken: true}
	case channels.Permanent:
		return store.PartOutcome{State: chat.PartFailed, Reason: err.Reason}
	default:
		return store.PartOutcome{State: chat.PartUnknown, Reason: err.Reason}
	}
}

// retryWait is how long to wait until at, by our own clock; where the messenger names no time, tries become rarer.
func retryWait(at time.Time, attempts int) time.Duration {
	if wait := time.Until(at); !at.IsZero() {
		return max(wait, 0)
	}
	return min(time.Second<<min(attempts-1, 10), longestRetry)
}

// channelHealth lets the whole channel's lanes wait where the trouble is the channel's, and shows it.
func (j *Jobs) channelHealth(ctx context.Context, send *store.Send, err *channels.Error, o store.PartOutcome) error {
	ch := send.Channel
	var news bool
	var storeErr error
	switch {
	case o.State == chat.PartSent && (!ch.SendingOK || !ch.SendRetryAt.IsZero()):
		news, storeErr = !ch.SendingOK, j.Store.SendingWorks(ctx, ch.ID)
	case o.Broken:
		if news, storeErr = j.Store.SendingBroken(ctx, &ch, o.Reason); news {
			j.Hints.Publish(Event{Type: "alert", Environment: ch.EnvironmentID, ID: ch.ID, Detail: fmt.Sprintf("channel %q cannot send: %s", ch.Name, o.Reason)})
		}
	case o.State == chat.PartPlanned && err.WholeChannel:
		why := ""
		if send.Part.Attempts >= troubleAfter {
			why = o.Reason
		}
		news, storeErr = j.Store.PostponeSends(ctx, ch.ID, o.Wait, why)
	}
	if news {
		j.Hints.Publish(Event{Type: "channel", Environment: ch.EnvironmentID, ID: ch.ID})
	}
	return storeErr
}

// tellSettled hints that a message's state has changed.
func (j *Jobs) tellSettled(environment uuid.UUID, m store.Settled) {
	j.Hints.Publish(Event{Type: "message", Environment: environment, ID: m.MessageID, ChatID: m.ChatID, AgentID: m.AgentID, QueueID: m.QueueID, Detail: string(m.State)})
	if m.State == chat.MessageFailed || m.State == chat.MessageUnknown {
		j.Hints.Publish(Event{Type: "failure", Environment: environment, ID: m.MessageID, ChatID: m.ChatID, AgentID: m.AgentID, QueueID: m.QueueID})
	}
	if m.CRM {
		j.Hints.Look(Look{At: LookCRM, Environment: environment})
		j.Hints.Publish(Event{Type: "chat", Environment: environment, ID: m.ChatID, AgentID: m.AgentID, QueueID: m.QueueID})
	}
}

// logSend writes one wide line for an attempt, without its content.
func (j *Jobs) logSend(send *store.Send, err *channels.Error, o store.PartOutcome, took time.Duration) {
	outcome := "sent"
	if err != nil {
		outcome = string(err.Outcome)
	}
	j.Metrics.Sent.WithLabelValues(send.Channel.Kind, outcome).Inc()
	j.Metrics.SendTime.WithLabelValues(send.Channel.Kind).Observe(took.Seconds())
	attrs := []any{
		"environment", send.Lane.EnvironmentID, "channel", send.Channel.ID, "kind", send.Channel.Kind, "chat", send.Lane.ChatID,
		"message", send.Part.MessageID, "part", send.Part.N, "attempt", send.Part.Attempts, "outcome", outcome, "took", took,
	}
	if err == nil {
		j.Log.Info("sent to a messenger", attrs...)
		return
	}
	j.Log.Warn("not sent to a messenger", append(attrs, "reason", o.Reason, "wait", o.Wait, "error", err)...)
}

// Release gives back to their lanes what waited for something that has happened: chats held for an expired key that is valid
// again, messages of channels that can send again.
func (j *Jobs) Release(ctx context.Context) (int, error) {
	woken, err := j.Store.WakeSends(ctx)
	if err != nil {
		return 0, err
	}
	if woken > 0 {
		j.Hints.Look(Look{At: LookOut})
	}
	environments, err := j.Store.ReleaseHeld(ctx)
	for _, id := range environments {
		j.Hints.Look(Look{At: LookRoute, Environment: id})
		j.Hints.Look(Look{At: LookCRM, Environment: id})
		j.Hints.Publish(Event{Type: "resync", Environment: id})
	}
	return 0, err
}
