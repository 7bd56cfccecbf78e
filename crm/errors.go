package crm

import (
	"errors"
	"fmt"
	"time"
)

// Cause says why a call to the CRM as a whole did not succeed.
type Cause string

// The causes of a failed call.
const (
	// Unavailable: down, slow, 5xx, HTML instead of JSON. One probe later tells when it is back.
	Unavailable Cause = "unavailable"
	// Refused: the credentials are not accepted. Nothing is probed; the administrator must act.
	Refused Cause = "refused"
	// Limited: too many calls; At says when to go on.
	Limited Cause = "limited"
)

// Error is a failed call to the CRM. Reason is a sentence for people, without secrets and message texts.
type Error struct {
	Cause  Cause
	At     time.Time // Limited only
	Reason string
	Err    error // the cause, already free of secrets; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("crm %s: %s", e.Cause, e.Reason)
	}
	return fmt.Sprintf("crm %s: %s: %v", e.Cause, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error; an error of any other type counts as Unavailable.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Cause: Unavailable, Reason: "the CRM's answer could not be understood", Err: err}
}
