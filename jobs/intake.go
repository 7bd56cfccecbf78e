package jobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

const (
	intakeSpread   = 4                      // deliveries at least that must wait before a transaction begins beside another: few are dearer than one
	intakePatience = 100 * time.Millisecond // how long deliveries wait for a transaction that is stuck
	intakeSlice    = 128                    // events that ride in one transaction
	intakeBacklog  = 8192                   // deliveries that wait; beyond it the messenger is asked to come again
	intakeShare    = 512                    // deliveries of one environment: a flood of one neither fills the backlog nor keeps the others' waiting behind it
	intakeDeadline = 20 * time.Second       // of one transaction; messengers wait longer than that
	intakeFlush    = 3 * time.Second        // how often the channels' counters are written
)

// ErrIntakeBusy: more is waiting than may wait, or this process is stopping. The messenger should deliver again.
var ErrIntakeBusy = errors.New("too much is waiting to be stored")

// ErrIntakeShare: as much of one environment is waiting to be stored as may; others have room. The messenger should deliver again.
var ErrIntakeShare = errors.New("too much of this environment is waiting to be stored")

// errBrokenOff is for those whose transaction broke off by a fault of ours. The messenger should deliver again.
var errBrokenOff = errors.New("storing the delivery broke off")

// Taken counts what became of one delivery. All of it is final: the messenger may be answered 2xx.
type Taken struct {
	Stored, Repeats, Dropped, Parked, Ignored int
}

// Plus is the two together.
func (t Taken) Plus(o Taken) Taken {
	return Taken{t.Stored + o.Stored, t.Repeats + o.Repeats, t.Dropped + o.Dropped, t.Parked + o.Parked, t.Ignored + o.Ignored}
}

// Intake takes deliveries in by natural batching: what arrives while a transaction runs rides together in the next one. No
// delivery waits for a timer; a lone one goes at once. It is safe for concurrent use.
type Intake struct {
	jobs  *Jobs
	queue *intakeQueue
	uses  *channelUses

	storing    sync.WaitGroup // slices whose callers are yet to be told
	beside     sync.WaitGroup
	stopBeside context.CancelFunc
}

// NewIntake starts an intake. Close ends it.
func NewIntake(j *Jobs) *Intake {
	in := &Intake{jobs: j, queue: newIntakeQueue(j.Store.ReceiversAtOnce()), uses: newChannelUses(j.Store, j.Log)}
	var beside context.Context
	beside, in.stopBeside = context.WithCancel(context.Background())
	in.beside.Go(func() { in.uses.run(beside) })
	in.beside.Go(func() { in.remind(beside) })
	return in
}

// Close refuses further deliveries, finishes those that wait, and writes the counters.
func (in *Intake) Close() {
	in.queue.close()
	in.begin()
	in.queue.wait()
	in.storing.Wait()
	in.stopBeside()
	in.beside.Wait()
}

// Take stores one delivery and returns when it is settled: nil means that the messenger may forget it. Any error means that
// it must deliver all of it again. A caller who goes away before that does not take what was written back; one who leads a
// transaction stays until it is over, which intakeDeadline bounds.
//
// The order of the events stands: words and what is no word are committed in turn.
func (in *Intake) Take(ctx context.Context, ch *store.Channel, d channels.Delivery) (Taken, error) {
	var total Taken
	for _, n := range d.Ignored {
		total.Ignored += n
	}
	for left := d.Events; len(left) > 0; {
		n := sameSort(left)
		take := in.takeNotes
		if isWord(left[0]) {
			take = in.takeWords
		}
		taken, err := take(ctx, ch, left[:n])
		if err != nil {
			return Taken{}, err
		}
		total, left = total.Plus(taken), left[n:]
	}
	if total.Ignored > 0 {
		in.uses.add(store.ChannelUse{Channel: ch.ID, Ignored: int64(total.Ignored)})
		in.jobs.Metrics.Received.WithLabelValues(ch.Kind, string(store.Ignored)).Add(float64(total.Ignored))
	}
	return total, nil
}

