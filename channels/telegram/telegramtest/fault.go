package telegramtest

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Fault is what the double answers instead of the truth.
type Fault struct {
	fail    *apiError
	html    int // status of an answer that is no JSON
	hang    bool
	drop    bool
	accepts bool // the call is carried out first; only its answer is lost
}

// TooManyRequests is 429 with the header and parameters.retry_after (§1).
func TooManyRequests(seconds int) Fault { return Fault{fail: tooMany(seconds)} }

// Refuse is any refusal of the catalogue in §1: a status and the full description.
func Refuse(code int, description string) Fault {
	return Fault{fail: &apiError{Code: code, Description: description}}
}

// Migrated is 400 with parameters.migrate_to_chat_id (§1).
func Migrated(to int64) Fault {
	return Fault{fail: &apiError{Code: 400, Description: "Bad Request: group chat was upgraded to a supergroup chat", MigrateTo: to}}
}

// ServerError is a restarting server: 500, nothing done.
func ServerError() Fault { return Refuse(500, "Internal Server Error: restart") }

// BadGateway is the front proxy's 502 with an HTML body (§1, last line).
func BadGateway() Fault { return Fault{html: http.StatusBadGateway} }

// Hang never answers; nothing is done.
func Hang() Fault { return Fault{hang: true} }

// Drop closes the connection without an answer; nothing is done.
func Drop() Fault { return Fault{drop: true} }

// AfterAccepting carries the call out and then spoils its answer: AfterAccepting(Hang()) is a message that was
// delivered though its sender saw a timeout.
func AfterAccepting(f Fault) Fault {
	f.accepts = true
	return f
}

// FailNext makes the next calls of an API method ("sendMessage") meet these faults, one each. "send" stands for
// every send method.
func (b *Bot) FailNext(method string, faults ...Fault) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	key := strings.ToLower(method)
	b.faults[key] = append(b.faults[key], faults...)
}

func (b *Bot) takeFault(method string) (Fault, bool) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.calls[method]++
	b.s.announce()
	keys := []string{method}
	if strings.HasPrefix(method, "send") {
		keys = append(keys, "send")
	}
	for _, key := range keys {
		if queued := b.faults[key]; len(queued) > 0 {
			b.faults[key] = queued[1:]
			return queued[0], true
		}
	}
	return Fault{}, false
}

// Slow lets each call of a send method be carried out only after a random while of at most upTo, and be answered after another
// such; 0: at once again. A call whose caller has given up before it is carried out is not done.
func (b *Bot) Slow(upTo time.Duration) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.slow = upTo
}

// linger is one of the whiles of Slow; false: nobody waits for the answer any more.
func (b *Bot) linger(ctx context.Context, method string) bool {
	b.s.mu.Lock()
	upTo := b.slow
	b.s.mu.Unlock()
	if upTo == 0 || !strings.HasPrefix(method, "send") {
		return true
	}
	select {
	case <-time.After(rand.N(upTo)):
		return true
	case <-ctx.Done():
	case <-b.s.ctx.Done():
	}
	return false
}

func (f Fault) write(w http.ResponseWriter, client, server context.Context) {
	switch {
	case f.hang:
		select {
		case <-client.Done():
		case <-server.Done():
		}
		panic(http.ErrAbortHandler)
	case f.drop:
		panic(http.ErrAbortHandler)
	case f.html != 0:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(f.html)
		_, _ = io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
	default:
		writeError(w, f.fail)
	}
}
