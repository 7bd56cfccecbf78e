// Waggle connects messengers to the chat section of a CRM.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"waggle/app"
	"waggle/demo"
)

// commands is the command line. Every flag is an environment variable too.
type commands struct {
	Serve   serveCommand     `cmd:"" help:"Run everything in one process: API and worker. Without DATABASE_URL it needs nothing else."`
	API     apiCommand       `cmd:"" name:"api" help:"Run an API process (webhooks and REST). Needs DATABASE_URL and REDIS_URL."`
	Worker  workerCommand    `cmd:"" help:"Run a worker process (delivery, CRM, deadlines). Needs DATABASE_URL and REDIS_URL."`
	Demo    demo.Command     `cmd:"" help:"Try Waggle with doubles of Telegram, a custom messenger and Creatio."`
	Migrate migrateCommand   `cmd:"" help:"Bring the database's schema up to date."`
	Keys    keysCommand      `cmd:"" help:"Issue, list, extend, revoke and release secret keys."`
	Version kong.VersionFlag `help:"Print the version."`
}

type serveCommand struct {
	app.Config `embed:""`
}

func (c *serveCommand) Run(ctx context.Context) error {
	return app.Run(ctx, c.Config, app.Parts{API: true, Worker: true})
}

type apiCommand struct {
	app.Config `embed:""`
}

func (c *apiCommand) Run(ctx context.Context) error {
	return app.Run(ctx, c.Config, app.Parts{API: true})
}

type workerCommand struct {
	app.Config `embed:""`
}

func (c *workerCommand) Run(ctx context.Context) error {
	return app.Run(ctx, c.Config, app.Parts{Worker: true})
}

type migrateCommand struct {
	app.Config `embed:""`
}

func (c *migrateCommand) Run(ctx context.Context) error {
	s, err := app.CreateStore(ctx, c.Config)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	steps, err := s.Migrate(ctx)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		fmt.Println("The schema is up to date.")
	}
	for _, step := range steps {
		fmt.Println("applied", step)
	}
	return nil
}

// gcPercent trades memory, up to five times of what lives, for a quarter of the garbage collections: what lives long is small beside
// what a burst of webhooks leaves. GOGC in the environment overrules it.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	uuid.EnableRandPool() // each message takes several ids; none of them is a secret
	// SIGTERM drains; a second signal ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	var c commands
	k := kong.Parse(&c,
		kong.Name("waggle"),
		kong.Description("Waggle connects messengers to the chat section of a CRM."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": app.Version},
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	k.FatalIfErrorf(k.Run())
}
