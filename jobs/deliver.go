package jobs

import (
	"context"
	"errors"
	"slices"
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
	slow     int         // of those in flight
	look     bool        // there may be more to claim
	locked   int         // claims in a row that met only lanes others were changing
	served   []uuid.UUID // channels that had their turn while others may wait for theirs
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

// claim leases what there is room for and starts it. Channels take turns: one with very much to send that answers at once keeps
// nobody else waiting.
func (d *delivering) claim(ctx context.Context) (int, error) {
	notNow := slices.Clone(d.served)
	for id, n := range d.busy {
		if n > sendsPerRoute-sendsPerClaim {
			notNow = append(notNow, id)
		}
	}
	room := sendsAtOnce - (d.inFlight - d.slow)
	lanes, err := d.Store.ClaimSends(ctx, d.Owner, room, sendsPerClaim, notNow, d.lease())
	if errors.Is(err, store.ErrLocked) {
		if len(d.served) > 0 { // these may have something
			d.served = nil
			return 0, nil
		}
		d.look = d.inFlight == 0 && pause(ctx, lockedPause(d.locked))
		d.locked++
		return 0, nil
	}
	d.locked = 0
	portions := map[uuid.UUID]int{}
	for _, lane := range lanes {
		portions[lane.ChannelID]++
		s := &sending{channel: lane.ChannelID, since: time.Now()}
		d.sending = append(d.sending, s)
		d.busy[s.channel]++
		go func() {
			d.workLane(context.WithoutCancel(ctx), lane)
			d.done <- s
		}()
	}
	d.inFlight += len(lanes)
	d.look = len(lanes) == room || len(d.served) > 0
	for _, n := range portions {
		d.look = d.look || n == sendsPerClaim // a smaller portion was all that the channel has due
	}
	if len(lanes) < room { // everybody has had his turn
		d.served = nil
		return len(lanes), err
	}
	for _, lane := range lanes {
		d.served = append(d.served, lane.ChannelID)
	}
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

// sendNext makes the lane's next attempt and records what became of it. The time for it runs from before the lease is prolonged.
func (j *Jobs) sendNext(ctx context.Context, lane store.SendLane) (more bool, err error) {
	return j.sendBy(ctx, lane, time.Now().Add(j.sendDeadline()))
}

// sendBy is sendNext with a deadline for calling the messenger; that of a file is later.
func (j *Jobs) sendBy(ctx context.Context, lane store.SendLane, deadline time.Time) (more bool, err error) {
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
	if send.File != nil {
		deadline = deadline.Add(chat.TransferTime(send.File.Size))
	}
	can := adapter.Describe().Capabilities
	began := time.Now()
	sent, sendErr := j.callSend(ctx, deadline, adapter, send)
	outcome := partOutcome(sent, sendErr, send.Part.Attempts)
	if can.Echoes && outcome.State == chat.PartUnknown {
		outcome.Wait = j.proofWait()
	}
	j.threadAfterSend(ctx, send, sendErr)
	before, broken := j.beforeOutcome(ctx, send, sent, sendErr)
	settled, err := j.settleSend(ctx, send, outcome, can.Receipts)
	if err != nil {
		return false, errors.Join(err, before)
	}
	j.logSend(send, sendErr, outcome, time.Since(began))
	if broken != nil { // a moment's trouble, that settling has outlasted
		broken = j.channelBroken(ctx, send, sendErr)
	}
	healthErr := j.channelHealth(ctx, send, sendErr, outcome)
	if settled.State != "" {
		j.tellSettled(lane.EnvironmentID, settled)
	}
	return !settled.Released, errors.Join(before, broken, healthErr)
}

// beforeOutcome writes what must be there when a send's outcome is seen: who sees that a message failed for a block sees the block,
// and whatever the customer writes then ends it; what is written once this one is sent finds the limit that it has reached; and
// what is written once it is seen that this one failed, as nothing can be sent, is a new try. It is told apart whether the last
// of these failed. The outcome is worth more than all of it and does not wait long.
func (j *Jobs) beforeOutcome(ctx context.Context, send *store.Send, sent channels.Sent, err *channels.Error) (failed, broken error) {
	ctx, cancel := context.WithTimeout(ctx, j.foreTime())
	defer cancel()
	failed = errors.Join(j.customerTakes(ctx, send, err == nil, err != nil && err.Blocked), j.channelRests(ctx, send, sent))
	return failed, j.channelBroken(ctx, send, err)
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
	rules := store.SendRules{TextLimit: c.TextLimit, CaptionLimit: c.CaptionLimit, Idempotent: c.Idempotent, Window: c.Window()}
	if c.Echoes {
		rules.Proof = j.proofWait()
	}
	return rules, nil
}

// callSend calls the messenger once, inside a deadline that ends before the lease. Where that is over already this process was
// held up: another one may have the lane, and nothing is sent.
func (j *Jobs) callSend(ctx context.Context, deadline time.Time, adapter channels.Adapter, send *store.Send) (channels.Sent, *channels.Error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.RetryAt, Reason: "Waggle was held up and did not try", Err: err}
	}
	secrets, err := j.Store.OpenSecrets(&send.Channel)
	if err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.RetryAt, At: time.Now().Add(longestRetry), Reason: "the channel's settings cannot be read", Err: err}
	}
	var gone bool // whatever the adapter makes of it: what is not there never will be
	sent, err := adapter.Send(ctx, channelView(&send.Channel, secrets, ""), channels.Part{
		Key: send.Part.ID.String(), UserID: send.User.ExternalID, Text: send.Part.Text, ReplyTo: send.Part.ReplyTo, Attempt: send.Part.Attempts,
		File: j.upload(send.File, &gone),
	})
	if err != nil && gone {
		return sent, &channels.Error{Outcome: channels.Permanent, Reason: "the file is not in Waggle's file store any more; upload it again", Err: err}
	}
	if err != nil {
		return sent, channels.AsError(err)
	}
	return sent, nil
}

// partOutcome decides what a call's end means for what was sent.
func partOutcome(sent channels.Sent, err *channels.Error, attempts int) store.PartOutcome {
	if err == nil {
		return store.PartOutcome{State: chat.PartSent, ExternalID: sent.MessageID, SentAt: sent.At}
	}
	switch err.Outcome {
	case channels.RetryAt, channels.Elsewhere:
		return store.PartOutcome{State: chat.PartPlanned, Reason: err.Reason, Wait: retryWait(err.At, attempts)}
	case channels.Permanent, channels.Broken, channels.Refused, channels.Foreign:
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
