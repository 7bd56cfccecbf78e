package api

import (
	"context"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/store"
)

// ListFailures lists what did not get through.
func (s *Server) ListFailures(ctx context.Context, r gen.ListFailuresRequestObject) (gen.ListFailuresResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	status := store.FailureOpen
	if r.Params.Status != nil {
		status = string(*r.Params.Status)
	}
	filter := failureFilter(r.Params.Kind, r.Params.ChannelID, r.Params.ChatID, nil)
	rows, next, err := s.Store.Failures(ctx, c.Environment, status, filter, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "failures")
	}
	list := gen.ListFailures200JSONResponse{Items: []gen.Failure{}, NextCursor: orNull(next)}
	for _, f := range rows {
		list.Items = append(list.Items, failureView(f))
	}
	return list, nil
}

// RedriveFailures tries every open failure that matches again.
func (s *Server) RedriveFailures(ctx context.Context, r gen.RedriveFailuresRequestObject) (gen.RedriveFailuresResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	filter := store.FailureFilter{}
	if r.Body != nil {
		filter = failureFilter(r.Body.Kind, r.Body.ChannelID, r.Body.ChatID, r.Body.Error)
	}
	n, err := s.Jobs.RedriveAll(ctx, c.Environment, filter)
	if err != nil {
		return nil, storeProblem(err, "failures")
	}
	return gen.RedriveFailures202JSONResponse{Count: int64(n)}, nil
}

// RedriveFailure tries one failure again.
func (s *Server) RedriveFailure(ctx context.Context, r gen.RedriveFailureRequestObject) (gen.RedriveFailureResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	f, err := s.Jobs.Redrive(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "failure")
	}
	return gen.RedriveFailure202JSONResponse(failureView(f)), nil
}

// DiscardFailure gives a failure up. Who did it is kept.
func (s *Server) DiscardFailure(ctx context.Context, r gen.DiscardFailureRequestObject) (gen.DiscardFailureResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	by := c.CRMUserID
	if by == "" {
		by = string(c.By)
	}
	f, err := s.Store.DiscardFailure(ctx, c.Environment, r.ID, by)
	if err != nil {
		return nil, storeProblem(err, "failure")
	}
	return gen.DiscardFailure200JSONResponse(failureView(f)), nil
}

func failureFilter(kind *gen.FailureKind, channel, chat *uuid.UUID, text *string) store.FailureFilter {
	var f store.FailureFilter
	if kind != nil {
		f.Kind = string(*kind)
	}
	if channel != nil {
		f.ChannelID = *channel
	}
	if chat != nil {
		f.ChatID = *chat
	}
	if text != nil {
		f.Error = *text
	}
	return f
}

func failureView(f store.Failure) gen.Failure {
	v := gen.Failure{
		ID: f.ID, Kind: gen.FailureKind(f.Kind), Status: gen.FailureStatus(f.Status), What: f.What, Error: f.Error,
		Attempts: f.Attempts, FirstAt: f.FirstAt.Time, LastAt: f.LastAt.Time,
	}
	if f.ChannelID != uuid.Nil {
		v.ChannelID = &f.ChannelID
	}
	if f.ChatID != uuid.Nil {
		v.ChatID = &f.ChatID
	}
	return v
}
