package api

import (
	"context"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// ListAgentGroups lists the groups by position.
func (s *Server) ListAgentGroups(ctx context.Context, r gen.ListAgentGroupsRequestObject) (gen.ListAgentGroupsResponseObject, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.Store.ListAgentGroups(ctx, c.Environment, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "agent groups")
	}
	items := make([]gen.AgentGroup, len(rows))
	for i := range rows {
		items[i] = groupAnswer(&rows[i])
	}
	return gen.ListAgentGroups200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// CreateAgentGroup adds a group.
func (s *Server) CreateAgentGroup(ctx context.Context, r gen.CreateAgentGroupRequestObject) (gen.CreateAgentGroupResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	g := &store.AgentGroup{EnvironmentID: c.Environment, Name: chat.Storable(r.Body.Name), Position: valueOr(r.Body.Position, 0)}
	if err := named(g.Name); err != nil {
		return nil, err
	}
	if err := s.Store.CreateAgentGroup(ctx, g); err != nil {
		return nil, storeProblem(err, "agent group")
	}
	return gen.CreateAgentGroup201JSONResponse(groupAnswer(g)), nil
}

// GetAgentGroup shows one group.
func (s *Server) GetAgentGroup(ctx context.Context, r gen.GetAgentGroupRequestObject) (gen.GetAgentGroupResponseObject, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	g, err := s.Store.AgentGroup(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "agent group")
	}
	return gen.GetAgentGroup200JSONResponse(groupAnswer(g)), nil
}

// PatchAgentGroup renames or moves a group.
func (s *Server) PatchAgentGroup(ctx context.Context, r gen.PatchAgentGroupRequestObject) (gen.PatchAgentGroupResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	g, err := s.Store.AgentGroup(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "agent group")
	}
	g.Name, g.Position = chat.Storable(valueOr(r.Body.Name, g.Name)), valueOr(r.Body.Position, g.Position)
	if err := named(g.Name); err != nil {
		return nil, err
	}
	if err := s.Store.ChangeAgentGroup(ctx, g); err != nil {
		return nil, storeProblem(err, "agent group")
	}
	return gen.PatchAgentGroup200JSONResponse(groupAnswer(g)), nil
}

// DeleteAgentGroup deletes a group; its agents stay.
func (s *Server) DeleteAgentGroup(ctx context.Context, r gen.DeleteAgentGroupRequestObject) (gen.DeleteAgentGroupResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DeleteAgentGroup(ctx, c.Environment, r.ID); err != nil {
		return nil, storeProblem(err, "agent group")
	}
	return gen.DeleteAgentGroup204Response{}, nil
}

func groupAnswer(g *store.AgentGroup) gen.AgentGroup {
	return gen.AgentGroup{ID: g.ID, Name: g.Name, Position: g.Position, CreatedAt: g.CreatedAt.Time}
}
