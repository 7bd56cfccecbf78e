package runner

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parentOf tells this test's program to be a proof that has started a process.
const parentOf = "PROOF_PARENT_OF"

func TestProcessEndsWithUs(t *testing.T) {
	if program := os.Getenv(parentOf); program != "" {
		p, err := Start(program, "child", []string{"60"}, nil)
		require.NoError(t, err)
		_, _ = fmt.Fprintln(os.Stdout, "started", p.PID())
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	parent.Env = append(os.Environ(), parentOf+"=sleep")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	lines := bufio.NewScanner(out)
	pid := ""
	for pid == "" && lines.Scan() {
		pid, _ = strings.CutPrefix(lines.Text(), "started ")
	}
	require.True(t, lives(pid))
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	require.Eventually(t, func() bool { return !lives(pid) }, time.Minute, 5*time.Millisecond, "its child goes on after it was killed")
}

// lives tells whether a process runs; one that has ended and whom nobody has missed yet does not.
func lives(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}
