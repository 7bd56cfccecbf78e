package jobs

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"waggle/chat"
	"waggle/store"
)

// RouteDue returns the environments where a chat waits while an agent is active.
func (j *Jobs) RouteDue(ctx context.Context) ([]uuid.UUID, error) {
	return j.Store.EnvironmentsToRoute(ctx)
}

// Route assigns waiting chats to available agents, the oldest that fits first, until no chat fits anybody. Chats of queues
// "To all agents" are not assigned: whoever accepts first has them (b17).
func (j *Jobs) Route(ctx context.Context, environment uuid.UUID) error {
	e, err := j.Store.Environment(ctx, environment)
	if err != nil || !e.ChatsEnabled {
		return err
	}
	for ctx.Err() == nil {
		n, err := j.routeSome(ctx, environment)
		if err != nil || n == 0 {
			return err
		}
	}
	return ctx.Err()
}

// routeSome routes one batch and returns how many chats found an agent.
func (j *Jobs) routeSome(ctx context.Context, environment uuid.UUID) (int, error) {
	// Most hints find nobody waiting; a team may be large.
	if waits, err := j.Store.ChatsWait(ctx, environment); err != nil || !waits {
		return 0, err
	}
	team, err := j.Store.Team(ctx, environment)
	if err != nil {
		return 0, err
	}
	chats, err := j.Store.Routable(ctx, environment, team, batch)
	if err != nil {
		return 0, err
	}
	slices.SortStableFunc(chats, func(a, b store.Chat) int { return a.OpenedAt.Compare(b.OpenedAt.Time) })
	tried, err := j.Store.Tried(ctx, environment, chats)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range chats {
		a := chat.Pick(team, c.Routed(tried[c.ID]))
		if a == nil {
			continue
		}
		ch, err := j.Store.AssignTo(ctx, environment, c.ID, c.AssignmentVersion, a.ID)
		done, err := j.did(ctx, ch, err)
		if err != nil {
			return n, err
		}
		if done {
			a.Took(c.Weight, ch.Chat.AssignedAt.Time)
			n++
		}
	}
	j.Metrics.Affected.WithLabelValues("Route").Add(float64(n))
	return n, nil
}
