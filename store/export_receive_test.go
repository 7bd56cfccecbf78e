package store

import (
	"context"
	"errors"
)

// BreakReceive makes each slice fail for its data, so that its events run alone, and the event with this key for a reason of
// ours.
func (s *Store) BreakReceive(key string) { s.recv = brokenReceiver{s.recv, key} }

type brokenReceiver struct {
	receiver
	key string
}

func (b brokenReceiver) receive(ctx context.Context, s *Store, items []receiveItem) ([]Received, error) {
	switch {
	case len(items) > 1:
		return nil, errors.New("constraint failed")
	case items[0].EventKey == b.key:
		return nil, errors.New("the database is away")
	default:
		return b.receiver.receive(ctx, s, items)
	}
}

// WatchesFor is how many slices more look for repeats before they write; 0 on SQLite, where all do.
func (s *Store) WatchesFor() int64 {
	r, is := s.recv.(*postgresReceiver)
	if !is {
		return 0
	}
	return max(r.watchful.Load(), 0)
}

// WatchfulSlices is WatchesFor after a repeat.
const WatchfulSlices = watchfulSlices
