package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// stored is an agent as the database has him.
type stored struct {
	id       uuid.UUID
	operator string // his id in the CRM
	load     int    // the weight of his open chats, as routing goes by it
}

// agentsStored reads every agent.
func (w *world) agentsStored(ctx context.Context) (all []stored, err error) {
	rows, err := w.in.Database.Query(ctx, "SELECT CAST(id AS text), coalesce(crm_user_id, ''), open_weight FROM agents")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.id, &s.operator, &s.load); err != nil {
			return nil, fmt.Errorf("read an agent: %w", err)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// auditHolders holds who has each chat by its timeline against its row and against whom the CRM was told of, one after another, and
// every agent's load by the timelines against the one by which he is given chats.
func (w *world) auditHolders(courses map[uuid.UUID]*course, agents []stored, operators func(chat string) []string) {
	id := map[uuid.UUID]string{uuid.Nil: uuid.Nil.String()}
	for _, a := range agents {
		id[a.id] = a.operator
	}
	loads := map[uuid.UUID]int{}
	for _, c := range courses {
		s := c.story
		if c.agent != s.agent || c.onHold != s.onHold || c.open == s.closed {
			w.find(wrong, "%s: by its timeline chat %s is that of %s (on hold: %t, open: %t), by its row of %s (%t, %t)",
				s.customer, s.id, c.agent, c.onHold, c.open, s.agent, s.onHold, !s.closed)
		}
		if c.open && !c.onHold {
			loads[c.agent] += s.weight
		}
		had := make([]string, len(c.agents))
		for i, agent := range c.agents {
			had[i] = id[agent]
		}
		shown := operators(s.id.String())
		switch {
		case len(shown) == 0 || shown[len(shown)-1] != id[c.agent]:
			w.find(swapped, "%s: chat %s is that of operator %q in the CRM, and should be of %s", s.customer, s.id, shown, id[c.agent])
		case !inTurn(shown, had):
			w.find(swapped, "%s: the CRM had chat %s with the operators %q, and it was had by %q", s.customer, s.id, shown, had)
		}
	}
	for _, a := range agents {
		if a.load != loads[a.id] {
			w.find(over, "the load of agent %s stands as %d, and is %d", a.id, a.load, loads[a.id])
		}
	}
}

// inTurn tells whether these follow each other as they do among all, which may have more between them.
func inTurn(these, all []string) bool {
	for _, t := range these {
		i := slices.Index(all, t)
		if i < 0 {
			return false
		}
		all = all[i+1:]
	}
	return true
}
