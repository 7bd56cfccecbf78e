package jobs

import (
	"context"
	"errors"
	"log/slog"

	"github.com/google/uuid"

	"waggle/store"
)

// ChatChanged gives the hints after a chat changed: to the browsers of all whom it concerns now or concerned before, to the
// lane to the CRM, and to routing, as the change may have left somebody with room or a chat waiting.
func (j *Jobs) ChatChanged(ctx context.Context, ch store.Changed) {
	c := ch.Chat
	j.PublishChats(ctx, []uuid.UUID{c.ID})
	if ch.From != uuid.Nil && ch.From != c.AgentID {
		j.Hints.Publish(Event{Type: "chat", Environment: c.EnvironmentID, ID: c.ID, AgentID: ch.From})
	}
	if taken := ch.From == uuid.Nil && c.AgentID != uuid.Nil && c.AcceptedAt == c.AssignedAt; taken && c.QueueID != uuid.Nil {
		// It was offered to the whole queue: the others learn that it is gone.
		j.Hints.Publish(Event{Type: "chat", Environment: c.EnvironmentID, ID: c.ID, QueueID: c.QueueID})
	}
	j.Hints.Look(Look{At: LookCRM, Environment: c.EnvironmentID})
	if !c.ClosedAt.IsZero() || c.OnHold || ch.From != c.AgentID {
		j.Hints.Look(Look{At: LookRoute, Environment: c.EnvironmentID})
	}
}

// MessageAccepted gives the hints after a message was accepted for sending.
func (j *Jobs) MessageAccepted(ctx context.Context, ch store.Changed) {
	c := ch.Chat
	j.Hints.Look(Look{At: LookOut, Environment: c.EnvironmentID})
	j.ChatChanged(ctx, ch)
	audiences, err := j.Store.Audiences(ctx, []uuid.UUID{c.ID})
	if err != nil {
		j.Log.Warn("browsers could not be told of a message", slog.Any("error", err))
		return
	}
	for _, a := range audiences {
		j.Hints.Publish(audienceEvent(a, Event{Type: "message", ChatID: c.ID}))
	}
}

// batch is how many due chats are read at a time.
const batch = 500

// did counts an action that another one may have forestalled: then it is neither done nor an error.
func (j *Jobs) did(ctx context.Context, ch store.Changed, err error) (bool, error) {
	switch {
	case err == nil:
		j.ChatChanged(ctx, ch)
		return true, nil
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return false, nil
	default:
		return false, err
	}
}
