package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"waggle/api"
	"waggle/channels"
	"waggle/channels/custom"
	"waggle/channels/messenger"
	"waggle/channels/telegram"
	"waggle/channels/x"
	"waggle/crm"
	"waggle/crm/creatio"
	"waggle/guard"
	"waggle/jobs"
	"waggle/keyring"
	"waggle/media"
	"waggle/store"
	"waggle/worker"
)

// Version is this build's version, shown by /healthz.
var Version = "0.1.0"

// Parts says what a process is.
type Parts struct {
	API    bool
	Worker bool
}

// App is one process of Waggle.
type App struct {
	Addr string // where the API listens, once Start has returned

	listener net.Listener
	serving  sync.WaitGroup

	config  Config
	log     *slog.Logger
	store   *store.Store
	redis   *redis.Client
	hints   *worker.Hints
	intake  *jobs.Intake
	metrics *prometheus.Registry
	worker  *worker.Worker
	web     *fiber.App
	jobs    *jobs.Jobs // of a process that takes deliveries
	resign  func()     // ends what says that it does
	closers []func()   // in the order they are called
}

// OpenStore opens the database of an installation that exists, for commands that need nothing else.
func OpenStore(ctx context.Context, c Config) (*store.Store, error) {
	ring, err := keyring.Load(c.keysetFile())
	if err != nil {
		return nil, fmt.Errorf("%w (waggle migrate makes it once; all processes must share it, see KEYSET_FILE)", err)
	}
	return openStore(ctx, c, ring)
}

// CreateStore is OpenStore for the commands that may begin an installation: it makes the data folder and the keyset where
// they are missing.
func CreateStore(ctx context.Context, c Config) (*store.Store, error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	ring, err := keyring.LoadOrCreate(c.keysetFile())
	if err != nil {
		return nil, err
	}
	return openStore(ctx, c, ring)
}

// RotateKeyset does the next of the three steps that change the encryption key: see keyring.Step. The last one seals what the
// database holds anew.
func RotateKeyset(ctx context.Context, c Config) (keyring.Step, error) {
	return keyring.RotateFile(c.keysetFile(), func(left *keyring.Ring) error {
		s, err := OpenStore(ctx, c)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		_, err = s.Reseal(ctx, left)
		return err
	})
}

func openStore(ctx context.Context, c Config, ring *keyring.Ring) (*store.Store, error) {
	return store.Open(ctx, store.Options{URL: c.databaseURL(), MaxConns: c.Connections, Sealer: ring})
}

// Build makes a process. Nothing runs until Start.
func Build(ctx context.Context, c Config, p Parts) (_ *App, err error) {
	if err := c.check(p); err != nil {
		return nil, err
	}
	a := &App{config: c, log: c.Logger()}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	open := OpenStore
	if p.API && p.Worker {
		open = CreateStore
	}
	if a.store, err = open(ctx, c); err != nil {
		return nil, err
	}
	if err := a.schema(ctx, p); err != nil {
		return nil, err
	}
	var closeRedis func()
	if a.redis, closeRedis, err = openRedis(ctx, c.RedisURL, a.log); err != nil {
		return nil, err
	}
	a.hints = worker.NewHints(a.redis, a.log)
	j, err := a.newJobs(ctx, c)
	if err != nil {
		return nil, err
	}
	if p.Worker {
		a.worker = worker.New(j, a.redis, a.log, worker.Options{Tick: c.Tick, Sweep: c.Sweep, Drain: c.Drain, Poll: c.taskPoll()})
		a.hints.Local(a.worker.Nudge)
	}
	switch {
	case p.API:
		a.web, a.jobs = a.server(j).App(), j
	case c.Operations != "":
		a.web, a.config.Listen = a.server(j).Operations(), c.Operations
	}
	a.closers = append(a.closers, a.hints.Close, closeRedis)
	return a, nil
}

// schema brings the database up to date where one process is all of Waggle, and otherwise says what is missing.
func (a *App) schema(ctx context.Context, p Parts) error {
	if p.API && p.Worker {
		steps, err := a.store.Migrate(ctx)
		if len(steps) > 0 {
			a.log.Info("schema brought up to date", "steps", steps)
		}
		return err
	}
	return SchemaIsCurrent(ctx, a.store)
}

// SchemaIsCurrent fails with what to do where the database lacks steps of this version's schema.
func SchemaIsCurrent(ctx context.Context, s *store.Store) error {
	n, err := s.Pending(ctx)
	if err == nil && n > 0 {
		err = fmt.Errorf("the database's schema is older than this version (%d steps missing): run waggle migrate first", n)
	}
	return err
}

