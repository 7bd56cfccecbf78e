package runner

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"waggle/channels/custom/customtest"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
	"waggle/channels/x/xtest"
	"waggle/crm/creatio/creatiotest"
	"waggle/proof/proxy"
)

// Options say what kind of installation to run.
type Options struct {
	Binary string // of Build
	Dir    string // for the keyset and the SQLite file

	// DatabaseURL and RedisURL: two api and two worker processes on these servers, in a schema of their own and in the
	// Redis database the URL names, which is emptied. Both empty: one process with everything in it.
	DatabaseURL, RedisURL string

	Agents      []string      // the CRM's users who serve chats; empty: Ben and Carla
	Direct      bool          // no proxies on the way to the servers: for figures
	Clocks      bool          // each process has a Clock of its own; wants a binary of BuildWithClock
	Tick, Sweep time.Duration // 0: short
	Env         []string      // "NAME=value" beside
}

// servers tells whether the installation runs on PostgreSQL and Redis.
func (o Options) servers() bool { return o.DatabaseURL != "" && o.RedisURL != "" }

// Installation is a whole Waggle of real processes, with doubles of a CRM and of every messenger around it.
type Installation struct {
	Telegram  *telegramtest.Server
	Bot       *telegramtest.Bot
	Messenger *customtest.Messenger // the company's own
	X         *xtest.Server
	XApp      *xtest.App
	XAccount  *xtest.Account
	Facebook  *messengertest.Server
	MetaApp   *messengertest.App
	Page      *messengertest.Page
	CRM       *creatiotest.Server

	Front    *Front
	APIs     []*Slot // embedded: the one process
	Workers  []*Slot // embedded: the same one
	Database *Database

	// The ways to PostgreSQL and to Redis; nil where all is in one process, and if Direct.
	ToDatabase, ToRedis *proxy.Proxy

	options Options
	hooks   map[string]string // addresses by kind of channel, of SetUp's channels
	env     []string
	redis   *redis.Client
	closers []func()
}

// Names and secrets of the doubles.
const (
	botToken      = "7001234567:AAFproof-proof-proof-proof-proof-proof"
	messengerCode = "our secret word: 🐝"
	xAccount      = "4337869213"
	xToken        = xAccount + "-proofToken"
	xTokenSecret  = "proofTokenSecret"
	xKey          = "proofConsumerKey"
	xKeySecret    = "proofConsumerSecret"
	xBearer       = "AAAAproofBearer"
	metaApp       = "1517776481860111"
	metaSecret    = "proof-app-secret"
	metaVerify    = "proof-verify-token"
	oauthClient   = "waggle"
	oauthSecret   = "proof-client-secret"
)

// Install starts the doubles and Waggle; the API answers when it returns. Close it after use.
func Install(ctx context.Context, o Options) (*Installation, error) {
	if len(o.Agents) == 0 {
		o.Agents = []string{"Ben", "Carla"}
	}
	in := &Installation{options: o, hooks: map[string]string{}}
	in.doubles()
	for _, step := range []func(context.Context) error{in.stores, in.listen, in.migrate, in.start} {
		if err := step(ctx); err != nil {
			defer in.Close()
			return nil, fmt.Errorf("install: %w\n%s", err, in.Logs())
		}
	}
	return in, nil
}

