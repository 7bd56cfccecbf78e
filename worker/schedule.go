package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
)

// schedule gives out the ticks. Every worker has one; the elector lets one of them at a time act.
type schedule struct {
	w    *Worker
	cron gocron.Scheduler
}

// elector holds the election on SQL, so that ticks go on while Redis is away.
type elector struct {
	w *Worker
}

// leaderName is the scheduler's row in leaders.
const leaderName = "scheduler"

var errNotLeader = errors.New("another worker is the scheduler")

// IsLeader implements gocron.Elector.
func (e elector) IsLeader(ctx context.Context) error {
	leads, err := e.w.jobs.Store.Lead(ctx, leaderName, e.w.jobs.Owner, 3*e.w.o.Tick)
	if err != nil {
		return err
	}
	if !leads {
		return errNotLeader
	}
	return nil
}

func newSchedule(w *Worker) (*schedule, error) {
	cron, err := gocron.NewScheduler(
		gocron.WithDistributedElector(elector{w}),
		gocron.WithLogger(gocron.NewLogger(gocron.LogLevelError)),
		gocron.WithStopTimeout(w.o.Drain),
	)
	if err != nil {
		return nil, fmt.Errorf("start the scheduler: %w", err)
	}
	s := &schedule{w: w, cron: cron}
	_, err = cron.NewJob(gocron.DurationJob(w.o.Tick), gocron.NewTask(s.tick),
		gocron.WithName("tick"), gocron.WithSingletonMode(gocron.LimitModeReschedule))
	if err != nil {
		return nil, fmt.Errorf("start the scheduler: %w", err)
	}
	_, err = cron.NewJob(gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(3, 17, 0))), gocron.NewTask(s.forget), gocron.WithName("forget"))
	if err != nil {
		return nil, fmt.Errorf("start the scheduler: %w", err)
	}
	cron.Start()
	return s, nil
}

func (s *schedule) stop() {
	if err := s.cron.Shutdown(); err != nil {
		s.w.log.Warn("the scheduler did not end in time", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// Failure policy: none needed; the lease ends by itself.
	_ = s.w.jobs.Store.Resign(ctx, leaderName, s.w.jobs.Owner)
}

// How long what is of no use any more is kept: answers to requests that may be repeated, and sessions that have ended.
const (
	keepAnswers  = 48 * time.Hour
	keepSessions = 24 * time.Hour
)

// forget deletes what is of no use any more, once a day.
func (s *schedule) forget(ctx context.Context) {
	answers, err := s.w.jobs.Store.ForgetIdempotencyKeys(ctx, keepAnswers)
	if err != nil {
		s.w.failed("forget", err)
	}
	sessions, err := s.w.jobs.Store.ForgetSessions(ctx, keepSessions)
	if err != nil {
		s.w.failed("forget", err)
	}
	if err := s.w.jobs.Store.ForgetLogins(ctx); err != nil {
		s.w.failed("forget", err)
	}
	if err := s.w.jobs.Store.ForgetEarlyReceipts(ctx); err != nil {
		s.w.failed("forget", err)
	}
	if err := s.w.jobs.Media.Tidy(); err != nil {
		s.w.failed("forget", err)
	}
	s.w.log.Info("forgot what was of no use any more", "idempotency_keys", answers, "sessions", sessions)
}

// tick gives out one task for each running process instance and one for the permanent deadlines. While Redis is away they
// run right here: slower, but they run. One refusal by Redis is enough for a tick, as each costs its time limit.
func (s *schedule) tick(ctx context.Context) {
	away := s.enqueue(permanentTask()) != nil
	if away {
		s.w.permanent(ctx)
	}
	running, err := s.w.jobs.Store.RunningProcesses(ctx)
	if err != nil {
		s.w.failed("tick", err)
		return
	}
	for _, p := range running {
		if away = away || s.enqueue(processTask(p.Name, p.ID)) != nil; away {
			s.w.process(ctx, p.Name, p.ID)
		}
	}
}

func (s *schedule) enqueue(t *asynq.Task) error {
	ctx, cancel := context.WithTimeout(context.Background(), hintTimeout)
	defer cancel()
	_, err := s.w.tasks.EnqueueContext(ctx, t)
	return err
}

// Cancel removes what asynq still holds of cancelled process instances: pending, scheduled and retried tasks are deleted,
// active ones are told to stop. Fail open: SQL already says that they are cancelled, and each action looks there.
func Cancel(inspector *asynq.Inspector, ids []uuid.UUID) error {
	gone := map[uuid.UUID]bool{}
	for _, id := range ids {
		gone[id] = true
	}
	var errs error
	lists := []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		inspector.ListPendingTasks, inspector.ListScheduledTasks, inspector.ListRetryTasks, inspector.ListArchivedTasks, inspector.ListActiveTasks,
	}
	for _, list := range lists {
		tasks, err := list(queue, asynq.PageSize(1000))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			return nil
		}
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		for _, t := range tasks {
			if !gone[instanceOf(t)] {
				continue
			}
			if t.State == asynq.TaskStateActive {
				errs = errors.Join(errs, inspector.CancelProcessing(t.ID))
			} else if err := inspector.DeleteTask(queue, t.ID); !errors.Is(err, asynq.ErrTaskNotFound) {
				errs = errors.Join(errs, err)
			}
		}
	}
	return errs
}

func instanceOf(t *asynq.TaskInfo) uuid.UUID {
	if t.Type != taskSaveAfk && t.Type != taskCloseOld {
		return uuid.Nil
	}
	return processOf(t.Payload)
}
