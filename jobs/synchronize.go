package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waggle/crm"
	"waggle/store"
)

// The phases of Synchronize, in order. A crashed run goes on at the phase it was in.
const (
	phaseCredentials = "credentials"
	phaseSettings    = "settings"
	phaseAgents      = "agents"
	phaseChats       = "chats"
)

const (
	syncBatch  = 200             // chats marked at once: what is new does not wait behind more
	syncStep   = 2 * time.Second // how long a step waits for a batch to be pushed, at most
	syncLook   = 50 * time.Millisecond
	syncRest   = time.Second       // until a job that does not move is looked at again
	syncAtOnce = -time.Millisecond // a job that moves: over already by a clock of milliseconds
)

// Synchronize takes one step of one Synchronize job, and returns 1 if there was one. Steps are short, so that jobs of several
// environments take turns, and each leaves the job where anyone can go on. It checks the credentials, reads the CRM's settings
// and users, and then marks every chat to be proven, batch by batch; the pushes themselves are made as always.
func (j *Jobs) Synchronize(ctx context.Context) (int, error) {
	deadline := time.Now().Add(j.pushDeadline())
	job, err := j.Store.ClaimJob(ctx, store.JobSynchronize, j.Owner, j.lease())
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	s := &synchronizing{Jobs: j, job: job, progress: store.JobProgress{
		Phase: job.Phase, Position: job.Position, Done: job.Done, Total: job.Total, Failed: job.Failed,
	}}
	ended, rest, err := s.step(context.WithoutCancel(ctx), deadline)
	switch {
	case errors.Is(err, store.ErrConflict): // cancelled, or taken over
		return 1, nil
	case err != nil:
		return 0, fmt.Errorf("synchronize environment %s: %w", job.EnvironmentID, err)
	}
	if !ended {
		err = j.Store.ProgressJob(ctx, job, s.progress, rest)
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return 0, err
	}
	j.Hints.Publish(Event{Type: "job", Environment: job.EnvironmentID, ID: job.ID})
	return 1, nil
}

// synchronizing is a job during one step.
type synchronizing struct {
	*Jobs
	job      store.Job
	progress store.JobProgress
	adapter  crm.Adapter
	conn     crm.Connection
	env      store.Environment
}

// step does the present phase, or a part of it. rest is how long the job is left alone afterwards. After an error of ours the
// step is taken again when the lease has ended.
func (s *synchronizing) step(ctx context.Context, deadline time.Time) (ended bool, rest time.Duration, err error) {
	why, err := s.connect(ctx)
	if err != nil {
		return false, 0, err
	}
	if why != "" {
		return true, 0, s.end(ctx, why)
	}
	calls, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	switch s.progress.Phase {
	case "", phaseCredentials:
		s.progress.Phase = phaseSettings
		err = s.check(calls)
	case phaseSettings:
		s.progress.Phase = phaseAgents
		err = s.settings(calls)
	case phaseAgents:
		s.progress.Phase = phaseChats
		err = s.agents(calls)
	default:
		return s.chats(ctx)
	}
	var failed *crm.Error
	if errors.As(err, &failed) {
		return true, 0, s.end(ctx, failed.Reason)
	}
	return false, syncAtOnce, err
}

// end finishes the job.
func (s *synchronizing) end(ctx context.Context, why string) error {
	outcome := "ok"
	if why != "" {
		outcome = "error"
	}
	s.Metrics.Runs.WithLabelValues(store.JobSynchronize, outcome).Inc()
	s.Log.Info("synchronize ended", "environment", s.job.EnvironmentID, "job", s.job.ID, "outcome", outcome, "reason", why,
		"done", s.progress.Done, "total", s.progress.Total, "failed", s.progress.Failed)
	if err := s.Store.ProgressJob(ctx, s.job, s.progress, s.lease()); err != nil {
		return err
	}
	return s.Store.FinishJob(ctx, s.job, why)
}

// connect finds the environment's way into its CRM. why is the sentence the job ends with where there is none.
func (s *synchronizing) connect(ctx context.Context) (why string, err error) {
	if s.env, err = s.Store.Environment(ctx, s.job.EnvironmentID); err != nil {
		return "", err
	}
	if s.conn, err = s.Store.Connection(s.env); errors.Is(err, store.ErrNotFound) {
		return "The CRM's address and credentials are not entered yet; fill in Step 1 of the wizard.", nil
	}
	var ok bool
	if s.adapter, ok = s.CRMs[s.env.CRMKind]; !ok && err == nil {
		return fmt.Sprintf("This installation does not know CRMs of kind %q.", s.env.CRMKind), nil
	}
	return "", err
}

