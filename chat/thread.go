package chat

import "time"

// ThreadOwner says who holds a conversation that several apps share at the messenger: only he may write to the client.
type ThreadOwner string

// The owners of a conversation.
const (
	ThreadUntold  ThreadOwner = ""       // the messenger never said: nobody stands in our way
	ThreadOurs    ThreadOwner = "us"     // we
	ThreadOthers  ThreadOwner = "other"  // another app: a bot, or the page's own inbox
	ThreadNobodys ThreadOwner = "nobody" // whoever answers first
)

// ThreadWish is what is to be asked of the messenger about a conversation.
type ThreadWish string

// The wishes.
const (
	WishTake    ThreadWish = "take"    // from a bot that leaves the client unanswered
	WishRelease ThreadWish = "release" // as the chat is closed: the bot may answer what comes next
)

// Thread is what is known of a conversation's owner.
type Thread struct {
	Owner ThreadOwner
	App   string    // the other app's id; empty: not known
	At    time.Time // of the latest word about it, by the messenger's clock
}

// Elsewhere reports whether another app holds the conversation: no agent has the chat and nothing is sent (S3.59, S3.61).
func (t Thread) Elsewhere() bool { return t.Owner == ThreadOthers }

// Told is what is known after a further word, and whether that is news. Words come repeated and in any order: what is older than
// the latest one says nothing. A word that names no app leaves the one that is known.
func (t Thread) Told(word Thread) (after Thread, news bool) {
	if word.At.Before(t.At) {
		return t, false
	}
	if word.Owner != ThreadOthers {
		word.App = ""
	} else if word.App == "" && t.Owner == ThreadOthers {
		word.App = t.App
	}
	return word, word.Owner != t.Owner || word.App != t.App
}

// HeldElsewhere says to an agent why he cannot write, and what to do.
func (t Thread) HeldElsewhere() string {
	who := "another app"
	if t.App != "" {
		who += " (" + t.App + ")"
	}
	return who + " holds this conversation; take it back first (action take), or wait until it is passed to you"
}