// start starts every process and waits until the APIs answer.
func (in *Installation) start(ctx context.Context) error {
	for _, s := range in.slots() {
		if err := s.Start(); err != nil {
			return err
		}
	}
	for _, s := range in.APIs {
		if err := s.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything and drops the schema.
func (in *Installation) Close() {
	for _, s := range in.slots() {
		s.Kill()
	}
	for i := len(in.closers) - 1; i >= 0; i-- {
		in.closers[i]()
	}
}

func (in *Installation) doubles() {
	in.Telegram = telegramtest.New()
	in.Bot = in.Telegram.AddBot(botToken, "proof_bot")
	in.Messenger = customtest.New(messengerCode)
	in.X = xtest.New(xtest.WithAnyHook(), xtest.WithoutLimits(), xtest.WithPatience())
	in.XApp = in.X.AddApp(xKey, xKeySecret, xBearer)
	in.XAccount = in.XApp.AddAccount(xAccount, "shop", xToken, xTokenSecret)
	in.Facebook = messengertest.New()
	in.MetaApp, in.Page = in.Facebook.AddApp(metaApp, metaSecret), in.Facebook.AddPage("1", "Honey Shop")
	in.CRM = creatiotest.New(creatiotest.Options{Framework: true, ClientID: oauthClient, ClientSecret: oauthSecret})
	in.closers = append(in.closers, in.Telegram.Close, in.Messenger.Close, in.X.Close, in.Facebook.Close, in.CRM.Close)
}

// stores prepares the databases and the proxies before them.
func (in *Installation) stores(ctx context.Context) (err error) {
	o := in.options
	in.env = []string{
		"DATA_DIR=" + o.Dir, "KEYSET_FILE=" + filepath.Join(o.Dir, "keyset.json"), "DATABASE_URL=", "REDIS_URL=",
	}
	if !o.servers() {
		in.Database, err = openFile(filepath.Join(o.Dir, "waggle.db"))
		in.closers = append(in.closers, func() { in.Database.close(context.WithoutCancel(ctx)) })
		return err
	}
	if in.Database, err = newSchema(ctx, o.DatabaseURL); err != nil {
		return err
	}
	in.closers = append(in.closers, func() { in.Database.close(context.WithoutCancel(ctx)) })
	if !o.Direct {
		if in.ToDatabase, err = in.proxy(o.DatabaseURL); err != nil {
			return err
		}
		if in.ToRedis, err = in.proxy(o.RedisURL); err != nil {
			return err
		}
	}
	r, err := redis.ParseURL(o.RedisURL)
	if err != nil {
		return fmt.Errorf("the URL of Redis is malformed")
	}
	in.redis = redis.NewClient(r)
	in.closers = append(in.closers, func() { _ = in.redis.Close() })
	database, redisURL := in.Database.url, o.RedisURL
	if !o.Direct {
		database, redisURL = in.Database.through(in.ToDatabase.Addr), fmt.Sprintf("redis://%s/%d", in.ToRedis.Addr, r.DB)
	}
	in.env = append(in.env, "DATABASE_URL="+database, "DATABASE_CONNECTIONS=8", "REDIS_URL="+redisURL)
	return in.FlushRedis(ctx)
}

func (in *Installation) proxy(target string) (*proxy.Proxy, error) {
	u, err := url.Parse(target)
	if err != nil || u.Port() == "" {
		return nil, fmt.Errorf("the URL of PostgreSQL and that of Redis need a host and a port")
	}
	p, err := proxy.New(u.Host)
	if err == nil {
		in.closers = append(in.closers, p.Close)
	}
	return p, err
}

// FlushAll is Redis's FLUSHALL, for a Redis of the proof's own. It tells how many keys there were.
func (in *Installation) FlushAll(ctx context.Context) (keys int, err error) {
	n, err := in.redis.DBSize(ctx).Result()
	if err != nil {
		return 0, err
	}
	return int(n), in.redis.FlushAll(ctx).Err()
}

// FlushRedis empties the installation's Redis database, as FLUSHALL does where Waggle has a Redis of its own.
func (in *Installation) FlushRedis(ctx context.Context) error { return in.redis.FlushDB(ctx).Err() }

// listen decides the processes and their addresses, which they keep when they are restarted.
func (in *Installation) listen(context.Context) (err error) {
	commands, n := []string{"serve"}, 1
	if in.options.servers() {
		commands, n = []string{"api", "worker"}, 2
	}
	var targets []string
	for _, command := range commands {
		for i := range n {
			s := &Slot{in: in, name: command + " " + strconv.Itoa(i+1), command: command}
			if in.options.Clocks {
				if s.Clock, err = NewClock(filepath.Join(in.options.Dir, fmt.Sprint("clock-", command, i+1))); err != nil {
					return err
				}
			}
			if command != "worker" {
				if s.addr, err = FreePort(); err != nil {
					return err
				}
				targets = append(targets, s.addr)
				in.APIs = append(in.APIs, s)
			}
			if command != "api" {
				in.Workers = append(in.Workers, s)
			}
			if command == "worker" {
				if s.operations, err = FreePort(); err != nil {
					return err
				}
			}
		}
	}
	if in.Front, err = NewFront(targets...); err != nil {
		return err
	}
	in.closers = append(in.closers, in.Front.Close)
	pace := func(name string, d time.Duration, short string) string {
		if d != 0 {
			short = d.String()
		}
		return name + "=" + short
	}
	in.env = append(in.env, "CALLS_PER_SECOND=0", // the audit asks more than any CRM
		"PUBLIC_URL=http://"+in.Front.Addr, "ALLOW_HOSTS=127.0.0.1",
		"TELEGRAM_API_URL="+in.Telegram.URL, "X_API_URL="+in.X.URL, "MESSENGER_API_URL="+in.Facebook.URL, "LOG_LEVEL=warn", "LOG_FORMAT=text",
		pace("TICK", in.options.Tick, "200ms"), pace("SWEEP", in.options.Sweep, "300ms"), "DRAIN=10s")
	in.env = append(in.env, in.options.Env...)
	return nil
}

// slots lists the processes, each once.
func (in *Installation) slots() []*Slot {
	if !in.options.servers() {
		return in.APIs
	}
	return append(append([]*Slot(nil), in.APIs...), in.Workers...)
}

func (in *Installation) migrate(ctx context.Context) error {
	_, err := in.command(ctx, "migrate")
	return err
}

// command runs one of Waggle's other commands and returns what it printed.
func (in *Installation) command(ctx context.Context, args ...string) (string, error) {
	var out, faults bytes.Buffer
	c := exec.CommandContext(ctx, in.options.Binary, args...) //nolint:gosec // our own binary
	c.Env = append(os.Environ(), in.env...)
	c.Stdout, c.Stderr = &out, &faults
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("waggle %s: %w: %s", strings.Join(args, " "), err, faults.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Logs returns the latest lines of every process, for the report of a failed proof.
func (in *Installation) Logs() string {
	var b strings.Builder
	for _, s := range in.slots() {
		if s.Process == nil {
			continue
		}
		for _, line := range s.Process.Log() {
			fmt.Fprintf(&b, "%s: %s\n", s.name, line)
		}
	}
	return b.String()
}

// Slot is the place of one process, with its address; the process in it comes and goes.
type Slot struct {
	Process *Process // nil before the first Start
	Clock   *Clock   // nil without Options.Clocks

	in         *Installation
	name       string
	command    string
	addr       string // empty for a worker
	operations string // of a worker
}

// Start starts a process in the slot. The one before must have ended.
func (s *Slot) Start() (err error) {
	env := s.in.env
	if s.addr != "" {
		env = append(append([]string(nil), env...), "LISTEN="+s.addr)
	}
	if s.operations != "" {
		env = append(append([]string(nil), env...), "OPERATIONS_LISTEN="+s.operations)
	}
	if s.Clock != nil {
		env = append(append([]string(nil), env...), s.Clock.Env())
	}
	if s.Process, err = Start(s.in.options.Binary, s.name, []string{s.command}, env); err == nil {
		s.Process.Base = "http://" + cmp.Or(s.addr, s.operations)
	}
	return err
}

// Kill ends the slot's process as a crash does.
func (s *Slot) Kill() {
	if s.Process != nil {
		s.Process.Kill()
	}
}

// Ready waits until the slot's API answers, or a worker's /readyz.
func (s *Slot) Ready(ctx context.Context) error { return s.Process.Ready(ctx) }

// Restart starts a new process and waits until its API answers; a worker has none.
func (s *Slot) Restart(ctx context.Context) error {
	if err := s.Start(); err != nil || s.addr == "" {
		return err
	}
	return s.Ready(ctx)
}
