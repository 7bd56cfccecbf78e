//go:build !linux

package runner

import (
	"os/exec"
	"syscall"
)

// startChild starts a command. If we are killed it goes on: only Linux can end it then.
func startChild(c *exec.Cmd, _ syscall.Signal) error { return c.Start() }
