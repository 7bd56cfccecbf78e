package api

import (
	"context"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// ListProcesses lists the instances of this environment, newest first.
func (s *Server) ListProcesses(ctx context.Context, r gen.ListProcessesRequestObject) (gen.ListProcessesResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	var name chat.ProcessName
	var state string
	if r.Params.Process != nil {
		name = chat.ProcessName(*r.Params.Process)
	}
	if r.Params.Status != nil {
		state = string(*r.Params.Status)
	}
	ps, next, err := s.Store.Processes(ctx, c.Environment, name, state, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "process")
	}
	return gen.ListProcesses200JSONResponse{Items: processesOut(ps), NextCursor: orNull(next)}, nil
}

// GetProcess shows one instance.
func (s *Server) GetProcess(ctx context.Context, r gen.GetProcessRequestObject) (gen.GetProcessResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Store.Process(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "process")
	}
	return gen.GetProcess200JSONResponse(processOut(p)), nil
}

// CancelProcess cancels one instance; cancelling twice is once.
func (s *Server) CancelProcess(ctx context.Context, r gen.CancelProcessRequestObject) (gen.CancelProcessResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	p, now, err := s.Store.CancelProcess(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "process")
	}
	if now {
		s.processesChanged(ctx, nil, []store.Process{p})
	}
	return gen.CancelProcess200JSONResponse(processOut(p)), nil
}

// processesChanged tells who watches, and takes what asynq still holds for cancelled instances away. It follows the commit.
func (s *Server) processesChanged(ctx context.Context, started, cancelled []store.Process) {
	ids := make([]uuid.UUID, len(cancelled))
	for i, p := range cancelled {
		ids[i] = p.ID
	}
	if s.CancelTasks != nil && len(ids) > 0 {
		s.CancelTasks(ctx, ids)
	}
	for _, ps := range [][]store.Process{started, cancelled} {
		for _, p := range ps {
			s.Jobs.Hints.Publish(jobs.Event{Type: "process", Environment: p.EnvironmentID, ID: p.ID})
		}
	}
}

// processesOut is never nil: answers show an empty list.
func processesOut(ps []store.Process) []gen.Process {
	out := make([]gen.Process, len(ps))
	for i, p := range ps {
		out[i] = processOut(p)
	}
	return out
}

func processOut(p store.Process) gen.Process {
	return gen.Process{
		ID: p.ID, Process: gen.ProcessName(p.Name), Status: gen.ProcessStatus(p.State),
		StartedAt: p.StartedAt.Time, CanceledAt: p.CanceledAt.Ptr(), LastRunAt: p.LastRunAt.Ptr(), NextRunAt: p.NextRunAt.Ptr(),
		Runs: p.Runs, AffectedChats: p.Affected,
	}
}
