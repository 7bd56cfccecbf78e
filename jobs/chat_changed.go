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
func (j *Jobs) ChatChanged(ctx context.Context, ch store.Changed) { j.chatChanged(ctx, ch, chatEvent) }

// MessageAccepted gives the hints after a message was accepted for sending.
func (j *Jobs) MessageAccepted(ctx context.Context, ch store.Changed) {
	j.Hints.Look(Look{At: LookOut, Environment: ch.Chat.EnvironmentID})
	j.chatChanged(ctx, ch, func(id uuid.UUID) Event {
		e := chatEvent(id)
		e.SameRoom = ch.From == ch.Chat.AgentID
		return e
	}, messageEvent)
}

func (j *Jobs) chatChanged(ctx context.Context, ch store.Changed, news ...func(chat uuid.UUID) Event) {
	c := ch.Chat
	if a, known := c.Audience(); known {
		j.publishTo(a, news)
	} else {
		j.publish(ctx, []uuid.UUID{c.ID}, news...)
	}
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

// tellWritten gives the hints after a message that was not written through Waggle joined a chat.
func (j *Jobs) tellWritten(ctx context.Context, environment, chatID uuid.UUID) {
	j.Hints.Look(Look{At: LookCRM, Environment: environment})
	j.Hints.Look(Look{At: LookMedia, Environment: environment})
	j.publish(ctx, []uuid.UUID{chatID}, chatEvent, messageEvent)
}

// PublishChats tells browsers that chats changed, after the commit. A failure costs a hint.
func (j *Jobs) PublishChats(ctx context.Context, chats []uuid.UUID) {
	j.publish(ctx, chats, chatEvent)
}

// publishMessage tells browsers of a new message in a chat, after the commit. A failure costs a hint.
func (j *Jobs) publishMessage(ctx context.Context, chatID uuid.UUID) {
	j.publish(ctx, []uuid.UUID{chatID}, messageEvent)
}

// publish tells browsers news of chats. A failure costs a hint.
func (j *Jobs) publish(ctx context.Context, chats []uuid.UUID, news ...func(chat uuid.UUID) Event) {
	audiences, err := j.Store.Audiences(ctx, chats)
	if err != nil {
		j.Log.Warn("browsers could not be told of changed chats", slog.Any("error", err))
		return
	}
	for _, a := range audiences {
		j.publishTo(a, news)
	}
}

func (j *Jobs) publishTo(a store.Audience, news []func(chat uuid.UUID) Event) {
	for _, event := range news {
		j.Hints.Publish(audienceEvent(a, event(a.ChatID)))
	}
}

func chatEvent(id uuid.UUID) Event    { return Event{Type: "chat", ID: id} }
func messageEvent(id uuid.UUID) Event { return Event{Type: "message", ChatID: id} }

// audienceEvent addresses an event about a chat to those who may know of it.
func audienceEvent(a store.Audience, e Event) Event {
	e.Environment, e.AgentID, e.QueueID = a.EnvironmentID, a.AgentID, a.QueueID
	if e.AgentID == uuid.Nil && e.QueueID == uuid.Nil {
		e.AgentID = Administrators
	}
	return e
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
