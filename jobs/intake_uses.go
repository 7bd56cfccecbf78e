package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/store"
)

// usesDeadline bounds the write of the counters.
const usesDeadline = 5 * time.Second

// channelUses collects the channels' counters, so that a message costs no extra UPDATE. What a crash loses are counts.
type channelUses struct {
	store *store.Store
	log   *slog.Logger

	mu   sync.Mutex
	uses map[uuid.UUID]store.ChannelUse
}

func newChannelUses(s *store.Store, log *slog.Logger) *channelUses {
	return &channelUses{store: s, log: log, uses: map[uuid.UUID]store.ChannelUse{}}
}

func (c *channelUses) add(u store.ChannelUse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.uses[u.Channel]
	sum.Channel = u.Channel
	sum.Received = sum.Received || u.Received
	sum.Dropped += u.Dropped
	sum.Ignored += u.Ignored
	c.uses[u.Channel] = sum
}

// run writes the counters every intakeFlush until ctx ends, and once more then.
func (c *channelUses) run(ctx context.Context) {
	tick := time.NewTicker(intakeFlush)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.flush()
		case <-ctx.Done():
			c.flush()
			return
		}
	}
}

// flush writes the counters. Where that fails they are kept for the next time.
func (c *channelUses) flush() {
	c.mu.Lock()
	uses := c.uses
	c.uses = map[uuid.UUID]store.ChannelUse{}
	c.mu.Unlock()
	if len(uses) == 0 {
		return
	}
	all := make([]store.ChannelUse, 0, len(uses))
	for _, u := range uses {
		all = append(all, u)
	}
	ctx, cancel := context.WithTimeout(context.Background(), usesDeadline)
	defer cancel()
	if err := c.store.NoteChannelUse(ctx, all); err != nil {
		c.log.Warn("the channels' counters could not be written", slog.Any("error", err))
		for _, u := range all {
			c.add(u)
		}
	}
}
