package jobs

import "context"

// Release gives back to their lanes the chats that were held for an expired key that is valid again.
func (j *Jobs) Release(ctx context.Context) (int, error) {
	environments, err := j.Store.ReleaseHeld(ctx)
	for _, id := range environments {
		j.Hints.Look(Look{At: LookRoute, Environment: id})
		j.Hints.Look(Look{At: LookCRM, Environment: id})
		j.Hints.Publish(Event{Type: "resync", Environment: id})
	}
	return 0, err
}
