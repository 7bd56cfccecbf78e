package api

import (
	"context"

	"waggle/api/gen"
	"waggle/jobs"
	"waggle/store"
)

// Synchronize starts the job, or answers the one that runs already (M.7).
func (s *Server) Synchronize(ctx context.Context, _ gen.SynchronizeRequestObject) (gen.SynchronizeResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	if e.Auth == "" {
		return nil, missingStep(1)
	}
	job, started, err := s.Store.StartJob(ctx, c.Environment, store.JobSynchronize)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	if started {
		s.Jobs.Hints.Look(jobs.Look{At: jobs.LookSynchronize, Environment: c.Environment})
		s.jobChanged(job)
	}
	return gen.Synchronize202JSONResponse(jobOut(job)), nil
}

// ListJobs lists the jobs of this environment, newest first.
func (s *Server) ListJobs(ctx context.Context, r gen.ListJobsRequestObject) (gen.ListJobsResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	state := ""
	if r.Params.Status != nil {
		state = jobState(*r.Params.Status)
	}
	js, next, err := s.Store.Jobs(ctx, c.Environment, state, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "job")
	}
	items := make([]gen.Job, len(js))
	for i, j := range js {
		items[i] = jobOut(j)
	}
	return gen.ListJobs200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// GetJob shows one job.
func (s *Server) GetJob(ctx context.Context, r gen.GetJobRequestObject) (gen.GetJobResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	j, err := s.Store.Job(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	return gen.GetJob200JSONResponse(jobOut(j)), nil
}

// CancelJob stops a job that has not ended.
func (s *Server) CancelJob(ctx context.Context, r gen.CancelJobRequestObject) (gen.CancelJobResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	j, err := s.Store.CancelJob(ctx, c.Environment, r.ID)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	s.jobChanged(j)
	return gen.CancelJob200JSONResponse(jobOut(j)), nil
}

func (s *Server) jobChanged(j store.Job) {
	s.Jobs.Hints.Publish(jobs.Event{Type: "job", Environment: j.EnvironmentID, ID: j.ID})
}

// jobStatuses are the contract's words for the store's states.
var jobStatuses = map[string]gen.JobStatus{
	store.JobPending:  gen.JobStatusQueued,
	store.JobRunning:  gen.JobStatusRunning,
	store.JobDone:     gen.JobStatusSucceeded,
	store.JobFailed:   gen.JobStatusFailed,
	store.JobCanceled: gen.JobStatusCanceled,
}

func jobState(status gen.JobStatus) string {
	for state, s := range jobStatuses {
		if s == status {
			return state
		}
	}
	return string(status)
}

func jobOut(j store.Job) gen.Job {
	out := gen.Job{
		ID: j.ID, Kind: gen.JobKind(j.Kind), Status: jobStatuses[j.State], Phase: orNull(j.Phase), Done: j.Done,
		Error: orNull(j.Error), CreatedAt: j.CreatedAt.Time, StartedAt: j.StartedAt.Ptr(), FinishedAt: j.FinishedAt.Ptr(),
	}
	if j.Total > 0 {
		out.Total = &j.Total
	}
	return out
}
