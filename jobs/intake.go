package jobs

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"waggle/channels"
	"waggle/store"
)

const (
	intakeShards   = 2                // transactions at once; measured: more writers are slower, not faster
	intakeSlice    = 256              // events that ride in one transaction
	intakeBacklog  = 4096             // deliveries that wait in one shard; beyond it the messenger is asked to come again
	intakeDeadline = 20 * time.Second // of one transaction; messengers wait longer than that
	intakeFlush    = 3 * time.Second  // how often the channels' counters are written
)

// ErrIntakeBusy: more is waiting than may wait, or this process is stopping. The messenger should deliver again.
var ErrIntakeBusy = errors.New("too much is waiting to be stored")

// Taken counts what became of one delivery. All of it is final: the messenger may be answered 2xx.
type Taken struct {
	Stored, Repeats, Dropped, Parked, Ignored int
}

// Intake takes deliveries in by natural batching: what arrives while a transaction runs rides together in the next one. There
// is no timer; a lone delivery goes at once. It is safe for concurrent use.
type Intake struct {
	jobs   *Jobs
	shards [intakeShards]*intakeShard
	news   *intakeNews
	uses   *channelUses

	storing, telling         sync.WaitGroup
	stopStoring, stopTelling context.CancelFunc
}

// NewIntake starts an intake. Close ends it.
func NewIntake(j *Jobs) *Intake {
	in := &Intake{jobs: j, news: newIntakeNews(j), uses: newChannelUses(j.Store, j.Log)}
	var storing, telling context.Context
	storing, in.stopStoring = context.WithCancel(context.Background())
	telling, in.stopTelling = context.WithCancel(context.Background())
	for i := range in.shards {
		sh := &intakeShard{wake: make(chan struct{}, 1)}
		in.shards[i] = sh
		in.storing.Go(func() { in.run(storing, sh) })
	}
	in.telling.Go(func() { in.news.run(telling) })
	in.telling.Go(func() { in.uses.run(telling) })
	return in
}

// Close refuses further deliveries, finishes those that wait, and writes the counters.
func (in *Intake) Close() {
	for _, sh := range in.shards {
		sh.close()
	}
	in.stopStoring()
	in.storing.Wait()
	in.stopTelling()
	in.telling.Wait()
}

// Deliver stores one delivery and returns when it is settled: nil means that the messenger may forget it. Any error means that
// it must deliver all of it again. A caller who goes away before that does not take his delivery back.
func (in *Intake) Deliver(ctx context.Context, ch *store.Channel, d channels.Delivery) (Taken, error) {
	ignored := 0
	for _, n := range d.Ignored {
		ignored += n
	}
	if ignored > 0 {
		in.uses.add(store.ChannelUse{Channel: ch.ID, Ignored: int64(ignored)})
	}
	if len(d.Events) == 0 {
		return Taken{Ignored: ignored}, nil
	}
	w := &waiting{kind: ch.Kind, events: inbound(ch, d.Events), settled: make(chan []store.Received, 1)}
	if !in.shardOf(w.events[0]).put(w) {
		return Taken{}, ErrIntakeBusy
	}
	select {
	case out := <-w.settled:
		taken, err := countTaken(out)
		taken.Ignored = ignored
		return taken, err
	case <-ctx.Done():
		return Taken{}, ctx.Err()
	}
}

func inbound(ch *store.Channel, events []channels.Event) []store.Inbound {
	all := make([]store.Inbound, len(events))
	for i, e := range events {
		all[i] = store.Inbound{EnvironmentID: ch.EnvironmentID, ChannelID: ch.ID, AccountID: ch.AccountID, Event: e}
	}
	return all
}

// shardOf keeps one user's deliveries in one shard, so that their order stands and two transactions rarely meet in a chat. A
// delivery with several users goes where its first one does: it is never torn.
func (in *Intake) shardOf(e store.Inbound) *intakeShard {
	h := fnv.New32a()
	_, _ = h.Write(e.ChannelID[:])
	_, _ = h.Write([]byte(e.Event.User.ID))
	return in.shards[h.Sum32()%intakeShards]
}

func countTaken(out []store.Received) (Taken, error) {
	var t Taken
	for _, r := range out {
		if r.Err != nil {
			return Taken{}, r.Err
		}
		switch r.Outcome {
		case store.Stored:
			t.Stored++
		case store.Repeat:
			t.Repeats++
		case store.Dropped:
			t.Dropped++
		case store.Parking:
			t.Parked++
		}
	}
	return t, nil
}

// run takes slice after slice of one shard until it is closed and empty.
func (in *Intake) run(ctx context.Context, sh *intakeShard) {
	for {
		slice := sh.take()
		if len(slice) == 0 {
			select {
			case <-sh.wake:
			case <-ctx.Done():
				if slice = sh.take(); len(slice) == 0 {
					return
				}
				in.store(slice)
			}
			continue
		}
		in.store(slice)
	}
}

// store commits one slice. Its deadline is its own: no single caller may take the others' transaction away.
func (in *Intake) store(slice []*waiting) {
	ctx, cancel := context.WithTimeout(context.Background(), intakeDeadline)
	defer cancel()
	var events []store.Inbound
	for _, w := range slice {
		events = append(events, w.events...)
	}
	out := in.jobs.Store.Receive(ctx, events)
	in.news.add(events, out)
	for _, w := range slice {
		in.settle(w, out[:len(w.events):len(w.events)])
		out = out[len(w.events):]
	}
}

// settle counts what became of one delivery and tells its caller.
func (in *Intake) settle(w *waiting, out []store.Received) {
	for _, r := range out {
		outcome := string(r.Outcome)
		if r.Err != nil {
			outcome = "error"
		}
		in.jobs.Metrics.Received.WithLabelValues(w.kind, outcome).Inc()
	}
	if taken, err := countTaken(out); err == nil {
		in.uses.add(store.ChannelUse{Channel: w.events[0].ChannelID, Received: taken.Dropped < len(out), Dropped: int64(taken.Dropped)})
	}
	w.settled <- out
}

// waiting is one delivery on its way into the store.
type waiting struct {
	kind    string
	events  []store.Inbound
	settled chan []store.Received // holds one answer, so that nobody waits for a caller who has gone
}

// intakeShard holds what waits for the next transaction.
type intakeShard struct {
	wake chan struct{}

	mu     sync.Mutex
	queue  []*waiting
	closed bool
}

// put appends a delivery and reports whether there was room.
func (sh *intakeShard) put(w *waiting) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed || len(sh.queue) >= intakeBacklog {
		return false
	}
	sh.queue = append(sh.queue, w)
	select {
	case sh.wake <- struct{}{}:
	default:
	}
	return true
}

// take removes up to intakeSlice events, whole deliveries only and at least one.
func (sh *intakeShard) take() []*waiting {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n, events := 0, 0
	for n < len(sh.queue) && (n == 0 || events+len(sh.queue[n].events) <= intakeSlice) {
		events += len(sh.queue[n].events)
		n++
	}
	slice := sh.queue[:n:n]
	sh.queue = sh.queue[n:]
	if len(sh.queue) == 0 {
		sh.queue = nil // lets the array go
	}
	return slice
}

func (sh *intakeShard) close() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.closed = true
}
