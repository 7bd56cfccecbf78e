package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"waggle/crm/creatio/creatiotest"
)

// auditCRM holds every chat and message against the CRM's records.
func (w *world) auditCRM(all map[uuid.UUID]*story, records map[string][]record) {
	names := map[any]any{}
	for _, c := range w.in.CRM.Contacts() {
		names[c["Id"]] = c["Name"]
	}
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
		case names[c["ContactId"]] != s.customer:
			w.find(swapped, "%s: chat %s is that of %v in the CRM", s.customer, s.id, names[c["ContactId"]])
		}
		w.compare(s, records[s.id.String()])
	}
}

// compare holds a chat's messages against its records.
func (w *world) compare(s *story, records []record) {
	w.facts.records += len(records)
	var order []string
	text := map[string]string{}
	for _, r := range records {
		order = append(order, r.id)
		text[r.id] = r.text
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

// auditRecords holds what people wrote against the CRM alone, past the database: each text once, and as it reads in the end.
func (w *world) auditRecords() {
	texts := map[string]int{}
	for _, m := range w.in.CRM.Messages("") {
		texts[newRecord("", fmt.Sprint(m["Message"])).text]++
	}
	w.inRecords(texts)
}

// inRecords takes the CRM's texts with how often each is there.
func (w *world) inRecords(texts map[string]int) {
	for _, c := range w.ledger.customers {
		for _, text := range c.wrote() {
			w.once(texts[text], "%s: “%s” in the CRM", c.name, text)
			if before := original(text); before != text && texts[before] > 0 {
				w.find(doubled, "%s: “%s” is in the CRM beside its edit", c.name, before)
			}
		}
	}
	for text, r := range w.ledger.replies {
		if r.accepted {
			w.once(texts[text], "“%s” in the CRM", text)
		}
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
