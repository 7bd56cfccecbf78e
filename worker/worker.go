// Package worker decides what runs when: the asynq server that takes hints and ticks, the elected gocron scheduler that
// gives them out, and the sweeps that find by SQL what no hint told of.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// Options of a Worker.
type Options struct {
	// Tick is how often SaveAfkChats, CloseOldChats and the permanent deadlines run; 0 means 5 s.
	Tick time.Duration
	// Sweep is how often SQL is asked for due work that no hint told of; 0 means 3 s.
	Sweep time.Duration
	// Poll is how often asynq asks an empty queue; 0 means 50 ms.
	Poll time.Duration
	// Heartbeat is how often this worker says that it is alive; 0 means 10 s. It must be well below store.Outage.
	Heartbeat time.Duration
	// Drain is how long Stop waits for work that has begun; 0 means 20 s.
	Drain time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.Tick, 5*time.Second)
	set(&o.Sweep, 3*time.Second)
	set(&o.Poll, 50*time.Millisecond)
	set(&o.Heartbeat, store.Outage/6)
	set(&o.Drain, 20*time.Second)
	return o
}

// Worker runs the background work of one process. Any number of processes may have one.
type Worker struct {
	jobs    *jobs.Jobs
	redis   *redis.Client
	log     *slog.Logger
	o       Options
	tasks   *asynq.Client
	server  *asynq.Server
	sched   *schedule
	stop    context.CancelFunc
	running sync.WaitGroup

	loops                         []*loop // all of them
	deliver, synchronize, threads *loop   // those that are nudged
	pushes, routes, fetches       *turns  // apart: neither a slow CRM nor a slow messenger keeps a customer from his agent
}

// New builds a worker; Start starts it.
func New(j *jobs.Jobs, r *redis.Client, log *slog.Logger, o Options) *Worker {
	w := &Worker{jobs: j, redis: r, log: log, o: o.withDefaults()}
	w.tasks = asynq.NewClientFromRedisClient(r)
	w.server = asynq.NewServerFromRedisClient(r, asynq.Config{
		Concurrency:              16,
		Queues:                   map[string]int{queue: 1},
		TaskCheckInterval:        w.o.Poll,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          w.o.Drain,
		Logger:                   asynqLog{log},
		LogLevel:                 asynq.WarnLevel,
	})
	w.deliver = newLoop("deliver", deliverers, w.deliverAll)
	w.synchronize = newLoop("synchronize", synchronizers, j.Synchronize)
	w.threads = newLoop("threads", threaders, j.Threads)
	w.loops = []*loop{
		w.deliver, w.synchronize, w.threads,
		newLoop("release", 1, j.Release), newLoop("check", 1, j.Check), newLoop("profiles", 1, j.Profiles),
	}
	w.pushes = newTurns("push", j.PushDue, j.Push)
	w.routes = newTurns("route", j.RouteDue, w.routeAll)
	w.fetches = newTurns("fetch", j.FetchDue, j.Fetch)
	return w
}

// How many claims run at once: one slow messenger, or one CRM that hangs, must not keep the others waiting.
const (
	deliverers    = 4
	synchronizers = 4
	threaders     = 2
)

// Start starts the loops, the asynq server and the scheduler.
func (w *Worker) Start(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	if err := w.jobs.Store.Heartbeat(ctx); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	// Every worker's own, so that neither a long tick nor a change of the scheduler looks like an outage.
	newLoop("heartbeat", 1, w.heartbeat).start(run, &w.running, w.o.Heartbeat, w.failed)
	for _, l := range w.loops {
		l.start(run, &w.running, w.o.Sweep, w.failed)
	}
	for _, t := range []*turns{w.pushes, w.routes, w.fetches} {
		t.start(run, &w.running, w.o.Sweep, w.failed)
	}
	w.running.Go(func() { w.poll(run) })
	sched, err := newSchedule(w)
	if err != nil {
		stop()
		return err
	}
	w.sched = sched
	if err := w.server.Start(w.mux()); err != nil {
		stop()
		return fmt.Errorf("start the asynq server: %w", err)
	}
	return nil
}

