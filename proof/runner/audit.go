package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waggle/api/gen"
	"waggle/crm/creatio/creatiotest"
)

// Audit waits until all is delivered and then counts, from the doubles' own books: every message a customer wrote and every
// reply stands in the CRM once and in order; every reply is at the messenger once and in order, or stands as unknown with
// its reason, and then is there once at most. Timelines have no gaps. The error lists every fault.
func (t *Town) Audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last []string
	for {
		t.in.Bot.RetryNow()
		_ = t.in.Messenger.Retry(ctx)
		faults, err := t.settled(ctx)
		if err == nil && len(faults) == 0 {
			return nil
		}
		if err == nil {
			last = faults
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the audit found %d faults:\n%s", len(last), strings.Join(last, "\n")), err)
		case <-tick.C:
		}
	}
}

// settled lists what is not as it should be. While Waggle still works on something, that is a fault too: what comes twice
// comes after the first.
func (t *Town) settled(ctx context.Context) ([]string, error) {
	quiet, err := t.in.Database.Quiet(ctx)
	if err != nil {
		return nil, err
	}
	faults, err := t.faults(ctx)
	if err == nil && !quiet {
		faults = append(faults, "Waggle still has something to deliver")
	}
	return faults, err
}

func (t *Town) faults(ctx context.Context) (faults []string, err error) {
	note := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	gaps, err := t.in.Database.Gaps(ctx)
	if err != nil {
		return nil, err
	}
	if gaps > 0 {
		note("%d timelines have gaps", gaps)
	}
	if n := len(t.in.CRM.Chats()); n != len(t.people()) {
		note("the CRM has %d chats of %d customers", n, len(t.people()))
	}
	chats, err := t.Chats(ctx)
	if err != nil {
		return nil, err
	}
	crm := t.inCRM(note)
	for _, c := range t.people() {
		var messages []gen.Message
		if err := pages(ctx, t.API, "/api/v1/chats/"+chats[c.Name].ID.String()+"/messages", func(m gen.Message) { messages = append(messages, m) }); err != nil {
			return nil, err
		}
		c.compare(messages, crm[c.Name], note)
	}
	return faults, nil
}

func (t *Town) people() []*Customer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.customers)
}

// inCRM returns the texts of the CRM's message records by customer, in the order of their dates, which must differ.
func (t *Town) inCRM(note func(string, ...any)) map[string][]string {
	names := map[any]string{}
	for _, c := range t.in.CRM.Contacts() {
		names[c["Id"]] = fmt.Sprint(c["Name"])
	}
	customers := map[any]string{}
	for _, chat := range t.in.CRM.Chats() {
		customers[chat["Id"]] = names[chat["ContactId"]]
	}
	records := map[string][]creatiotest.Row{}
	for _, m := range t.in.CRM.Messages("") {
		name := customers[m["OmniChatId"]]
		records[name] = append(records[name], m)
	}
	texts := map[string][]string{}
	for name, rows := range records {
		slices.SortStableFunc(rows, func(a, b creatiotest.Row) int { return written(a).Compare(written(b)) })
		for i, m := range rows {
			if i > 0 && m["CreatedDate"] == rows[i-1]["CreatedDate"] {
				note("%s: two records of the CRM have the same date", name)
			}
			texts[name] = append(texts[name], fmt.Sprint(m["Message"]))
		}
	}
	return texts
}

// written is the date of a message record; as text, dates with different fractions do not compare.
func written(m creatiotest.Row) time.Time {
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["CreatedDate"]))
	if err != nil {
		return time.Time{} // several such are noted: their dates are the same
	}
	return at
}

// compare holds what a customer and his agent wrote against the façade, the CRM and the messenger.
func (c *Customer) compare(messages []gen.Message, crm []string, note func(string, ...any)) {
	c.mu.Lock()
	written, replies := slices.Clone(c.written), slices.Clone(c.replies)
	c.mu.Unlock()
	var in, out, all []string
	states := map[string]gen.Message{}
	for _, m := range messages {
		all = append(all, m.Text)
		if m.Direction == gen.DirectionIn {
			in = append(in, m.Text)
			continue
		}
		out = append(out, m.Text)
		states[m.Text] = m
	}
	same(note, c.Name+": received", written, in)
	same(note, c.Name+": in the CRM", all, crm)
	same(note, c.Name+": accepted", replies, out)
	var inbox []string
	for _, m := range c.inbox() {
		inbox = append(inbox, m.text)
	}
	var sent []string
	for _, text := range replies {
		m := states[text]
		n := count(inbox, text)
		switch {
		case m.State == gen.MessageStateUnknown && m.Error != nil && *m.Error != "" && n <= 1:
		case (m.State == gen.MessageStateSent || m.State == gen.MessageStateDelivered || m.State == gen.MessageStateRead) && n == 1:
		default:
			note("%s: “%s” is %s and %d times at the messenger", c.Name, text, m.State, n)
		}
		if n > 0 {
			sent = append(sent, text)
		}
	}
	same(note, c.Name+": at the messenger", sent, inbox)
}

func count(texts []string, text string) (n int) {
	for _, t := range texts {
		if t == text {
			n++
		}
	}
	return n
}

// same notes the first difference of two lists.
func same(note func(string, ...any), what string, want, got []string) {
	if slices.Equal(want, got) {
		return
	}
	for i := range max(len(want), len(got)) {
		at := func(list []string) string {
			if i < len(list) {
				return list[i]
			}
			return "nothing"
		}
		if at(want) != at(got) {
			note("%s %d of %d; number %d is “%s” and should be “%s”", what, len(got), len(want), i+1, at(got), at(want))
			return
		}
	}
}

// Unknown counts the replies whose fate Waggle does not know.
func (t *Town) Unknown(ctx context.Context) (int, error) {
	return t.in.Database.Int(ctx, "SELECT count(*) FROM timeline WHERE kind = 'message' AND state = 'unknown'")
}
