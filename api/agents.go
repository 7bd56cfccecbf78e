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

// ListAgents lists the agents. Agents may: they transfer chats to each other.
func (s *Server) ListAgents(ctx context.Context, r gen.ListAgentsRequestObject) (gen.ListAgentsResponseObject, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	f := store.AgentFilter{Queue: idOf(r.Params.QueueID), Status: chat.AgentStatus(valueOr(r.Params.Status, ""))}
	rows, next, err := s.Store.ListAgents(ctx, c.Environment, f, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "agents")
	}
	items := make([]gen.Agent, len(rows))
	for i := range rows {
		items[i] = agentAnswer(&rows[i])
	}
	return gen.ListAgents200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// CreateAgent adds an agent.
func (s *Server) CreateAgent(ctx context.Context, r gen.CreateAgentRequestObject) (gen.CreateAgentResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	in := r.Body
	a := &store.Agent{
		EnvironmentID: c.Environment, CRMUserID: chat.Storable(valueOr(in.CRMUserID, "")), Name: chat.Storable(in.Name),
		Nickname: chat.Storable(valueOr(in.Nickname, "")), Enabled: valueOr(in.Enabled, true), Status: chat.Offline,
		MaxLoad: in.MaxLoad, GroupID: idOf(in.GroupID),
	}
	if err := named(a.Name); err != nil {
		return nil, err
	}
	if err := s.Store.CreateAgent(ctx, a, in.ChannelIds); err != nil {
		return nil, agentProblem(err)
	}
	s.agentChanged(ctx, c, a.ID, nil)
	answer, err := s.showAgent(ctx, c, a.ID)
	return gen.CreateAgent201JSONResponse(answer), err
}

// GetAgent shows one agent.
func (s *Server) GetAgent(ctx context.Context, r gen.GetAgentRequestObject) (gen.GetAgentResponseObject, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.showAgent(ctx, c, r.ID)
	return gen.GetAgent200JSONResponse(answer), err
}

// PatchAgent changes an agent's card.
func (s *Server) PatchAgent(ctx context.Context, r gen.PatchAgentRequestObject) (gen.PatchAgentResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	card, err := s.Store.Agent(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "agent")
	}
	a := card.Agent
	applyAgentPatch(&a, r.Body)
	if err := named(a.Name); err != nil {
		return nil, err
	}
	returned, err := s.Store.ChangeAgent(ctx, &a, r.Body.ChannelIds)
	if err != nil {
		return nil, agentProblem(err)
	}
	s.agentChanged(ctx, c, a.ID, returned)
	answer, err := s.showAgent(ctx, c, a.ID)
	return gen.PatchAgent200JSONResponse(answer), err
}

func applyAgentPatch(a *store.Agent, in *gen.AgentPatch) {
	a.Name = chat.Storable(valueOr(in.Name, a.Name))
	a.Enabled = valueOr(in.Enabled, a.Enabled)
	if in.Nickname.IsSpecified() {
		a.Nickname = chat.Storable(orZero(in.Nickname))
	}
	if in.CRMUserID.IsSpecified() {
		a.CRMUserID = chat.Storable(orZero(in.CRMUserID))
	}
	if in.GroupID.IsSpecified() {
		a.GroupID = orZero(in.GroupID)
	}
	if in.MaxLoad.IsSpecified() {
		a.MaxLoad = valueOrNil(in.MaxLoad)
	}
}

// DeleteAgent takes an agent out; his open chats go back to their queues.
func (s *Server) DeleteAgent(ctx context.Context, r gen.DeleteAgentRequestObject) (gen.DeleteAgentResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	returned, err := s.Store.DeleteAgent(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "agent")
	}
	s.agentChanged(ctx, c, r.ID, returned)
	return gen.DeleteAgent204Response{}, nil
}

// PatchAgentStatus sets an agent's status; who becomes active is given what waits (S3.16).
func (s *Server) PatchAgentStatus(ctx context.Context, r gen.PatchAgentStatusRequestObject) (gen.PatchAgentStatusResponseObject, error) {
	c, err := himselfOrAdministrator(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.Store.SetAgentStatus(ctx, c.Environment, r.ID, chat.AgentStatus(r.Body.Status)); err != nil {
		return nil, storeProblem(err, "agent")
	}
	s.agentChanged(ctx, c, r.ID, nil)
	answer, err := s.showAgent(ctx, c, r.ID)
	return gen.PatchAgentStatus200JSONResponse(answer), err
}

// HeartbeatAgent notes that an agent's page is open.
func (s *Server) HeartbeatAgent(ctx context.Context, r gen.HeartbeatAgentRequestObject) (gen.HeartbeatAgentResponseObject, error) {
	c, err := himselfOrAdministrator(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.Store.AgentHeartbeat(ctx, c.Environment, r.ID); err != nil {
		return nil, storeProblem(err, "agent")
	}
	return gen.HeartbeatAgent204Response{}, nil
}

// himselfOrAdministrator: presence is the agent's own affair, and an administrator's.
func himselfOrAdministrator(ctx context.Context, agent uuid.UUID) (caller, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return caller{}, err
	}
	if c.AgentID == agent {
		return c, nil
	}
	return withRole(ctx, "An agent sets his own status only.", chat.Administrator, chat.ChatAdministrator)
}

// agentProblem: what is not there when an agent is stored may be a channel or his group.
func agentProblem(err error) error {
	switch {
	case errors.Is(err, store.ErrNoSuchChannels):
		return invalid(field("channel_ids", "one of these channels is not there")).because(err)
	case errors.Is(err, store.ErrNoSuchGroup):
		return invalid(field("group_id", "there is no such group")).because(err)
	default:
		return storeProblem(err, "agent")
	}
}

func (s *Server) showAgent(ctx context.Context, c caller, id uuid.UUID) (gen.Agent, error) {
	a, err := s.Store.Agent(ctx, c.Environment, id)
	if err != nil {
		return gen.Agent{}, storeProblem(err, "agent")
	}
	return agentAnswer(a), nil
}

func agentAnswer(a *store.AgentCard) gen.Agent {
	return gen.Agent{
		ID: a.ID, Name: a.Name, Nickname: orNull(a.Nickname), CRMUserID: orNull(a.CRMUserID), Enabled: a.Enabled, Status: gen.AgentStatus(a.Status),
		MaxLoad: a.MaxLoad, Load: a.OpenWeight, OpenChats: a.OpenChats, ChannelIds: a.Channels, QueueIds: a.Queues, GroupID: idOrNull(a.GroupID),
		QueuePosition: a.Position, LastTakenAt: a.LastTakenAt.Ptr(), CreatedAt: a.CreatedAt.Time,
	}
}

// agentChanged: he may take what waits, and what was returned waits again.
func (s *Server) agentChanged(ctx context.Context, c caller, id uuid.UUID, returned []uuid.UUID) {
	s.Jobs.Hints.Publish(jobs.Event{Type: "agent", Environment: c.Environment, ID: id})
	s.Jobs.Hints.Look(jobs.Look{At: jobs.LookRoute, Environment: c.Environment})
	if len(returned) > 0 {
		s.Jobs.Hints.Look(jobs.Look{At: jobs.LookCRM, Environment: c.Environment})
		s.Jobs.PublishChats(ctx, returned)
	}
}
