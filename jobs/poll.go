package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

const (
	pollLook      = 2 * time.Second // how often channels without a poller are looked for
	longestPause  = time.Minute     // between tries of a channel in trouble
	refusedReread = time.Hour       // between tries to read beside a webhook what the messenger refuses to show
	rereadEvery   = 24 * time.Hour  // after the last reading at the latest another one: what got lost between the messenger and us nobody tells
	rereadMargin  = 5 * time.Minute // read before a gap began: the messenger's clock, the time it takes to deliver, and its tries
)

// reading is one way through what a channel's webhook may have missed.
type reading struct {
	from, asked store.Time // since when that is, and when it was asked for, as the reading began
	offset      string     // up to where all is stored
}

// Poll reads the messages of all channels that are set to polling, and what the webhooks of others may have missed, where no
// other process does so; each channel in a loop of its own, until ctx ends.
func (j *Jobs) Poll(ctx context.Context) error {
	var pollers sync.WaitGroup
	defer pollers.Wait()
	var mu sync.Mutex
	mine := map[uuid.UUID]bool{}
	for {
		claimed, err := j.Store.ClaimPolls(ctx, j.Owner, kindsThat[channels.Poller](j), kindsThat[channels.Rereader](j), j.pollLease())
		if err != nil && ctx.Err() == nil {
			j.Metrics.Errors.WithLabelValues("poll", "run").Inc()
			j.Log.Error("looking for channels to poll failed; it is tried again", "error", err)
		}
		for _, ch := range claimed {
			mu.Lock()
			twice := mine[ch.ID]
			mine[ch.ID] = true
			mu.Unlock()
			if twice {
				continue
			}
			pollers.Go(func() {
				j.pollChannel(ctx, ch.ID, ch.EnvironmentID)
				mu.Lock()
				delete(mine, ch.ID)
				mu.Unlock()
			})
		}
		if !pause(ctx, pollLook) {
			return nil
		}
	}
}

