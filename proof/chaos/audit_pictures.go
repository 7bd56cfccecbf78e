package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// opener reads what a link in the CRM leads to.
type opener func(link string) (content string, err error)

// openLink opens links as the CRM's server does.
func (w *world) openLink(ctx context.Context) opener {
	return func(link string) (string, error) {
		content, err := w.town.API.Download(ctx, strings.TrimPrefix(link, w.town.API.Base))
		return string(content), err
	}
}

// repliesForPictures is of how many replies some have pictures for certain: one in eight is meant to.
const repliesForPictures = 200

// auditPictures holds every picture that was sent against what the CRM's records lead to and what the customers have: byte by
// byte, once and, in the CRM, in order.
func (w *world) auditPictures(all map[uuid.UUID]*story, records map[string][]record, open opener) {
	showed, come, said := map[string]map[string]int{}, map[string][]string{}, map[string][]string{}
	for _, c := range w.ledger.customers {
		showed[c.name] = c.showed()
		for _, a := range c.inbox() {
			said[c.name] = append(said[c.name], a.text)
			if a.file != "" {
				come[c.name] = append(come[c.name], a.file)
			}
		}
	}
	sent := map[[2]string]bool{} // to whom, and what
	for _, s := range all {
		links := map[string][]string{}
		for _, r := range records[s.id.String()] {
			links[r.id] = r.links
		}
		for _, m := range s.messages() {
			text, n := original(m.final), showed[s.customer][original(m.final)]
			if m.direction == "out" {
				text, n = m.text, w.ledger.replies[m.text].pictures
			}
			if m.files != n {
				w.find(map[bool]string{true: lost, false: doubled}[m.files < n], "%s: “%s” has %d pictures in the timeline and should have %d", s.customer, text, m.files, n)
			}
			want := picturesOf(text, n)
			w.picturesInCRM(s.customer, text, want, links[m.id.String()], open)
			if m.direction != "out" {
				continue
			}
			arrived := times(said[s.customer], m.text)
			for _, p := range want {
				sent[[2]string{s.customer, string(p)}] = true
				n := times(come[s.customer], string(p))
				w.pictureArrived(s.customer, m, n)
				arrived += n
			}
			if m.halfSent() && arrived == 0 {
				w.find(lost, "%s has nothing of “%s”, whose beginning is said to have arrived", s.customer, m.text)
			}
		}
	}
	for name, files := range come {
		for _, f := range files {
			if !sent[[2]string{name, f}] {
				w.find(wrong, "%s received a file that nobody sent him", name)
			}
		}
	}
	if w.facts.replies >= repliesForPictures && w.facts.picturesOut == 0 {
		w.find(lost, "of %d replies no picture came to a customer", w.facts.replies)
	}
}

// picturesInCRM compares the pictures of one message with what its record leads to.
func (w *world) picturesInCRM(customer, text string, want [][]byte, links []string, open opener) {
	var got, wanted []string
	for _, p := range want {
		wanted = append(wanted, string(p))
	}
	for _, link := range links {
		content, err := open(link)
		if err != nil {
			w.find(lost, "%s: a picture of “%s” cannot be opened: %v", customer, text, err)
			continue
		}
		got = append(got, content)
	}
	w.facts.pictures += len(got)
	for i, p := range wanted {
		w.once(times(got, p), "%s: picture %d of “%s” in the CRM", customer, i+1, text)
	}
	for _, p := range got {
		if !slices.Contains(wanted, p) {
			w.find(wrong, "%s: “%s” has a picture of something else, %s", customer, text, caption(p))
		}
	}
	if !slices.Equal(got, wanted) && slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(wanted))) {
		w.find(swapped, "%s: the pictures of “%s” are in another order", customer, text)
	}
}

// caption is what stands behind a picture of ours.
func caption(content string) string {
	return fmt.Sprintf("%q", content[strings.LastIndexByte(content, '\n')+1:])
}

// pictureArrived judges one picture of a reply by the reply's state and how often its customer has it.
func (w *world) pictureArrived(customer string, m message, n int) {
	switch {
	case n > 1:
		w.find(doubled, "%s has a picture of “%s” %d times (%s)", customer, m.text, n, m.state)
	case n == 0 && (m.state != "unknown" || m.error == "") && !m.halfSent():
		w.find(lost, "%s does not have a picture of “%s” (%s %s)", customer, m.text, m.state, m.error)
	}
	w.facts.picturesOut += n
}
