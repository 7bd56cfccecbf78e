package api

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

const (
	hookViewAge    = time.Second            // how long a process goes by a channel it has read
	hookViewMinAge = 100 * time.Millisecond // how often a wrong proof may make it read the channel again
)

// hookChannels remembers channels for a moment: a busy webhook need not read its channel for every message.
type hookChannels struct {
	mu   sync.Mutex
	read map[uuid.UUID]hookChannel
}

// hookChannel is a channel as it was read.
type hookChannel struct {
	row  *store.Channel
	view channels.Channel
	at   time.Time
}

// get returns a channel that was read at most age ago.
func (h *hookChannels) get(ctx context.Context, s *Server, kind string, id uuid.UUID, age time.Duration) (hookChannel, error) {
	h.mu.Lock()
	known, ok := h.read[id]
	h.mu.Unlock()
	if ok && known.row.Kind == kind && time.Since(known.at) < age {
		return known, nil
	}
	at := time.Now()
	row, err := s.Store.ChannelOfHook(ctx, kind, id)
	if err != nil {
		return hookChannel{}, err
	}
	view, err := s.Jobs.OpenChannel(ctx, row)
	if err != nil {
		return hookChannel{}, err
	}
	fresh := hookChannel{row: row, view: view, at: at}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.read == nil {
		h.read = map[uuid.UUID]hookChannel{}
	}
	// A slower reader must not bring back what is older.
	if known, ok := h.read[id]; !ok || known.row.Version <= row.Version {
		h.read[id] = fresh
	}
	return fresh, nil
}

// forget makes this process read a channel again: it was changed here.
func (h *hookChannels) forget(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.read, id)
}
