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
)

// Poll fetches the messages of all channels that are set to polling, and what the webhooks of others may have missed, where no
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

// Missed has what webhooks may have missed read once, where a messenger keeps it. To be called when this process has begun to
// take deliveries: there may have been no other until now.
func (j *Jobs) Missed(ctx context.Context) error {
	return j.Store.AskReread(ctx, kindsThat[channels.Rereader](j))
}

// pollChannel polls one channel until ctx ends, the lease is lost or the channel is no longer to be polled.
func (j *Jobs) pollChannel(ctx context.Context, id, environment uuid.UUID) {
	failures := 0
	var asked store.Time // when it was asked for what is being read beside the webhook
	for ctx.Err() == nil {
		deadline := time.Now().Add(j.pollDeadline())
		ch, err := j.Store.RenewPoll(ctx, id, j.Owner, j.pollLease())
		if err != nil || ch == nil || !j.reads(ch) {
			if err != nil && ctx.Err() == nil {
				j.Log.Error("polling stopped", "environment", environment, "channel", id, "error", err)
			}
			break
		}
		if asked.IsZero() {
			asked = ch.RereadAt
		}
		ch.RereadAt = asked // what is asked for while one reading is under way needs another
		done, wait := j.pollOnce(ctx, deadline, ch, failures)
		if done {
			asked = store.Time{}
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
		now, err := j.Store.RenewPoll(ctx, ch.ID, j.Owner, j.pollLease())
		if err != nil || now == nil || now.Version != ch.Version {
			return // the caller looks for himself
		}
	}
}

// pollOnce fetches once, stores what came, and only then moves the offset, which confirms it to the messenger. It tells whether
// all is read that a webhook may have missed, and how long to wait before the next try; 0 where all went well. Failure policy:
// the same offset is asked for again, so that nothing is lost; what came twice is folded by the store. Whether a channel with a
// webhook receives is not shown by this: its webhook does.
func (j *Jobs) pollOnce(ctx context.Context, deadline time.Time, ch *store.Channel, failures int) (done bool, wait time.Duration) {
	calls, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	done, err := j.fetch(calls, ch)
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
	if err := j.showReceiving(ctx, ch, ok, why); err != nil {
		return false, max(wait, time.Second)
	}
	return false, wait
}

// fetch polls once, stores what came and moves the offset. Beside a webhook it tells when nothing is left to be read.
func (j *Jobs) fetch(ctx context.Context, ch *store.Channel) (done bool, err error) {
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
		delivery, next, err = adapter.(channels.Poller).Poll(ctx, view, ch.PollOffset)
	} else {
		delivery, next, done, err = adapter.(channels.Rereader).Reread(ctx, view, ch.PollOffset)
	}
	if err != nil {
		return false, err
	}
	if _, err := j.Intake.Deliver(ctx, ch, delivery); err != nil {
		return false, &channels.Error{Outcome: channels.RetryAt, Reason: "what came could not be stored yet", Err: err}
	}
	if !done {
		return false, j.Store.SavePollOffset(ctx, ch.ID, j.Owner, next)
	}
	return true, j.Store.SaveReread(ctx, ch.ID, j.Owner, next, ch.RereadAt)
}
