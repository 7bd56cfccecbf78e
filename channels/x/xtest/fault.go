package xtest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"waggle/channels/double"
)

// Refuse is any answer: a status and a body of JSON, word for word.
func Refuse(status int, body string) double.Fault {
	return double.Respond(status, "application/json", body)
}

// ServerError is a 503 of X.
func ServerError() double.Fault {
	return Refuse(503, `{"title":"Service Unavailable","detail":"Service Unavailable","type":"about:blank","status":503}`)
}

// TooManyRequests is a 429 with the headers of a budget that is used up until then (§3).
func TooManyRequests(until time.Time) double.Fault {
	return Refuse(429, `{"title":"Too Many Requests","detail":"Too Many Requests","type":"about:blank","status":429}`).
		With("x-rate-limit-limit", "15").With("x-rate-limit-remaining", "0").With("x-rate-limit-reset", strconv.FormatInt(until.Unix(), 10))
}

// LimitedFor is TooManyRequests for so many seconds from when it is answered, by the double's clock.
func LimitedFor(seconds int) double.Fault {
	return double.Answer(func(w http.ResponseWriter) {
		answered, _ := http.ParseTime(w.Header().Get("Date")) // which every answer of the double has
		f := TooManyRequests(answered.Add(time.Duration(seconds) * time.Second))
		f.Write(w)
	})
}

// The two bodies of a 402 (wire/x.md §6).
const (
	NoCreditsOld = `{"account_id":2016521302417547264,"title":"CreditsDepleted","detail":"Your enrolled account [2016521302417547264] does not have any ` +
		`credits to fulfill this request.","type":"https://api.twitter.com/2/problems/credits"}`
	NoCreditsNew = `{"detail":"credits depleted","status":402,"title":"Payment Required","type":"https://api.x.com/2/problems/credits-depleted"}`
)

// SpendCredits makes every call that costs something answer 402 with this body, until TopUp.
func (a *App) SpendCredits(body string) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.noCredits = body
}

// TopUp gives the developer's account credits again.
func (a *App) TopUp() { a.SpendCredits("") }

// limit is one of an account's budgets (§3).
type limit struct {
	calls  int
	window time.Duration
}

var limits = map[string][]limit{
	"me":     {{75, 15 * time.Minute}},
	"events": {{15, 15 * time.Minute}},
	"send":   {{15, 15 * time.Minute}, {1440, 24 * time.Hour}},
}

// paid are the operations that need credits (§7).
var paid = []string{"me", "events", "send", "upload", "uploadInitialize"}

// limited counts a call against its budgets and the credits. The caller holds the lock.
func (c *call) limited(name string) *answer {
	if c.account != nil && !c.unlimited {
		if used := c.account.take(name, c.Clock.Now(), c.header); used {
			return &answer{status: http.StatusTooManyRequests, body: object{
				"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429,
			}}
		}
	}
	if c.app.noCredits != "" && slices.Contains(paid, name) {
		return &answer{status: http.StatusPaymentRequired, body: rawJSON(c.app.noCredits)}
	}
	return nil
}

type rawJSON string

// MarshalJSON writes the body as it is.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// take uses up one call of each budget, or says that one is used up; the headers tell (§3).
func (a *Account) take(name string, now time.Time, h http.Header) (exhausted bool) {
	for i, l := range limits[name] {
		key := name + strconv.Itoa(i)
		w := a.used[key]
		if now.Sub(w.began) >= l.window {
			w.began, w.calls = now, 0
		}
		if w.calls >= l.calls {
			exhausted = true
		} else {
			w.calls++
		}
		a.used[key] = w
		prefix := map[int]string{0: "x-rate-limit-", 1: "x-user-limit-24hour-"}[i]
		h.Set(prefix+"limit", strconv.Itoa(l.calls))
		h.Set(prefix+"remaining", strconv.Itoa(l.calls-w.calls))
		h.Set(prefix+"reset", strconv.FormatInt(w.began.Add(l.window).Unix(), 10))
	}
	return exhausted
}

type window struct {
	began time.Time
	calls int
}

// ResetLimits gives the account its whole budgets again.
func (a *Account) ResetLimits() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.used = map[string]window{}
}

// UseUp leaves nothing of a budget: of 15 minutes, or where daily of 24 hours.
func (a *Account) UseUp(name string, daily bool) {
	i := 0
	if daily {
		i = 1
	}
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.used[name+strconv.Itoa(i)] = window{began: a.s.Clock.Now(), calls: limits[name][i].calls}
}
