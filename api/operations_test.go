package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
)

func TestHealth(t *testing.T) {
	h := newAPI(t)
	var health gen.Health
	h.raw("GET", "/healthz", "", nil).status(200).into(&health)
	require.Equal(t, gen.Health{Status: gen.HealthStatusOk, Version: "test"}, health)
}

func TestReadiness(t *testing.T) {
	redis, asked := error(nil), 0
	h := newAPI(t, func(s *Server) {
		s.Redis = func(context.Context) error {
			asked++
			return redis
		}
	})
	later := func() { h.Server.readiness.until = time.Now() }
	fresh := func() { h.Server.readiness.until = time.Now().Add(time.Hour) }
	var health gen.Health
	h.raw("GET", "/readyz", "", nil).status(200).into(&health)
	require.Equal(t, map[string]string{"database": "ok", "redis": "ok"}, health.Checks)
	require.WithinDuration(t, time.Now().Add(readyAge), h.Server.readiness.until, readyAge)
	fresh()
	for range 10 {
		h.raw("GET", "/readyz", "", nil).status(200)
	}
	require.Equal(t, 1, asked, "who asks again within a second gets the last answer")

	redis = errors.New("redis://:password@host refused")
	later()
	a := h.raw("GET", "/readyz", "", nil).status(200)
	require.NotContains(t, string(a.Body), "password")
	a.into(&health)
	require.NotEqual(t, "ok", health.Checks["redis"])

	require.NoError(t, h.Server.Store.Close())
	later()
	for range 2 {
		a := h.raw("GET", "/readyz", "", nil).status(503)
		require.Equal(t, "5", a.Header.Get("Retry-After"))
		a.into(&health)
		require.Equal(t, gen.HealthStatusUnavailable, health.Status)
		fresh()
	}
	require.Equal(t, 3, asked)
	h.raw("GET", "/healthz", "", nil).status(200)
}

func TestMetrics(t *testing.T) {
	h := newAPI(t)
	h.Server.Jobs.Metrics.Runs.WithLabelValues("route", "ok").Inc()
	require.Contains(t, string(h.raw("GET", "/metrics", "", nil).status(200).Body), "waggle_job_runs_total")
}

func TestFewReadTheMetricsAtOnce(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	h := newAPI(t)
	h.Server.Metrics.(*prometheus.Registry).MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "slow", Help: "Slow."}, func() float64 {
		begun <- struct{}{}
		<-end
		return 1
	}))
	var readers sync.WaitGroup
	for range maxScrapes {
		readers.Go(func() { h.raw("GET", "/metrics", "", nil).status(200) })
		<-begun
	}
	a := h.raw("GET", "/metrics", "", nil)
	a.problem(429)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	close(end)
	readers.Wait()
	go func() { <-begun }()
	h.raw("GET", "/metrics", "", nil).status(200)
}

func TestM_1_DocsShowEveryCall(t *testing.T) {
	h := newAPI(t)
	a := h.raw("GET", "/docs", "", nil).status(200)
	page := string(a.Body)
	require.True(t, strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"))
	spec, err := gen.GetSpec()
	require.NoError(t, err)
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			require.Contains(t, page, `id="`+op.OperationID+`"`, method+" "+path)
		}
	}
	for _, caption := range []string{"Secret key", "Token request", "Time for closing chat after last message (minutes)", "curl \\\n  -X PUT"} {
		require.Contains(t, page, caption)
	}
	require.Contains(t, page, "<style>"+docsStyle+"</style>", "the style is the one the policy allows")
	require.Contains(t, a.Header.Get("Content-Security-Policy"), "style-src 'sha256-")
	require.NotContains(t, page, "<script")

	var contract map[string]any
	require.NoError(t, json.Unmarshal(h.raw("GET", "/docs/openapi.json", "", nil).status(200).Body, &contract))
	require.Equal(t, "3.0.3", contract["openapi"])
}

func TestS0_55_DocsExamplesFitTheContract(t *testing.T) {
	spec, err := gen.GetSpec()
	require.NoError(t, err)
	eachOperation(spec, func(name string, op *openapi3.Operation) {
		schema := jsonSchema(op.RequestBody)
		if schema == nil {
			return
		}
		text, err := json.Marshal(example(schema, 0))
		require.NoError(t, err)
		var value any
		require.NoError(t, json.Unmarshal(text, &value))
		require.Empty(t, checkValue("", schema, value), "%s: %s", name, text)
	})
}

func TestMovableClock(t *testing.T) {
	h := newAPI(t)
	before, err := h.Server.Store.Now(context.Background())
	require.NoError(t, err)
	h.raw("POST", "/demo/clock", "", `{"advance":"5m"}`).status(200)
	h.raw("POST", "/demo/clock", "", `{"advance":"27d"}`, "Content-Type", "application/x-www-form-urlencoded").status(200)
	after, err := h.Server.Store.Now(context.Background())
	require.NoError(t, err)
	require.WithinDuration(t, before.Add(27*24*time.Hour+5*time.Minute), after, time.Minute)

	for _, body := range []string{`{"advance":"-5m"}`, `{"advance":"soon"}`, `{"advance":"400d"}`, `{"advance":"99999999999d"}`, `{}`} {
		require.Equal(t, []string{"advance"}, h.raw("POST", "/demo/clock", "", body).faults(), body)
	}
	h.raw("POST", "/demo/clock", "", `{"back":"5m"}`).problem(400)
}

func TestClockDoesNotMoveInProduction(t *testing.T) {
	h := newAPI(t, func(s *Server) { s.Options.MovableClock = false })
	h.raw("POST", "/demo/clock", "", `{"advance":"5m"}`).problem(404)
}
