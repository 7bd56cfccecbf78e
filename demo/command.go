// Package demo shows Waggle at work on this machine alone: doubles of Telegram, of a company's own messenger and of Creatio,
// two agents, three customers, and a clock that moves.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Command is waggle demo.
type Command struct {
	Once   bool   `help:"Play the story once, print the verdict and end: exit status 0 only if all is as it should be."`
	Listen string `help:"Address the API listens on." default:"127.0.0.1:8080" env:"LISTEN"`
	Log    bool   `help:"Show Waggle's own log on stderr."`
}

// ErrVerdict is the end of a demo whose audit found a fault.
var ErrVerdict = errors.New("the demo did not end as it should: see the table")

// storyLimit bounds the whole story; it takes a few seconds.
const storyLimit = 2 * time.Minute

// Run plays the story and, without Once, stays up until ctx ends.
func (c *Command) Run(ctx context.Context) error {
	return c.run(ctx, os.Stdout)
}

func (c *Command) run(ctx context.Context, out io.Writer) error {
	address := c.Listen
	if c.Once {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s (choose another with --listen): %w", address, err)
	}
	t, err := build(ctx, l, c.Log)
	if err != nil {
		return err
	}
	defer t.close()
	t.say = teller(out)
	story, cancel := context.WithTimeout(ctx, storyLimit)
	defer cancel()
	if err := t.play(story); err != nil {
		return err
	}
	good, err := t.audit(story, out)
	if err != nil {
		return err
	}
	if c.Once {
		if !good {
			return ErrVerdict
		}
		return nil
	}
	if err := t.invite(story, out); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// teller prints one line for each thing that happens.
func teller(out io.Writer) func(who, format string, args ...any) {
	start := time.Now()
	return func(who, format string, args ...any) {
		fmt.Fprintf(out, "%6.2fs  %-22s %s\n", time.Since(start).Seconds(), who, fmt.Sprintf(format, args...))
	}
}
