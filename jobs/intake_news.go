package jobs

import (
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
		if len(events[i].Event.Attachments) > 0 {
			in.jobs.Hints.Look(Look{At: LookMedia, Environment: a.EnvironmentID})
		}
		if r.Opened {
			in.jobs.Hints.Look(Look{At: LookRoute, Environment: a.EnvironmentID})
			in.jobs.Hints.Publish(audienceEvent(a, chatEvent(a.ChatID)))
		}
		if told[a.ChatID] {
			continue
		}
		told[a.ChatID] = true
		in.jobs.Hints.Look(Look{At: LookCRM, Environment: a.EnvironmentID})
		in.jobs.Hints.Publish(audienceEvent(a, messageEvent(a.ChatID)))
	}
}