// check signs in anew. Saved credentials are in force from here on (S0.54, b35).
func (s *synchronizing) check(ctx context.Context) error {
	id := s.env.ID
	site, err := s.adapter.Check(ctx, s.conn)
	if err == nil && !site.Administrator {
		err = &crm.Error{Cause: crm.Refused, Reason: "the login is not one of a user with system administrator rights"}
	}
	if err != nil {
		failed := crm.AsError(err)
		if failed.Cause != crm.Refused {
			return failed
		}
		_, storeErr := s.Store.CRMRefuses(context.WithoutCancel(ctx), s.conn, failed.Reason)
		s.Hints.Publish(Event{Type: "configuration", Environment: id, ID: id})
		return errors.Join(storeErr, failed)
	}
	if err := s.Store.SaveSite(ctx, id, site); err != nil {
		return err
	}
	news, err := s.Store.CRMWorks(ctx, id)
	if news {
		s.Hints.Publish(Event{Type: "configuration", Environment: id, ID: id})
	}
	return err
}

func (s *synchronizing) settings(ctx context.Context) error {
	values, err := s.adapter.Settings(ctx, s.conn)
	if err != nil {
		return crm.AsError(err)
	}
	if values == nil {
		return nil // what was read before stays
	}
	if err := s.Store.SaveCRMSettings(ctx, s.env.ID, values); err != nil {
		return err
	}
	s.Hints.Look(Look{At: LookRoute, Environment: s.env.ID})
	return nil
}

func (s *synchronizing) agents(ctx context.Context) error {
	users, err := s.adapter.Users(ctx, s.conn)
	if err != nil {
		return crm.AsError(err)
	}
	if err := s.Store.SyncAgents(ctx, s.env.ID, users); err != nil {
		return err
	}
	s.Hints.Look(Look{At: LookRoute, Environment: s.env.ID})
	return s.Store.ForgetPushed(ctx, s.env.ID)
}

// chats waits until the batch that was marked last is settled and marks the next one. While chats are switched off nothing is
// pushed; then all are marked and the job does not wait for them (b24).
func (s *synchronizing) chats(ctx context.Context) (ended bool, rest time.Duration, err error) {
	position, err := s.position()
	if err != nil {
		return false, 0, err
	}
	for until := time.Now().Add(min(syncStep, s.pushDeadline())); ; {
		if s.env, err = s.Store.Environment(ctx, s.env.ID); err != nil {
			return false, 0, err
		}
		if s.env.CRMState == store.CRMRefused {
			return true, 0, s.end(ctx, "The CRM refuses the credentials: "+s.env.CRMError)
		}
		left, err := s.Store.DirtyLeft(ctx, s.env.ID, position)
		if err != nil {
			return false, 0, err
		}
		settled := !left || !s.env.ChatsEnabled
		if settled {
			if position, err = s.nextBatch(ctx, position); err != nil || position == uuid.Nil {
				return err == nil, 0, err
			}
		}
		if !settled {
			rest = syncRest
			pause(ctx, syncLook)
		} else {
			rest = syncAtOnce
		}
		if time.Now().After(until) {
			return false, rest, nil
		}
	}
}

// position is the last chat that was marked.
func (s *synchronizing) position() (uuid.UUID, error) {
	if s.progress.Position == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(s.progress.Position)
	if err != nil {
		return uuid.Nil, fmt.Errorf("the job's position: %w", err)
	}
	return id, nil
}

// nextBatch counts what is done and marks the chats after position. It returns the last one; zero: there was none and the job
// has ended. A job that was cancelled ends here, between two batches.
func (s *synchronizing) nextBatch(ctx context.Context, position uuid.UUID) (last uuid.UUID, err error) {
	p := &s.progress
	if p.Total, p.Done, p.Failed, err = s.Store.DirtyProgress(ctx, s.env.ID, position); err != nil {
		return uuid.Nil, err
	}
	if last, err = s.Store.MarkDirty(ctx, s.env.ID, position, syncBatch); err != nil {
		return uuid.Nil, err
	}
	if last == uuid.Nil {
		if err := s.Store.Synchronized(ctx, s.env.ID); err != nil {
			return uuid.Nil, err
		}
		return uuid.Nil, s.end(ctx, "")
	}
	p.Position = last.String()
	s.Hints.Look(Look{At: LookCRM, Environment: s.env.ID})
	return last, s.Store.ProgressJob(ctx, s.job, *p, s.lease())
}
