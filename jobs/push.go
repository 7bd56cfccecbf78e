package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/crm"
	"waggle/store"
)

const (
	pushChats    = 50  // lanes in one push
	pushEntries  = 500 // timeline entries in one push
	lookups      = 8   // contacts looked for at once
	sameRefusals = 20  // chats refused for one reason in one push: then it is not their fault
)

// PushDue lists the environments that have something to push.
func (j *Jobs) PushDue(ctx context.Context) ([]uuid.UUID, error) {
	return j.Store.EnvironmentsToPush(ctx)
}

// Push brings an environment's changed chats to its CRM: it leases lanes that are due, pushes what they need in one call, and
// moves each cursor over what was proven or refused for good. It returns how many lanes it worked; 0 means that nothing is due,
// or that the CRM is to be left alone for now. Repeating any of it is harmless, so a push under way ends with its deadline, not
// with ctx.
func (j *Jobs) Push(ctx context.Context, environment uuid.UUID) (worked int, err error) {
	for tries := 0; ; tries++ {
		// A lane is due because its chat was changed: often somebody else has work there too.
		if worked, err = j.pushOnce(ctx, environment); !errors.Is(err, store.ErrLocked) {
			return worked, err
		}
		if !pause(ctx, lockedPause(tries)) {
			return 0, nil
		}
	}
}

func (j *Jobs) pushOnce(ctx context.Context, environment uuid.UUID) (worked int, err error) {
	deadline := time.Now().Add(j.pushDeadline())
	claim, err := j.Store.ClaimPush(ctx, environment, j.Owner, pushChats, j.lease())
	if err != nil || len(claim.Chats) == 0 {
		return 0, err
	}
	p := &push{Jobs: j, claim: claim, kind: claim.Environment.CRMKind}
	if err := p.run(context.WithoutCancel(ctx), deadline); err != nil {
		p.giveBack(context.WithoutCancel(ctx))
		return 0, fmt.Errorf("push environment %s: %w", environment, err)
	}
	return len(claim.Chats), nil
}

// push is one push under way.
type push struct {
	*Jobs
	claim   store.PushClaim
	kind    string
	conn    crm.Connection
	work    *store.PushWork
	records *records
	result  crm.Result
	failed  *crm.Error // why the push stopped, if it did
}

func (p *push) run(ctx context.Context, deadline time.Time) error {
	adapter, ok := p.CRMs[p.kind]
	if !ok {
		return fmt.Errorf("there is no adapter for CRMs of kind %q", p.kind)
	}
	var err error
	if p.conn, err = p.Store.Connection(p.claim.Environment); err != nil {
		return err
	}
	if p.work, err = p.Store.LoadPush(ctx, p.claim, pushEntries); err != nil {
		return err
	}
	began := time.Now()
	calls, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := calls.Err(); err != nil {
		return fmt.Errorf("held up before the CRM was called: %w", err)
	}
	if err := p.link(calls, adapter); err != nil {
		return err
	}
	p.records = buildRecords(p.claim, p.work, p.publicURL())
	if p.failed == nil {
		p.call(calls, adapter)
	}
	settlement, stop := p.outcome()
	if err := p.Store.SettlePush(ctx, p.claim.Environment.ID, settlement); err != nil {
		return err
	}
	refused := p.log(time.Since(began), stop)
	return p.tell(ctx, stop, refused > 0)
}

func (p *push) publicURL() string {
	if own := p.claim.Environment.PublicURL; own != "" {
		return own
	}
	return p.PublicURL
}

func (p *push) call(ctx context.Context, adapter crm.Adapter) {
	began := time.Now()
	var err error
	p.result, err = adapter.Push(ctx, p.conn, p.records.push)
	p.Metrics.PushTime.WithLabelValues(p.kind).Observe(time.Since(began).Seconds())
	if err != nil {
		p.failed = crm.AsError(err)
	}
}

// link finds the CRM's contact of each person who has none yet. Exactly one that fits is linked; otherwise the person becomes
// a contact of our own making, and several that fit are kept as a suggestion.
func (p *push) link(ctx context.Context, adapter crm.Adapter) error {
	missing := map[uuid.UUID]*store.Identity{}
	for _, c := range p.claim.Chats {
		contact, identity := p.work.Contacts[c.ContactID], p.work.Identities[c.IdentityID]
		if contact != nil && identity != nil && contact.CRMRef == uuid.Nil {
			missing[contact.ID] = identity
		}
	}
	var mu sync.Mutex
	var storeErr error
	var all sync.WaitGroup
	slots := make(chan struct{}, lookups)
	for id, identity := range missing {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			err := p.linkOne(ctx, adapter, p.work.Contacts[id], identity)
			var down *crm.Error
			mu.Lock()
			defer mu.Unlock()
			if errors.As(err, &down) {
				p.failed = down
			} else if err != nil {
				storeErr = err
			}
		})
	}
	all.Wait()
	return storeErr
}

