package telegramtest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"waggle/channels/double"
)

// TooManyRequests is 429 with the header and parameters.retry_after (§1).
func TooManyRequests(seconds int) double.Fault { return failing(tooMany(seconds)) }

// Refuse is any refusal of the catalogue in §1: a status and the full description.
func Refuse(code int, description string) double.Fault {
	return failing(&apiError{Code: code, Description: description})
}

// Migrated is 400 with parameters.migrate_to_chat_id (§1).
func Migrated(to int64) double.Fault {
	return failing(&apiError{Code: 400, Description: "Bad Request: group chat was upgraded to a supergroup chat", MigrateTo: to})
}

// ServerError is a restarting server: 500, nothing done.
func ServerError() double.Fault { return Refuse(500, "Internal Server Error: restart") }

func failing(e *apiError) double.Fault {
	return double.Answer(func(w http.ResponseWriter) { writeError(w, e) })
}

// Slow lets each call of a send method be carried out only after a random while of at most upTo, and be answered after another
// such; 0: at once again. A call whose caller has given up before it is carried out is not done.
func (b *Bot) Slow(upTo time.Duration) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.slow = upTo
}

// Effects is how often what was asked for was really done: by Slow a while that a call had to wait, by DuplicateNext an update that went
// again after a 2xx, by ReorderNext updates held back of which a later one went before an earlier one of the same chat.
type Effects struct{ Slowed, Doubled, Reordered int }

// Effects so far.
func (b *Bot) Effects() Effects {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	e := b.effects
	e.Reordered = b.order.Reordered()
	return e
}

// linger is one of the whiles of Slow; false: nobody waits for the answer any more.
func (b *Bot) linger(ctx context.Context, method string) bool {
	b.s.Mu.Lock()
	upTo := b.slow
	slow := upTo > 0 && strings.HasPrefix(method, "send")
	if slow {
		b.effects.Slowed++
	}
	b.s.Mu.Unlock()
	if !slow {
		return true
	}
	select {
	case <-time.After(rand.N(upTo)):
		return true
	case <-ctx.Done():
	case <-b.s.Context.Done():
	}
	return false
}
