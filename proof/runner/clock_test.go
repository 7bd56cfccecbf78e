package runner

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// teller is a program that, for each line it reads, tells the time and how long it has been running.
const teller = `package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

func main() {
	began := time.Now()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(time.Now().Unix(), int(time.Since(began).Seconds()))
	}
}
`

func TestClock(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte(teller), 0o600))
	overlay, err := clockOverlay(context.Background(), dir)
	require.NoError(t, err)
	bin, err := build(context.Background(), dir, source, "-overlay", overlay)
	require.NoError(t, err)
	clock, err := NewClock(filepath.Join(dir, "clock"))
	require.NoError(t, err)

	c := exec.Command(bin)
	c.Env = append(os.Environ(), clock.Env())
	questions, err := c.StdinPipe()
	require.NoError(t, err)
	told, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	answers := bufio.NewScanner(told)
	for _, by := range []time.Duration{0, time.Minute, -time.Hour, 0} {
		require.NoError(t, clock.Move(by))
		require.Equal(t, by, clock.Moved())
		_, err := fmt.Fprintln(questions)
		require.NoError(t, err)
		require.True(t, answers.Scan())
		now, running, _ := strings.Cut(answers.Text(), " ")
		at, err := strconv.ParseInt(now, 10, 64)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(by), time.Unix(at, 0), 20*time.Second, "the wall clock is moved by %s while it runs", by)
		seconds, err := strconv.Atoi(running)
		require.NoError(t, err)
		require.Less(t, seconds, 20, "what it measures is not moved")
	}
	require.NoError(t, questions.Close())
	require.NoError(t, c.Wait())

	still := exec.Command(bin)
	still.Stdin = strings.NewReader("\n")
	out, err := still.Output()
	require.NoError(t, err)
	at, err := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), time.Unix(at, 0), 20*time.Second, "without a clock of its own it has the machine's")
}
