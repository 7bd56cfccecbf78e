package chat

import (
	"fmt"
	"time"
)

// WritableUntil is until when a client may be written to who wrote last at wrote, where the messenger takes messages for him
// only so long after that. limited is false where it takes them at any time; a client who never wrote may not be written to.
func WritableUntil(wrote time.Time, window time.Duration) (until time.Time, limited bool) {
	if window <= 0 {
		return time.Time{}, false
	}
	return wrote.Add(window), true
}

// WindowClosed says to an agent why the messenger takes nothing more.
func WindowClosed(window time.Duration) string {
	return fmt.Sprintf("the client wrote last more than %d hours ago; this messenger takes messages for him again when he has written", window/time.Hour)
}

// Budget is how many messages a messenger takes of one account in a stretch of time. The zero Budget is one that is not known.
type Budget struct {
	Messages int
	Per      time.Duration
}

// ExpectedAt is when a message is likely to be sent that ahead others go before, if the messenger takes the next one at next.
func (b Budget) ExpectedAt(next time.Time, ahead int) time.Time {
	if b.Messages <= 0 {
		return next
	}
	return next.Add(time.Duration(ahead/b.Messages) * b.Per)
}
