package xtest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// hook is a webhook of an app with the accounts subscribed to it by the Account Activity API.
type hook struct {
	id, url string
	valid   bool
	users   []string
}

func (h *hook) show() object {
	return object{"id": h.id, "url": h.url, "valid": h.valid, "created_at": "2026-08-01T00:00:00.000Z"}
}

// sign is X's proof (wire/x.md §5.3): base64, keyed with the Secret Key.
func (a *App) sign(data []byte) string {
	mac := hmac.New(sha256.New, []byte(a.consumerSecret))
	_, _ = mac.Write(data)
	return "sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Sign is the signature header of a delivery of this app.
func (a *App) Sign(body []byte) string { return a.sign(body) }

// check is the CRC (§5.2): a GET whose answer proves that the address knows the secret.
func (s *Server) check(a *App, address string) bool {
	token := rand.Text()
	r, err := http.NewRequestWithContext(s.Context, http.MethodGet, address+"?crc_token="+url.QueryEscape(token), http.NoBody)
	if err != nil {
		return false
	}
	res, err := s.Outward.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var body struct {
		Token string `json:"response_token"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&body)
	return err == nil && res.StatusCode == http.StatusOK && hmac.Equal([]byte(body.Token), []byte(a.sign([]byte(token))))
}

// Challenge tells whether an address answers the app's CRC, as X asks now and then by itself.
func (a *App) Challenge(address string) bool { return a.s.check(a, address) }

func problem(reason string) answer {
	return answer{status: http.StatusBadRequest, body: object{
		"errors": []object{{"message": reason}}, "title": "Invalid Request", "detail": "One or more parameters to your request was invalid.",
		"type": "https://api.twitter.com/2/problems/invalid-request",
	}}
}

func (c *call) listHooks() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	list := []object{}
	for _, h := range c.app.hooks {
		list = append(list, h.show())
	}
	return ok(object{"data": list, "meta": object{"result_count": len(list)}})
}

func (c *call) createHook() answer {
	var body struct {
		URL string `json:"url"`
	}
	if !c.decode(&body) {
		return problem("UrlValidationFailed")
	}
	u, err := url.Parse(body.URL)
	if err != nil || len(body.URL) > 200 || !c.anyHook && (u.Scheme != "https" || u.Port() != "") {
		return problem("UrlValidationFailed")
	}
	c.Mu.Lock()
	taken := slices.ContainsFunc(c.app.hooks, func(h *hook) bool { return h.url == body.URL })
	full := len(c.app.hooks) >= c.app.hookLimit
	c.Mu.Unlock()
	switch {
	case taken:
		return problem("DuplicateUrlFailed")
	case full:
		return problem("WebhookLimitExceeded")
	case !c.check(c.app, body.URL):
		return problem("CrcValidationFailed")
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	h := &hook{id: c.newID(), url: body.URL, valid: true}
	c.app.hooks = append(c.app.hooks, h)
	return ok(object{"data": h.show()})
}

func (c *call) validateHook() answer {
	c.Mu.Lock()
	h := c.app.hook(c.r.PathValue("hook"))
	c.Mu.Unlock()
	if h == nil {
		return notFound()
	}
	valid := c.check(c.app, h.url)
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if h.valid = valid; !valid {
		return problem("CrcValidationFailed")
	}
	return ok(object{"data": object{"valid": true}})
}

func (c *call) deleteHook() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	h := c.app.hook(c.r.PathValue("hook"))
	if h == nil {
		return notFound()
	}
	c.app.hooks = slices.DeleteFunc(c.app.hooks, func(other *hook) bool { return other == h })
	return ok(object{"data": object{"deleted": true}})
}

func notFound() answer {
	return answer{status: http.StatusNotFound, body: object{
		"title": "Not Found Error", "type": "https://api.twitter.com/2/problems/resource-not-found", "status": 404, "detail": "Could not find it.",
	}}
}

func (a *App) hook(id string) *hook {
	for _, h := range a.hooks {
		if h.id == id {
			return h
		}
	}
	return nil
}

// AddHook gives the app a webhook somebody else has set.
func (a *App) AddHook(address string) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.hooks = append(a.hooks, &hook{id: a.s.newID(), url: address, valid: true})
}

// Hooks lists the addresses of the app's webhooks.
func (a *App) Hooks() (addresses []string) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	for _, h := range a.hooks {
		addresses = append(addresses, h.url)
	}
	return addresses
}

// RemoveHooks is somebody deleting the app's webhooks in X's console.
func (a *App) RemoveHooks() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.hooks = nil
}

// Unsubscribe ends the account's subscriptions, as its owner's revoking the app does.
func (a *Account) Unsubscribe() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	for _, h := range a.app.hooks {
		h.users = slices.DeleteFunc(h.users, func(id string) bool { return id == a.ID })
	}
	a.app.activity = slices.DeleteFunc(a.app.activity, func(s *activity) bool { return s.user == a.ID })
}

// Invalidate is X having found the app's webhooks wanting: it delivers there no more.
func (a *App) Invalidate() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	for _, h := range a.hooks {
		h.valid = false
	}
}

// Revalidate is X having checked the app's webhooks once more: it delivers again to those that answer as they should. What
// happened before is not delivered any more.
func (a *App) Revalidate() {
	a.s.Mu.Lock()
	hooks := slices.Clone(a.hooks)
	a.s.Mu.Unlock()
	for _, h := range hooks {
		valid := a.s.check(a, h.url)
		a.s.Mu.Lock()
		h.valid = valid
		a.s.Mu.Unlock()
	}
}

// Subscribed tells how an account is subscribed: the words "all" (Account Activity API) or events of the X Activity API.
func (a *Account) Subscribed() (events []string) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	for _, h := range a.app.hooks {
		if slices.Contains(h.users, a.ID) {
			events = append(events, "all")
		}
	}
	for _, s := range a.app.activity {
		if s.user == a.ID {
			events = append(events, s.event)
		}
	}
	return events
}

// DuplicateNext delivers the next n events of the app twice.
func (a *App) DuplicateNext(n int) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.duplicates = n
}

// Doubled is how many events were taken twice because of DuplicateNext.
func (a *App) Doubled() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return a.doubled
}

// ReorderNext holds the next n events of the app back and delivers them last first: X promises no order (§5); 0 holds none any more.
func (a *App) ReorderNext(n int) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.order.Reverse(n)
}

// Reordered is how often events of one sender were delivered in another order because of ReorderNext.
func (a *App) Reordered() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return a.order.Reordered()
}

// Push delivers any payload for the account, under the name the X Activity API has for it.
func (a *Account) Push(event string, payload map[string]any) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.push("", event, payload)
}

// push queues one event to where the account is subscribed; from is whose it is. The caller holds the lock.
func (a *Account) push(from, event string, payload object) {
	for _, h := range a.app.hooks {
		if h.valid && slices.Contains(h.users, a.ID) {
			body := object{"for_user_id": a.ID}
			for k, v := range payload {
				body[k] = v
			}
			a.app.order.Pass(from, func() { a.app.deliver(h.url, body) })
		}
	}
	for _, s := range a.app.activity {
		h := a.app.hook(s.hook)
		if s.user != a.ID || s.event != event || h == nil || !h.valid {
			continue
		}
		inner := object{}
		for k, v := range payload {
			inner[k] = v
		}
		if users, is := inner["users"].(object); is {
			wrapped := object{}
			for id, u := range users {
				wrapped[id] = object{"data": u}
			}
			inner["users"] = wrapped
		}
		body := object{"data": object{
			"event_uuid": a.s.newID(), "filter": object{"user_id": a.ID}, "event_type": event, "tag": s.tag, "payload": inner,
		}}
		a.app.order.Pass(from, func() { a.app.deliver(h.url, body) })
	}
}

// deliver queues a delivery, or two of it. The caller holds the lock.
func (a *App) deliver(address string, body object) {
	raw, _ := json.Marshal(body)
	times := 1
	if a.duplicates > 0 {
		a.duplicates--
		times = 2
	}
	for i := range times {
		a.posting++
		a.queue = append(a.queue, func() bool { return a.post(address, raw) && i > 0 })
	}
	if !a.draining && a.s.Context.Err() == nil {
		a.draining = true
		a.s.Workers.Go(a.drain)
	}
}

// drain delivers in order, one at a time.
func (a *App) drain() {
	for {
		a.s.Mu.Lock()
		if len(a.queue) == 0 {
			a.draining = false
			a.s.Mu.Unlock()
			return
		}
		next := a.queue[0]
		a.queue = a.queue[1:]
		a.s.Mu.Unlock()
		again := next()
		a.s.Mu.Lock()
		if again {
			a.doubled++
		}
		a.posting--
		a.s.Announce()
		a.s.Mu.Unlock()
	}
}

const tries = 4

// post delivers one event, tells whether it was taken, and tries again a few times where it is not answered 200; a patient server for as long as it runs.
func (a *App) post(address string, raw []byte) bool {
	for i := 0; i < tries || a.s.patient; i++ {
		failure := a.try(address, raw)
		if failure == "" {
			return true
		}
		a.s.Mu.Lock()
		a.failures = append(a.failures, failure)
		a.s.Announce()
		a.s.Mu.Unlock()
		select {
		case <-a.s.Context.Done():
			return false
		case <-time.After(50 * time.Millisecond << min(i, tries)):
		}
	}
	return false
}

func (a *App) try(address string, raw []byte) (failure string) {
	r, err := http.NewRequestWithContext(a.s.Context, http.MethodPost, address, strings.NewReader(string(raw)))
	if err != nil {
		return "no address"
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Twitter-Webhooks-Signature", a.sign(raw))
	res, err := a.s.Outward.Do(r)
	if err != nil {
		return "no answer"
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return ""
}

// Failures lists the deliveries that were not answered 200.
func (a *App) Failures() []string {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return slices.Clone(a.failures)
}

// Pending is how many deliveries have not been answered 200 yet.
func (a *App) Pending() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return a.posting
}

// WaitDelivered blocks until no delivery is under way.
func (a *App) WaitDelivered(ctx context.Context) error {
	return a.s.Wait(ctx, "deliveries", func() bool { return a.posting == 0 })
}
