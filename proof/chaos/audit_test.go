package main

import (
	"errors"
	"fmt"
	"slices"
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
		pictures: []int{0, 0},
		inbox:    has("reply"),
	}}
	w.ledger.replied("reply", reply{chat: theChat, accepted: true})
	for _, text := range []string{"c000 m00000", "c000 m00001"} {
		w.ledger.seen("/hooks/x", []byte(text))(200)
	}
	return w
}

// has is the inbox of who has received these texts.
func has(texts ...string) func() []arrival {
	return func() (come []arrival) {
		for _, text := range texts {
			come = append(come, arrival{text: text})
		}
		return come
	}
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
		{"M.3 half of it", []entry{one, two, edit, replied("failed", "only the beginning arrived, and …")}, nil},
		{"M.3 failed", []entry{one, two, edit, replied("failed", "refused")}, []string{wrong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.auditWritten(told(c.entries...))
			w.auditReplies(told(c.entries...))
			require.ElementsMatch(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
	// Over two chats, whichever the audit sees first: the later one has what was written first, unless the earlier was reopened for it.
	again := entry{kind: "opened", data: entryData{Reopened: true}}
	for _, c := range []struct {
		name           string
		earlier, later []entry
		reopened       []entry // of the earlier one
		find           []string
	}{
		{"M.4 in order over two chats", []entry{one}, []entry{two, edit, sent}, nil, nil},
		{"M.4 swapped over two chats", []entry{two, edit, sent}, []entry{one}, nil, []string{swapped}},
		{"M.4 in order with a reopened chat", nil, []entry{one}, []entry{again, two, edit, sent}, nil},
		{"M.4 swapped with a reopened chat", nil, []entry{two, edit, sent}, []entry{again, one}, []string{swapped}},
	} {
		for _, earlier := range []uuid.UUID{{1}, {30}} {
			t.Run(c.name, func(t *testing.T) {
				w := small()
				opened := entry{kind: "opened"}
				first, later := slices.Concat([]entry{opened}, c.earlier), slices.Concat([]entry{opened}, c.later)
				entries := told(slices.Concat(first, later, c.reopened)...)[theChat].entries
				n, m := len(first), len(first)+len(later)
				w.auditWritten(map[uuid.UUID]*story{
					earlier: {id: earlier, customer: "c000", entries: slices.Concat(entries[:n:n], entries[m:])},
					theChat: {id: theChat, customer: "c000", entries: entries[n:m]},
				})
				require.Equal(t, c.find, w.kinds(), "%v", w.findings)
			})
		}
	}
	t.Run("M.4 what the messenger let overtake is not swapped", func(t *testing.T) {
		w := small()
		w.ledger.sightings = map[string]*sighting{"c000 m00001": {first: 1, done: 2}, "c000 m00000": {first: 3, done: 4}}
		w.auditWritten(told(two, edit, one))
		require.Empty(t, w.findings)
	})
	for _, c := range []struct {
		replies, unknown int
		find             []string
	}{{100, 20, nil}, {100, 21, []string{wrong}}, {12, 10, nil}, {12, 11, []string{wrong}}} {
		w := small()
		w.facts.replies, w.facts.unknown = c.replies, c.unknown
		w.auditUnknown()
		require.Equal(t, c.find, w.kinds(), "M.3 %d of %d are unknown", c.unknown, c.replies)
	}
	for name, inbox := range map[string]func() []arrival{doubled: has("reply", "reply"), lost: has()} {
		t.Run("M.3 at the messenger "+name, func(t *testing.T) {
			w := small()
			w.ledger.customers[0].inbox = inbox
			w.auditReplies(told(one, two, edit, sent))
			require.Equal(t, []string{name}, w.kinds())
		})
	}
}

// An album is one message, whichever of its pieces came first and whichever has its words.
func TestTheBooksReadAlbums(t *testing.T) {
	first, edit := said(1, ""), changed(1, "c000 m00000 edited")
	first.files, edit.files = 1, 1
	piece := entry{kind: "addition", target: first.id, text: "c000 m00000", files: 1}
	s := told(first, entry{kind: "addition", target: first.id, files: 1}, piece, edit)[theChat]
	require.Len(t, s.messages(), 1)
	require.Equal(t, "c000 m00000 edited", s.messages()[0].final)
	require.Equal(t, 3, s.messages()[0].files)
	s.entries = s.entries[:3]
	require.Equal(t, "c000 m00000", s.messages()[0].final)
}

func TestAuditOfPictures(t *testing.T) {
	contents := func(text string, n int) (all []string) {
		for _, p := range picturesOf(text, n) {
			all = append(all, string(p))
		}
		return all
	}
	album, bill := contents("c000 m00000", 3), contents("reply", 1)
	const gone, words = "", "the reply's text"
	for _, c := range []struct {
		name   string
		album  []string // what the CRM's record of his album leads to
		bill   []string // what the one of the reply leads to
		came   []string // what he received
		state  string   // of the reply
		reason string
		find   []string
	}{
		{"M.4 all is well", album, bill, bill, "sent", "", nil},
		{"M.4 lost", album[:2], bill, bill, "sent", "", []string{lost}},
		{"M.4 doubled", append(album[:3:3], album[2]), bill, bill, "sent", "", []string{doubled}},
		{"M.4 swapped", []string{album[1], album[0], album[2]}, bill, bill, "sent", "", []string{swapped}},
		{"M.4 it cannot be opened", []string{album[0], gone, album[2]}, bill, bill, "sent", "", []string{lost, lost}},
		{"M.4 half of one", []string{album[0], album[1][:20], album[2]}, bill, bill, "sent", "", []string{lost, wrong}},
		{"M.4 one of another message", append(album[:3:3], bill[0]), bill, bill, "sent", "", []string{wrong}},
		{"M.3 the reply's is lost in the CRM", album, nil, bill, "sent", "", []string{lost}},
		{"M.3 it did not come", album, bill, nil, "sent", "", []string{lost}},
		{"M.3 it came twice", album, bill, []string{bill[0], bill[0]}, "sent", "", []string{doubled}},
		{"M.3 unknown with its reason", album, bill, nil, "unknown", "no answer", nil},
		{"M.3 unknown without", album, bill, nil, "unknown", "", []string{lost}},
		{"M.3 the rest of a reply", album, bill, []string{words}, "failed", "only the beginning arrived, and …", nil},
		{"M.3 not even its beginning", album, bill, nil, "failed", "only the beginning arrived, and …", []string{lost}},
		{"M.3 failed", album, bill, nil, "failed", "refused", []string{lost}},
		{"M.3 half of it came", album, bill, []string{bill[0][:20]}, "sent", "", []string{lost, wrong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.ledger.customers[0].pictures = []int{3, 0}
			w.ledger.customers[0].inbox = func() (come []arrival) {
				for _, f := range c.came {
					if f == words {
						come = append(come, arrival{text: "reply"})
					} else {
						come = append(come, arrival{file: f})
					}
				}
				return come
			}
			w.ledger.replied("reply", reply{chat: theChat, accepted: true, pictures: 1})
			shown := map[string]string{}
			links := func(text string, files []string) string {
				for _, f := range files {
					link := fmt.Sprintf("http://waggle.example/api/v1/media/%d", len(shown))
					shown[link], text = f, text+"\npicture.png: "+link
				}
				return text
			}
			wrote, answer := said(1, "c000 m00000"), replied(c.state, c.reason)
			wrote.files, answer.files = 3, 1
			records := map[string][]record{theChat.String(): {
				newRecord(uuid.UUID{1}.String(), links("c000 m00000", c.album)), newRecord(answer.id.String(), links("reply", c.bill)),
			}}
			require.Equal(t, "c000 m00000", records[theChat.String()][0].text)
			w.auditPictures(told(wrote, answer), records, func(link string) (string, error) {
				if shown[link] == gone {
					return "", errors.New("404")
				}
				return shown[link], nil
			})
			require.ElementsMatch(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
}

func TestAuditOfPicturesInTheTimeline(t *testing.T) {
	for files, find := range map[int][]string{0: {lost}, 1: {doubled}} {
		w := small()
		w.ledger.customers[0].pictures = []int{1 - files, 0}
		m := said(1, "c000 m00000")
		m.files = files
		inCRM := newRecord(m.id.String(), m.text)
		if files == 0 {
			inCRM.links = []string{"http://waggle.example/api/v1/media/1"}
		}
		w.ledger.customers[0].inbox = has()
		w.auditPictures(told(m), map[string][]record{theChat.String(): {inCRM}}, func(string) (string, error) {
			return string(picturesOf(m.text, 1)[0]), nil
		})
		require.Equal(t, find, w.kinds(), "M.4 %v", w.findings)
	}
}

func TestAuditOfTheCRM(t *testing.T) {
	s := told(said(1, "c000 m00000"), said(2, "c000 m00001"))[theChat]
	first, second := newRecord(uuid.UUID{1}.String(), "c000 m00000"), newRecord(uuid.UUID{2}.String(), "c000 m00001")
	for _, c := range []struct {
		name    string
		records []record
		find    []string
	}{
		{"M.4 all is well", []record{first, second}, nil},
		{"M.4 lost", []record{first}, []string{lost}},
		{"M.4 an old text", []record{first, newRecord(second.id, "c000 m0000")}, []string{lost}},
		{"M.4 doubled", []record{first, newRecord(uuid.UUID{3}.String(), first.text), second}, []string{doubled}},
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
		{"b8 closed on hold", []entry{in, given(uuid.Nil, ben), out, hold, closed}, []string{wrong}},
		{"b8 closed after it was taken off hold", []entry{in, given(uuid.Nil, ben), out, hold, unhold, closed}, nil},
		{"b6 closed while it waited for an agent", []entry{in, given(uuid.Nil, ben), out, given(ben, uuid.Nil), closed}, []string{wrong}},
		{"S3.9 accepted what a colleague was given", []entry{in, given(uuid.Nil, carla), took}, []string{wrong}},
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
}

// Whoever is told that he has accepted a chat has it then: what went before and what comes after does not excuse a second winner.
func TestAuditOfWinners(t *testing.T) {
	in := said(1, "c000 m00000")
	assigned := func(author string, data entryData) entry { return entry{kind: "assigned", author: author, data: data} }
	bensTake, carlasTake := assigned("agent", entryData{To: ben}), assigned("agent", entryData{To: carla})
	toBen, accepted := assigned("system", entryData{To: ben}), assigned("agent", entryData{To: ben, Accepted: true})
	toCarla := assigned("agent", entryData{From: ben, To: carla, Why: "transferred"})
	away, fromCarla := assigned("system", entryData{From: ben, Why: "switched off"}), assigned("system", entryData{From: carla, Why: "switched off"})
	closed, reopened := entry{kind: "closed", author: "agent"}, entry{kind: "opened", author: "agent", data: entryData{Reopened: true, From: ben, To: ben}}
	wins := func(agent uuid.UUID, asked, answered int64) win { return win{theChat, agent, asked, answered} }
	for _, c := range []struct {
		name    string
		entries []entry
		wins    []win
		find    []string
	}{
		{"S3.9 one winner", []entry{in, bensTake}, []win{wins(ben, 1, 2)}, nil},
		{"S3.9 a second one of the same free chat", []entry{in, bensTake}, []win{wins(ben, 1, 2), wins(carla, 1, 2)}, []string{wrong}},
		{"S3.9 who had it later", []entry{in, bensTake, away, carlasTake}, []win{wins(ben, 1, 2), wins(carla, 1, 2)}, []string{wrong}},
		{"S3.9 who had it before", []entry{in, carlasTake, fromCarla, bensTake}, []win{wins(ben, 3, 4), wins(carla, 3, 4)}, []string{wrong}},
		{"S3.9 one in each free period", []entry{in, bensTake, away, carlasTake}, []win{wins(ben, 1, 4), wins(carla, 1, 4)}, nil},
		{"S3.9 accepted what he was given", []entry{in, toBen, accepted}, []win{wins(ben, 2, 3)}, nil},
		{"S3.9 was given it and nothing more", []entry{in, toBen}, []win{wins(ben, 1, 2)}, []string{wrong}},
		{"S3.9 a colleague's", []entry{in, toCarla}, []win{wins(ben, 1, 2)}, []string{wrong, wrong}},
		{"S3.9 has it already", []entry{in, bensTake, in}, []win{wins(ben, 1, 2), wins(ben, 2, 3)}, nil},
		{"S3.9 has lost it", []entry{in, bensTake, toCarla}, []win{wins(ben, 3, 3)}, []string{wrong}},
		{"S3.9 has closed it", []entry{in, bensTake, closed}, []win{wins(ben, 3, 3)}, []string{wrong}},
		{"S3.9 has reopened it", []entry{in, bensTake, closed, reopened}, []win{wins(ben, 4, 4)}, nil},
		{"S3.9 a chat that is nowhere", nil, []win{{uuid.UUID{11}, ben, 1, 2}}, []string{wrong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			w.ledger.wins = c.wins
			w.auditCourse(told(c.entries...))
			require.Equal(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
}

// Who has a chat is the same by its timeline, by its row and in the CRM, which learns of the agents in their order.
func TestAuditOfWhoHasAChat(t *testing.T) {
	in := said(1, "c000 m00000")
	toBen, toCarla := entry{kind: "assigned", data: entryData{To: ben}}, entry{kind: "assigned", data: entryData{From: ben, To: carla}}
	hold, closed := entry{kind: "held"}, entry{kind: "closed", author: "agent"}
	nobody := uuid.Nil.String()
	both := []entry{in, toBen, toCarla}
	for _, c := range []struct {
		name    string
		entries []entry
		row     story
		crm     []string
		loads   [2]int // ben's and carla's
		find    []string
	}{
		{"S0.50 all is well", both, story{agent: carla}, []string{nobody, "B", "C"}, [2]int{0, 8}, nil},
		{"S0.50 the CRM missed one between", both, story{agent: carla}, []string{nobody, "C"}, [2]int{0, 8}, nil},
		{"S0.50 nobody has it", []entry{in}, story{}, []string{nobody}, [2]int{}, nil},
		{"S0.50 another one by the row", both, story{agent: ben}, []string{nobody, "B", "C"}, [2]int{0, 8}, []string{wrong}},
		{"S0.50 on hold by the row alone", both, story{agent: carla, onHold: true}, []string{"C"}, [2]int{0, 8}, []string{wrong}},
		{"S0.50 closed by the row alone", both, story{agent: carla, closed: true}, []string{"C"}, [2]int{0, 8}, []string{wrong}},
		{"S0.50 another one in the CRM", both, story{agent: carla}, []string{nobody, "B"}, [2]int{0, 8}, []string{swapped}},
		{"S0.50 nobody in the CRM", both, story{agent: carla}, []string{nobody}, [2]int{0, 8}, []string{swapped}},
		{"S0.50 not in the CRM", both, story{agent: carla}, nil, [2]int{0, 8}, []string{swapped}},
		{"S0.50 twice each in the CRM", both, story{agent: carla}, []string{"B", "C", "B", "C"}, [2]int{0, 8}, []string{swapped}},
		{"S0.50 who never had it in the CRM", both, story{agent: carla}, []string{"D", "C"}, [2]int{0, 8}, []string{swapped}},
		{"S0.50 a load that was never taken off", both, story{agent: carla}, []string{"C"}, [2]int{8, 8}, []string{over}},
		{"S0.50 a load that is forgotten", both, story{agent: carla}, []string{"C"}, [2]int{0, 0}, []string{over}},
		{"S0.50 on hold it does not count", []entry{in, toBen, hold}, story{agent: ben, onHold: true}, []string{"B"}, [2]int{0, 0}, nil},
		{"S0.50 closed it does not count", []entry{in, toBen, hold, closed}, story{agent: ben, closed: true}, []string{"B"}, [2]int{0, 0}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := small()
			all := told(c.entries...)
			s := all[theChat]
			s.agent, s.onHold, s.closed = c.row.agent, c.row.onHold, c.row.closed
			agents := []stored{{ben, "B", c.loads[0]}, {carla, "C", c.loads[1]}}
			w.auditHolders(w.auditCourse(all), agents, func(string) []string { return c.crm })
			require.Equal(t, c.find, w.kinds(), "%v", w.findings)
		})
	}
}

func TestAuditMissesPicturesThatNeverCome(t *testing.T) {
	w := small()
	w.facts.replies = repliesForPictures
	w.auditPictures(nil, nil, nil)
	require.Equal(t, []string{lost}, w.kinds())
	w = small()
	w.facts.replies, w.facts.picturesOut = repliesForPictures, 1
	w.auditPictures(nil, nil, nil)
	require.Empty(t, w.kinds())
}
