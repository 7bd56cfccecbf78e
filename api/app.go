package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"

	"waggle/api/gen"
)

// The limits of a request.
const (
	maxBody        = 1 << 20  // webhooks and API calls alike
	maxRead        = 4 << 20  // larger bodies are cut off unread, which many clients take for a broken connection
	maxHeaders     = 16 << 10 // request line included
	maxConnections = 20_000   // at once, and as many event streams
	readTimeout    = 30 * time.Second
	writeTimeout   = 60 * time.Second // the event stream renews it with each write
	idleTimeout    = 2 * time.Minute
	requestTimeout = 30 * time.Second // of a generated operation
)

const base = "/api/v1"

// App builds the façade: its limits, what every request passes through, and its routes.
func (s *Server) App() *fiber.App {
	spec := must(gen.GetSpec())
	s.limits()
	app := fiber.New(fiber.Config{
		AppName:               "Waggle",
		DisableStartupMessage: true,
		// What handlers read from a request may outlive it: Fiber reuses its memory otherwise.
		Immutable:     true,
		CaseSensitive: true,
		// A body is read as it comes, by takeBody or, if it is a file, by its handler.
		StreamRequestBody:       true,
		BodyLimit:               maxRead,
		ReadBufferSize:          maxHeaders,
		Concurrency:             maxConnections,
		ReadTimeout:             readTimeout,
		WriteTimeout:            writeTimeout,
		IdleTimeout:             idleTimeout,
		EnableTrustedProxyCheck: true,
		TrustedProxies:          s.Options.TrustedProxies,
		ProxyHeader:             fiber.HeaderXForwardedFor,
		EnableIPValidation:      true,
		JSONDecoder:             decodeStrictly,
		ErrorHandler:            s.render,
		// Nobody sends us forms; reading them would make files.
		DisablePreParseMultipartForm: true,
	})
	app.Use(s.observe, secureHeaders, readFilesOn, refuseBodies)
	s.mountOperations(app)
	s.mountDocs(app, spec)
	if s.Options.MovableClock {
		app.Post("/demo/clock", s.moveClock)
	}
	s.mountHooks(app)
	app.Get(loginPath+":kind", withDeadline, s.returnFromLogin)
	s.mountAPI(app, spec)
	return app
}

// Operations builds what a worker process serves: whether it lives, whether it can work, and its metrics.
func (s *Server) Operations() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, ErrorHandler: s.render})
	app.Use(s.observe, secureHeaders)
	s.mountOperations(app)
	return app
}

// must unwraps what is read from the program itself: only a broken build can fail there.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// mountAPI mounts what is under /api/v1: everything but the token request is behind authentication.
func (s *Server) mountAPI(app *fiber.App, spec *openapi3.T) {
	api := app.Group(base)
	api.Use(s.cors)
	api.Post("/token-requests", s.limitSources(newLimits[netip.Prefix](tokenRequestBurst, tokenRequestEvery, time.Now)))
	api.Get("/media/:entry_id/:index", s.linkedMedia)
	api.Use(s.authenticate, s.limitEnvironment, ownOrigin, onlyWizard, noConfigurationForAgents)
	api.Get("/events", s.streamEvents)
	app.Server().KeepHijackedConns = true // a stream closes its own
	app.Server().HeaderReceived = announced
	s.mountMedia(api)
	api.Post("/chats/:id/files", s.uploadFile)
	api.Use(withDeadline)
	mountValidation(api, spec)
	gen.RegisterHandlersWithOptions(app, gen.NewStrictHandler(s, nil), gen.FiberServerOptions{BaseURL: base})
}

// securityHeaders go with every answer, spelled as they are sent: nothing of them is made anew for each.
var securityHeaders = []struct{ name, value []byte }{
	{[]byte(fiber.HeaderXContentTypeOptions), []byte("nosniff")},
	{[]byte(fiber.HeaderXFrameOptions), []byte("DENY")},
	{[]byte(fiber.HeaderReferrerPolicy), []byte("no-referrer")},
	{[]byte(fiber.HeaderContentSecurityPolicy), []byte("default-src 'none'; frame-ancestors 'none'")},
	{[]byte(fiber.HeaderCacheControl), []byte("no-store")},
}

// secureHeaders tells browsers to take nothing of ours for something else. Answers may hold secrets, so nobody keeps them.
func secureHeaders(c *fiber.Ctx) error {
	for _, h := range securityHeaders {
		c.Response().Header.SetCanonical(h.name, h.value)
	}
	return c.Next()
}

// refuseBodies keeps out what is too large, what is packed (a kilobyte could unpack to gigabytes), and what has two lengths:
// a proxy before us might go by the other one and take the rest for somebody else's request (RFC 9112 §6.3).
func refuseBodies(c *fiber.Ctx) error {
	if lengths(c.Request().Header.RawHeaders()) > 1 {
		c.Context().SetConnectionClose()
		return fail(fiber.StatusBadRequest, "ambiguous-length", "The request says twice how long its body is.")
	}
	if err := takeBody(c); err != nil {
		return err
	}
	if e := c.Get(fiber.HeaderContentEncoding); e != "" && e != "identity" {
		return fail(fiber.StatusUnsupportedMediaType, "unsupported-encoding", "Send the body without Content-Encoding.")
	}
	return c.Next()
}

// lengths counts the headers that say how long a body is.
func lengths(raw []byte) (n int) {
	for line := range bytes.Lines(raw) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte(fiber.HeaderContentLength)) || bytes.EqualFold(name, []byte(fiber.HeaderTransferEncoding)) {
			n++
		}
	}
	return n
}

// withDeadline ends what a generated operation does in time.
func withDeadline(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), requestTimeout)
	defer cancel()
	c.SetUserContext(ctx)
	return c.Next()
}

// decodeStrictly decodes one JSON value and refuses unknown properties and anything behind the value. An empty body is io.EOF.
func decodeStrictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON value")
	}
	return nil
}
