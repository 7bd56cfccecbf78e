package runner

import (
	"fmt"
	"time"
)

// Delays tells, from the doubles' own books, how long replies took from the agent's call to Telegram, and messages from the
// customer to their record in the CRM.
func (t *Town) Delays() (replies, records []time.Duration) {
	recorded := map[string]time.Time{}
	for _, m := range t.in.CRM.Messages("") {
		if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["CreatedOn"])); err == nil {
			recorded[fmt.Sprint(m["Message"])] = at
		}
	}
	for _, c := range t.people() {
		c.mu.Lock()
		for _, m := range c.inbox() {
			if !m.at.IsZero() {
				replies = append(replies, m.at.Sub(c.at[m.text]))
			}
		}
		for _, text := range c.written {
			if at, ok := recorded[text]; ok {
				records = append(records, at.Sub(c.at[text]))
			}
		}
		c.mu.Unlock()
	}
	return replies, records
}
