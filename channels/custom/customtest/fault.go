package customtest

import (
	"net/http"
	"strconv"

	"waggle/channels/double"
)

// Status is any status with an empty JSON object: 401, 404, 500, …
func Status(code int) double.Fault { return double.Respond(code, "application/json", "{}") }

// Refuse is 400 with an error's name, or whatever else stands in its place.
func Refuse(name string) double.Fault {
	return double.Respond(http.StatusBadRequest, "application/json", `{"error":`+strconv.Quote(name)+`}`)
}

// Down is 503 with Retry-After, or without for 0.
func Down(seconds int) double.Fault { return later(http.StatusServiceUnavailable, seconds) }

// TooManyRequests is 429 with Retry-After.
func TooManyRequests(seconds int) double.Fault { return later(http.StatusTooManyRequests, seconds) }

func later(status, seconds int) double.Fault {
	if seconds == 0 {
		return Status(status)
	}
	return Status(status).With("Retry-After", strconv.Itoa(seconds))
}

// Answer is 200 with any body.
func Answer(body string) double.Fault { return double.Respond(http.StatusOK, "application/json", body) }

// Page is a proxy's page of HTML under any status.
func Page(code int) double.Fault {
	return double.Respond(code, "text/html", "<html><body>Be right back</body></html>")
}

// Redirect is 307 to another address.
func Redirect(to string) double.Fault {
	return Status(http.StatusTemporaryRedirect).With("Location", to)
}

// FailNext makes the next requests meet these faults, one each.
func (m *Messenger) FailNext(faults ...double.Fault) {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	m.faults = append(m.faults, faults...)
}

// Break makes every request meet this fault until Heal.
func (m *Messenger) Break(f double.Fault) {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	m.broken = &f
}

// Heal ends Break and forgets faults not yet met.
func (m *Messenger) Heal() {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	m.broken, m.faults = nil, nil
}

func (m *Messenger) takeFault() (double.Fault, bool) {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	if m.broken != nil {
		return *m.broken, true
	}
	if len(m.faults) == 0 {
		return double.Fault{}, false
	}
	f := m.faults[0]
	m.faults = m.faults[1:]
	return f, true
}
