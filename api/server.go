package api

import (
	"log/slog"

	"waggle/channels"
	"waggle/crm"
	"waggle/jobs"
	"waggle/store"
)

// Server holds what the handlers need. Each resource's handlers live in a file named after it.
type Server struct {
	unimplemented

	Store    *store.Store
	Channels channels.Registry
	CRMs     crm.Registry
	Jobs     *jobs.Jobs // what a request may start: the intake, connecting a channel, nudges
	Log      *slog.Logger
	Options  Options
}

// Options are the façade's settings.
type Options struct {
	PublicURL     string // our own public address, without a trailing slash; empty: webhooks cannot be offered
	AllowHTTP     bool   // CRM and public addresses may be plain http:// (demo, tests)
	VendorContact string // whom to write to for a renewal or a development token (S0.10, S0.36)
	MovableClock  bool   // POST /demo/clock exists
	Version       string
}
