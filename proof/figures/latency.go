package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"waggle/proof/runner"
)

const (
	idleTime  = 10 * time.Second
	busyChats = 50
	busyTurns = 10              // messages of each customer, and as many replies
	busyTurn  = 2 * time.Second // between two messages of one customer
)

// idle measures how long a process takes to start, and what it takes when there is nothing to do.
func (b *bench) idle(ctx context.Context, o runner.Options) error {
	in, _, err := b.install(ctx, o)
	if err != nil {
		return err
	}
	defer in.Close()
	slot := in.APIs[0]
	var starts []time.Duration
	for range 5 {
		if err := slot.Process.Stop(30 * time.Second); err != nil {
			return err
		}
		began := time.Now()
		if err := slot.Restart(ctx); err != nil {
			return err
		}
		starts = append(starts, time.Since(began))
	}
	b.print("start until /readyz, median of 5", ms(quantile(starts, 0.5)), 2000, "ms")
	before, _, err := usage(slot.Process.PID())
	if err != nil {
		return err
	}
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, rss, err := usage(slot.Process.PID())
	if err != nil {
		return err
	}
	b.print("CPU while idle", 100*(after-before).Seconds()/idleTime.Seconds(), 2, "%")
	b.print("memory while idle", rss, 80, "MB")
	return nil
}

// usage is the CPU time a process has taken and the memory it holds, in MB.
func usage(pid int) (cpu time.Duration, rss float64, err error) {
	read := func(name string) string {
		text, readErr := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if readErr != nil {
			err = readErr
		}
		return string(text)
	}
	stat, status := read("stat"), read("status")
	if err != nil {
		return 0, 0, err
	}
	const ticks = time.Second / 100                                     // USER_HZ
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // utime and stime are numbers 14 and 15 of the line
	for _, f := range fields[11:13] {
		n, _ := strconv.Atoi(f)
		cpu += time.Duration(n) * ticks
	}
	for line := range strings.Lines(status) {
		if kb, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, _ := strconv.Atoi(strings.Fields(kb)[0])
			rss = float64(n) / 1024
		}
	}
	return cpu, rss, nil
}

// busy measures how long replies and messages take while many chats are going on.
func (b *bench) busy(ctx context.Context, o runner.Options) error {
	in, town, err := b.install(ctx, o)
	if err != nil {
		return err
	}
	defer in.Close()
	people := town.OnTelegram(busyChats)
	runner.WriteAll(ctx, people, 1)
	chats, err := town.Assigned(ctx, people)
	if err != nil {
		return err
	}
	faults := make([]error, len(people))
	var talking sync.WaitGroup
	for i, c := range people {
		talking.Go(func() {
			// They do not all speak at the same moment.
			<-time.After(busyTurn * time.Duration(i) / busyChats)
			turn := time.NewTicker(busyTurn)
			defer turn.Stop()
			for range busyTurns {
				c.Write(ctx, 1)
				if err := town.Reply(ctx, c, chats[c.Name], 1); err != nil {
					faults[i] = err
					return
				}
				<-turn.C
			}
		})
	}
	talking.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	if err := town.Audit(ctx); err != nil {
		return err
	}
	replies, records := town.Delays()
	b.print("reply to messenger, median", ms(quantile(replies, 0.5)), 150, "ms")
	b.print("reply to messenger, p99", ms(quantile(replies, 0.99)), 500, "ms")
	b.print("message to record in the CRM, median", ms(quantile(records, 0.5)), 500, "ms")
	b.print("message to record in the CRM, p99", ms(quantile(records, 0.99)), 0, "ms")
	return nil
}
