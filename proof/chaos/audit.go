package main

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"waggle/crm/creatio/creatiotest"
)

// facts are the numbers of the verdict's table.
type facts struct {
	written, edited, stored          int
	replies, sent, unknown           int
	chats, records                   int
	assignments, races, closes       int
	contacts, identities, reopenings int
}

// audit counts, from what people know they wrote, what stands in the database, in the CRM and at the messengers.
func (w *world) audit(ctx context.Context) error {
	for _, s := range append(slices.Clone(w.in.APIs), w.in.Workers...) {
		w.alive(s)
	}
	for _, sentence := range w.in.Messenger.Wrong() {
		w.find(wrong, "the messenger complains: %s", sentence)
	}
	gaps, err := w.in.Database.Gaps(ctx)
	if err != nil {
		return err
	}
	if gaps > 0 {
		w.find(lost, "%d timelines have gaps", gaps)
	}
	failures, err := w.in.Database.Int(ctx, "SELECT count(*) FROM failures WHERE kind <> 'unsent'")
	if err != nil {
		return err
	}
	if failures > 0 {
		w.find(wrong, "%d events were parked or records refused, and all of them were good", failures)
	}
	all, err := w.stories(ctx)
	if err != nil {
		return err
	}
	w.facts.chats = len(all)
	w.auditWritten(all)
	w.auditReplies(all)
	w.auditCRM(all)
	w.auditCourse(all)
	return w.auditPeople(ctx)
}

// byCustomer are the chats of each customer.
func byCustomer(all map[uuid.UUID]*story) map[string][]*story {
	chats := map[string][]*story{}
	for _, s := range all {
		chats[s.customer] = append(chats[s.customer], s)
	}
	return chats
}

// auditWritten holds what the customers wrote against what is stored: each once, in its final text, and in each chat in order.
func (w *world) auditWritten(all map[uuid.UUID]*story) {
	chats := byCustomer(all)
	for _, c := range w.ledger.customers {
		wrote := c.wrote()
		w.facts.written += len(wrote)
		number, times := map[string]int{}, map[string]int{}
		for i, text := range wrote {
			number[original(text)] = i
			if text != original(text) {
				w.facts.edited++
			}
		}
		for _, s := range chats[c.name] {
			var before []string
			for _, m := range s.messages() {
				if m.direction != "in" {
					continue
				}
				name := original(m.final)
				i, known := number[name]
				if !known {
					w.find(wrong, "%s: “%s” is stored and was never written", c.name, m.final)
					continue
				}
				if times[name]++; times[name] == 1 && m.final != wrote[i] {
					w.find(lost, "%s: stored as “%s” and should be “%s”", c.name, m.final, wrote[i])
				}
				w.inOrder(c.name, number, before, name)
				before = append(before, name)
			}
		}
		for name := range number {
			w.once(times[name], "%s: “%s” in the database", c.name, name)
		}
		w.facts.stored += len(times)
	}
}

// once finds what is there more or less often than that.
func (w *world) once(times int, what string, args ...any) {
	switch {
	case times == 0:
		w.find(lost, what+": not there", args...)
	case times > 1:
		w.find(doubled, what+": %d times", append(args, times)...)
	}
}

// inOrder finds a message that stands behind later ones, unless the messenger itself let these overtake it.
func (w *world) inOrder(customer string, number map[string]int, before []string, name string) {
	for _, b := range before {
		if number[b] > number[name] && w.ledger.sighting(b).first > w.ledger.sighting(name).done {
			w.find(swapped, "%s: “%s” is stored before “%s”", customer, b, name)
			return
		}
	}
}

// auditReplies holds what agents were told was accepted against what is stored and what came to the customers.
func (w *world) auditReplies(all map[uuid.UUID]*story) {
	stored := map[string]int{}
	inbox := map[string][]string{}
	for _, c := range w.ledger.customers {
		inbox[c.name] = c.inbox()
	}
	for _, s := range all {
		var sent []string
		for _, m := range s.messages() {
			if m.direction != "out" {
				continue
			}
			stored[m.text]++
			if r, known := w.ledger.replies[m.text]; !known || r.chat != s.id {
				w.find(wrong, "%s: “%s” is stored and nobody was told so", s.customer, m.text)
			}
			n := times(inbox[s.customer], m.text)
			w.arrived(s, m, n)
			if n > 0 {
				sent = append(sent, m.text)
			}
		}
		if got := only(inbox[s.customer], sent); !slices.Equal(got, sent) && len(got) == len(sent) {
			w.find(swapped, "%s: his messenger shows %q and the chat %q", s.customer, got, sent)
		}
	}
	for text, r := range w.ledger.replies {
		if r.accepted {
			w.facts.replies++
			w.once(stored[text], "“%s” in the database", text)
		}
	}
	for name, texts := range inbox {
		for _, text := range texts {
			if stored[text] == 0 {
				w.find(wrong, "%s received “%s”, which is not stored", name, text)
			}
		}
	}
}

