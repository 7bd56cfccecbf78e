package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waggle/store"
)

// laneMetrics asks SQL, at each scrape, how much work is due and how long it has been.
type laneMetrics struct {
	store  *store.Store
	log    *slog.Logger
	due    *prometheus.Desc
	oldest *prometheus.Desc
}

// scrapeTimeout bounds what a scrape may ask of the database.
const scrapeTimeout = 2 * time.Second

// NewLaneMetrics returns the gauges of due work: waggle_lanes_due and waggle_lanes_oldest_seconds, by lane.
func NewLaneMetrics(s *store.Store, log *slog.Logger) prometheus.Collector {
	return &laneMetrics{
		store: s, log: log,
		due:    prometheus.NewDesc("waggle_lanes_due", "Chats with work due, by lane.", []string{"lane"}, nil),
		oldest: prometheus.NewDesc("waggle_lanes_oldest_seconds", "Age of the oldest due work, by lane.", []string{"lane"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *laneMetrics) Describe(d chan<- *prometheus.Desc) {
	d <- m.due
	d <- m.oldest
}

// Collect implements prometheus.Collector. Fail open: without the database the gauges are absent, the counters still come.
func (m *laneMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	states, err := m.store.Lanes(ctx)
	if err != nil {
		m.log.Warn("could not count due work for the metrics", "error", err)
		return
	}
	for _, l := range states {
		out <- prometheus.MustNewConstMetric(m.due, prometheus.GaugeValue, float64(l.Due), l.Lane)
		out <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, l.Oldest.Seconds(), l.Lane)
	}
}
