package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"waggle/chat"
	"waggle/store"
)

// CloseOldChats is one run of a process instance: chats whose last message is ours, delivered longer ago than the
// environment's period, are closed as "No answer from Client" (S0.21, S0.41, S0.42); a queue with a timeout of its own
// closes its chats itself (b4).
func (j *Jobs) CloseOldChats(ctx context.Context, instance uuid.UUID) error {
	return j.runProcess(ctx, instance, chat.CloseOldChats, j.closeOldChats)
}

func (j *Jobs) closeOldChats(ctx context.Context, p store.Process) (int, error) {
	e, err := j.Store.Environment(ctx, p.EnvironmentID)
	if err != nil || !e.ChatsEnabled || !e.CloseOn || e.CloseMinutes == nil {
		return 0, err
	}
	clock, err := j.clock(ctx, e)
	if err != nil {
		return 0, err
	}
	before := clock.before(*e.CloseMinutes)
	if before.IsZero() {
		return 0, nil
	}
	timeouts, err := j.Store.QueueTimeouts(ctx, e.ID)
	if err != nil {
		return 0, err
	}
	timeouts[uuid.Nil] = 0 // chats without a queue
	closed := 0
	for queue, minutes := range timeouts {
		if minutes > 0 {
			continue
		}
		n, err := j.closeSilent(ctx, e.ID, queue, before, func(ctx context.Context, id uuid.UUID) (store.Changed, error) {
			return j.Store.CloseSilent(ctx, e.ID, p.ID, id, before)
		})
		closed += n
		if err != nil {
			return closed, err
		}
	}
	return closed, nil
}

// closeSilent closes the chats of one queue whose clients have been silent since before.
func (j *Jobs) closeSilent(ctx context.Context, environment, queue uuid.UUID, before time.Time, closeOne func(context.Context, uuid.UUID) (store.Changed, error)) (int, error) {
	closed := 0
	for ctx.Err() == nil {
		due, err := j.Store.ClientsDue(ctx, environment, queue, before, batch)
		if err != nil {
			return closed, err
		}
		n := 0
		for _, c := range due {
			ch, err := closeOne(ctx, c.ID)
			done, err := j.did(ctx, ch, err)
			if err != nil {
				return closed, err
			}
			if done {
				n++
			}
		}
		closed += n
		// Where not one could be closed, the next batch would be the same.
		if len(due) < batch || n == 0 {
			return closed, nil
		}
	}
	return closed, ctx.Err()
}
