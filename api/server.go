package api

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/crm"
	"waggle/guard"
	"waggle/jobs"
	"waggle/store"
)

// Server holds what the handlers need. Each resource's handlers live in a file named after it.
type Server struct {
	Store    *store.Store
	Channels channels.Registry
	CRMs     crm.Registry
	Jobs     *jobs.Jobs // what a request may start: the intake, connecting a channel, nudges
	Log      *slog.Logger
	Metrics  prometheus.Gatherer             // what /metrics shows; nil: the process's default registry
	Redis    func(ctx context.Context) error // asks Redis whether it lives; nil: there is none to ask
	// CancelTasks removes what asynq still holds for cancelled process instances; nil: nothing to remove. SQL stays the truth:
	// what it misses finds its instance cancelled.
	CancelTasks func(ctx context.Context, instances []uuid.UUID)
	Options     Options

	hooks       hookChannels
	calls       *limits[uuid.UUID] // of an environment; nil: any number
	wrongKeys   *limits[netip.Prefix]
	wrongProofs *limits[door]
	wrongStates *limits[netip.Prefix]            // of login windows
	strangers   *limits[netip.Prefix]            // what nobody knows, looked up for anybody
	noHooks     *glimpses[hookAddress, struct{}] // where no channel is
	origins     *glimpses[string, bool]          // whether a CRM's page is there
	streams     shares                           // of events
	uploads     shares                           // of files
	scrapes     shares                           // of metrics
	readiness   readiness

	strangeProxy sync.Once
}

var _ gen.StrictServerInterface = (*Server)(nil)

// Options are the façade's settings.
type Options struct {
	PublicURL     string   // our own public address, without a trailing slash; empty: webhooks cannot be offered
	AllowHosts    []string // private hosts that may be called; with any, CRM and public addresses may be plain http://
	VendorContact string   // whom to write to for a renewal or a development token (S0.10, S0.36)
	MovableClock  bool     // POST /demo/clock exists
	Version       string

	CallsPerSecond int // most API calls of one environment a second, twice as many at once; 0: any number

	TrustedProxies []string // addresses and CIDRs whose X-Forwarded-For names the caller's address
}

func (o Options) allowHTTP() bool { return len(o.AllowHosts) > 0 }

// checkURL refuses what is no address somebody could be sent to; the error is a sentence.
func (o Options) checkURL(raw string) error {
	return guard.Policy{AllowHosts: o.AllowHosts}.CheckURL(raw)
}
