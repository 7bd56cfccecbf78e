package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// shown is how many findings of a kind are printed.
const shown = 10

// report prints the table and the verdict, and tells whether all is as it should be.
func (w *world) report(out io.Writer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	f := w.facts
	fmt.Fprintln(table)
	for _, row := range []struct {
		what string
		n    any
	}{
		{"customers · contacts · identities", fmt.Sprintf("%d · %d · %d", len(w.ledger.customers), f.contacts, f.identities)},
		{"messages written (edited later)", fmt.Sprintf("%d (%d)", f.written, f.edited)},
		{"answered 2xx · stored by Waggle", fmt.Sprintf("%d · %d", f.taken, f.stored)},
		{"replies accepted", f.replies},
		{"at the messengers (unknown, with a reason)", fmt.Sprintf("%d (%d)", f.sent, f.unknown)},
		{"pictures the CRM leads to · of agents, at the messengers", fmt.Sprintf("%d · %d", f.pictures, f.picturesOut)},
		{"chats (reopened)", fmt.Sprintf("%d (%d)", f.chats, f.reopenings)},
		{"message records in the CRM", f.records},
		{"assignments · races for a chat · closed by a process", fmt.Sprintf("%d · %d · %d", f.assignments, f.races, f.closes)},
		{"all that was due was done", fmt.Sprintf("%.1f s after the last fault; the limit is %.0f s", w.settled.Seconds(), settleLimit.Seconds())},
		{"files and connections a process has open at most", f.descriptors},
	} {
		fmt.Fprintf(table, "%s\t%v\n", row.what, row.n)
	}
	fmt.Fprintln(table)
	w.actions.print(table, peopleAct)
	fmt.Fprintln(table)
	w.effects.print(table, faultsStrike)
	_ = table.Flush()
	return w.verdict(out)
}

// verdict prints the findings and counts them.
func (w *world) verdict(out io.Writer) bool {
	counts := map[string]int{}
	for _, f := range w.findings {
		if counts[f.kind]++; counts[f.kind] <= shown {
			fmt.Fprintf(out, "%s: %s\n", strings.ToUpper(f.kind), f.what)
		}
	}
	fmt.Fprintf(out, "\nseed %d, %s\n", w.plan.seed, w.plan.kind())
	for i, kind := range []string{lost, doubled, swapped, stuck, over, wrong} {
		if i > 0 {
			fmt.Fprint(out, " ")
		}
		fmt.Fprintf(out, "%s=%d", kind, counts[kind])
	}
	fmt.Fprintln(out)
	return len(w.findings) == 0
}

// tail is the end of a log.
func tail(lines []string, n int) string { return strings.Join(lines[max(0, len(lines)-n):], "\n") }
