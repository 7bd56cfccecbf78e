// Package jobs holds what happens in the background and what a webhook sets going: taking messages in, routing, delivering,
// pushing to the CRM, SaveAfkChats, CloseOldChats and Synchronize. When it happens is worker's business.
package jobs

import (
	"log/slog"
	"sync/atomic"
	"time"

	"waggle/channels"
	"waggle/crm"
	"waggle/media"
	"waggle/store"
)

// Jobs does the work. Every method may be called at any time, by any number of processes at once: what must be done is a
// fact in SQL, and who does it is decided there.
type Jobs struct {
	Store     *store.Store
	Media     *media.Store
	Channels  channels.Registry
	CRMs      crm.Registry
	Hints     Hints
	Metrics   *Metrics
	Log       *slog.Logger
	PublicURL string // our own public address; attachments in the CRM link to it
	Owner     string // this process, in leases
	// Lease is how long a lane belongs to who took it; when he has died, it is how long the lane rests. 0 means a minute.
	Lease time.Duration
	// CheckEvery is about how often a messenger is asked whether it delivers to a channel. 0 means 3 minutes.
	CheckEvery time.Duration
	// Tick is how often the scheduler runs the process instances. 0 means 5 s.
	Tick   time.Duration
	Intake *Intake // takes in what messengers deliver; see NewIntake

	taking   atomic.Int64 // deliveries that are not answered yet
	unstored unstored
}
