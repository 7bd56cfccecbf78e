package api

import (
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"
)

// cors lets pages of the CRM call the API (M.5). A pre-flight carries no key, so any environment's CRM is allowed to ask; who
// may then call is decided by ownOrigin, behind authentication. Before Step 1 names the CRM's address its server makes the
// calls, not its pages.
func (s *Server) cors(c *fiber.Ctx) error {
	c.Vary(fiber.HeaderOrigin)
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" {
		return c.Next()
	}
	known, err := s.knowsOrigin(c, origin)
	if err != nil {
		return err
	}
	if known {
		c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
		c.Set(fiber.HeaderAccessControlExposeHeaders, "Retry-After, X-Request-Id, Deprecation")
	}
	if c.Method() != fiber.MethodOptions || c.Get(fiber.HeaderAccessControlRequestMethod) == "" {
		return c.Next()
	}
	if !known {
		return foreignOrigin()
	}
	c.Set(fiber.HeaderAccessControlAllowMethods, "GET, POST, PUT, PATCH, DELETE")
	c.Set(fiber.HeaderAccessControlAllowHeaders, "Authorization, Content-Type, Idempotency-Key, X-Request-Id")
	c.Set(fiber.HeaderAccessControlMaxAge, "600")
	return c.SendStatus(http.StatusNoContent)
}

// ownOrigin refuses calls from pages of any other site than the environment's own CRM or Waggle itself.
func ownOrigin(c *fiber.Ctx) error {
	origin := c.Get(fiber.HeaderOrigin)
	who, err := callerOf(c.UserContext())
	if err != nil || origin == "" || origin == originOf(who.CRMURL) || origin == c.BaseURL() {
		return c.Next()
	}
	c.Response().Header.Del(fiber.HeaderAccessControlAllowOrigin)
	return foreignOrigin()
}

func foreignOrigin() *problem {
	return fail(http.StatusForbidden, "foreign-origin", "Pages of this site may not call: only those of the environment's CRM.")
}

// originOf is an address's scheme and host; empty for no address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