// arrived judges one reply by its state and how often its customer has it.
func (w *world) arrived(s *story, m message, n int) {
	switch {
	case n > 1:
		w.find(doubled, "%s has “%s” %d times (%s)", s.customer, m.text, n, m.state)
	case m.state == "unknown" && m.error != "":
		w.facts.unknown++
	case n == 0:
		w.find(lost, "%s does not have “%s” (%s %s)", s.customer, m.text, m.state, m.error)
	case m.state == "sent" || m.state == "delivered" || m.state == "read":
		w.facts.sent++
	default:
		w.find(wrong, "%s has “%s”, which stands as %s %s", s.customer, m.text, m.state, m.error)
	}
}

func times(texts []string, text string) (n int) {
	for _, t := range texts {
		if t == text {
			n++
		}
	}
	return n
}

// only is what of texts is among these, in its order.
func only(texts, these []string) (list []string) {
	for _, t := range texts {
		if slices.Contains(these, t) {
			list = append(list, t)
		}
	}
	return list
}

// auditCRM holds every chat and message against the CRM's records.
func (w *world) auditCRM(all map[uuid.UUID]*story) {
	records := w.inCRM()
	chats := map[string]creatiotest.Row{}
	for _, c := range w.in.CRM.Chats() {
		chats[c["Id"].(string)] = c
	}
	if len(chats) > len(all) {
		w.find(doubled, "the CRM has %d chats, and there are %d", len(chats), len(all))
	}
	for _, s := range all {
		c := chats[s.id.String()]
		switch {
		case c == nil:
			w.find(lost, "%s: chat %s is not in the CRM", s.customer, s.id)
			continue
		case (c["StatusId"] == creatiotest.StatusCompleted) != s.closed:
			w.find(lost, "%s: chat %s is closed on one side only", s.customer, s.id)
		}
		w.compare(s, records[s.id.String()])
	}
}

// compare holds a chat's messages against its records.
func (w *world) compare(s *story, records []record) {
	w.facts.records += len(records)
	seen := map[string]int{}
	var order []string
	text := map[string]string{}
	for _, r := range records {
		seen[r.text]++
		order = append(order, r.id)
		text[r.id] = r.text
	}
	for name, n := range seen {
		if n > 1 {
			w.find(doubled, "%s: “%s” is %d times in the CRM", s.customer, name, n)
		}
	}
	var want []string
	for _, m := range s.messages() {
		want = append(want, m.id.String())
		got, there := text[m.id.String()]
		switch {
		case !there:
			w.find(lost, "%s: “%s” is not in the CRM %s", s.customer, m.final, m.crmError)
		case got != m.final:
			w.find(lost, "%s: the CRM has “%s” and should have “%s”", s.customer, got, m.final)
		}
	}
	if len(order) > len(want) {
		w.find(doubled, "%s: the CRM has %d messages of %d", s.customer, len(order), len(want))
	}
	if len(order) == len(want) && !slices.Equal(order, want) {
		w.find(swapped, "%s: the CRM's messages are in another order", s.customer)
	}
}

// auditPeople counts contacts and identities: one each for every customer who wrote.
func (w *world) auditPeople(ctx context.Context) (err error) {
	names := map[string]int{}
	for _, c := range w.in.CRM.Contacts() {
		if name, ok := c["Name"].(string); ok {
			names[name]++
		}
	}
	wrote := 0
	for _, c := range w.ledger.customers {
		if len(c.wrote()) == 0 {
			continue
		}
		wrote++
		w.once(names[c.name], "%s among the CRM's contacts", c.name)
	}
	for _, twice := range w.in.CRM.Doubled("ContactIdentity", "ChannelId", "ChannelIdentity") {
		w.find(doubled, "identity %s in the CRM", twice)
	}
	counts := map[string]*int{"contacts": &w.facts.contacts, "identities": &w.facts.identities}
	for _, table := range slices.Sorted(maps.Keys(counts)) {
		n := counts[table]
		if *n, err = w.in.Database.Int(ctx, "SELECT count(*) FROM "+table); err != nil {
			return err
		}
		if *n > wrote {
			w.find(doubled, "%d %s of %d customers", *n, table, wrote)
		}
	}
	return nil
}
