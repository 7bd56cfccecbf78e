package api

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"waggle/jobs"
)

const (
	requestIDKey = "request_id"
	noteKey      = "note"
)

// slowDelivery is when a delivery that went well is worth a line of the log.
const slowDelivery = time.Second

// note adds to the request's one log line, if it is written. Never content, never a secret.
func note(c *fiber.Ctx, attrs func() []slog.Attr) { c.Locals(noteKey, attrs) }

// panicked is a handler's panic as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// observe gives the request an id, turns its error into an answer, and writes its one log line. The line holds no query (it
// may carry a token), no body and no header.
func (s *Server) observe(c *fiber.Ctx) error {
	began := time.Now()
	id := requestID(c)
	c.Set(fiber.HeaderXRequestID, id)
	err := recovered(c)
	if err != nil {
		if err := s.render(c, err); err != nil {
			return err
		}
	}
	s.logRequest(c, began, err)
	return nil
}

// recovered runs the rest of the request and turns a panic into an error.
func recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{value: p, stack: debug.Stack()}
		}
	}()
	return c.Next()
}

// requestID returns the request's id: the caller's own X-Request-Id where it is a plain word, else a new one.
func requestID(c *fiber.Ctx) string {
	if id, ok := c.Locals(requestIDKey).(string); ok {
		return id
	}
	id := c.Get(fiber.HeaderXRequestID)
	if !plainWord(id) {
		id = uuid.NewString()
	}
	c.Locals(requestIDKey, id)
	return id
}

func plainWord(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return true
}

// plainSegment is a part of a path that is a word or number of ours.
var plainSegment = regexp.MustCompile(`^([a-z-]{1,24}|v1|[0-9]{1,4}|openapi\.json)?$`)

// plainPath is a path for the log: its words and ids. What else somebody put there may be a key he pasted into the wrong place.
func plainPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if !plainSegment.MatchString(part) && uuid.Validate(part) != nil {
			parts[i] = "…"
		}
	}
	return strings.Join(parts, "/")
}

func (s *Server) logRequest(c *fiber.Ctx, began time.Time, err error) {
	took, status := time.Since(began), c.Response().StatusCode()
	level := levelOf(c.Path(), status, took)
	if !s.log().Enabled(c.UserContext(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", requestID(c)),
		slog.String("method", c.Method()),
		slog.String("route", c.Route().Path),
		slog.String("path", plainPath(c.Path())),
		slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int("bytes_in", bytesIn(c)),
		slog.String("source", c.IP()),
	}
	if who, err := callerOf(c.UserContext()); err == nil {
		attrs = append(attrs, slog.String("environment_id", who.Environment.String()), slog.String("by", string(who.By)), slog.String("role", string(who.Role)))
		if who.AgentID != uuid.Nil {
			attrs = append(attrs, slog.String("agent_id", who.AgentID.String()))
		}
	}
	if more, ok := c.Locals(noteKey).(func() []slog.Attr); ok {
		attrs = append(attrs, more()...)
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", explain(err)))
	}
	var p *panicked
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	s.log().LogAttrs(c.UserContext(), level, "request", attrs...)
}

// levelOf is how much a request's line matters. What comes by the thousand is counted by the metrics: a delivery that was taken
// in is worth a line only when it took long.
func levelOf(path string, status int, took time.Duration) slog.Level {
	switch {
	case status >= fiber.StatusInternalServerError && status != fiber.StatusNotImplemented:
		return slog.LevelError
	case isProbe(path), isHook(path) && status == fiber.StatusOK && took < slowDelivery:
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

func isHook(path string) bool { return strings.HasPrefix(path, jobs.Hooks+"/") }

// isProbe tells the calls that machines make every few seconds; they are worth a line only when they fail.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// log is the server's log; a server without one is silent.
func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// bytesIn is the size of a request's body; of a file, which may not have been read, what was said of it.
func bytesIn(c *fiber.Ctx) int {
	if isUpload(c) {
		return max(c.Request().Header.ContentLength(), 0)
	}
	return len(c.Request().Body())
}
