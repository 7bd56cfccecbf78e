package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// step is one change of an agent's load.
type step struct {
	committed int64
	agent     uuid.UUID
	by        int  // how much the load changes
	limited   bool // routing, accept and transfer may not exceed the room; taking off hold and reopening may
	customer  string
}

// tenure is how long an agent had a chat that he had accepted, by the clock of commits.
type tenure struct {
	agent    uuid.UUID
	from, to int64
}

// course replays a chat: who has it when, and what that does to loads. It finds two winners of one chat and closes that no
// client deserves.
type course struct {
	w       *world
	story   *story
	agent   uuid.UUID
	onHold  bool
	open    bool
	last    *message // the last message so far
	steps   []step
	agents  []uuid.UUID // who had it, one after another; zero: it waited
	tenures []tenure
}

// auditCourse replays every chat, then all loads together in the order in which they were committed.
func (w *world) auditCourse(all map[uuid.UUID]*story) map[uuid.UUID]*course {
	var steps []step
	courses := map[uuid.UUID]*course{}
	for _, s := range all {
		c := &course{w: w, story: s, open: true, agents: []uuid.UUID{uuid.Nil}}
		c.replay()
		steps = append(steps, c.steps...)
		courses[s.id] = c
	}
	w.auditRooms(steps)
	w.auditWins(courses)
	return courses
}

// auditWins: who was told that he has accepted a chat had it, as one he had accepted, at some moment between his question and the
// answer. No two have a chat at the same moment, so that nobody else can have won what one took.
func (w *world) auditWins(courses map[uuid.UUID]*course) {
	w.facts.races = w.ledger.races
	for _, won := range w.ledger.wins {
		c := courses[won.chat]
		if c == nil || !slices.ContainsFunc(c.tenures, won.within) {
			w.find(wrong, "an agent was told that he has chat %s, and had not got it then", won.chat)
		}
	}
}

func (c *course) replay() {
	states := map[uuid.UUID]message{}
	for _, m := range c.story.messages() {
		states[m.id] = m
	}
	for _, e := range c.story.entries {
		switch e.kind {
		case "message":
			m := states[e.id]
			c.last = &m
		case "assigned":
			c.assigned(e)
		case "held":
			c.held(e)
		case "closed":
			c.closed(e)
		case "opened":
			if e.data.Reopened {
				c.w.facts.reopenings++
				c.open, c.onHold = true, false
				c.goesTo(e.data.To)
				c.load(e, 1, false)
				c.begins(e)
			}
		}
	}
}

// load notes that the chat's agent got it or lost it.
func (c *course) load(e entry, sign int, limited bool) {
	if c.agent != uuid.Nil && c.open && !c.onHold {
		c.steps = append(c.steps, step{e.committed, c.agent, sign * c.story.weight, limited, c.story.customer})
	}
}

func (c *course) assigned(e entry) {
	if e.data.Accepted { // what he was given before
		if e.data.To != c.agent {
			c.w.find(wrong, "%s: an agent accepted a chat that he had not been given (entry %d)", c.story.customer, e.seq)
		}
		c.begins(e)
		return
	}
	if e.data.From != c.agent {
		c.w.find(wrong, "%s: two agents won the same chat (entry %d)", c.story.customer, e.seq)
	}
	took := e.author == "agent" && e.data.Why == ""
	if took && c.agent != uuid.Nil {
		c.w.find(wrong, "%s: an agent took a chat that another had (entry %d)", c.story.customer, e.seq)
	}
	c.load(e, -1, false)
	c.ends(e)
	c.onHold = false
	c.goesTo(e.data.To)
	c.load(e, 1, true)
	if took {
		c.begins(e)
	}
	if c.agent != uuid.Nil {
		c.w.facts.assignments++
	}
}

func (c *course) goesTo(agent uuid.UUID) {
	if c.agent != agent {
		c.agents = append(c.agents, agent)
	}
	c.agent = agent
}

// begins notes that the chat's agent has accepted it.
func (c *course) begins(e entry) {
	c.tenures = append(c.tenures, tenure{c.agent, e.committed, math.MaxInt64})
}

// ends notes that whoever had accepted the chat has it no more.
func (c *course) ends(e entry) {
	if n := len(c.tenures); n > 0 {
		c.tenures[n-1].to = min(c.tenures[n-1].to, e.committed)
	}
}

func (c *course) held(e entry) {
	if e.data.Released {
		c.onHold = false
		c.load(e, 1, false)
		return
	}
	c.load(e, -1, false)
	c.onHold = true
}

// closed: a process closes only what an agent has, not on hold, and what waits for the client, whose last message is ours and was
// delivered. The month is longer than a run.
func (c *course) closed(e entry) {
	c.load(e, -1, false)
	c.ends(e)
	onHold := c.onHold
	c.open, c.onHold = false, false
	if e.author == "agent" {
		return
	}
	c.w.facts.closes++
	switch {
	case onHold:
		c.w.find(wrong, "%s: closed while it was on hold (%s)", c.story.customer, e.data.Reason)
	case c.agent == uuid.Nil:
		c.w.find(wrong, "%s: closed though nobody had it (%s)", c.story.customer, e.data.Reason)
	case c.last == nil || c.last.direction != "out":
		c.w.find(wrong, "%s: closed while the client waited (%s)", c.story.customer, e.data.Reason)
	case c.last.state != "sent" && c.last.state != "delivered" && c.last.state != "read":
		c.w.find(wrong, "%s: closed though the last message is %s", c.story.customer, c.last.state)
	}
}

// blind is how long before an assignment's commit a take that needs no room may be committed without the assignment having
// seen it: the time between its sum and its commit.
const blind = 10 * time.Second

// auditRooms sums the loads in the order of commits. Assignments of one agent follow each other, since each locks him.
func (w *world) auditRooms(steps []step) {
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.committed, b.committed), cmp.Compare(a.by, b.by)) // in one transaction: what ends first
	})
	loads := map[uuid.UUID]int{}
	unlimited := map[uuid.UUID][]step{}
	for _, s := range steps {
		loads[s.agent] += s.by
		switch {
		case s.by > 0 && !s.limited:
			unlimited[s.agent] = append(unlimited[s.agent], s)
		case s.limited:
			if load := loads[s.agent] - w.unseen(unlimited[s.agent], s); load > room {
				w.find(over, "%s: given to an agent whose load is %d of %d then", s.customer, load, room)
			}
		}
	}
}

// unseen is the load of takes that an assignment may not have seen.
func (w *world) unseen(takes []step, s step) (load int) {
	if w.plan.embedded {
		return 0 // SQLite has one writer
	}
	for _, t := range takes {
		if s.committed-t.committed < blind.Microseconds() {
			load += t.by
		}
	}
	return load
}
