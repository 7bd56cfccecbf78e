package channels

import (
	"errors"
	"fmt"
	"time"
)

// The errors of Adapter.Webhook. ErrUnauthorized is answered 401 and nothing is kept, but for ErrChallenge, which is one and is
// answered 403; ErrMalformed is answered 400.
var (
	ErrUnauthorized = errors.New("the request does not prove that it comes from the messenger")
	ErrChallenge    = fmt.Errorf("the challenge does not name this address's token: %w", ErrUnauthorized)
	ErrMalformed    = errors.New("the request's body is not one the messenger sends")
)

// Because says of an error of Adapter.Webhook what its sender should know to do better. Why is the end of a sentence, without content
// and secrets: he reads it in the answer.
func Because(err error, why string) error { return &because{err, why} }

type because struct {
	error
	why string
}

func (b *because) Error() string { return b.error.Error() + ": " + b.why }

func (b *because) Unwrap() error { return b.error }

// Why is what Because said; empty where nothing was.
func Why(err error) string {
	var b *because
	if errors.As(err, &b) {
		return b.why
	}
	return ""
}

// Outcome is what a failed call to a messenger means for what was tried.
type Outcome string

// The outcomes of a failed call. What follows each is decided in one place, jobs.
const (
	// RetryAt: certainly not done; try again at Error.At. A limit applies to the whole channel.
	RetryAt Outcome = "retry_at"
	// Permanent: this message failed for good; others may work.
	Permanent Outcome = "permanent"
	// Broken: the channel cannot send until the administrator acts; this message failed. It keeps receiving.
	Broken Outcome = "broken"
	// Unknown: it may or may not have been done. It is never silently repeated.
	Unknown Outcome = "unknown"
	// Refused: the messenger does not accept these credentials or settings (Verify, Connect).
	Refused Outcome = "refused"
	// Elsewhere: certainly not done, as another app holds the conversation (Send, where the kind has Bots). It is tried again once
	// the conversation is ours.
	Elsewhere Outcome = "elsewhere"
	// Foreign: the account already reports to somebody else (Connect without TakeOver).
	Foreign Outcome = "foreign"
)

// Error is a failed call to a messenger. Reason is a sentence for people, without secrets and message texts.
type Error struct {
	Outcome      Outcome
	At           time.Time // RetryAt only; zero means soon, as the caller thinks fit
	WholeChannel bool      // RetryAt only: the limit holds for the whole channel, not for this chat alone
	Field        string    // Refused only: the field at fault, if one is
	Blocked      bool      // Permanent only: the user takes no messages of the account, as a Block tells
	Reason       string
	Err          error // the cause, already free of secrets; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.Outcome, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %v", e.Outcome, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error. An error of any other type has an unknown outcome: nothing is known about it.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Outcome: Unknown, Reason: "the messenger's answer could not be understood", Err: err}
}
