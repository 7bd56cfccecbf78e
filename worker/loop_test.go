package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoopWorksUntilNothingIsDue(t *testing.T) {
	left := 3
	done := make(chan struct{})
	l := newLoop("test", 1, func(context.Context) (int, error) {
		if left == 0 {
			close(done)
			return 0, nil
		}
		left--
		return 1, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	l.start(ctx, &running, time.Hour, func(string, error) {})
	l.nudge()
	<-done
	cancel()
	running.Wait()
	require.Zero(t, left)
}

func TestLoopLeavesAFailureToTheNextSweep(t *testing.T) {
	failure := errors.New("database away")
	var told []error
	runs := 0
	exhaust(context.Background(), "test", func(context.Context) (int, error) {
		runs++
		return 1, failure
	}, func(_ string, err error) { told = append(told, err) })
	require.Equal(t, []error{failure}, told)
	require.Equal(t, 1, runs)
}
