package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// JobProgress is how far a job has come. Position is where another worker goes on after a crash; its form is the job's own.
type JobProgress struct {
	Phase    string
	Position string
	Done     int64
	Total    int64 // 0: not yet known
	Failed   int64
}

// StartJob makes a job of this kind, unless one waits or runs already: then that one is returned and started is false. So a
// double click gives one job (M.7).
func (s *Store) StartJob(ctx context.Context, environment uuid.UUID, kind string) (job Job, started bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		// The index jobs_one_at_a_time decides between two that start at once; a second look finds the winner's.
		for range 2 {
			job = Job{ID: newID(), EnvironmentID: environment, Kind: kind, State: JobPending, CreatedAt: At(now)}
			if started, err = changed(tx.NewInsert().Model(&job).On("CONFLICT DO NOTHING").Exec(ctx)); err != nil || started {
				return err
			}
			found := tx.NewSelect().Model((*Job)(nil)).Where("environment_id = ?", environment).Where("kind = ?", kind).
				Where("state IN (?, ?)", JobPending, JobRunning).Limit(1)
			var jobs []Job
			if err := found.Scan(ctx, &jobs); err != nil || len(jobs) == 1 {
				if err == nil {
					job = jobs[0]
				}
				return err
			}
		}
		return fmt.Errorf("another job has just ended: %w", ErrConflict)
	})
	if err != nil {
		return Job{}, false, fmt.Errorf("start job %s: %w", kind, err)
	}
	return job, started, nil
}

// ClaimJob leases a job of this kind that waits, or whose worker has died: the job then goes on from its Position. Jobs take
// turns: the one that nobody has had for longest is next.
// ErrNotFound means there is none. The lease is counted on the unmoved clock; ProgressJob prolongs it.
func (s *Store) ClaimJob(ctx context.Context, kind, owner string, lease time.Duration) (Job, error) {
	var job Job
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		job = Job{}
		due := tx.NewSelect().Model(&job).Where("kind = ?", kind).
			Where("state = ? OR (state = ? AND until_at < ?)", JobPending, JobRunning, s.d.now()).
			OrderExpr("coalesce(until_at, 0), fence, id").Limit(1) // SQLite's clock has milliseconds: two may be equal
		if err := s.d.skipLocked(due).Scan(ctx); err != nil {
			return one(err, "job")
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&job).WherePK().Where("environment_id = ?", job.EnvironmentID).
			Set("state = ?", JobRunning).
			Set("owner = ?", owner).
			Set("until_at = ? + ?", s.d.now(), lease.Microseconds()).
			Set("fence = fence + 1").
			Set("started_at = coalesce(started_at, ?)", At(now)).
			Returning("*").Exec(ctx)
		return err
	})
	if err != nil {
		return Job{}, fmt.Errorf("claim job %s: %w", kind, err)
	}
	return job, nil
}

// ProgressJob records how far a claimed job has come and prolongs its lease. ErrConflict means that it was cancelled or that
// another worker has it: the caller must stop.
func (s *Store) ProgressJob(ctx context.Context, j Job, p JobProgress, lease time.Duration) error {
	ok, err := changed(s.ownJob(j).
		Set("phase = ?", p.Phase).
		Set("position = ?", p.Position).
		Set("done = ?", p.Done).
		Set("total = ?", p.Total).
		Set("failed = ?", p.Failed).
		Set("until_at = ? + ?", s.d.now(), lease.Microseconds()).
		Exec(ctx))
	return jobLost(j, ok, err)
}

// FinishJob ends a claimed job: failed with reason, a sentence for people, or done where reason is empty. ErrConflict means
// that it was cancelled or that another worker has it.
func (s *Store) FinishJob(ctx context.Context, j Job, reason string) error {
	state := JobDone
	if reason != "" {
		state = JobFailed
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	ok, err := changed(s.ownJob(j).
		Set("state = ?", state).
		Set("error = ?", reason).
		Set("finished_at = ?", At(now)).
		Set("until_at = NULL").
		Exec(ctx))
	return jobLost(j, ok, err)
}

// ownJob begins an update that only the job's present worker may make, while the job runs.
func (s *Store) ownJob(j Job) *bun.UpdateQuery {
	return s.db.NewUpdate().Model((*Job)(nil)).
		Where("id = ?", j.ID).Where("environment_id = ?", j.EnvironmentID).
		Where("fence = ?", j.Fence).Where("state = ?", JobRunning)
}

func jobLost(j Job, ok bool, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("write job %s: %w", j.ID, err)
	case !ok:
		return fmt.Errorf("job %s was cancelled or taken over: %w", j.ID, ErrConflict)
	default:
		return nil
	}
}

// CancelJob stops a job that has not ended; its worker learns it at its next ProgressJob. A job that has ended is ErrConflict.
func (s *Store) CancelJob(ctx context.Context, environment, id uuid.UUID) (Job, error) {
	var job Job
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		job = Job{}
		q := tx.NewSelect().Model(&job).Where("id = ?", id).Where("environment_id = ?", environment)
		if err := s.d.forUpdate(q).Scan(ctx); err != nil {
			return one(err, "job")
		}
		if job.State != JobPending && job.State != JobRunning {
			return fmt.Errorf("the job has ended (%s): %w", job.State, ErrConflict)
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&job).WherePK().Where("environment_id = ?", environment).
			Set("state = ?", JobCanceled).Set("finished_at = ?", At(now)).Set("until_at = NULL").
			Returning("*").Exec(ctx)
		return err
	})
	return job, err
}

// Job returns one job of the environment.
func (s *Store) Job(ctx context.Context, environment, id uuid.UUID) (Job, error) {
	var job Job
	err := s.read.NewSelect().Model(&job).Where("id = ?", id).Where("environment_id = ?", environment).Scan(ctx)
	return job, one(err, "job")
}

// Jobs lists the environment's jobs, newest first, only those in state where it is given. The second result is the cursor of
// the next page.
func (s *Store) Jobs(ctx context.Context, environment uuid.UUID, state string, p Page) ([]Job, string, error) {
	var jobs []Job
	q, err := newestFirst(s.read.NewSelect().Model(&jobs).Where("environment_id = ?", environment), p)
	if err != nil {
		return nil, "", err
	}
	if state != "" {
		q = q.Where("state = ?", state)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list jobs: %w", err)
	}
	jobs, next := cutNewest(jobs, p, func(j Job) uuid.UUID { return j.ID })
	return jobs, next, nil
}
