package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const idleTime = 10 * time.Second

// idle measures how long a process takes to start, and what it takes when there is nothing to do.
func idle(ctx context.Context, b *bench) error {
	in, _, err := b.install(ctx, b.embedded())
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
	b.report("start until /readyz, median of 5", ms(quantile(starts, 0.5)), "ms", below(2000))
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
	b.report("CPU while idle", 100*(after-before).Seconds()/idleTime.Seconds(), "%", below(2))
	b.report("memory while idle", rss, "MB", below(80))
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
