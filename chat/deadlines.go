package chat

import "time"

// ClosesBy names the rule that closes a chat.
type ClosesBy string

// The rules that close a chat by themselves.
const (
	ByQueue       ClosesBy = "queue"       // the queue's chat completion timeout
	ByEnvironment ClosesBy = "environment" // "Close chats without messages"
	ByMonth       ClosesBy = "month"       // nobody had it for a month
)

// Clock is a chat as its closing deadlines see it.
type Clock struct {
	Closed        bool
	HasAgent      bool
	OnHold        bool
	ClosingSince  time.Time // delivery of the last message, if that is ours; zero: the client's turn is not running
	LastMessageAt time.Time
}

// Periods are the settings the closing deadlines go by. Zero minutes mean that the rule is off.
type Periods struct {
	QueueMinutes       int
	EnvironmentMinutes int
	ChatsEnabled       bool
	ChatsEnabledAt     time.Time
	// NotBefore is the later of the moments when service was resumed and when chats were switched on: a period counts from
	// there if its fact is older, as our own outage is nobody's silence (b24).
	NotBefore time.Time
}

// ClosesAt says when a chat closes if nothing happens, and by which rule; the zero time if none would close it.
//
// A chat with an agent closes when the last message is ours, delivered, and the client stays silent for the period (b1, b2):
// the queue's if it has one, else the environment's (b4, S3.21). What no agent has (S1.17, S1.18) and what is on hold (b8)
// has only the month. While chats are switched off nothing closes (b24).
func ClosesAt(c Clock, p Periods) (time.Time, ClosesBy) {
	switch {
	case c.Closed || !p.ChatsEnabled:
		return time.Time{}, ""
	case !c.HasAgent || c.OnHold:
		return MonthEnds(c.LastMessageAt, p.ChatsEnabledAt), ByMonth
	case c.ClosingSince.IsZero():
		return time.Time{}, ""
	case p.QueueMinutes > 0:
		return Due(c.ClosingSince, p.QueueMinutes, p.NotBefore), ByQueue
	case p.EnvironmentMinutes > 0:
		return Due(c.ClosingSince, p.EnvironmentMinutes, p.NotBefore), ByEnvironment
	default:
		return time.Time{}, ""
	}
}

// Due is when a period of whole minutes ends that counts from a fact, but not from before notBefore.
func Due(since time.Time, minutes int, notBefore time.Time) time.Time {
	return Later(since, notBefore).Add(time.Duration(minutes) * time.Minute)
}

// DueBefore turns the deadline into what a query can use: facts up to it are due now. It is the zero time if nothing can be
// due yet, because the period since notBefore has not passed.
func DueBefore(now time.Time, minutes int, notBefore time.Time) time.Time {
	fact := now.Add(-time.Duration(minutes) * time.Minute)
	if fact.Before(notBefore) {
		return time.Time{}
	}
	return fact
}

// Later returns the later of two moments.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// MonthEnds is when a chat that nobody has closes: a month after its last message, or after chats were switched on if that was
// later (b24). It does not count anew after an outage of ours: a month is no silence that a restart could be mistaken for, and
// with a restart each week it would never end.
func MonthEnds(lastMessage, enabled time.Time) time.Time {
	return MonthAfter(Later(lastMessage, enabled))
}

// MonthAfter is one calendar month after t in UTC; where the next month has no such day, its last day at the same hour (b7:
// 31 January → 28 February).
func MonthAfter(t time.Time) time.Time {
	t = t.UTC()
	first := time.Date(t.Year(), t.Month()+1, 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return first.AddDate(0, 0, min(t.Day(), daysOf(first))-1)
}

// MonthBefore bounds a query for chats whose month is over: whatever has MonthAfter(t) ≤ now has t ≤ MonthBefore(now). Of
// what is within the bound a few are not due, on the last days of short months: ask MonthAfter of each.
func MonthBefore(now time.Time) time.Time {
	now = now.UTC()
	if now.Day() == daysOf(now) {
		// The last day stands for all later days of a longer month before it.
		first := time.Date(now.Year(), now.Month(), 1, now.Hour(), now.Minute(), now.Second(), now.Nanosecond(), time.UTC)
		return Later(first.AddDate(0, 0, -1), now.AddDate(0, -1, 0))
	}
	return now.AddDate(0, -1, 0)
}

func daysOf(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