// pause waits and reports whether ctx lives on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// kindsThat are the kinds whose adapters can do something.
func kindsThat[Can any](j *Jobs) []string {
	var kinds []string
	for _, kind := range j.Channels.Kinds() {
		if _, can := j.Channels[kind].(Can); can {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// pollChannel polls one channel until ctx ends, the lease is lost or the channel is no longer to be polled.
func (j *Jobs) pollChannel(ctx context.Context, id, environment uuid.UUID) {
	failures := 0
	var r reading
	for ctx.Err() == nil {
		deadline := time.Now().Add(j.pollDeadline())
		ch, err := j.Store.RenewPoll(ctx, id, j.Owner, !r.asked.IsZero(), j.pollLease())
		if err != nil || ch == nil || !j.reads(ch) {
			if err != nil && ctx.Err() == nil {
				j.Log.Error("polling stopped", "environment", environment, "channel", id, "error", err)
			}
			break
		}
		if r.asked.IsZero() {
			r = reading{from: ch.RereadFrom, asked: ch.RereadAt, offset: ch.PollOffset}
		}
		done, wait := j.pollOnce(ctx, deadline, ch, &r, failures)
		if done {
			r = reading{} // what was asked for while it was under way needs another
		}
		if failures++; wait == 0 {
			failures = 0
		} else {
			j.rest(ctx, ch, wait)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	// Failure policy: none needed; the lease ends by itself.
	_ = j.Store.ReleasePoll(ctx, id, j.Owner)
}

// reads reports whether a channel's kind lets it be read the way it receives now: while it was polled a webhook may have taken the
// place of polling, and not every kind is read beside one.
func (j *Jobs) reads(ch *store.Channel) bool {
	adapter := j.Channels[ch.Kind]
	if ch.Receive == string(channels.Polling) {
		_, can := adapter.(channels.Poller)
		return can
	}
	_, can := adapter.(channels.Rereader)
	return can
}

// rest waits before the next try, and no longer than until the channel's connection is changed: that may have healed it.
func (j *Jobs) rest(ctx context.Context, ch *store.Channel, wait time.Duration) {
	for end := time.Now().Add(wait); time.Now().Before(end); {
		if !pause(ctx, min(pollLook, time.Until(end))) {
			return
		}
		now, err := j.Store.RenewPoll(ctx, ch.ID, j.Owner, true, j.pollLease())
		if err != nil || now == nil || now.Version != ch.Version {
			return // the caller looks for himself
		}
	}
}

// pollOnce reads once, stores what came, and only then moves the offset, which confirms it to the messenger. It tells whether
// all is read that a webhook may have missed, and how long to wait before the next try; 0 where all went well. Failure policy:
// the same offset is asked for again, so that nothing is lost; what came twice is folded by the store. Whether a channel with a
// webhook receives is not shown by this: its webhook does.
func (j *Jobs) pollOnce(ctx context.Context, deadline time.Time, ch *store.Channel, r *reading, failures int) (done bool, wait time.Duration) {
	calls, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	done, err := j.readOnce(calls, ch, r)
	if ctx.Err() != nil {
		return false, 0
	}
	ok, why := true, ""
	if err != nil {
		trouble := channels.AsError(err)
		ok, why = false, trouble.Reason
		wait = min(time.Second<<min(failures, 10), longestPause)
		switch {
		case trouble.Outcome == channels.RetryAt && !trouble.At.IsZero():
			wait = max(time.Until(trouble.At), time.Second)
		case trouble.Outcome == channels.Refused, trouble.Outcome == channels.Broken:
			wait = longestPause
			if ch.Receive != string(channels.Polling) { // nobody waits for it, and only a change of the connection will help
				wait = refusedReread
			}
		}
		j.Metrics.Errors.WithLabelValues("poll", string(trouble.Outcome)).Inc()
		j.Log.Warn("polling a channel failed", "environment", ch.EnvironmentID, "channel", ch.ID, "kind", ch.Kind, "outcome", trouble.Outcome, "wait", wait, "error", err)
	}
	if ch.Receive != string(channels.Polling) {
		return done, wait
	}
	if err := j.showReceiving(ctx, ch, ok, why, 0); err != nil {
		return false, max(wait, time.Second)
	}
	return false, wait
}

// readOnce asks a messenger once, stores what came and moves the offset. Beside a webhook it tells when nothing is left to be read.
func (j *Jobs) readOnce(ctx context.Context, ch *store.Channel, r *reading) (done bool, err error) {
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return false, err
	}
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return false, err
	}
	var delivery channels.Delivery
	var next string
	if view.Receive == channels.Polling {
		view.Since = notBefore(view.Since, ch.RereadFrom)
		delivery, next, err = adapter.(channels.Poller).Poll(ctx, view, ch.PollOffset)
	} else {
		view.Since = notBefore(view.Since, r.from)
		delivery, next, done, err = adapter.(channels.Rereader).Reread(ctx, view, r.offset, r.asked.Time)
	}
	if err != nil {
		return false, err
	}
	// What came by a connection that the channel has no more is asked for again by the new one: it knows what is not wanted (b39).
	if len(delivery.Events) > 0 {
		if now, err := j.Store.RenewPoll(ctx, ch.ID, j.Owner, true, j.pollLease()); err != nil || now == nil || now.Version != ch.Version {
			return false, err
		}
	}
	if _, err := j.Intake.Take(ctx, ch, delivery); err != nil {
		return false, &channels.Error{Outcome: channels.RetryAt, Reason: "what came could not be stored yet", Err: err}
	}
	if view.Receive == channels.Polling {
		return false, j.Store.SavePollOffset(ctx, ch.ID, j.Owner, next)
	}
	if r.offset = next; !done {
		return false, nil
	}
	return true, j.Store.EndReread(ctx, ch.ID, r.from, r.asked)
}

// notBefore is since when there is something to be read of a channel: its messenger delivered all that was written before a gap.
func notBefore(connected time.Time, gap store.Time) time.Time {
	if from := gap.Add(-rereadMargin); !gap.IsZero() && from.After(connected) {
		return from
	}
	return connected
}
