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
	pollLook     = 2 * time.Second // how often channels without a poller are looked for
	longestPause = time.Minute     // between tries of a channel in trouble
)

// Poll fetches the messages of all channels that are set to polling and that no other process polls, each in a loop of its
// own, until ctx ends.
func (j *Jobs) Poll(ctx context.Context) error {
	var pollers sync.WaitGroup
	defer pollers.Wait()
	var mu sync.Mutex
	mine := map[uuid.UUID]bool{}
	for {
		claimed, err := j.Store.ClaimPolls(ctx, j.Owner, j.pollingKinds(), j.pollLease())
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

func (j *Jobs) pollingKinds() []string {
	var kinds []string
	for _, kind := range j.Channels.Kinds() {
		if _, ok := j.Channels[kind].(channels.Poller); ok {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// pollChannel polls one channel until ctx ends, the lease is lost or the channel is no longer to be polled.
func (j *Jobs) pollChannel(ctx context.Context, id, environment uuid.UUID) {
	failures := 0
	for ctx.Err() == nil {
		deadline := time.Now().Add(j.pollDeadline())
		ch, err := j.Store.RenewPoll(ctx, id, j.Owner, j.pollLease())
		if err != nil || ch == nil {
			if err != nil && ctx.Err() == nil {
				j.Log.Error("polling stopped", "environment", environment, "channel", id, "error", err)
			}
			break
		}
		wait := j.pollOnce(ctx, deadline, ch, failures)
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

// pollOnce fetches once, stores what came, and only then moves the offset, which confirms it to the messenger. It returns how
// long to wait before the next try; 0 where all went well. Failure policy: the same offset is asked for again, so that nothing
// is lost; what came twice is folded by the store.
func (j *Jobs) pollOnce(ctx context.Context, deadline time.Time, ch *store.Channel, failures int) time.Duration {
	calls, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	err := j.fetch(calls, ch)
	if ctx.Err() != nil {
		return 0
	}
	ok, why, wait := true, "", time.Duration(0)
	if err != nil {
		trouble := channels.AsError(err)
		ok, why = false, trouble.Reason
		wait = min(time.Second<<min(failures, 10), longestPause)
		switch {
		case trouble.Outcome == channels.RetryAt && !trouble.At.IsZero():
			wait = max(time.Until(trouble.At), time.Second)
		case trouble.Outcome == channels.Refused, trouble.Outcome == channels.Broken:
			wait = longestPause
		}
		j.Metrics.Errors.WithLabelValues("poll", string(trouble.Outcome)).Inc()
		j.Log.Warn("polling a channel failed", "environment", ch.EnvironmentID, "channel", ch.ID, "kind", ch.Kind, "outcome", trouble.Outcome, "wait", wait, "error", err)
	}
	if ok == ch.ReceivingOK && why == ch.ReceivingWhy {
		return wait
	}
	shown, err := j.Store.ReceivingHealth(ctx, ch, ok, why)
	if err != nil {
		j.Log.Error("the channel's health was not written", "channel", ch.ID, "error", err)
		return max(wait, time.Second)
	}
	if !shown {
		return wait
	}
	j.Hints.Publish(Event{Type: "channel", Environment: ch.EnvironmentID, ID: ch.ID})
	if !ok {
		j.Hints.Publish(Event{Type: "alert", Environment: ch.EnvironmentID, ID: ch.ID, Detail: why})
	}
	return wait
}

// fetch polls once, stores what came and moves the offset.
func (j *Jobs) fetch(ctx context.Context, ch *store.Channel) error {
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return err
	}
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return err
	}
	delivery, next, err := adapter.(channels.Poller).Poll(ctx, view, ch.PollOffset)
	if err != nil {
		return err
	}
	if _, err := j.Intake.Deliver(ctx, ch, delivery); err != nil {
		return &channels.Error{Outcome: channels.RetryAt, Reason: "what came could not be stored yet", Err: err}
	}
	return j.Store.SavePollOffset(ctx, ch.ID, j.Owner, next)
}
