package jobs

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
)

// A messenger may never deliver again what it could not deliver: X does not say (wire/x.md §5.3). Where it keeps it, it is read once
// the gap is over. When that began SQL knows by the beats of the processes that take deliveries: who is silent may have lost what
// he was given since his last one.
const (
	receiveBeat     = 10 * time.Second
	receiveDeadline = 5 * time.Second // of one beat
	receiveSilence  = 3 * receiveBeat
	receiveRest     = 2 * receiveBeat // without a refused delivery: then those before are read
)

// KeepReceiving is Receiving again and again until ctx ends. Failure policy: a beat
// that fails is logged and comes again; if that takes long, the next one that does not fail finds the gap.
func (j *Jobs) KeepReceiving(ctx context.Context) {
	for pause(ctx, receiveBeat) {
		if err := j.Receiving(ctx); err != nil && ctx.Err() == nil {
			j.Metrics.Errors.WithLabelValues("receive", "run").Inc()
			j.Log.Error("that deliveries are taken was not written; it is tried again", "error", err)
		}
	}
}

// Receiving says that this process takes deliveries from now on, or still does, and has what could not be stored since it
// said so last read.
func (j *Jobs) Receiving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, receiveDeadline)
	defer cancel()
	if err := j.askForUnstored(ctx); err != nil {
		return err
	}
	return j.Store.Receiving(ctx, j.Owner, kindsThat[channels.Rereader](j), receiveSilence)
}

// EndReceiving says that this process has taken no more deliveries since then.
func (j *Jobs) EndReceiving(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, receiveDeadline)
	defer cancel()
	if err := j.askForUnstored(ctx); err != nil {
		return err
	}
	return j.Store.ReceivingEnds(ctx, j.Owner, j.taking.Load() == 0, time.Since(since), receiveSilence)
}

// Taking notes that a delivery is being taken, until what it returns is called: where this process ends before, it is lost.
func (j *Jobs) Taking() (taken func()) {
	j.taking.Add(1)
	return func() { j.taking.Add(-1) }
}

// Unstored notes that a delivery to these channels was refused, as it could not be stored. No channels: it is not known to which.
func (j *Jobs) Unstored(kind string, ids ...uuid.UUID) {
	if _, can := j.Channels[kind].(channels.Rereader); can {
		j.unstored.note(ids)
	}
}

// askForUnstored has what was refused read. As long as more is refused, each beat puts that off: it would be refused as well.
func (j *Jobs) askForUnstored(ctx context.Context) error {
	refused := j.unstored.take()
	if len(refused) == 0 {
		return nil
	}
	since := slices.MinFunc(slices.Collect(maps.Values(refused)), time.Time.Compare)
	var ids []uuid.UUID
	if _, any := refused[uuid.Nil]; !any {
		ids = slices.Collect(maps.Keys(refused))
	}
	err := j.Store.Unstored(ctx, kindsThat[channels.Rereader](j), ids, time.Since(since), receiveRest)
	if err != nil {
		j.unstored.putBack(refused)
	}
	return err
}

// unstored are the channels to which deliveries were refused since the last beat, and since when. The zero UUID is any.
type unstored struct {
	mu    sync.Mutex
	since map[uuid.UUID]time.Time
}

func (u *unstored) note(ids []uuid.UUID) {
	if len(ids) == 0 {
		ids = []uuid.UUID{uuid.Nil}
	}
	now := map[uuid.UUID]time.Time{}
	for _, id := range ids {
		now[id] = time.Now()
	}
	u.putBack(now)
}

func (u *unstored) take() map[uuid.UUID]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.since
	u.since = nil
	return taken
}

// putBack keeps the earlier time of each.
func (u *unstored) putBack(more map[uuid.UUID]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since == nil {
		u.since = map[uuid.UUID]time.Time{}
	}
	for id, at := range more {
		if known, ok := u.since[id]; !ok || at.Before(known) {
			u.since[id] = at
		}
	}
}
