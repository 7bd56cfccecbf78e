package api

import (
	"context"
	"math"
	"time"

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
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	return gen.Synchronize202JSONResponse(jobOut(job, now)), nil
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
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	items := make([]gen.Job, len(js))
	for i, j := range js {
		items[i] = jobOut(j, now)
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
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	return gen.GetJob200JSONResponse(jobOut(j, now)), nil
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
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, storeProblem(err, "job")
	}
	return gen.CancelJob200JSONResponse(jobOut(j, now)), nil
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

func jobOut(j store.Job, now time.Time) gen.Job {
	out := gen.Job{
		ID: j.ID, Kind: gen.JobKind(j.Kind), Status: jobStatuses[j.State], Phase: orNull(j.Phase), Done: j.Done,
		Error: orNull(j.Error), CreatedAt: j.CreatedAt.Time, StartedAt: j.StartedAt.Ptr(), FinishedAt: j.FinishedAt.Ptr(),
	}
	if j.Total > 0 {
		out.Total = &j.Total
	}
	out.Failed, out.RatePerSecond = j.Failed, stepsPerSecond(j, now)
	return out
}

// stepsPerSecond is how many steps a job did a second, on the whole; nil before it started.
func stepsPerSecond(j store.Job, now time.Time) *float64 {
	if j.StartedAt.IsZero() {
		return nil
	}
	if !j.FinishedAt.IsZero() {
		now = j.FinishedAt.Time
	}
	took := max(now.Sub(j.StartedAt.Time), time.Millisecond)
	steps := math.Round(10*float64(j.Done)/took.Seconds()) / 10
	return &steps
}
