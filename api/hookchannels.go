package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

const (
	hookViewAge    = time.Second            // how long a process goes by a channel it has read; twice that while it is being read again
	hookViewMinAge = 100 * time.Millisecond // how often a wrong proof may make it read the channel again
)

// hookChannels remembers channels for a moment: a busy webhook need not read its channel for every message.
type hookChannels struct {
	mu   sync.Mutex
	read map[uuid.UUID]hookChannel
}

// hookChannel is a channel as it was read.
type hookChannel struct {
	row     *store.Channel
	view    channels.Channel
	at      time.Time
	reading bool // somebody reads it again
}

// get returns a channel that was read at most age ago. While somebody reads a busy channel again the others go by what was
// known, for as long again: they would all read it at once otherwise.
func (h *hookChannels) get(ctx context.Context, s *Server, kind string, id uuid.UUID, age time.Duration) (hookChannel, error) {
	if known, ok := h.known(kind, id, age); ok {
		return known, nil
	}
	fresh, err := readHookChannel(ctx, s, kind, id)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failed(kind, id, err)
		return hookChannel{}, err
	}
	if h.read == nil {
		h.read = map[uuid.UUID]hookChannel{}
	}
	// A slower reader must not bring back what is older.
	if known, ok := h.read[id]; !ok || known.row.Version <= fresh.row.Version {
		h.read[id] = fresh
	}
	return fresh, nil
}

// failed notes that a channel could not be read, or is gone.
func (h *hookChannels) failed(kind string, id uuid.UUID, err error) {
	known, ok := h.read[id]
	switch {
	case !ok || known.row.Kind != kind:
	case errors.Is(err, store.ErrNotFound):
		delete(h.read, id)
	default:
		known.reading = false
		h.read[id] = known
	}
}

// has reports whether there was a channel at an address when it was last read.
func (h *hookChannels) has(at hookAddress) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.read[at.channel]
	return ok && known.row.Kind == at.kind
}

func readHookChannel(ctx context.Context, s *Server, kind string, id uuid.UUID) (hookChannel, error) {
	at := time.Now()
	row, err := s.Store.ChannelOfHook(ctx, kind, id)
	if err != nil {
		return hookChannel{}, err
	}
	view, err := s.Jobs.OpenChannel(ctx, row)
	return hookChannel{row: row, view: view, at: at}, err
}

// known returns a channel that need not be read. Whoever gets none is to read it.
func (h *hookChannels) known(kind string, id uuid.UUID, age time.Duration) (hookChannel, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.read[id]
	if !ok || known.row.Kind != kind {
		return hookChannel{}, false
	}
	since := time.Since(known.at)
	if since < age || age == hookViewAge && known.reading && since < 2*age {
		return known, true
	}
	known.reading = true
	h.read[id] = known
	return hookChannel{}, false
}

// forget makes this process read a channel again: it was changed here.
func (h *hookChannels) forget(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.read, id)
}
