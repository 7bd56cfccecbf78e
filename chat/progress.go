package chat

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"time"
)

// AssumedDelivered is how long a message that was sent waits for the messenger's word that it arrived, where the messenger gives
// one at all. After that it counts as delivered for the closing clock: a receipt that never comes keeps no chat open for ever.
const AssumedDelivered = time.Hour

// progress is the order of the states of what the messenger has taken. They are never left backwards.
var progress = []PartState{PartSent, PartDelivered, PartRead}

// Taken reports whether the messenger has the part.
func (p PartState) Taken() bool { return slices.Contains(progress, p) }

// Further is the one of two states that is further on the way to the customer.
func (p PartState) Further(other PartState) PartState {
	if slices.Index(progress, other) > slices.Index(progress, p) {
		return other
	}
	return p
}

// Taken reports whether the messenger has the whole message.
func (m MessageState) Taken() bool {
	return m == MessageSent || m == MessageDelivered || m == MessageRead
}

// Arrived reports whether the whole message is with the customer.
func (m MessageState) Arrived() bool { return m == MessageDelivered || m == MessageRead }

// MessageStateOf is how far a message has come whose parts have come so far: as far as the last of them. One whose fate is not
// known, or that failed, decides for all.
func MessageStateOf(parts []PartState) MessageState {
	switch {
	case slices.Contains(parts, PartUnknown):
		return MessageUnknown
	case slices.Contains(parts, PartFailed):
		return MessageFailed
	case slices.ContainsFunc(parts, func(p PartState) bool { return !p.Taken() }):
		return MessageSending
	case slices.Contains(parts, PartSent):
		return MessageSent
	case slices.Contains(parts, PartDelivered):
		return MessageDelivered
	}
	return MessageRead
}

// ClosingSince is from when the client's silence counts after our message has come into this state at now.
func ClosingSince(s MessageState, now time.Time) time.Time {
	if s == MessageSent {
		return now.Add(AssumedDelivered)
	}
	return now
}

var link = regexp.MustCompile(`(?i)\bhttps?://\S+`)

// SameText reports whether a text the messenger shows as the account's is the one we sent: messengers put links of their own in
// the place of ours, escape, and cut spaces.
func SameText(sent, shown string) bool {
	plain := func(s string) string {
		return strings.Join(strings.Fields(link.ReplaceAllString(html.UnescapeString(s), "link")), " ")
	}
	return plain(sent) == plain(shown)
}
