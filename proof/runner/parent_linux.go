package runner

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starting is the way to the one thread that starts processes. Linux ends a process with the thread that started it, not with
// the whole parent, so that this thread must never end before us.
var starting = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// startChild starts a command that gets a signal when we end, however that happens: nobody else would end it.
func startChild(c *exec.Cmd, signal syscall.Signal) error {
	c.SysProcAttr.Pdeathsig = signal
	done := make(chan error)
	starting() <- func() { done <- c.Start() }
	return <-done
}
