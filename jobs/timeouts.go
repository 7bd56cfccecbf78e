package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waggle/chat"
	"waggle/store"
)

// Timeouts is the permanent tick, which no setting switches off and no process instance counts: silent browsers, accept
// timeouts, silent bots, the queues' completion timeouts, and the month. What fails for one environment does not keep the others waiting.
func (j *Jobs) Timeouts(ctx context.Context) error {
	errs := j.presence(ctx)
	all, err := j.Store.EnvironmentsOn(ctx)
	errs = errors.Join(errs, err)
	for _, e := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		clock, err := j.clock(ctx, e)
		if err != nil {
			return errors.Join(errs, err)
		}
		if err := j.acceptTimeouts(ctx, e, clock.before(e.AcceptTimeout())); err != nil {
			errs = errors.Join(errs, fmt.Errorf("accept timeouts of environment %s: %w", e.ID, err))
		}
		if err := j.silentBots(ctx, e, clock.before(e.BotTimeout())); err != nil {
			errs = errors.Join(errs, fmt.Errorf("silent bots of environment %s: %w", e.ID, err))
		}
		if err := j.queueTimeouts(ctx, e, clock); err != nil {
			errs = errors.Join(errs, fmt.Errorf("queue timeouts of environment %s: %w", e.ID, err))
		}
	}
	return errors.Join(errs, j.month(ctx, all))
}

// presence makes agents offline whose browsers stopped sending heartbeats.
func (j *Jobs) presence(ctx context.Context) error {
	gone, err := j.Store.SilentAgentsOffline(ctx)
	for _, a := range gone {
		j.Hints.Publish(Event{Type: "agent", Environment: a.EnvironmentID, ID: a.ID})
	}
	return err
}

// acceptTimeouts passes on what agents have not accepted in time: to the next agent or, where there is none, back to wait.
// Whoever let it pass becomes inactive (S3.13–S3.15).
func (j *Jobs) acceptTimeouts(ctx context.Context, e store.Environment, before time.Time) error {
	if before.IsZero() {
		return nil
	}
	due, err := j.Store.AcceptsDue(ctx, e.ID, before, batch)
	if err != nil || len(due) == 0 {
		return err
	}
	team, err := j.Store.Team(ctx, e.ID)
	if err != nil {
		return err
	}
	tried, err := j.Store.Tried(ctx, e.ID, due)
	if err != nil {
		return err
	}
	n := 0
	for _, c := range due {
		to := uuid.Nil
		next, _ := chat.PickNext(team, c.Routed(tried[c.ID]), c.AgentID)
		if next != nil {
			to = next.ID
		}
		ch, err := j.Store.PassOn(ctx, e.ID, c.ID, c.AssignmentVersion, to, before)
		done, err := j.did(ctx, ch, err)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		n++
		if next != nil {
			next.Took(c.Weight, ch.Chat.AssignedAt.Time)
		}
		becomeInactive(team, c.AgentID)
		j.Hints.Publish(Event{Type: "agent", Environment: e.ID, ID: c.AgentID})
	}
	j.Metrics.Affected.WithLabelValues("accept timeout").Add(float64(n))
	return nil
}

func becomeInactive(team []*chat.RoutedAgent, id uuid.UUID) {
	for _, a := range team {
		if a.ID == id && a.Status == chat.Active {
			a.Status = chat.Inactive
		}
	}
}

// queueTimeouts closes what the queues' own completion timeouts close (S3.17, S3.18).
func (j *Jobs) queueTimeouts(ctx context.Context, e store.Environment, clock clock) error {
	timeouts, err := j.Store.QueueTimeouts(ctx, e.ID)
	if err != nil {
		return err
	}
	for queue, minutes := range timeouts {
		before := clock.before(minutes)
		if minutes == 0 || before.IsZero() {
			continue
		}
		n, err := j.closeSilent(ctx, e.ID, queue, before, func(ctx context.Context, id uuid.UUID) (store.Changed, error) {
			return j.Store.CloseByQueue(ctx, e.ID, id, minutes, before)
		})
		j.Metrics.Affected.WithLabelValues("queue timeout").Add(float64(n))
		if err != nil {
			return err
		}
	}
	return nil
}

// month closes what nobody has had, or what has been on hold, for a calendar month since its last message, in every
// environment whose chats are on, whatever else is switched on there (S1.18, S1.19, b24).
func (j *Jobs) month(ctx context.Context, environments []store.Environment) error {
	enabled := make(map[uuid.UUID]time.Time, len(environments))
	for _, e := range environments {
		enabled[e.ID] = e.ChatsEnabledAt.Time
	}
	now, err := j.Store.Now(ctx)
	if err != nil {
		return err
	}
	var last *store.Chat
	for ctx.Err() == nil {
		due, err := j.Store.MonthDue(ctx, chat.MonthBefore(now), last, batch)
		if err != nil {
			return err
		}
		n, err := j.closeUntaken(ctx, due, enabled, now)
		j.Metrics.Affected.WithLabelValues("month").Add(float64(n))
		if err != nil || len(due) < batch {
			return err
		}
		last = &due[len(due)-1]
	}
	return ctx.Err()
}

func (j *Jobs) closeUntaken(ctx context.Context, due []store.Chat, enabled map[uuid.UUID]time.Time, now time.Time) (int, error) {
	n := 0
	for _, c := range due {
		since, on := enabled[c.EnvironmentID]
		if !on || chat.MonthEnds(c.LastMessageAt.Time, since).After(now) {
			continue
		}
		ch, err := j.Store.CloseUntaken(ctx, c.EnvironmentID, c.ID, c.LastMessageAt)
		done, err := j.did(ctx, ch, err)
		if err != nil {
			return n, err
		}
		if done {
			n++
		}
	}
	return n, nil
}
