package worker

import (
	"testing"

	"github.com/google/uuid"

	"waggle/jobs"
)

// BenchmarkStreams tells the thousand browsers of one environment of an event, who take it.
func BenchmarkStreams(b *testing.B) {
	const browsers = 1000
	var s streams
	environment := uuid.New()
	open := make([]<-chan *jobs.Event, browsers)
	for i := range open {
		open[i] = s.add(b.Context(), environment)
	}
	e := &jobs.Event{Type: "message", Environment: environment, ID: uuid.New()}
	b.ReportAllocs()
	for b.Loop() {
		s.send(e)
		for _, events := range open {
			if <-events != e {
				b.Fatal("another event")
			}
		}
	}
}
