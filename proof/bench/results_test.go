package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWant(t *testing.T) {
	for _, row := range []struct {
		want  want
		value float64
		met   bool
		text  string
	}{
		{atLeast(0.7), 0.7, true, "≥ 0.7"},
		{atLeast(0.7), 0.699, false, "≥ 0.7"},
		{below(25), 24.9, true, "< 25"},
		{below(25), 25, false, "< 25"},
		{stated, 1e9, true, ""},
	} {
		require.Equal(t, row.met, row.want.met(row.value), "%s: %g", row.text, row.value)
		require.Equal(t, row.text, row.want.String())
		require.InDelta(t, row.want.limit, figure{Wanted: row.text}.limit(), 1e-9)
	}
}

// A run of some steps keeps the figures of the others, in the order of the steps.
func TestResultsAreMerged(t *testing.T) {
	r := &results{commit: "now", Steps: []stepResult{
		{Name: "idle", Commit: "before", Figures: []figure{{Name: "a", Value: 1}}}, {Name: "no more", Commit: "before"},
	}}
	r.put(stepResult{Name: "embedded"})
	r.put(stepResult{Name: "inbound", Figures: []figure{{Name: "a", Value: 2}}})
	r.put(stepResult{Name: "inbound", Figures: []figure{{Name: "a", Value: 3}}})
	var names, commits []string
	for _, s := range r.Steps {
		names, commits = append(names, s.Name), append(commits, s.Commit)
	}
	require.Equal(t, []string{"idle", "inbound", "embedded"}, names)
	require.Equal(t, []string{"before", "now", "now"}, commits)
	f, ok := r.value("inbound", "a")
	require.True(t, ok)
	require.InDelta(t, 3, f.Value, 0)
	_, ok = r.value("embedded", "a")
	require.False(t, ok)
}

// The axis of the quantiles holds the slowest of them.
func TestPictureCutsNothingOff(t *testing.T) {
	for p99, end := range map[float64]string{900: "1 s", 4_691: "10 s", 25_000: "100 s"} {
		r := &results{}
		r.put(stepResult{Name: "latency", Figures: []figure{
			{Name: "1000 busy chats: reply to messenger, p50", Value: 1.5}, {Name: "1000 busy chats: reply to messenger, p99", Value: p99},
		}})
		c := chart{}
		r.rows(&c)
		last := c.Ticks[len(c.Ticks)-1]
		require.Equal(t, end, last.Text)
		require.InDelta(t, rowsRight, last.At, 0.01)
		require.Less(t, c.Rows[1].P99, last.At)
		require.Greater(t, c.Rows[1].P99, c.Ticks[len(c.Ticks)-2].At)
	}
}

func TestPicture(t *testing.T) {
	r := &results{Machine: machine{Cores: 4, CPU: "A & B <fast>", System: "Debian", Go: "go1.26"}}
	r.put(stepResult{Name: "inbound", Date: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Figures: []figure{
		{Name: "64 connections: ratio", Value: 1.234, Wanted: "≥ 1", Met: true}, {Name: "64 connections: webhooks", Value: 21234},
		{Name: "64 connections: answer, p50", Value: 3.21}, {Name: "64 connections: answer, p99", Value: 17.2},
	}})
	svg, err := r.picture()
	require.NoError(t, err)
	var texts []string
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
	all := strings.Join(texts, "\n")
	for _, shown := range []string{"1.23", "21,234/s", "3.2", "17", "64 connections", "4 cores of A & B <fast>", "22 November 2026"} {
		require.Contains(t, all, shown)
	}
	require.NotContains(t, all, "Reply at the messenger")
	require.NotContains(t, all, "256 connections", "what was not measured is left out")
}
