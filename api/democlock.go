package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// maxAdvance is how far one call may move the clock.
const maxAdvance = 366 * 24 * time.Hour

// moveClock serves POST /demo/clock {"advance":"5m"}: it moves the business clock forward and answers its new time. It exists only
// with Options.MovableClock and needs no key: whoever switches it on has given time away.
func (s *Server) moveClock(c *fiber.Ctx) error {
	var in struct {
		Advance string `json:"advance"`
	}
	if err := decodeStrictly(c.BodyRaw(), &in); err != nil {
		return unreadable(`Send {"advance":"5m"}.`).because(err)
	}
	d, ok := duration(in.Advance)
	if !ok || d < 0 || d > maxAdvance {
		return invalid(field("advance", "must be a duration from 0 to 366d, such as 5m, 36h or 14d"))
	}
	if err := s.Store.Advance(c.UserContext(), d); err != nil {
		return err
	}
	now, err := s.Store.Now(c.UserContext())
	if err != nil {
		return err
	}
	return c.Status(http.StatusOK).JSON(fiber.Map{"now": now})
}

// duration reads a Go duration, or whole days such as 14d.
func duration(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n >= 0 && n <= 366
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}