func (p *push) linkOne(ctx context.Context, adapter crm.Adapter, contact *store.Contact, identity *store.Identity) error {
	found, err := adapter.FindContact(ctx, p.conn, crm.Lookup{
		ChannelID: identity.ChannelID, ExternalID: identity.ExternalID, Phone: contact.Phone, Email: contact.Email,
	})
	if err != nil {
		return crm.AsError(err)
	}
	ref, own := found.Linked, found.Linked == contact.ID
	if ref == uuid.Nil {
		ref, own = contact.ID, true
	}
	return p.Store.LinkContact(ctx, contact, ref, own, found.Candidates)
}

// giveBack returns lanes that could not be worked for a reason of ours; they are tried again in a while. Failure policy: if
// this fails too, their leases end.
func (p *push) giveBack(ctx context.Context) {
	var back store.PushSettlement
	for i := range p.claim.Chats {
		c := &p.claim.Chats[i]
		failures := c.CRMFailures + 1
		back.Chats = append(back.Chats, store.PushedChat{Chat: c, Seq: c.CRMSeq, Wait: pushWait(failures), Failures: failures})
	}
	_ = p.Store.SettlePush(ctx, p.claim.Environment.ID, back)
}

// pushWait is how long a lane waits after tries that came to nothing.
func pushWait(failures int) time.Duration {
	return min(time.Second<<min(max(failures-1, 0), 10), time.Minute)
}

// tell records how the CRM stands and hints at what has changed. Failure policy: unavailable and limited have a time at which
// one probe is made; refused credentials have none, the administrator must act.
func (p *push) tell(ctx context.Context, stop string, refused bool) error {
	id := p.claim.Environment.ID
	var news bool
	var err error
	switch {
	case p.failed != nil && p.failed.Cause == crm.Refused:
		if news, err = p.Store.CRMRefuses(ctx, p.conn, p.failed.Reason); news {
			p.Hints.Publish(Event{Type: "alert", Environment: id, ID: id, Detail: "the CRM refuses the credentials: " + p.failed.Reason})
		}
	case p.failed != nil && p.failed.Cause == crm.Limited:
		news, err = p.Store.CRMDown(ctx, id, p.failed.Reason, max(time.Until(p.failed.At), time.Second))
	case p.failed != nil:
		news, err = p.Store.CRMDown(ctx, id, p.failed.Reason, 0)
	case stop != "":
		if news, err = p.Store.CRMDown(ctx, id, stop, 0); news {
			p.Hints.Publish(Event{Type: "alert", Environment: id, ID: id, Detail: stop})
		}
	case p.claim.Environment.CRMState != store.CRMOK:
		if news, err = p.Store.CRMWorks(ctx, id); err == nil {
			p.Hints.Look(Look{At: LookCRM, Environment: id})
		}
	}
	if news {
		p.Hints.Publish(Event{Type: "configuration", Environment: id, ID: id})
	}
	if refused && stop == "" {
		p.Hints.Publish(Event{Type: "failure", Environment: id})
	}
	return err
}

// log writes one wide line for the push, counts its records, and returns how many are refused.
func (p *push) log(took time.Duration, stop string) (refused int) {
	proven := 0
	for _, o := range p.result {
		if o.Proven {
			proven++
		} else {
			refused++
		}
	}
	wanted := p.records.push
	total := len(wanted.Channels) + len(wanted.Queues) + len(wanted.Contacts) + len(wanted.Identities) + len(wanted.Chats) + len(wanted.Messages)
	p.Metrics.Pushed.WithLabelValues(p.kind, "proven").Add(float64(proven))
	p.Metrics.Pushed.WithLabelValues(p.kind, "refused").Add(float64(refused))
	p.Metrics.Pushed.WithLabelValues(p.kind, "unknown").Add(float64(max(total-proven-refused, 0)))
	attrs := []any{
		"environment", p.claim.Environment.ID, "crm", p.kind, "chats", len(p.claim.Chats), "messages", len(wanted.Messages), "records", total,
		"proven", proven, "refused", refused, "took", took,
	}
	switch {
	case p.failed != nil:
		p.Log.Warn("push to the CRM stopped", append(attrs, "cause", p.failed.Cause, "reason", p.failed.Reason, "error", p.failed)...)
	case stop != "":
		p.Log.Warn("push to the CRM stopped", append(attrs, "reason", stop)...)
	default:
		p.Log.Info("pushed to the CRM", attrs...)
	}
	return refused
}
