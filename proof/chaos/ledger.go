package main

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// ledger is what people know they wrote, and what the load balancer saw pass. Every text is written once in a run, so that
// texts are names.
type ledger struct {
	customers []*customer // fixed once they have come

	mu        sync.Mutex
	replies   map[string]reply
	races     int // for a chat that two agents tried to accept at the same time, and one at least had
	wins      []win
	sightings map[string]*sighting
	counter   int64
}

func newLedger() *ledger {
	return &ledger{replies: map[string]reply{}, sightings: map[string]*sighting{}}
}

// reply is what became of an agent's call.
type reply struct {
	chat     uuid.UUID
	accepted bool // false: refused, though an attempt without an answer may have been done
	pictures int  // that go along
}

// win is an agent who was told that he has accepted a chat, and when he asked and was answered, by the clock of commits.
type win struct {
	chat, agent     uuid.UUID
	asked, answered int64
}

// within tells whether it was true at some moment between question and answer.
func (w win) within(t tenure) bool {
	return t.agent == w.agent && t.from <= w.answered && t.to > w.asked
}

// sighting is when a customer's message first went to Waggle, and when it was first answered 2xx. What a messenger delivers
// before an earlier message was answered may overtake it.
type sighting struct{ first, done int64 }

// written finds the name of a customer's message in its text, also after it was edited.
var writtenText = regexp.MustCompile(`c\d{3} m\d{5}`)

// line names a customer's n-th message; edited is its text after an edit.
func line(customer string, n int) string { return fmt.Sprintf("%s m%05d", customer, n) }

func edited(text string) string { return text + " edited" }

// original is the text before the edit.
func original(text string) string { return strings.TrimSuffix(text, " edited") }

// seen is told every request on its way to Waggle.
func (l *ledger) seen(path string, body []byte) func(status int) {
	name := ""
	if strings.HasPrefix(path, "/hooks/") {
		name = string(writtenText.Find(body))
	}
	if name == "" {
		return func(int) {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counter++
	s := l.sightings[name]
	if s == nil {
		s = &sighting{first: l.counter}
		l.sightings[name] = s
	}
	return func(status int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.counter++
		if status/100 == 2 && s.done == 0 {
			s.done = l.counter
		}
	}
}

// sighting of a message; zero if it never went.
func (l *ledger) sighting(text string) sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sightings[original(text)]; s != nil {
		return *s
	}
	return sighting{}
}

func (l *ledger) replied(text string, r reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replies[text] = r
}

func (l *ledger) raced() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.races++
}

func (l *ledger) won(w win) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wins = append(l.wins, w)
}

func (l *ledger) count() (written, replies int) {
	for _, c := range l.customers {
		c.mu.Lock()
		written += len(c.texts)
		c.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.replies {
		if r.accepted {
			replies++
		}
	}
	return written, replies
}
