package main

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// facts are the numbers of the verdict's table.
type facts struct {
	written, edited, taken, stored   int
	replies, sent, unknown           int
	chats, records                   int
	assignments, races, closes       int
	contacts, identities, reopenings int
	pictures, picturesOut            int
	descriptors                      int // of the process of Waggle that has most
}

// descriptorsLeft is how many files and connections a process may have open when all is quiet: its pools, and what the
// messengers and agents keep open.
const descriptorsLeft = 300

// unknownShare is what part of the replies may stand as unknown: no weather makes more of them uncertain. A few always may, as the
// faults of a short run meet few replies.
const (
	unknownShare = 0.2
	unknownFew   = 10
)

// audit counts, from what people know they wrote, what stands in the database, in the CRM and at the messengers.
func (w *world) audit(ctx context.Context) error {
	for _, s := range append(slices.Clone(w.in.APIs), w.in.Workers...) {
		w.alive(s)
		n := s.Process.Descriptors()
		if w.facts.descriptors = max(w.facts.descriptors, n); n > descriptorsLeft {
			w.find(wrong, "%s has %d files and connections open, and nothing to do", s.Process.Name, n)
		}
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
	w.auditUnknown()
	records := w.inCRM()
	w.auditCRM(all, records)
	w.auditRecords()
	w.auditPictures(all, records, w.openLink(ctx))
	agents, err := w.agentsStored(ctx)
	if err != nil {
		return err
	}
	w.auditHolders(w.auditCourse(all), agents, w.in.CRM.Operators)
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

// auditWritten holds what the customers wrote against what is stored: each once, in its final text, and in order over all his chats.
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
			if w.ledger.sighting(text).done > 0 {
				w.facts.taken++
			}
		}
		var before []string
		for _, m := range received(chats[c.name]) {
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
	written := map[[2]string]bool{} // to whom, and what
	inbox := map[string][]string{}
	for _, c := range w.ledger.customers {
		for _, come := range c.inbox() {
			if come.text != "" {
				inbox[c.name] = append(inbox[c.name], come.text)
			} else if come.file == "" {
				w.find(wrong, "%s received nothing in a message", c.name)
			}
		}
	}
	for _, s := range all {
		var sent []string
		for _, m := range s.messages() {
			if m.direction != "out" {
				continue
			}
			stored[m.text]++
			written[[2]string{s.customer, m.text}] = true
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
			if !written[[2]string{name, text}] {
				w.find(wrong, "%s received “%s”, which no chat of his has", name, text)
			}
		}
	}
}

// auditUnknown: who calls everything unknown is right, and of no use.
func (w *world) auditUnknown() {
	if float64(w.facts.unknown) > max(unknownFew, unknownShare*float64(w.facts.replies)) {
		w.find(wrong, "%d of %d replies stand as unknown", w.facts.unknown, w.facts.replies)
	}
}

// arrived judges one reply by its state and how often its customer has it.
func (w *world) arrived(s *story, m message, n int) {
	switch {
	case n > 1:
		w.find(doubled, "%s has “%s” %d times (%s)", s.customer, m.text, n, m.state)
	case m.state == "unknown" && m.error != "" || m.halfSent():
		w.facts.unknown++
	case n == 0:
		w.find(lost, "%s does not have “%s” (%s %s%s)", s.customer, m.text, m.state, m.error, m.parts)
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
