package main

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var (
	ben, carla = uuid.UUID{1}, uuid.UUID{2}
	theChat    = uuid.UUID{9}
)

// small is a world with one customer who wrote two messages, the second of which he edited, and got one reply.
func small() *world {
	w := &world{ledger: newLedger(), plan: plan{embedded: true}}
	w.ledger.customers = []*customer{{
		name: "c000", texts: []string{"c000 m00000", "c000 m00001 edited"},
		inbox: func() []string { return []string{"reply"} },
	}}
	w.ledger.replied("reply", reply{chat: theChat, accepted: true})
	for _, text := range []string{"c000 m00000", "c000 m00001"} {
		w.ledger.seen("/hooks/x", []byte(text))(200)
	}
	return w
}

func said(id byte, text string) entry {
	return entry{id: uuid.UUID{id}, kind: "message", direction: "in", author: "client", text: text, state: "received"}
}

func replied(state, why string) entry {
	return entry{id: uuid.UUID{50}, kind: "message", direction: "out", author: "agent", text: "reply", state: state, error: why}
}

func changed(id byte, text string) entry {
	return entry{kind: "edit", target: uuid.UUID{id}, text: text}
}

// told is a chat with these entries, in this order.
func told(entries ...entry) map[uuid.UUID]*story {
	for i := range entries {
		entries[i].seq, entries[i].committed = i+1, int64(i+1)
	}
	return map[uuid.UUID]*story{theChat: {id: theChat, customer: "c000", weight: 8, entries: entries}}
}

// kinds are the findings by kind.
func (w *world) kinds() (list []string) {
	for _, f := range w.findings {
		list = append(list, f.kind)
	}
	return list
}

