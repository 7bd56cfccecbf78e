package double

import (
	"context"
	"io"
	"net/http"
	"strings"
)

// Fault is what a double answers instead of the truth.
type Fault struct {
	answer  func(http.ResponseWriter) // nil: none
	header  http.Header
	hang    bool
	accepts bool
	met     func() // nil: nobody asks
}

// Answer is a fault that is answered by write.
func Answer(write func(http.ResponseWriter)) Fault { return Fault{answer: write} }

// Respond is any answer: a status, a type of content and a body, word for word.
func Respond(status int, contentType, body string) Fault {
	return Answer(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client is gone if this fails
	})
}

// BadGateway is a front proxy's 502 with a page.
func BadGateway() Fault {
	return Respond(http.StatusBadGateway, "text/html", "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
}

// Hang never answers; nothing is done.
func Hang() Fault { return Fault{hang: true} }

// Drop closes the connection without an answer; nothing is done.
func Drop() Fault { return Fault{} }

// AfterAccepting carries the call out and then spoils its answer: AfterAccepting(Hang()) is a message that was delivered though its
// sender saw a timeout.
func AfterAccepting(f Fault) Fault {
	f.accepts = true
	return f
}

// With adds a header to the answer.
func (f Fault) With(name, value string) Fault {
	f.header = f.header.Clone()
	if f.header == nil {
		f.header = http.Header{}
	}
	f.header.Set(name, value)
	return f
}

// Noting lets met be told of each call that meets the fault.
func (f Fault) Noting(met func()) Fault {
	f.met = met
	return f
}

// Accepts reports whether the call is carried out before its answer is spoilt.
func (f Fault) Accepts() bool { return f.accepts }

// Spoil gives a client the faulty answer. Hang lasts until the client or the double gives up.
func (b *Base) Spoil(w http.ResponseWriter, client context.Context, f Fault) {
	if f.met != nil {
		f.met()
	}
	if f.hang {
		select {
		case <-client.Done():
		case <-b.Context.Done():
		}
	}
	if f.answer == nil {
		panic(http.ErrAbortHandler) // the server closes the connection without an answer
	}
	f.Write(w)
}

// Write writes the answer of a fault that has one.
func (f Fault) Write(w http.ResponseWriter) {
	for name, values := range f.header {
		w.Header()[name] = values
	}
	f.answer(w)
}

// Faults are what calls are to meet, and how many calls there were, by the names that the double gives its operations: of any case.
type Faults struct {
	b      *Base
	queued map[string][]Fault
	calls  map[string]int
}

// NewFaults are none.
func NewFaults(b *Base) *Faults {
	return &Faults{b: b, queued: map[string][]Fault{}, calls: map[string]int{}}
}

// FailNext makes the next calls of an operation meet these faults, one each.
func (f *Faults) FailNext(name string, faults ...Fault) {
	f.b.Mu.Lock()
	defer f.b.Mu.Unlock()
	name = strings.ToLower(name)
	f.queued[name] = append(f.queued[name], faults...)
}

// Heal forgets the faults that no call has met yet.
func (f *Faults) Heal() {
	f.b.Mu.Lock()
	defer f.b.Mu.Unlock()
	clear(f.queued)
}

// Calls counts the calls of an operation so far, refused ones too.
func (f *Faults) Calls(name string) int {
	f.b.Mu.Lock()
	defer f.b.Mu.Unlock()
	return f.calls[strings.ToLower(name)]
}

// WaitForCalls blocks until an operation was called n times.
func (f *Faults) WaitForCalls(ctx context.Context, name string, n int) error {
	return f.b.Wait(ctx, "calls of "+name, func() bool { return f.calls[strings.ToLower(name)] >= n })
}

// Count counts a call. The caller holds Mu.
func (f *Faults) Count(name string) {
	f.calls[strings.ToLower(name)]++
	f.b.Announce()
}

// Take counts a call and takes the fault it is to meet: one of its own or, where there is none, one of the groups that it is in.
func (f *Faults) Take(name string, groups ...string) (Fault, bool) {
	f.b.Mu.Lock()
	defer f.b.Mu.Unlock()
	f.Count(name)
	for _, key := range append([]string{name}, groups...) {
		key = strings.ToLower(key)
		if queued := f.queued[key]; len(queued) > 0 {
			f.queued[key] = queued[1:]
			return queued[0], true
		}
	}
	return Fault{}, false
}
