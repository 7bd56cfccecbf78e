package jobs

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the counters of the work. Labels never hold content, ids of people or secrets.
type Metrics struct {
	Received *prometheus.CounterVec   // events taken in: kind, outcome
	Sent     *prometheus.CounterVec   // parts sent: kind, outcome
	Pushed   *prometheus.CounterVec   // CRM records pushed: crm, outcome
	PushTime *prometheus.HistogramVec // seconds of a push: crm
	SendTime *prometheus.HistogramVec // seconds of a send: kind
	Fetched  *prometheus.CounterVec   // attempts to fetch a file: outcome
	Runs     *prometheus.CounterVec   // job runs: job, outcome
	RunTime  *prometheus.HistogramVec // seconds of a job run: job
	Affected *prometheus.CounterVec   // chats a job moved or closed: job
	Errors   *prometheus.CounterVec   // errors by kind: where, kind
}

// NewMetrics makes the counters and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "waggle", Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "waggle", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 10)}, labels)
		r.MustRegister(h)
		return h
	}
	return &Metrics{
		Received: counter("received_total", "Events taken in from messengers.", "kind", "outcome"),
		Sent:     counter("sent_total", "Parts sent to messengers.", "kind", "outcome"),
		Pushed:   counter("pushed_total", "Records pushed to CRMs.", "crm", "outcome"),
		PushTime: seconds("push_seconds", "Duration of a push to a CRM.", "crm"),
		SendTime: seconds("send_seconds", "Duration of a send to a messenger.", "kind"),
		Fetched:  counter("files_fetched_total", "Attempts to fetch a file from a messenger.", "outcome"),
		Runs:     counter("job_runs_total", "Runs of background jobs.", "job", "outcome"),
		RunTime:  seconds("job_seconds", "Duration of a background job's run.", "job"),
		Affected: counter("job_affected_total", "Chats that background jobs transferred or closed.", "job"),
		Errors:   counter("errors_total", "Errors by where they happened and their kind.", "where", "kind"),
	}
}
