// Package app builds the object graph of a process once, starts it and stops it in order.
package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is everything an operator can set. Each field is a flag and an environment variable; kong fills it in.
type Config struct {
	DatabaseURL    string        `name:"database-url" env:"DATABASE_URL" help:"postgres://… Empty: a SQLite file in the data folder."`
	RedisURL       string        `name:"redis-url" env:"REDIS_URL" help:"redis://… Empty: an in-process Redis."`
	DataDir        string        `name:"data-dir" env:"DATA_DIR" default:"waggle-data" help:"Folder of the SQLite file, of a generated keyset and of the files of messages." type:"path"`
	Listener       net.Listener  `kong:"-"` // what the API listens on instead of Listen
	LogTo          io.Writer     `kong:"-"` // where the log goes instead of stderr
	Listen         string        `name:"listen" env:"LISTEN" default:":8080" help:"Address the API listens on."`
	Operations     string        `name:"operations-listen" env:"OPERATIONS_LISTEN" help:"Address where a worker process serves /healthz, /readyz and /metrics. Empty: nowhere."`
	PublicURL      string        `name:"public-url" env:"PUBLIC_URL" help:"Our own public https:// address. Messengers call it; without it only channels that poll can be connected."`
	KeysetFile     string        `name:"keyset-file" env:"KEYSET_FILE" help:"File of the encryption keyset. Empty: keyset.json in the data folder, made by migrate and by serve." type:"path"`
	AllowHosts     []string      `name:"allow-hosts" env:"ALLOW_HOSTS" help:"Private hosts, addresses or CIDRs that may be called, also by plain http://."`
	TrustedProxies []string      `name:"trusted-proxies" env:"TRUSTED_PROXIES" help:"Addresses or CIDRs of our own reverse proxies, whose X-Forwarded-For is believed."`
	MediaURL       string        `name:"media-url" env:"MEDIA_URL" help:"Where files of messages are kept: file:///folder, or s3://bucket/prefix?endpoint=https://…&region=… with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Empty: the folder media in the data folder. All processes need the same."`
	TelegramURL    string        `name:"telegram-api-url" env:"TELEGRAM_API_URL" default:"https://api.telegram.org" help:"Bot API server."`
	XURL           string        `name:"x-api-url" env:"X_API_URL" default:"https://api.x.com" help:"API of X."`
	MessengerURL   string        `name:"messenger-api-url" env:"MESSENGER_API_URL" default:"https://graph.facebook.com/v25.0" help:"Graph API of Facebook Messenger, with its version."`
	Vendor         string        `name:"vendor-contact" env:"VENDOR_CONTACT" default:"your Waggle vendor" help:"Whom to write to for a longer or another secret key."`
	Tick           time.Duration `name:"tick" env:"TICK" default:"5s" help:"How often SaveAfkChats, CloseOldChats and the deadlines run."`
	Sweep          time.Duration `name:"sweep" env:"SWEEP" default:"3s" help:"How often SQL is asked for due work that no hint told of."`
	Check          time.Duration `name:"check" env:"CHECK" default:"3m" help:"About how often a messenger is asked whether it still delivers to a channel."`
	Lease          time.Duration `name:"lease" env:"LEASE" default:"60s" help:"How long work belongs to the process that took it; what a killed process had is taken over then. Calls to messengers and CRMs end before it."`
	Drain          time.Duration `name:"drain" env:"DRAIN" default:"20s" help:"How long a stop waits for work that has begun."`
	Connections    int           `name:"database-connections" env:"DATABASE_CONNECTIONS" default:"20" help:"Most connections to PostgreSQL, beside up to 4 that take messages in."`
	CallsPerSecond int           `name:"calls-per-second" env:"CALLS_PER_SECOND" default:"1000" help:"Most API calls of one environment that one process takes a second, twice as many at once; more are answered 429. 0: any number."`
	MovableClock   bool          `name:"movable-clock" env:"MOVABLE_CLOCK" help:"Serve POST /demo/clock. Never in production: anybody who reaches it moves time."`
	LogLevel       string        `name:"log-level" env:"LOG_LEVEL" default:"info" enum:"debug,info,warn,error,off" help:"Least level that is logged."`
	LogFormat      string        `name:"log-format" env:"LOG_FORMAT" default:"json" enum:"json,text" help:"Form of the log."`
}

// embedded tells whether everything lives in this process.
func (c Config) embedded() bool { return c.DatabaseURL == "" }

func (c Config) keysetFile() string {
	if c.KeysetFile != "" {
		return c.KeysetFile
	}
	return c.DataDir + "/keyset.json"
}

func (c Config) databaseURL() string {
	if c.embedded() {
		return "sqlite:" + c.DataDir + "/waggle.db"
	}
	return c.DatabaseURL
}

func (c Config) mediaURL() (string, error) {
	if c.MediaURL != "" {
		return c.MediaURL, nil
	}
	folder, err := filepath.Abs(c.DataDir + "/media")
	return (&url.URL{Scheme: "file", Path: folder}).String(), err
}

// taskPoll is how often asynq asks an empty queue. Where Redis is in this process the worker is nudged directly, and asking
// often would only keep an idle machine busy.
func (c Config) taskPoll() time.Duration {
	if c.RedisURL == "" {
		return 500 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// check finds what cannot work before anything is started.
func (c Config) check(p Parts) error {
	if (c.embedded() || c.RedisURL == "") && !(p.API && p.Worker) {
		return errors.New("separate api and worker processes need DATABASE_URL and REDIS_URL; without them use serve, which is both in one process")
	}
	if c.PublicURL != "" && !strings.HasPrefix(c.PublicURL, "https://") && !(strings.HasPrefix(c.PublicURL, "http://") && len(c.AllowHosts) > 0) {
		return fmt.Errorf("PUBLIC_URL must begin with https://, not %q", c.PublicURL)
	}
	if c.Tick <= 0 || c.Sweep <= 0 {
		return errors.New("tick and sweep must be longer than 0")
	}
	if c.Check < 0 {
		return errors.New("check must not be negative")
	}
	if c.Lease < 0 || c.Lease > 0 && c.Lease < leastLease {
		return fmt.Errorf("lease must be at least %s: calls to messengers and CRMs must end within a part of it", leastLease)
	}
	return nil
}

// leastLease leaves a call to a messenger a third of it, and a long poll a second to wait in.
const leastLease = 5 * time.Second

// Logger makes the process's log.
func (c Config) Logger() *slog.Logger {
	if c.LogLevel == "off" {
		return slog.New(slog.DiscardHandler)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o, to := &slog.HandlerOptions{Level: level}, c.LogTo
	if to == nil {
		to = os.Stderr
	}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(to, o))
	}
	return slog.New(slog.NewJSONHandler(to, o))
}
