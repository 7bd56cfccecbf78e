package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"waggle/api/gen"
	"waggle/store"
)

// problem is an error as RFC 9457 shows it. Handlers return it; the error handler writes it as application/problem+json.
type problem struct {
	gen.Problem
	retryAfter int   // seconds; 0: no Retry-After header
	cause      error // for the log only
}

func (p *problem) Error() string {
	if p.Detail == nil {
		return p.Title
	}
	return p.Title + ": " + *p.Detail
}

func (p *problem) Unwrap() error { return p.cause }

// because keeps the cause for the log.
func (p *problem) because(err error) *problem {
	p.cause = err
	return p
}

// fail makes a problem. The kind is its stable name, a few words joined by dashes; detail says what happened and what to do.
func fail(status int, kind, detail string) *problem {
	return &problem{Problem: gen.Problem{
		Type: "urn:waggle:problem:" + kind, Status: status, Title: strings.ReplaceAll(kind, "-", " "), Detail: &detail,
	}}
}

// invalid is the 422 that names every field at fault.
func invalid(at ...gen.FieldError) *problem {
	p := fail(http.StatusUnprocessableEntity, "invalid-fields", "Correct the fields named in errors and send the request again.")
	p.Errors = at
	return p
}

// field names one field at fault.
func field(name, reason string) gen.FieldError { return gen.FieldError{Field: name, Reason: reason} }

// named refuses a name of nothing but spaces; the contract says how long one is.
func named(name string) error {
	if strings.TrimSpace(name) == "" {
		return invalid(field("name", "a name is required"))
	}
	return nil
}

// conflict is the 409 of a state that does not allow the request.
func conflict(kind, detail string) *problem { return fail(http.StatusConflict, kind, detail) }

// notFound is the 404 that says nothing about whether another environment has it.
func notFound(what string) *problem {
	return fail(http.StatusNotFound, "not-found", "There is no such "+what+".")
}

// forbidden is the 403 of a caller without the right.
func forbidden(detail string) *problem { return fail(http.StatusForbidden, "forbidden", detail) }

// storeProblem turns the store's errors into problems: ErrNotFound into a 404 of what, ErrConflict into a 409 with its text.
// Any other error stays what it is and becomes a 500 that tells nothing.
func storeProblem(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return notFound(what).because(err)
	case errors.Is(err, store.ErrConflict):
		return conflict("conflict", strings.TrimSuffix(err.Error(), ": "+store.ErrConflict.Error())).because(err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
