package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"waggle/store"
)

// retryUnavailable is the Retry-After, in seconds, of an answer that says that Waggle itself cannot serve at present.
const retryUnavailable = 5

// render writes an error as application/problem+json. It is Fiber's error handler too, for what fails before any handler runs.
func (s *Server) render(c *fiber.Ctx, err error) error {
	p := asProblem(err)
	out := p.Problem
	instance := "urn:waggle:request:" + requestID(c)
	out.Instance = &instance
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("write a problem: %w", err)
	}
	if p.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, fmt.Sprint(p.retryAfter))
	}
	if out.Status == http.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="waggle"`)
	}
	c.Status(out.Status)
	c.Set(fiber.HeaderContentType, "application/problem+json")
	return c.Send(body)
}

// asProblem finds what to tell the caller. What it does not know becomes a 500 that tells nothing but where to look.
func asProblem(err error) *problem {
	var p *problem
	var f *fiber.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &f):
		return fiberProblem(f)
	case errors.Is(err, store.ErrNotFound):
		return notFound("object").because(err)
	case errors.Is(err, store.ErrConflict):
		return conflict("conflict", "The present state does not allow this.").because(err)
	case store.Unavailable(err):
		p := fail(http.StatusServiceUnavailable, "unavailable", "Waggle cannot serve this at the moment. Try again.").because(err)
		p.retryAfter = retryUnavailable
		return p
	default:
		return fail(http.StatusInternalServerError, "internal-error",
			"Something went wrong inside Waggle. The operator finds it in the log under this instance.").because(err)
	}
}

// fiberProblem words what Fiber and the generated code refuse. Their own messages name Go types and are not passed on.
func fiberProblem(f *fiber.Error) *problem {
	switch f.Code {
	case http.StatusNotFound:
		return fail(f.Code, "not-found", "There is nothing at this address.")
	case http.StatusMethodNotAllowed:
		return fail(f.Code, "method-not-allowed", "This address does not take this method.")
	case http.StatusRequestEntityTooLarge:
		return fail(f.Code, "body-too-large", fmt.Sprintf("The body is larger than %d bytes.", maxBody))
	case http.StatusRequestHeaderFieldsTooLarge:
		return fail(f.Code, "headers-too-large", fmt.Sprintf("The headers are larger than %d bytes.", maxHeaders))
	case http.StatusRequestTimeout:
		return fail(f.Code, "request-timeout", "The request did not arrive in time.")
	case http.StatusBadRequest:
		return fail(f.Code, "bad-request", "The request cannot be read.").because(f)
	default:
		return fail(f.Code, "http-"+fmt.Sprint(f.Code), http.StatusText(f.Code)).because(f)
	}
}

// explain is an error with its cause, for the log.
func explain(err error) string {
	var f *fiber.Error
	if errors.As(err, &f) && f.Code == http.StatusNotFound {
		return http.StatusText(f.Code) // Fiber repeats the path, with whatever is in it
	}
	text := err.Error()
	if cause := errors.Unwrap(err); cause != nil && !strings.Contains(text, cause.Error()) {
		text += " (" + cause.Error() + ")"
	}
	return text
}
