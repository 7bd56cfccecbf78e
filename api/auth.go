package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"waggle/chat"
	"waggle/store"
)

// maxToken is the longest bearer looked up. CRMs may choose their own API keys.
const maxToken = 512

// authenticate finds out who calls. The token request, which needs no key, passes through it to its handler; a file that is asked
// for by its link has been given out before.
//
//   - A secret key is its environment's administrator until the environment has an API key (design §4); afterwards it opens
//     the wizard only: see onlyWizard. Where the environment is set up by login and password it never gets one, and the
//     secret key stays the bearer.
//   - An API key is the administrator: the CRM's server holds it.
//   - A session is its user.
func (s *Server) authenticate(c *fiber.Ctx) error {
	if isTokenRequest(c) {
		return c.Next()
	}
	token, ok := bearer(c)
	if !ok {
		return unauthorized("no-key", "Send the secret key, the API key or a session token in the header Authorization: Bearer.")
	}
	source := s.source(c)
	if wait := s.wrongKeys.exhausted(source); wait > 0 {
		return tooMany("unknown keys from this address", wait)
	}
	b, err := s.Store.Authenticate(c.UserContext(), token)
	if errors.Is(err, store.ErrNotFound) {
		s.wrongKeys.charge(source)
	}
	if err != nil {
		return s.refuseToken(b, err)
	}
	c.SetUserContext(withCaller(c.UserContext(), callerFrom(b)))
	return c.Next()
}

func isTokenRequest(c *fiber.Ctx) bool {
	return c.Method() == fiber.MethodPost && strings.TrimSuffix(c.Path(), "/") == base+"/token-requests"
}

// bearer is the request's token. What a browser loads without headers of its own may send it as ?token=.
func bearer(c *fiber.Ctx) (string, bool) {
	token := ""
	scheme, rest, found := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if found && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	} else if strings.HasPrefix(c.Path(), base+"/events") || strings.HasPrefix(c.Path(), base+"/media/") {
		token = c.Query("token")
	}
	return token, token != "" && len(token) <= maxToken
}

func unauthorized(kind, detail string) *problem { return fail(http.StatusUnauthorized, kind, detail) }

// refuseToken says why a token opens nothing. Only who holds the token learns that it once did.
func (s *Server) refuseToken(b store.Bearer, err error) error {
	session := b.Kind == store.TokenSession
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unauthorized("unknown-key", "This key or token is not known here. Check that it was copied whole.")
	case errors.Is(err, store.ErrExpired) && session:
		return unauthorized("session-expired", "The session has expired. Ask for a new one.")
	case errors.Is(err, store.ErrRevoked) && session:
		return unauthorized("session-ended", "The session was ended. Ask for a new one.")
	case errors.Is(err, store.ErrExpired) && b.Kind == store.TokenSecretKey:
		return unauthorized("secret-key-expired", "The secret key has expired. New chats are stored and held until it is renewed."+s.renewal())
	case errors.Is(err, store.ErrRevoked):
		return unauthorized("key-revoked", "The key was revoked."+s.renewal())
	case errors.Is(err, store.ErrExpired):
		return unauthorized("key-replaced", "The API key was replaced and its overlap is over. Use the new one.")
	default:
		return err
	}
}

// renewal says whom to write to (S0.10).
func (s *Server) renewal() string {
	if s.Options.VendorContact == "" {
		return ""
	}
	return " To renew it, write to " + s.Options.VendorContact + "."
}

func callerFrom(b store.Bearer) caller {
	who := caller{
		Environment: b.EnvironmentID, By: credential(b.Kind), Role: chat.Administrator,
		SessionID: b.SessionID, CRMURL: b.CRMURL, ChatsOn: b.ChatsEnabled, wizardOnly: b.Kind == store.TokenSecretKey && b.HasAPIKey,
	}
	if b.Kind == store.TokenSession {
		who.Role, who.AgentID, who.CRMUserID = b.Role, b.AgentID, b.CRMUserID
	}
	return who
}

// onlyWizard keeps a secret key to the wizard once there is an API key, so that the key people type into a form opens no more
// than the form.
func onlyWizard(c *fiber.Ctx) error {
	who, err := callerOf(c.UserContext())
	if err == nil && who.wizardOnly && !under(c, "/wizard") {
		return forbidden("This environment has an API key: use that. The secret key now opens the wizard only.")
	}
	return c.Next()
}

// noConfigurationForAgents: the configuration is an administrator's (S0.56). What chat administrators may do there the
// operations say themselves.
func noConfigurationForAgents(c *fiber.Ctx) error {
	who, err := callerOf(c.UserContext())
	if err == nil && who.Role == chat.AgentRole && (under(c, "/configuration") || under(c, "/wizard") || under(c, "/processes")) {
		return forbidden("The configuration is an administrator's.")
	}
	return c.Next()
}

// under reports whether the request is for this resource of the API or something beneath it.
func under(c *fiber.Ctx, resource string) bool {
	rest, found := strings.CutPrefix(c.Path(), base+resource)
	return found && (rest == "" || rest[0] == '/')
}
