package customtest

import (
	"context"
	"io"
	"net/http"
	"strconv"
)

// Fault is what the messenger answers instead of the truth.
type Fault struct {
	status     int
	retryAfter int // seconds; 0: no header
	body       string
	location   string
	hang       bool
	drop       bool
	accepts    bool // the request is carried out first; only its answer is lost
}

// Status is any status with an empty JSON object: 401, 404, 500, …
func Status(code int) Fault { return Fault{status: code, body: "{}"} }

// Refuse is 400 with an error's name, or whatever else stands in its place.
func Refuse(name string) Fault {
	return Fault{status: http.StatusBadRequest, body: `{"error":` + strconv.Quote(name) + `}`}
}

// Down is 503 with Retry-After, or without for 0.
func Down(seconds int) Fault {
	return Fault{status: http.StatusServiceUnavailable, retryAfter: seconds, body: "{}"}
}

// TooManyRequests is 429 with Retry-After.
func TooManyRequests(seconds int) Fault {
	return Fault{status: http.StatusTooManyRequests, retryAfter: seconds, body: "{}"}
}

// Answer is 200 with any body.
func Answer(body string) Fault { return Fault{status: http.StatusOK, body: body} }

// Page is a proxy's page of HTML under any status.
func Page(code int) Fault {
	return Fault{status: code, body: "<html><body>Be right back</body></html>"}
}

// Redirect is 307 to another address.
func Redirect(to string) Fault {
	return Fault{status: http.StatusTemporaryRedirect, location: to, body: "{}"}
}

// Hang never answers; nothing is done.
func Hang() Fault { return Fault{hang: true} }

// Drop closes the connection without an answer; nothing is done.
func Drop() Fault { return Fault{drop: true} }

// AfterAccepting carries the request out and then spoils its answer: AfterAccepting(Hang()) is a message the user has
// though its sender saw a timeout.
func AfterAccepting(f Fault) Fault {
	f.accepts = true
	return f
}

// FailNext makes the next requests meet these faults, one each.
func (m *Messenger) FailNext(faults ...Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, faults...)
}

// Break makes every request meet this fault until Heal.
func (m *Messenger) Break(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = &f
}

// Heal ends Break and forgets faults not yet met.
func (m *Messenger) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken, m.faults = nil, nil
}

func (m *Messenger) takeFault() (Fault, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return *m.broken, true
	}
	if len(m.faults) == 0 {
		return Fault{}, false
	}
	f := m.faults[0]
	m.faults = m.faults[1:]
	return f, true
}

// write gives the faulty answer. Hang lasts until the client or the server gives up.
func (f Fault) write(w http.ResponseWriter, client, server context.Context) {
	switch {
	case f.hang:
		select {
		case <-client.Done():
		case <-server.Done():
		}
		panic(http.ErrAbortHandler)
	case f.drop:
		panic(http.ErrAbortHandler) // the server closes the connection without an answer
	}
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	if f.location != "" {
		w.Header().Set("Location", f.location)
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body)
}