func (a *App) newJobs(ctx context.Context, c Config) (*jobs.Jobs, error) {
	client, err := guard.New(guard.Policy{AllowHosts: c.AllowHosts})
	if err != nil {
		return nil, err
	}
	a.metrics = prometheus.NewRegistry()
	a.metrics.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		jobs.NewLaneMetrics(a.store, a.log),
	)
	address, err := c.mediaURL()
	if err != nil {
		return nil, err
	}
	files, err := media.Open(address)
	if err != nil {
		return nil, err
	}
	a.checkFiles(ctx, files)
	j := &jobs.Jobs{
		Store: a.store,
		Media: files,
		// One line for each kind of channel and of CRM.
		Channels: channels.NewRegistry(
			telegram.New(client, c.TelegramURL),
			x.New(client, c.XURL),
			messenger.New(client, c.MessengerURL),
			custom.New(client, time.Now),
		),
		CRMs: crm.NewRegistry(
			creatio.New(client, time.Now),
		),
		Hints:     a.hints,
		Metrics:   jobs.NewMetrics(a.metrics),
		Log:       a.log,
		PublicURL: strings.TrimRight(c.PublicURL, "/"),
		Owner:     owner(),
		Lease:     c.Lease, CheckEvery: c.Check, Tick: c.Tick,
	}
	j.Intake = jobs.NewIntake(j)
	a.intake = j.Intake
	return j, nil
}

// checkFiles says where files cannot be kept. Fail open: text goes on without them, and files wait until they can be.
func (a *App) checkFiles(ctx context.Context, files *media.Store) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := files.Check(ctx); err != nil {
		a.log.Error("the files of messages cannot be kept and wait; correct MEDIA_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the store itself",
			"error", err)
	}
}

// owner names this process in leases, unlike any other and any earlier one.
func owner() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

func (a *App) server(j *jobs.Jobs) *api.Server {
	inspector := asynq.NewInspectorFromRedisClient(a.redis)
	return &api.Server{
		Store: a.store, Channels: j.Channels, CRMs: j.CRMs, Jobs: j, Log: a.log, Metrics: a.metrics,
		Redis: func(ctx context.Context) error { return a.redis.Ping(ctx).Err() },
		CancelTasks: func(_ context.Context, ids []uuid.UUID) {
			if err := worker.Cancel(inspector, ids); err != nil {
				a.log.Warn("could not clear the tasks of cancelled processes; they end by themselves", "error", err)
			}
		},
		Options: api.Options{
			PublicURL: j.PublicURL, AllowHosts: a.config.AllowHosts, VendorContact: a.config.Vendor,
			MovableClock: a.config.MovableClock, Version: Version, TrustedProxies: a.config.TrustedProxies,
			CallsPerSecond: a.config.CallsPerSecond,
		},
	}
}

// Start starts what Build made and returns when the API answers.
func (a *App) Start(ctx context.Context) error {
	if a.config.MovableClock {
		a.log.Warn("the clock can be moved by anybody who reaches POST /demo/clock: never run this in production")
	}
	if a.worker != nil {
		if err := a.worker.Start(ctx); err != nil {
			return err
		}
	}
	if a.web == nil {
		return nil
	}
	l := a.config.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", a.config.Listen); err != nil {
			return fmt.Errorf("listen on %s: %w", a.config.Listen, err)
		}
	}
	a.Addr = l.Addr().String()
	a.listener = l
	a.serving.Go(func() {
		if err := a.web.Listener(l); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the API stopped listening", "error", err)
		}
	})
	a.log.Info("listening", "address", a.Addr)
	if a.jobs == nil {
		return nil
	}
	return a.receive(ctx)
}

// receive says that this process takes deliveries, from now on until Stop.
func (a *App) receive(ctx context.Context) error {
	if err := a.jobs.Receiving(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beating sync.WaitGroup
	beating.Go(func() { a.jobs.KeepReceiving(run) })
	a.resign = func() { stop(); beating.Wait() }
	return nil
}

// Stop stops in order: no new requests, the worker drains, what was taken in is committed, then the connections close.
func (a *App) Stop() {
	since := time.Now() // a server that ends listens no more, however long it takes
	if a.web != nil {
		if err := a.web.ShutdownWithTimeout(a.config.Drain); err != nil {
			a.log.Warn("some requests did not end in time", "error", err)
		}
	}
	if a.listener != nil {
		// A server that is stopped before it has begun to serve would begin now, and find the database closed.
		_ = a.listener.Close()
		a.serving.Wait()
	}
	if a.resign != nil {
		a.resign()
		if err := a.jobs.EndReceiving(context.Background(), since); err != nil {
			a.log.Warn("that no more deliveries are taken was not written; whoever takes them next finds it out", "error", err)
		}
	}
	if a.worker != nil {
		a.worker.Stop()
	}
	// Last: the worker's pollers store what they have fetched.
	a.intake.Close()
	a.close()
}

func (a *App) close() {
	for _, f := range a.closers {
		f()
	}
	a.closers = nil
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Warn("close the database", "error", err)
		}
	}
}

// Run starts a process and stops it when ctx ends.
func Run(ctx context.Context, c Config, p Parts) error {
	a, err := Build(ctx, c, p)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		a.Stop()
		return err
	}
	<-ctx.Done()
	a.log.Info("stopping")
	a.Stop()
	return nil
}