// An audit that overlooks something proves nothing.
func TestAuditOfWhatWasWritten(t *testing.T) {
	one, two, edit, sent := said(1, "c000 m00000"), said(2, "c000 m00001"), changed(2, "c000 m00001 edited"), replied("sent", "")
	for _, c := range []struct {
		name    string
		entries []entry
		find    []string
	}{
		{"M.4 all is well", []entry{one, two, edit, sent}, nil},
		{"M.4 the edit came first and became the message", []entry{one, said(2, "c000 m00001 edited"), sent}, nil},
		{"M.4 lost", []entry{two, edit, sent}, []string{lost}},
		{"M.4 the edit is lost", []entry{one, two, sent}, []string{lost}},
		{"M.4 doubled", []entry{one, said(3, "c000 m00000"), two, edit, sent}, []string{doubled}},
		{"M.4 swapped", []entry{two, edit, one, sent}, []string{swapped}},
		{"M.4 what nobody wrote", []entry{one, two, edit, said(4, "c000 m00007"), sent}, []string{wrong}},
		{"M.3 the reply is lost", []entry{one, two, edit}, []string{lost, wrong}},
		{"M.3 it came and does not stand so", []entry{one, two, edit, replied("accepted", "")}, []string{wrong}},
		{"M.3 unknown with its reason", []entry{one, two, edit, replied("unknown", "no answer")}, nil},
		{"M.3 unknown without", []entry{one, two, edit, replied("unknown", "")}, []string{wrong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.auditWritten(told(c.entries...))
			w.auditReplies(told(c.entries...))
			require.ElementsMatch(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
	t.Run("M.4 what the messenger let overtake is not swapped", func(t *testing.T) {
		w := small()
		w.ledger.sightings = map[string]*sighting{"c000 m00001": {first: 1, done: 2}, "c000 m00000": {first: 3, done: 4}}
		w.auditWritten(told(two, edit, one))
		require.Empty(t, w.findings)
	})
	for unknown, find := range map[int][]string{2: nil, 3: {wrong}} {
		w := small()
		w.facts.replies, w.facts.unknown = 10, unknown
		w.auditUnknown()
		require.Equal(t, find, w.kinds(), "M.3 %d of 10 are unknown", unknown)
	}
	for name, inbox := range map[string][]string{doubled: {"reply", "reply"}, lost: nil} {
		t.Run("M.3 at the messenger "+name, func(t *testing.T) {
			w := small()
			w.ledger.customers[0].inbox = func() []string { return inbox }
			w.auditReplies(told(one, two, edit, sent))
			require.Equal(t, []string{name}, w.kinds())
		})
	}
}

func TestAuditOfTheCRM(t *testing.T) {
	s := told(said(1, "c000 m00000"), said(2, "c000 m00001"))[theChat]
	first, second := record{uuid.UUID{1}.String(), "c000 m00000"}, record{uuid.UUID{2}.String(), "c000 m00001"}
	for _, c := range []struct {
		name    string
		records []record
		find    []string
	}{
		{"M.4 all is well", []record{first, second}, nil},
		{"M.4 lost", []record{first}, []string{lost}},
		{"M.4 an old text", []record{first, {second.id, "c000 m0000"}}, []string{lost}},
		{"M.4 doubled", []record{first, {uuid.UUID{3}.String(), first.text}, second}, []string{doubled}},
		{"M.4 swapped", []record{second, first}, []string{swapped}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.compare(s, c.records)
			require.Equal(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
}

func TestAuditOfTheCRMPastTheDatabase(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts map[string]int
		find  []string
	}{
		{"M.4 all is well", map[string]int{"c000 m00000": 1, "c000 m00001 edited": 1, "reply": 1}, nil},
		{"M.4 lost", map[string]int{"c000 m00001 edited": 1, "reply": 1}, []string{lost}},
		{"M.4 doubled", map[string]int{"c000 m00000": 2, "c000 m00001 edited": 1, "reply": 1}, []string{doubled}},
		{"M.4 before the edit", map[string]int{"c000 m00000": 1, "c000 m00001": 1, "reply": 1}, []string{lost, doubled}},
		{"M.3 the reply is lost", map[string]int{"c000 m00000": 1, "c000 m00001 edited": 1}, []string{lost}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.inRecords(c.texts)
			require.Equal(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
}

func TestAuditOfAChatsCourse(t *testing.T) {
	given := func(from, to uuid.UUID) entry { return entry{kind: "assigned", data: entryData{From: from, To: to}} }
	takes := func(from, to uuid.UUID) entry {
		return entry{kind: "assigned", author: "agent", data: entryData{From: from, To: to}}
	}
	took := entry{kind: "assigned", author: "agent", data: entryData{To: ben, Accepted: true}}
	hold, unhold := entry{kind: "held"}, entry{kind: "held", data: entryData{Released: true}}
	closed := entry{kind: "closed", author: "system", data: entryData{Reason: "No answer from Client"}}
	in, out, failed := said(1, "c000 m00000"), replied("sent", ""), replied("failed", "refused")
	for _, c := range []struct {
		name    string
		entries []entry
		find    []string
	}{
		{"S3.9 one winner", []entry{in, given(uuid.Nil, ben), took}, nil},
		{"S3.9 two winners", []entry{in, given(uuid.Nil, ben), given(uuid.Nil, carla)}, []string{wrong}},
		{"S3.9 one takes it from the other", []entry{in, takes(uuid.Nil, ben), takes(ben, carla)}, []string{wrong}},
		{"S0.25 a transfer", []entry{in, given(uuid.Nil, ben), given(ben, carla)}, nil},
		{"S0.21 closed after our message", []entry{in, given(uuid.Nil, ben), out, closed}, nil},
		{"S0.21 closed while the client waits", []entry{in, given(uuid.Nil, ben), out, in, closed}, []string{wrong}},
		{"S0.21 closed after what never arrived", []entry{in, given(uuid.Nil, ben), failed, closed}, []string{wrong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.auditCourse(told(c.entries...))
			require.Equal(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
	// Two chats of weight 8 and a room of 14.
	both := func(first, second []entry) map[uuid.UUID]*story {
		all := told(append(first, second...)...)
		other := uuid.UUID{10}
		entries := all[theChat].entries
		all[theChat].entries = entries[:len(first)]
		all[other] = &story{id: other, customer: "c001", weight: 8, entries: entries[len(first):]}
		return all
	}
	for _, c := range []struct {
		name          string
		first, second []entry
		find          []string
	}{
		{"S0.50 beyond his room", []entry{given(uuid.Nil, ben)}, []entry{given(uuid.Nil, ben)}, []string{over}},
		{"S0.50 each has room", []entry{given(uuid.Nil, ben)}, []entry{given(uuid.Nil, carla)}, nil},
		{"S0.50 on hold does not count", []entry{given(uuid.Nil, ben), hold}, []entry{given(uuid.Nil, ben)}, nil},
		{"S0.50 closed does not count", []entry{given(uuid.Nil, ben), closed}, []entry{given(uuid.Nil, ben)}, nil},
		{"S0.50 and then blocks new ones", []entry{given(uuid.Nil, ben), hold, unhold}, []entry{given(uuid.Nil, ben)}, []string{over}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			all := both(c.first, c.second)
			w.auditCourse(all)
			var kinds []string
			for _, k := range w.kinds() {
				if k != wrong { // whether the client waited is told above
					kinds = append(kinds, k)
				}
			}
			require.Equal(t, c.find, kinds, "%v", w.findings)
		})
	}
	t.Run("S0.50 taking off hold may exceed", func(t *testing.T) {
		w := small()
		all := both([]entry{given(uuid.Nil, ben), hold, unhold}, []entry{given(uuid.Nil, ben)})
		all[theChat].entries[2].committed = 9 // after the other chat was given
		w.auditCourse(all)
		require.Empty(t, w.findings)
	})
	t.Run("S3.9 told to have it and never had it", func(t *testing.T) {
		w := small()
		w.ledger.raced(race{chat: theChat, winners: []uuid.UUID{ben, carla}})
		w.auditCourse(told(in, given(uuid.Nil, ben)))
		require.Equal(t, []string{wrong}, w.kinds())
	})
}