// isWord reports whether an event is something the customer wrote. A message on standby, which another app is to answer, is
// stored like every other, so that nobody loses it; its conversation's thread keeps it from the agents.
func isWord(e channels.Event) bool { return e.Kind == channels.Message || e.Kind == channels.Edit }

// sameSort is how many events from the first on are words like it, or no words like it.
func sameSort(events []channels.Event) int {
	n := 1
	for n < len(events) && isWord(events[n]) == isWord(events[0]) {
		n++
	}
	return n
}

// takeWords stores what the customer wrote.
func (in *Intake) takeWords(ctx context.Context, ch *store.Channel, events []channels.Event) (Taken, error) {
	w := &waiting{kind: ch.Kind, events: inbound(ch, events), settled: make(chan []store.Received, 1)}
	for _, e := range w.events {
		if _, err := in.noteThread(ctx, e); err != nil {
			return Taken{}, err
		}
	}
	if err := in.queue.put(w); err != nil {
		return Taken{}, err
	}
	in.lead(w)
	select {
	case out := <-w.settled: // whether ctx has ended meanwhile or not
		return countTaken(out)
	default:
	}
	select {
	case out := <-w.settled:
		return countTaken(out)
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

// lead stores the next slice, if one may begin: the caller whose delivery makes it due does it himself, since handing it to
// another goroutine and back is much of what a lone delivery would cost. What he has no part in he does not wait for.
func (in *Intake) lead(w *waiting) {
	slice := in.queue.take()
	if slice == nil {
		return
	}
	if !slices.Contains(slice, w) {
		go in.write(slice)
		return
	}
	defer in.begin()
	in.store(slice)
}

// begin has the next slice stored beside the caller, if one may begin.
func (in *Intake) begin() {
	if slice := in.queue.take(); slice != nil {
		go in.write(slice)
	}
}

// write stores a slice and those after it, as long as one may begin.
func (in *Intake) write(slice []*waiting) {
	for ; slice != nil; slice = in.queue.take() {
		in.store(slice)
	}
}

// remind has the queue looked at every intakePatience until ctx ends: time makes deliveries due, too.
func (in *Intake) remind(ctx context.Context) {
	tick := time.NewTicker(intakePatience)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			in.begin()
		case <-ctx.Done():
			return
		}
	}
}

// store commits one slice and tells its callers, and then everybody else.
func (in *Intake) store(slice []*waiting) {
	in.storing.Add(1)
	defer in.storing.Done()
	settled := 0
	defer func() {
		for _, w := range slice[settled:] { // it panicked
			w.settled <- []store.Received{{Err: errBrokenOff}}
		}
	}()
	events := eventsOf(slice)
	out := in.commit(slice, events)
	first := 0
	for _, w := range slice {
		end := first + len(w.events)
		in.settle(w, out[first:end:end])
		first = end
		settled++
	}
	in.tell(events, out)
}

// commit is the slice's transaction. Once it is over nothing of the slice counts as waiting any more: a caller who is told may
// come with his next delivery at once. Its deadline is its own: no single caller may take the others' transaction away.
func (in *Intake) commit(slice []*waiting, events []store.Inbound) []store.Received {
	defer in.queue.done(slice)
	in.begin() // as many as may run at once do
	ctx, cancel := context.WithTimeout(context.Background(), intakeDeadline)
	defer cancel()
	out := in.jobs.Store.Receive(ctx, events)
	in.comeBack(ctx, events, out)
	return out
}

func eventsOf(slice []*waiting) []store.Inbound {
	n := 0
	for _, w := range slice {
		n += len(w.events)
	}
	events := make([]store.Inbound, 0, n)
	for _, w := range slice {
		events = append(events, w.events...)
	}
	return events
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
	since   time.Time
	settled chan []store.Received // holds one answer, so that nobody waits for a caller who has gone
}

// environment is the one environment whose delivery it is.
func (w *waiting) environment() uuid.UUID { return w.events[0].EnvironmentID }
