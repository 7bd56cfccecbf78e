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

// defaultTick is the scheduler's tick where Jobs.Tick is not set.
const defaultTick = 5 * time.Second

// tick is how long after a run the next one is expected.
func (j *Jobs) tick() time.Duration {
	if j.Tick == 0 {
		return defaultTick
	}
	return j.Tick
}

// lookAgain is how long after it was looked at a chat that nobody could take is looked at next: at the next tick, yet not by every
// instance that runs in this one.
func (j *Jobs) lookAgain() time.Duration { return j.tick() * 4 / 5 }

// SaveAfkChats is one run of a process instance: chats whose agent leaves the client unanswered longer than the
// environment's period go to another agent who serves them, has room and has not had them for this message (S0.25,
// S0.44–S0.52). A chat nobody can take stays, and says why.
func (j *Jobs) SaveAfkChats(ctx context.Context, instance uuid.UUID) error {
	return j.runProcess(ctx, instance, chat.SaveAfkChats, j.saveAfkChats)
}

// runProcess runs one instance's work, if it still runs, and records the run.
func (j *Jobs) runProcess(ctx context.Context, instance uuid.UUID, name chat.ProcessName, work func(context.Context, store.Process) (int, error)) error {
	p, err := j.Store.RunningProcess(ctx, instance, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil // cancelled since the tick
	}
	if err != nil {
		return err
	}
	n, failure := work(ctx, p)
	if errors.Is(failure, store.ErrCancelled) {
		failure = nil
	}
	why := ""
	if failure != nil {
		why = failure.Error()
	}
	j.Metrics.Affected.WithLabelValues(string(name)).Add(float64(n))
	err = j.Store.ProcessRan(context.WithoutCancel(ctx), p.EnvironmentID, p.ID, n, why, j.tick())
	if n > 0 {
		j.Hints.Publish(Event{Type: "process", Environment: p.EnvironmentID, ID: p.ID})
	}
	return errors.Join(failure, err)
}

func (j *Jobs) saveAfkChats(ctx context.Context, p store.Process) (int, error) {
	e, err := j.Store.Environment(ctx, p.EnvironmentID)
	if err != nil || !e.ChatsEnabled || !e.TransferOn || e.TransferMinutes == nil {
		return 0, err
	}
	clock, err := j.clock(ctx, e)
	if err != nil {
		return 0, err
	}
	now, before := clock.now, clock.before(*e.TransferMinutes)
	if before.IsZero() {
		return 0, nil
	}
	moved := 0
	for ctx.Err() == nil {
		due, err := j.Store.AgentsDue(ctx, e.ID, before, now, batch)
		if err != nil || len(due) == 0 {
			return moved, err
		}
		n, err := j.saveBatch(ctx, p, due, before, now, fmt.Sprintf("no answer for %d minutes", *e.TransferMinutes))
		moved += n
		if err != nil || len(due) < batch {
			return moved, err
		}
	}
	return moved, ctx.Err()
}

// saveBatch transfers what can be transferred and puts off the rest.
func (j *Jobs) saveBatch(ctx context.Context, p store.Process, due []store.Chat, before, now time.Time, why string) (int, error) {
	team, err := j.Store.Team(ctx, p.EnvironmentID)
	if err != nil {
		return 0, err
	}
	tried, err := j.Store.Tried(ctx, p.EnvironmentID, due)
	if err != nil {
		return 0, err
	}
	moved, stay := 0, map[string][]uuid.UUID{}
	for _, c := range due {
		next, reason := chat.PickNext(team, c.Routed(tried[c.ID]), c.AgentID)
		if next == nil {
			stay[reason] = append(stay[reason], c.ID)
			continue
		}
		ch, err := j.Store.TransferUnanswered(ctx, p.EnvironmentID, store.AfkTransfer{
			Process: p.ID, ChatID: c.ID, Version: c.AssignmentVersion, To: next.ID, Before: before, Why: why,
		})
		done, err := j.did(ctx, ch, err)
		if err != nil {
			return moved, err
		}
		if !done {
			stay["it changed while it was being transferred"] = append(stay["it changed while it was being transferred"], c.ID)
			continue
		}
		next.Took(c.Weight, ch.Chat.AssignedAt.Time)
		moved++
	}
	for reason, ids := range stay {
		if err := j.Store.PutOff(ctx, p.EnvironmentID, ids, reason, before, now.Add(j.lookAgain())); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// clock is a run's business time, and the moment from which an environment's periods may count at the earliest.
type clock struct {
	now       time.Time
	notBefore time.Time
}

func (j *Jobs) clock(ctx context.Context, e store.Environment) (clock, error) {
	now, err := j.Store.Now(ctx)
	if err != nil {
		return clock{}, err
	}
	notBefore, err := j.Store.NotBefore(ctx, e)
	return clock{now: now, notBefore: notBefore}, err
}

// before is up to when a fact must be for a period of minutes to be over; zero: none can be.
func (c clock) before(minutes int) time.Time { return chat.DueBefore(c.now, minutes, c.notBefore) }
