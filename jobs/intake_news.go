package jobs

import (
	"context"
	"log/slog"

	"github.com/google/uuid"

	"waggle/store"
)

// Administrators is the AgentID of events that concern no agent: nobody has this id.
var Administrators = uuid.Max

// tell gives hints about what was stored: once for each chat of a slice.
func (in *Intake) tell(events []store.Inbound, out []store.Received) {
	told := make(map[uuid.UUID]bool, len(out))
	for i, r := range out {
		if r.Err != nil || r.Outcome != store.Stored {
			continue
		}
		a := store.Audience{ChatID: r.ChatID, EnvironmentID: events[i].EnvironmentID, AgentID: r.AgentID, QueueID: r.QueueID}
		if r.Opened {
			in.jobs.Hints.Look(Look{At: LookRoute, Environment: a.EnvironmentID})
			in.jobs.Hints.Publish(audienceEvent(a, Event{Type: "chat", ID: a.ChatID}))
		}
		if told[a.ChatID] {
			continue
		}
		told[a.ChatID] = true
		in.jobs.Hints.Look(Look{At: LookCRM, Environment: a.EnvironmentID})
		in.jobs.Hints.Publish(audienceEvent(a, Event{Type: "message", ChatID: a.ChatID}))
	}
}

// PublishChats tells browsers that chats changed, after the commit. A failure costs a hint.
func (j *Jobs) PublishChats(ctx context.Context, chats []uuid.UUID) {
	audiences, err := j.Store.Audiences(ctx, chats)
	if err != nil {
		j.Log.Warn("browsers could not be told of changed chats", slog.Any("error", err))
		return
	}
	for _, a := range audiences {
		j.Hints.Publish(audienceEvent(a, Event{Type: "chat", ID: a.ChatID}))
	}
}

// audienceEvent addresses an event about a chat to those who may know of it.
func audienceEvent(a store.Audience, e Event) Event {
	e.Environment, e.AgentID, e.QueueID = a.EnvironmentID, a.AgentID, a.QueueID
	if e.AgentID == uuid.Nil && e.QueueID == uuid.Nil {
		e.AgentID = Administrators
	}
	return e
}