// Stop ends the scheduler first, then lets what has begun come to its end, bounded by Options.Drain.
func (w *Worker) Stop() {
	if w.sched != nil {
		w.sched.stop()
	}
	w.server.Stop()
	w.stop()
	w.running.Go(w.server.Shutdown)
	done := make(chan struct{})
	go func() { w.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(w.o.Drain + drainGrace):
		w.log.Warn("the worker did not drain in time; what it began is taken over when its leases end", "after", w.o.Drain)
	}
}

// drainGrace is what asynq gets to end after it has given up on its tasks: Redis is closed next, and its subscriber panics over a
// subscription that is closed under it (asynq 0.26).
const drainGrace = 2 * time.Second

// Nudge wakes this process's own loops, without the way over Redis.
func (w *Worker) Nudge(l jobs.Look) {
	switch l.At {
	case jobs.LookOut:
		w.deliver.nudge()
	case jobs.LookSynchronize:
		w.synchronize.nudge()
	case jobs.LookThreads:
		w.threads.nudge()
	case jobs.LookCRM:
		w.pushes.nudge(l.Environment)
	case jobs.LookMedia:
		w.fetches.nudge(l.Environment)
	case jobs.LookRoute:
		w.routes.nudge(l.Environment)
	}
}

// deliverAll is all that is due: Deliver itself goes on until there is nothing.
func (w *Worker) deliverAll(ctx context.Context) (int, error) {
	_, err := w.jobs.Deliver(ctx)
	return 0, err
}

// routeAll is all of an environment: what waits after Route waits for somebody to have room.
func (w *Worker) routeAll(ctx context.Context, environment uuid.UUID) (int, error) {
	return 0, w.jobs.Route(ctx, environment)
}

func (w *Worker) heartbeat(ctx context.Context) (int, error) { return 0, w.jobs.Store.Heartbeat(ctx) }

func (w *Worker) mux() *asynq.ServeMux {
	m := asynq.NewServeMux()
	m.HandleFunc(taskLook, func(_ context.Context, t *asynq.Task) error {
		l, err := lookOf(t.Payload())
		if err != nil {
			w.failed("look", err)
			return nil
		}
		w.Nudge(l)
		return nil
	})
	m.HandleFunc(taskSaveAfk, w.processHandler(chat.SaveAfkChats))
	m.HandleFunc(taskCloseOld, w.processHandler(chat.CloseOldChats))
	m.HandleFunc(taskPermanent, func(ctx context.Context, _ *asynq.Task) error {
		w.permanent(ctx)
		return nil
	})
	return m
}

func (w *Worker) processHandler(name chat.ProcessName) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) error {
		var p tickPayload
		if err := json.Unmarshal(t.Payload(), &p); err != nil {
			w.failed(string(name), err)
			return nil
		}
		w.process(ctx, name, p.Process)
		return nil
	}
}

func (w *Worker) process(ctx context.Context, name chat.ProcessName, id uuid.UUID) {
	run := w.jobs.SaveAfkChats
	if name == chat.CloseOldChats {
		run = w.jobs.CloseOldChats
	}
	began := time.Now()
	w.outcome(string(name), began, run(ctx, id))
}

func (w *Worker) permanent(ctx context.Context) {
	began := time.Now()
	w.outcome("permanent", began, w.jobs.Timeouts(ctx))
}

// outcome counts a run of a job, and logs what it failed for.
func (w *Worker) outcome(job string, began time.Time, err error) {
	w.jobs.Metrics.RunTime.WithLabelValues(job).Observe(time.Since(began).Seconds())
	result := "ok"
	if err != nil {
		result = "error"
		w.failed(job, err)
	}
	w.jobs.Metrics.Runs.WithLabelValues(job, result).Inc()
}

// failed logs what a run ended with. Nothing else follows: the next tick or sweep is the retry.
func (w *Worker) failed(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.jobs.Metrics.Errors.WithLabelValues(what, "run").Inc()
	w.log.Error("background work failed; the next sweep tries again", "work", what, "error", err)
}

// poll keeps asking the messengers that cannot call us.
func (w *Worker) poll(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.jobs.Poll(ctx); err != nil {
			w.failed("poll", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
