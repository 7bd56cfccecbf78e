package messengertest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" // of the legacy signature
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"waggle/channels/double"
)

// hook is an app's one webhook, for all its pages.
type hook struct {
	url     string
	pending [][]byte // bodies, delivered one after another
	again   int      // how many deliveries are still to be made twice
	busy    bool
	held    []object // entries kept back for one batch
	holding bool
	order   double.Order
	failed  int
	doubled int
	retry   chan struct{}
}

// SetWebhook enters the app's webhook and verifies it as Facebook does (§1): the challenge must come back as it is, with
// 200. On an error nothing is changed.
func (a *App) SetWebhook(address, verifyToken string) error {
	const challenge = "1158201444"
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("messengertest: %w", err)
	}
	u.RawQuery = url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {verifyToken}}.Encode()
	r, err := http.NewRequestWithContext(a.s.Context, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("messengertest: %w", err)
	}
	res, err := a.s.Outward.Do(r)
	if err != nil {
		return fmt.Errorf("messengertest: %w", err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if res.StatusCode != http.StatusOK || string(body) != challenge {
		return fmt.Errorf("messengertest: the callback URL or verify token couldn't be validated: status %d", res.StatusCode)
	}
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.hook = &hook{url: address, retry: make(chan struct{})}
	return nil
}

// Hold keeps events back until Flush sends them as one batch with many entries.
func (a *App) Hold() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.hook.holding = true
}

// Flush ends Hold.
func (a *App) Flush() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	entries := a.hook.held
	a.hook.held, a.hook.holding = nil, false
	a.post(entries)
}

// DuplicateNext makes the next n deliveries come twice.
func (a *App) DuplicateNext(n int) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.hook.again = n
}

// Doubled is how many deliveries were made again after they had been taken, because of DuplicateNext.
func (a *App) Doubled() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return a.hook.doubled
}

// ReorderNext holds the next n events back and delivers them last first, as Facebook may (§3); 0 holds none any more.
func (a *App) ReorderNext(n int) {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	a.hook.order.Reverse(n)
}

// Reordered is how often events of one sender were delivered in another order because of ReorderNext.
func (a *App) Reordered() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return a.hook.order.Reordered()
}

// RetryNow makes a delivery that waits for its retry happen at once.
func (a *App) RetryNow() {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	close(a.hook.retry)
	a.hook.retry = make(chan struct{})
}

// Pending is how many deliveries have not been answered 200 yet.
func (a *App) Pending() int {
	a.s.Mu.Lock()
	defer a.s.Mu.Unlock()
	return len(a.hook.pending)
}

// WaitDelivered blocks until every event was answered 200.
func (a *App) WaitDelivered(ctx context.Context) error {
	return a.s.Wait(ctx, "deliveries", func() bool { return len(a.hook.pending) == 0 && !a.hook.busy })
}

// WaitForFailures blocks until n deliveries were not answered 200.
func (a *App) WaitForFailures(ctx context.Context, n int) error {
	return a.s.Wait(ctx, "failed deliveries", func() bool { return a.hook.failed >= n })
}

// Push delivers any event of a page to the app, however subscribed: messaging or standby.
func (p *Page) Push(a *App, list string, event map[string]any) {
	p.s.Mu.Lock()
	defer p.s.Mu.Unlock()
	a.push(p, list, event)
}

// push delivers one event, or keeps it for a batch. The caller holds the lock.
func (a *App) push(p *Page, list string, event object) {
	if a.hook == nil {
		return
	}
	entry := object{"id": p.ID, "time": a.s.Clock.Now().UnixMilli(), list: []object{event}}
	if a.hook.holding {
		a.hook.held = append(a.hook.held, entry)
		return
	}
	a.hook.order.Pass(fmt.Sprint(event["sender"]), func() { a.post([]object{entry}) })
}

// post queues one delivery. The caller holds the lock.
func (a *App) post(entries []object) {
	body := Escape(object{"object": "page", "entry": entries})
	a.hook.pending = append(a.hook.pending, body)
	if a.hook.again > 0 {
		a.hook.again--
		a.hook.pending = append(a.hook.pending, body)
	}
	if !a.hook.busy && a.s.Context.Err() == nil {
		a.hook.busy = true
		h := a.hook
		a.s.Workers.Go(func() { a.drain(h) })
	}
	a.s.Announce()
}

// drain delivers in order until nothing is pending; what is not answered 200 is tried again (§3).
func (a *App) drain(h *hook) {
	for delay := time.Second; ; {
		a.s.Mu.Lock()
		if len(h.pending) == 0 || a.s.Context.Err() != nil {
			h.busy = false
			a.s.Announce()
			a.s.Mu.Unlock()
			return
		}
		body, retry := h.pending[0], h.retry
		a.s.Mu.Unlock()
		ok := a.deliver(h.url, body)
		a.s.Mu.Lock()
		if ok {
			h.pending = h.pending[1:]
			delay = time.Second
			if len(h.pending) > 0 && &h.pending[0][0] == &body[0] {
				h.doubled++
			}
		} else {
			h.failed++
		}
		a.s.Announce()
		a.s.Mu.Unlock()
		if ok {
			continue
		}
		late := a.s.Clock.After(delay)
		delay = min(2*delay, time.Minute)
		select {
		case <-retry:
		case <-late:
		case <-a.s.Context.Done():
		}
	}
}

func (a *App) deliver(address string, body []byte) bool {
	r, err := http.NewRequestWithContext(a.s.Context, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("User-Agent", "facebookexternalua")
	r.Header.Set("Content-Type", "application/json")
	for name, value := range a.Sign(body) {
		r.Header.Set(name, value)
	}
	res, err := a.s.Outward.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res.StatusCode == http.StatusOK
}

// Sign returns the two signature headers of a body (§2).
func (a *App) Sign(body []byte) map[string]string {
	old := hmac.New(sha1.New, []byte(a.Secret))
	_, _ = old.Write(body)
	return map[string]string{
		"X-Hub-Signature-256": "sha256=" + a.mac(string(body)),
		"X-Hub-Signature":     "sha1=" + hex.EncodeToString(old.Sum(nil)),
	}
}

// Escape writes JSON as Facebook does: pure ASCII with lower-case \u escapes, and \/ for a slash (§2).
func Escape(v any) []byte {
	plain, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("messengertest: event is no JSON: %v", err))
	}
	var b strings.Builder
	for _, r := range string(plain) {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r < 0x80:
			b.WriteRune(r)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return []byte(b.String())
}
