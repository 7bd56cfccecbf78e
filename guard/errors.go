package guard

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// ErrBlocked is what a call fails with that the policy does not permit. The error's text is a sentence for the operator: what
// was refused, why, and which setting would allow it.
var ErrBlocked = errors.New("the address may not be called")

// ErrTooLarge is what reading a body fails with once its limit is passed.
var ErrTooLarge = errors.New("the answer is larger than permitted")

// refusal is the reason an address is refused at dial.
type refusal string

const (
	errInternal refusal = "it is a loopback, private or otherwise internal address"
	errPlain    refusal = "plain http:// is not encrypted"
)

func (r refusal) Error() string { return string(r) }

// blocked is the refusal of one host.
type blocked struct {
	host string
	why  refusal
}

func (b *blocked) Error() string {
	return fmt.Sprintf("%q may not be called: %s; the operator of this installation can permit the host or its network in ALLOW_HOSTS", b.host, string(b.why))
}

func (b *blocked) Is(target error) bool { return target == ErrBlocked }

// WithoutURL returns err without the address net/http wraps around it: addresses can carry tokens, and errors are shown.
func WithoutURL(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// Scrubbed returns an error of net/http without the address and with the secrets hidden in its text. Only what callers ask for
// can be found through it: that ctx ended, and ErrBlocked.
func Scrubbed(err error, secrets ...string) error {
	inner := WithoutURL(err)
	s := &scrubbed{text: hidden(inner.Error(), secrets...)}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, ErrBlocked} {
		if errors.Is(inner, known) {
			s.is = known
		}
	}
	return s
}

type scrubbed struct {
	text string
	is   error
}

func (s *scrubbed) Error() string { return s.text }
func (s *scrubbed) Unwrap() error { return s.is }
