package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"waggle/api/client"

	"waggle/api/gen"
	"waggle/crm/creatio/creatiotest"
)

// crmLine is one message as the CRM has it.
type crmLine struct {
	customer string
	text     string
}

// settle waits until the CRM has every message and every close.
func (t *town) settle(ctx context.Context) error {
	err := client.Until(ctx, "the CRM has everything", func() (bool, error) {
		if len(t.inCRM()) < len(t.ledger.lines) {
			return false, nil
		}
		closed := 0
		for _, chat := range t.crm.Chats() {
			if chat["StatusId"] == creatiotest.StatusCompleted {
				closed++
			}
		}
		return closed >= t.closes && t.edited(), nil
	})
	if err != nil && ctx.Err() == nil {
		// The table shows what is missing.
		t.say("Creatio", "does not have everything yet")
		return nil
	}
	return err
}

// edited tells whether the CRM has the final text of every edited message.
func (t *town) edited() bool {
	texts := map[string]bool{}
	for _, l := range t.inCRM() {
		texts[l.text] = true
	}
	for _, l := range t.ledger.lines {
		if !texts[l.text] {
			return false
		}
	}
	return true
}

// inCRM reads the CRM's message records: chat by chat as they were opened, in the order of their dates.
func (t *town) inCRM() (lines []crmLine) {
	names := map[any]string{}
	for _, c := range t.crm.Contacts() {
		names[c["Id"]] = fmt.Sprint(c["Name"])
	}
	for _, chat := range t.crm.Chats() {
		rows := t.crm.Messages(fmt.Sprint(chat["Id"]))
		slices.SortStableFunc(rows, func(a, b creatiotest.Row) int {
			return dated(a).Compare(dated(b))
		})
		for _, m := range rows {
			lines = append(lines, crmLine{customer: names[chat["ContactId"]], text: fmt.Sprint(m["Message"])})
		}
	}
	return lines
}

// dated is when a message record says it was written. As text, dates with fractions of different length do not compare.
func dated(m creatiotest.Row) time.Time {
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["CreatedDate"]))
	if err != nil {
		return time.Time{}
	}
	return at
}

// verdict counts what the CRM and the messengers have against what the story wrote.
type verdict struct {
	written, inCRM, doubled, swapped int
	delivered, repliesWritten        int
	transfers, closes                int
}

// audit prints the table and tells whether all is as it should be.
func (t *town) audit(ctx context.Context, out io.Writer) (bool, error) {
	v := t.count()
	if err := t.countProcesses(ctx, &v); err != nil {
		return false, err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w)
	fmt.Fprintf(w, "messages written\t%d\n", v.written)
	fmt.Fprintf(w, "in the CRM\t%d\n", v.inCRM)
	fmt.Fprintf(w, "doubled\t%d\n", v.doubled)
	fmt.Fprintf(w, "out of order\t%d\n", v.swapped)
	fmt.Fprintf(w, "replies delivered\t%d of %d\n", v.delivered, v.repliesWritten)
	fmt.Fprintf(w, "transfers\t%d of %d\n", v.transfers, t.transfers)
	fmt.Fprintf(w, "closes\t%d of %d\n", v.closes, t.closes)
	good := v.inCRM == v.written && v.doubled == 0 && v.swapped == 0 && v.delivered == v.repliesWritten &&
		v.transfers == t.transfers && v.closes == t.closes
	if good {
		fmt.Fprintln(w, "verdict\tall is as it should be")
	} else {
		fmt.Fprintln(w, "verdict\tNOT as it should be")
	}
	return good, w.Flush()
}

func (t *town) count() (v verdict) {
	v.written = len(t.ledger.lines)
	seen := map[string]int{}
	order := map[string][]string{}
	for _, l := range t.inCRM() {
		seen[l.text]++
		order[l.customer] = append(order[l.customer], l.text)
	}
	wanted := map[string][]string{}
	replies := map[string][]string{}
	for _, l := range t.ledger.lines {
		if n := seen[l.text]; n > 0 {
			v.inCRM++
			v.doubled += n - 1
		}
		wanted[l.customer] = append(wanted[l.customer], l.text)
		if l.out {
			v.repliesWritten++
			replies[l.customer] = append(replies[l.customer], l.text)
		}
	}
	for name, texts := range wanted {
		v.swapped += swapped(texts, order[name])
	}
	for _, c := range t.customers {
		got := joined(c.inbox())
		for _, text := range replies[c.name] {
			if strings.Contains(got, joined([]string{text})) {
				v.delivered++
			}
		}
	}
	for _, chat := range t.crm.Chats() {
		if chat["StatusId"] == creatiotest.StatusCompleted {
			v.closes++
		}
	}
	return v
}

// joined takes the white space out: a long text is cut at it into several messages.
func joined(texts []string) string {
	return strings.Join(strings.Fields(strings.Join(texts, " ")), "")
}

// swapped counts the texts that stand elsewhere than they should.
func swapped(want, got []string) (n int) {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			n++
		}
	}
	return n
}

// countProcesses asks the process instances how many chats they have moved.
func (t *town) countProcesses(ctx context.Context, v *verdict) error {
	var list gen.ProcessList
	if err := t.server.Call(ctx, http.MethodGet, "/api/v1/processes", nil, &list); err != nil {
		return err
	}
	for _, p := range list.Items {
		if p.Process == gen.ProcessNameBeesenderSaveAfkChats {
			v.transfers += int(p.AffectedChats)
		}
	}
	return nil
}
