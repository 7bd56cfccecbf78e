package jobs

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"waggle/store"
)

// redrivePage is how many failures are read at once.
const redrivePage = 200

// Redrive tries one failure again: what was parked is taken in, a refused record goes back to the lane to the CRM, a message
// that was not sent to the lane to the messenger. If it fails again it is open again, with the new reason.
func (j *Jobs) Redrive(ctx context.Context, environment, id uuid.UUID) (store.Failure, error) {
	f, err := j.Store.Failure(ctx, environment, id)
	if err != nil {
		return f, err
	}
	if f.Kind == store.FailureParked {
		var r store.Received
		if f, r, err = j.Store.ReceiveAgain(ctx, environment, id); err != nil {
			return f, err
		}
		if r.Outcome == store.Stored {
			j.Hints.Look(Look{At: LookRoute, Environment: environment})
			j.Hints.Publish(Event{Type: "chat", Environment: environment, ID: r.ChatID})
		}
	} else if f, err = j.Store.RedriveFailure(ctx, environment, id); err != nil {
		return f, err
	}
	j.Hints.Publish(Event{Type: "failure", Environment: environment, ID: id})
	if f.Kind == store.FailureUnsent {
		j.Hints.Look(Look{At: LookOut, Environment: environment})
	} else {
		j.Hints.Look(Look{At: LookCRM, Environment: environment})
	}
	return f, nil
}

// RedriveAll tries every open failure that matches again and returns how many. What cannot be tried, because its subject is no
// longer in a state for it, is left out.
func (j *Jobs) RedriveAll(ctx context.Context, environment uuid.UUID, filter store.FailureFilter) (int, error) {
	count := 0
	page := store.Page{Limit: redrivePage}
	for {
		failures, next, err := j.Store.Failures(ctx, environment, store.FailureOpen, filter, page)
		if err != nil {
			return count, err
		}
		for _, f := range failures {
			_, err := j.Redrive(ctx, environment, f.ID)
			switch {
			case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
			case err != nil:
				return count, err
			default:
				count++
			}
		}
		if next == "" {
			return count, nil
		}
		page.Cursor = next
	}
}
