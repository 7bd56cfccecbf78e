package telegramtest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Failure is one delivery the receiver did not take.
type Failure struct {
	UpdateID int64
	Message  string        // as last_error_message words it
	Delay    time.Duration // until the next attempt
}

// Failures lists every failed delivery so far.
func (b *Bot) Failures() []Failure {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	return append([]Failure(nil), b.failures...)
}

// WaitForFailures blocks until n deliveries have failed since the start.
func (b *Bot) WaitForFailures(ctx context.Context, n int) error {
	return b.s.Wait(ctx, "failed deliveries", func() bool { return len(b.failures) >= n })
}

// WaitDelivered blocks until nothing is pending: every update was answered 2xx, confirmed, dropped or has expired.
func (b *Bot) WaitDelivered(ctx context.Context) error {
	return b.s.Wait(ctx, "pending updates", func() bool { b.expire(); return len(b.pending) == 0 })
}

// RetryNow makes every delivery that waits for its retry happen at once.
func (b *Bot) RetryNow() {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	close(b.retry)
	b.retry = make(chan struct{})
}

// deliver starts a worker for every queue that has updates and none. The caller holds the lock.
func (b *Bot) deliver() {
	hook := b.hook
	if hook == nil || b.s.Context.Err() != nil {
		return
	}
	for _, u := range b.pending {
		if !hook.busy[u.queue] {
			hook.busy[u.queue] = true
			b.s.Workers.Go(func() { b.drain(hook, u.queue) })
		}
	}
}

// drain delivers one queue in order: a failing update blocks the later ones of its queue only (§4).
func (b *Bot) drain(hook *webhook, queue string) {
	for {
		u := b.next(hook, queue)
		if u == nil {
			return
		}
		answer := hook.post(b.s.Outward, u)
		if hook.ctx.Err() != nil {
			return
		}
		if answer.status/100 == 2 {
			b.callBack(answer.body)
		}
		if again := b.record(hook, u, answer); again != nil {
			again(hook.ctx)
		}
	}
}

func (b *Bot) next(hook *webhook, queue string) *update {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.expire()
	if b.hook == hook {
		for _, u := range b.pending {
			if u.queue == queue {
				return u
			}
		}
	}
	delete(hook.busy, queue)
	b.s.Announce()
	return nil
}

// answered is how the receiver answered one delivery.
type answered struct {
	status     int // 0: no answer
	message    string
	retryAfter time.Duration
	body       []byte
}

// post sends the headers of §4 and one Update.
func (h *webhook) post(client *http.Client, u *update) answered {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-h.ctx.Done():
		return answered{}
	}
	r, err := http.NewRequestWithContext(h.ctx, http.MethodPost, h.url, bytes.NewReader(u.body))
	if err != nil {
		return answered{message: "Webhook URL is broken"}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Connection", "keep-alive")
	r.Header.Set("Accept-Encoding", "gzip, deflate")
	if h.secret != "" {
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", h.secret)
	}
	if user := r.URL.User; user != nil { // §4: Authorization: Basic if the URL has user:pass@
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	res, err := client.Do(r)
	if err != nil {
		return answered{message: "Webhook connection closed"}
	}
	defer res.Body.Close()
	a := answered{status: res.StatusCode}
	a.body, _ = io.ReadAll(io.LimitReader(res.Body, 1<<20)) // half an answer is an answer
	if res.StatusCode/100 != 2 {
		a.message = "Wrong response from the webhook: " + res.Status
	}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		a.retryAfter = time.Duration(min(n, 3600)) * time.Second
	}
	return a
}

// record settles one delivery. It returns the wait before the next attempt, or nil to go on at once.
func (b *Bot) record(hook *webhook, u *update, a answered) func(context.Context) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	defer b.s.Announce()
	if b.hook != hook {
		return nil
	}
	now := b.s.Clock.Now()
	if a.status/100 == 2 {
		b.gone410 = time.Time{}
		if u.repeats > 0 {
			u.repeats--
			b.effects.Doubled++
			return nil
		}
		b.confirm(u)
		return nil
	}
	b.lastError, b.lastErrorAt = a.message, now
	wait := u.failed(a.retryAfter)
	b.failures = append(b.failures, Failure{UpdateID: u.id, Message: a.message, Delay: wait})
	if b.goneForGood(a.status, now) {
		b.hook.cancel()
		b.hook = nil
		return nil
	}
	if wait == 0 {
		return nil
	}
	retry, late := b.retry, b.s.Clock.After(wait)
	return func(ctx context.Context) {
		select {
		case <-retry:
		case <-late:
		case <-ctx.Done():
		}
	}
}

// failed is §4 "Retry delay": 0, then 2, 4, 8 … s, capped at a random 60–120 s; the receiver's Retry-After wins.
func (u *update) failed(retryAfter time.Duration) time.Duration {
	u.failures++
	if retryAfter > 0 {
		return retryAfter
	}
	if u.failures == 1 {
		u.delay = time.Second
		return 0
	}
	limit := 60*time.Second + rand.N(60*time.Second)
	u.delay = min(2*u.delay, limit)
	return u.delay
}

// goneForGood is §4: 410 and nothing else for 23 h removes the webhook.
func (b *Bot) goneForGood(status int, now time.Time) bool {
	if status != http.StatusGone {
		b.gone410 = time.Time{}
		return false
	}
	if b.gone410.IsZero() {
		b.gone410 = now
	}
	return now.Sub(b.gone410) >= 23*time.Hour
}

// WaitForPending blocks until exactly n updates are pending.
func (b *Bot) WaitForPending(ctx context.Context, n int) error {
	return b.s.Wait(ctx, "pending updates", func() bool { return len(b.pending) == n })
}
