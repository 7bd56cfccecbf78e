package api

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// ListQueues lists the queues with their agents.
func (s *Server) ListQueues(ctx context.Context, r gen.ListQueuesRequestObject) (gen.ListQueuesResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.Store.ListQueues(ctx, c.Environment, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "queues")
	}
	items, err := s.queueAnswers(ctx, c, rows)
	return gen.ListQueues200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// CreateQueue adds a queue. Without a rule its chats are assigned to an available agent.
func (s *Server) CreateQueue(ctx context.Context, r gen.CreateQueueRequestObject) (gen.CreateQueueResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	q := &store.Queue{
		EnvironmentID: c.Environment, Name: chat.Storable(r.Body.Name), Rule: chat.RoutingRule(valueOr(r.Body.RoutingRule, gen.RoutingRuleToAnAvailableAgent)),
		TimeoutMinutes: r.Body.CompletionTimeoutMinutes,
	}
	if err := named(q.Name); err != nil {
		return nil, err
	}
	if err := s.Store.CreateQueue(ctx, q, r.Body.AgentIds); err != nil {
		return nil, queueProblem(err)
	}
	s.queueChanged(c, q.ID)
	answer, err := s.showQueue(ctx, c, q.ID)
	return gen.CreateQueue201JSONResponse(answer), err
}

// GetQueue shows one queue.
func (s *Server) GetQueue(ctx context.Context, r gen.GetQueueRequestObject) (gen.GetQueueResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.showQueue(ctx, c, r.ID)
	return gen.GetQueue200JSONResponse(answer), err
}

// PatchQueue changes a queue; waiting chats are routed anew at once (S1.16).
func (s *Server) PatchQueue(ctx context.Context, r gen.PatchQueueRequestObject) (gen.PatchQueueResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	q, err := s.Store.Queue(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "queue")
	}
	q.Name = chat.Storable(valueOr(r.Body.Name, q.Name))
	q.Rule = chat.RoutingRule(valueOr(r.Body.RoutingRule, gen.RoutingRule(q.Rule)))
	if minutes := r.Body.CompletionTimeoutMinutes; minutes.IsSpecified() {
		q.TimeoutMinutes = valueOrNil(minutes)
	}
	if err := named(q.Name); err != nil {
		return nil, err
	}
	if err := s.Store.ChangeQueue(ctx, q, r.Body.AgentIds); err != nil {
		return nil, queueProblem(err)
	}
	s.queueChanged(c, q.ID)
	answer, err := s.showQueue(ctx, c, q.ID)
	return gen.PatchQueue200JSONResponse(answer), err
}

// DeleteQueue deletes a queue that nothing uses.
func (s *Server) DeleteQueue(ctx context.Context, r gen.DeleteQueueRequestObject) (gen.DeleteQueueResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DeleteQueue(ctx, c.Environment, r.ID); err != nil {
		return nil, storeProblem(err, "queue")
	}
	s.queueChanged(c, r.ID)
	return gen.DeleteQueue204Response{}, nil
}

// queueProblem: what is not there when a queue is stored may be an agent of the list.
func queueProblem(err error) error {
	if errors.Is(err, store.ErrNoSuchAgents) {
		return invalid(field("agent_ids", "one of these agents is not there")).because(err)
	}
	return storeProblem(err, "queue")
}

func (s *Server) showQueue(ctx context.Context, c caller, id uuid.UUID) (gen.Queue, error) {
	q, err := s.Store.Queue(ctx, c.Environment, id)
	if err != nil {
		return gen.Queue{}, storeProblem(err, "queue")
	}
	answers, err := s.queueAnswers(ctx, c, []store.Queue{*q})
	if err != nil {
		return gen.Queue{}, err
	}
	return answers[0], nil
}

func (s *Server) queueAnswers(ctx context.Context, c caller, queues []store.Queue) ([]gen.Queue, error) {
	ids := make([]uuid.UUID, len(queues))
	for i, q := range queues {
		ids[i] = q.ID
	}
	members, err := s.Store.QueueMembers(ctx, c.Environment, ids)
	if err != nil {
		return nil, storeProblem(err, "queues")
	}
	answers := make([]gen.Queue, len(queues))
	for i, q := range queues {
		answers[i] = gen.Queue{
			ID: q.ID, Name: q.Name, RoutingRule: gen.RoutingRule(q.Rule), CompletionTimeoutMinutes: q.TimeoutMinutes,
			Agents: []gen.AgentRef{}, CreatedAt: q.CreatedAt.Time,
		}
		for _, a := range members[q.ID] {
			answers[i].Agents = append(answers[i].Agents, gen.AgentRef{ID: a.ID, Name: a.Name, Nickname: orNull(a.Nickname)})
		}
	}
	return answers, nil
}

// queueChanged: whoever joined may take what waits.
func (s *Server) queueChanged(c caller, id uuid.UUID) {
	s.Jobs.Hints.Publish(jobs.Event{Type: "queue", Environment: c.Environment, ID: id})
	s.Jobs.Hints.Look(jobs.Look{At: jobs.LookRoute, Environment: c.Environment})
}
