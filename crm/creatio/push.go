package creatio

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"waggle/crm"
)

// readAtOnce is how many records one reading asks for by Id: the address stays
// below the 2,048 characters that IIS allows a query.
const readAtOnce = 20

// Push brings the records to the site, parents first. A record's Id is ours, so
// that a repetition meets its own row: what an insert's failure means is always
// read back (wire/creatio.md §3, "Client-supplied Id").
func (a *Adapter) Push(ctx context.Context, c crm.Connection, p crm.Push) (crm.Result, error) {
	push := &pusher{session: a.session(c), result: crm.Result{}}
	if err := push.all(ctx, p); err != nil {
		return push.result, crm.AsError(err)
	}
	return push.result, nil
}

// pusher is one push under way.
type pusher struct {
	*session
	result crm.Result
}

func (p *pusher) all(ctx context.Context, wanted crm.Push) error {
	queues := make([]record, 0, len(wanted.Queues))
	for _, q := range wanted.Queues {
		rule, err := p.routingRule(ctx, q.ToAll)
		if err != nil {
			return err
		}
		queues = append(queues, queueRecord(q, rule))
	}
	channels := make([]record, 0, len(wanted.Channels))
	for _, c := range wanted.Channels {
		provider, err := p.provider(ctx, c.Kind)
		if err != nil {
			return err
		}
		channels = append(channels, channelRecord(c, provider))
	}
	levels := []struct {
		records   []record
		readFirst bool
	}{
		{queues, true},
		{channels, true},
		{recordsOf(wanted.Contacts, contactRecord), true},
		{recordsOf(wanted.Identities, identityRecord), true},
		{recordsOf(wanted.Chats, chatRecord), true},
		// Messages are nearly always new: inserting at once saves a call.
		{recordsOf(wanted.Messages, messageRecord), false},
	}
	for _, level := range levels {
		if err := p.bring(ctx, level.records, level.readFirst); err != nil {
			return err
		}
	}
	return nil
}

func recordsOf[T any](items []T, convert func(T) record) []record {
	records := make([]record, 0, len(items))
	for _, item := range items {
		records = append(records, convert(item))
	}
	return records
}

// bring brings records of one object, in order and by batches.
func (p *pusher) bring(ctx context.Context, records []record, readFirst bool) error {
	for len(records) > 0 {
		n := min(maxBatch, len(records))
		var have map[uuid.UUID]row // nil: not read, taken for missing
		if readFirst {
			var err error
			if have, err = p.read(ctx, records[:n]); err != nil {
				return err
			}
		}
		if err := p.bringBatch(ctx, records[:n], have); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// bringBatch writes what is missing or differs and stops at the first record
// that did not succeed or was not answered; that one is settled by itself, the
// others are read back before the next try, so that none is doubled and none
// overtakes an earlier one.
func (p *pusher) bringBatch(ctx context.Context, records []record, have map[uuid.UUID]row) error {
	for {
		todo, ops := p.plan(records, have)
		if len(todo) == 0 {
			return nil
		}
		answers, err := p.write(ctx, ops)
		first, found := len(todo), (*problem)(nil)
		for i := range answers {
			switch {
			case answers[i] != nil && problemOf(*answers[i]) == nil:
				p.proven(todo[i])
			case i < first:
				first = i
				if answers[i] != nil {
					found = problemOf(*answers[i])
				}
			}
		}
		if err != nil {
			return err
		}
		if first == len(todo) {
			return nil
		}
		if err := p.settle(ctx, todo[first], ops[first].isInsert(), found); err != nil {
			return err
		}
		records = p.open(todo[first+1:])
		if have, err = p.read(ctx, records); err != nil {
			return err
		}
	}
}

// plan proves what is already right and says what is to be written.
func (p *pusher) plan(records []record, have map[uuid.UUID]row) ([]record, []operation) {
	var todo []record
	var ops []operation
	for _, r := range records {
		current, exists := have[r.id]
		if exists && len(r.differences(current)) == 0 {
			p.proven(r)
			continue
		}
		if !exists && r.fields == nil {
			p.result[r.id] = crm.Outcome{Reason: "the record no longer exists in the CRM"}
			continue
		}
		todo, ops = append(todo, r), append(ops, r.operation(current, exists))
	}
	return todo, ops
}

func (r record) operation(current row, exists bool) operation {
	if exists {
		return updateOp(r.object, r.id.String(), r.differences(current))
	}
	return insertOp(r.object, r.inserted())
}

// settle finds out what became of one record after a refusal, or after no
// answer (found is nil), and tries what the reading shows to be needed. It
// leaves the outcome unknown where the site contradicts itself. A crash of the
// site (500 without OData's error object) gets a second try before it counts as
// a refusal.
func (p *pusher) settle(ctx context.Context, r record, wasInsert bool, found *problem) error {
	crashed, versioned := false, false
	for range 4 {
		if found != nil && found.passing {
			return unavailable("the CRM could not write "+r.object+" just now", nil)
		}
		have, err := p.read(ctx, []record{r})
		if err != nil {
			return err
		}
		current, exists := have[r.id]
		if exists && len(r.differences(current)) == 0 {
			p.proven(r)
			return nil
		}
		switch {
		case found == nil || exists == wasInsert:
		case found.status == http.StatusPreconditionRequired && !versioned: // of a $batch; do knows what that wants
			versioned = true
		case found.status >= http.StatusInternalServerError && !found.fromOData && !crashed:
			crashed = true
		default:
			p.result[r.id] = crm.Outcome{Reason: found.reason(r.fields)}
			return nil
		}
		a, err := p.do(ctx, r.operation(current, exists))
		if err != nil {
			return err
		}
		if found = problemOf(a); found == nil {
			p.proven(r)
			return nil
		}
		wasInsert = !exists
	}
	return nil
}

func (p *pusher) proven(r record) { p.result[r.id] = crm.Outcome{Proven: true} }

// open is the records without an outcome.
func (p *pusher) open(records []record) []record {
	var rest []record
	for _, r := range records {
		if _, settled := p.result[r.id]; !settled {
			rest = append(rest, r)
		}
	}
	return rest
}

// read returns the rows that exist, by Id.
func (p *pusher) read(ctx context.Context, records []record) (map[uuid.UUID]row, error) {
	have := map[uuid.UUID]row{}
	for len(records) > 0 {
		n := min(readAtOnce, len(records))
		terms := make([]string, n)
		for i, r := range records[:n] {
			terms[i] = "Id eq " + r.id.String()
		}
		rows, err := p.query(ctx, records[0].object, "filter", strings.Join(terms, " or "), "select", columns(records[:n]))
		if errors.Is(err, errNoObject) {
			return nil, unavailable("the CRM does not publish "+records[0].object+" through OData (yet)", nil)
		}
		if err != nil {
			return nil, err
		}
		for _, found := range rows {
			if id, err := uuid.Parse(found.text("Id")); err == nil {
				have[id] = found
			}
		}
		records = records[n:]
	}
	return have, nil
}
