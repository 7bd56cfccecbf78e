package telegramtest

import (
	"encoding/json"
	"slices"
	"time"
)

// poller is the one getUpdates call that may be pending.
type poller struct{ abort chan *apiError }

// getUpdates is §2 getUpdates and the 409 rows of §1.
func (b *Bot) getUpdates(q *query) (any, string, *apiError) {
	b.s.Mu.Lock()
	if b.hook != nil {
		b.s.Mu.Unlock()
		return nil, "", b.conflicted(q, conflict("can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"))
	}
	b.abortPoll(conflict("terminated by other getUpdates request; make sure that only one bot instance is running"))
	b.setAllowed(q)
	limit, timeout := b.startPoll(q)
	me := &poller{abort: make(chan *apiError, 1)}
	b.poller = me
	b.s.Mu.Unlock()
	defer b.endPoll(me)

	var late <-chan time.Time
	if timeout > 0 {
		late = b.s.Clock.After(timeout)
	}
	for {
		b.s.Mu.Lock()
		found, changed := b.page(limit), b.s.Changed()
		b.s.Mu.Unlock()
		if len(found) > 0 || timeout == 0 {
			return found, "", nil
		}
		select {
		case fail := <-me.abort:
			return nil, "", b.conflicted(q, fail)
		case <-changed:
		case <-late:
			return found, "", nil
		case <-q.ctx.Done():
			return found, "", nil
		case <-b.s.Context.Done():
			return found, "", nil
		}
	}
}

// startPoll confirms what lies below offset and returns the limit and the wait, both changed as the real server does
// for a caller who repeats himself too fast.
func (b *Bot) startPoll(q *query) (limit int, timeout time.Duration) {
	offset := q.int("offset", 0)
	limit = int(q.int("limit", 100))
	if limit < 1 || limit > 100 {
		limit = 100
	}
	timeout = time.Duration(min(max(q.int("timeout", 0), 0), 50)) * time.Second // clamped to 50
	now := b.s.Clock.Now()
	if since := now.Sub(b.pollStarted); offset == b.pollOffset && !b.pollStarted.IsZero() {
		if since < 3*time.Second {
			timeout = max(timeout, 3*time.Second)
		}
		if since < 500*time.Millisecond {
			limit = 1
		}
	}
	b.pollOffset, b.pollStarted = offset, now
	switch {
	case offset > 0:
		b.pending = slices.DeleteFunc(b.pending, func(u *update) bool { return u.id < offset })
	case offset < 0 && len(b.pending) > int(-offset):
		b.pending = b.pending[len(b.pending)-int(-offset):]
	}
	b.s.Announce()
	return limit, timeout
}

// page lists up to limit pending updates by id. They stay until an offset confirms them.
func (b *Bot) page(limit int) []json.RawMessage {
	b.expire()
	sorted := slices.SortedFunc(slices.Values(b.pending), func(x, y *update) int { return int(x.id - y.id) })
	found := []json.RawMessage{}
	for _, u := range sorted[:min(limit, len(sorted))] {
		found = append(found, u.body)
	}
	return found
}

// abortPoll answers the pending poll with a conflict: it is the OLDER one that loses (§1). The caller holds the lock.
func (b *Bot) abortPoll(fail *apiError) {
	if b.poller != nil {
		b.poller.abort <- fail
		b.poller = nil
	}
}

func (b *Bot) endPoll(me *poller) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	if b.poller == me {
		b.poller = nil
	}
}

// conflicted delays a 409 that follows another within 3 s by 3 s (§1 Rules).
func (b *Bot) conflicted(q *query, fail *apiError) *apiError {
	b.s.Mu.Lock()
	now := b.s.Clock.Now()
	again := !b.lastConflictAt.IsZero() && now.Sub(b.lastConflictAt) < 3*time.Second
	b.lastConflictAt = now
	b.s.Mu.Unlock()
	if again {
		select {
		case <-b.s.Clock.After(3 * time.Second):
		case <-q.ctx.Done():
		case <-b.s.Context.Done():
		}
	}
	return fail
}
