package api

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waggle/api/gen"
)

const (
	readyTimeout = 2 * time.Second // bounds what /readyz asks of others
	readyAge     = time.Second     // how long its answer is given again
)

// maxScrapes is how many may read /metrics at once: each counts in the database, and needs no key.
const maxScrapes = 4

func (s *Server) mountOperations(app *fiber.App) {
	metrics := s.Metrics
	if metrics == nil {
		metrics = prometheus.DefaultGatherer
	}
	app.Get("/healthz", s.health)
	app.Get("/readyz", s.ready)
	app.Get("/metrics", s.limitScrapes, adaptor.HTTPHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
}

// limitScrapes lets few read the metrics at once.
func (s *Server) limitScrapes(c *fiber.Ctx) error {
	if !s.scrapes.take(everybody, maxScrapes) {
		return tooMany("readers of the metrics", time.Second)
	}
	defer s.scrapes.give(everybody)
	return c.Next()
}

// health says that the process lives, and which version it is. It asks nobody: a slow database is no reason to restart.
func (s *Server) health(c *fiber.Ctx) error {
	return c.JSON(gen.Health{Status: gen.HealthStatusOk, Version: s.Options.Version})
}

// readiness is what /readyz last found out. It needs no key, so that however many ask, the database is asked by one of them at
// a time and no more than once in a readyAge.
type readiness struct {
	mu     sync.Mutex
	health gen.Health
	until  time.Time
}

func (r *readiness) get(check func() gen.Health) gen.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !time.Now().Before(r.until) {
		r.health = check()
		r.until = time.Now().Add(readyAge)
	}
	return r.health
}

// ready says whether the process can serve.
func (s *Server) ready(c *fiber.Ctx) error {
	h := s.readiness.get(s.checkReadiness)
	if h.Status != gen.HealthStatusOk {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(retryUnavailable))
		c.Status(http.StatusServiceUnavailable)
	}
	return c.JSON(h)
}

// checkReadiness asks: the database must answer and have this version's schema. Redis only carries hints, so that its absence
// is told but is no reason to stop serving.
func (s *Server) checkReadiness() gen.Health {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	h := gen.Health{Status: gen.HealthStatusOk, Version: s.Options.Version, Checks: map[string]string{"database": "ok"}}
	if why := s.databaseFault(ctx); why != "" {
		h.Status, h.Checks["database"] = gen.HealthStatusUnavailable, why
	}
	if s.Redis != nil {
		h.Checks["redis"] = "ok"
		if err := s.Redis(ctx); err != nil {
			h.Checks["redis"] = "not reachable: work goes on, slower"
		}
	}
	return h
}

// databaseFault says what is wrong with the database, in words that name neither its address nor its user.
func (s *Server) databaseFault(ctx context.Context) string {
	pending, err := s.Store.Pending(ctx)
	switch {
	case err != nil:
		return "not reachable"
	case pending > 0:
		return "its schema is older than the program: run migrate"
	default:
		return ""
	}
}
