package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
)

func TestHugeRequestsAreRefused(t *testing.T) {
	h := newAPI(t)
	address := h.serve() + base + "/sessions"
	for name, tc := range map[string]struct {
		body, header string
		status       int
	}{
		"body":    {strings.Repeat("a", maxBody+1), "", 413},
		"headers": {"{}", strings.Repeat("a", maxHeaders), 431},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(tc.body))
			require.NoError(t, err)
			r.Header.Set("X-Filler", tc.header)
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, tc.status, resp.StatusCode)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		})
	}
}

func TestPanicsAndErrorsTellNothing(t *testing.T) {
	var log bytes.Buffer
	h := newAPI(t, func(s *Server) { s.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	h.App.Get("/panics", func(*fiber.Ctx) error { panic("the pie is burnt") })
	h.App.Get("/fails", func(*fiber.Ctx) error { return errors.New("SELECT secret FROM pies") })
	h.App.Get("/unreachable", func(*fiber.Ctx) error { return &net.OpError{Op: "dial", Err: errors.New("refused")} })

	a := h.raw("GET", "/panics", "", nil)
	p := a.problem(500)
	require.NotContains(t, string(a.Body), "pie")
	require.Contains(t, log.String(), "the pie is burnt")
	require.Contains(t, log.String(), strings.TrimPrefix(*p.Instance, "urn:waggle:request:"))

	require.NotContains(t, string(h.raw("GET", "/fails", "", nil).status(500).Body), "SELECT")
	a = h.raw("GET", "/unreachable", "", nil)
	a.problem(503)
	require.Equal(t, "5", a.Header.Get("Retry-After"))
}

func TestOneLogLineWithoutSecrets(t *testing.T) {
	var log bytes.Buffer
	h := newAPI(t, func(s *Server) { s.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	key := h.secretKey()
	token := h.session(key, chat.Administrator, uuid.Nil)
	log.Reset()
	h.call("GET", "/chats?token="+token+"&status=waiting", key, nil, "X-Request-Id", "req-1")

	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	var line map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	require.Equal(t, "req-1", line["request_id"])
	require.Equal(t, "/api/v1/chats", line["route"])
	require.Equal(t, "GET", line["method"])
	require.Equal(t, h.environment(key).String(), line["environment_id"])
	require.Equal(t, "secret_key", line["by"])
	require.NotContains(t, log.String(), token)
	require.NotContains(t, log.String(), key)
}

func TestRequestIDsArePlainWords(t *testing.T) {
	h := newAPI(t)
	require.Equal(t, "abc-1", h.raw("GET", "/healthz", "", nil, "X-Request-Id", "abc-1").Header.Get("X-Request-Id"))
	for _, odd := range []string{"a b", "<script>", strings.Repeat("a", 65)} {
		require.Len(t, h.raw("GET", "/healthz", "", nil, "X-Request-Id", odd).Header.Get("X-Request-Id"), 36, odd)
	}
}

func TestAnswersAreNotKeptNorSniffed(t *testing.T) {
	h := newAPI(t)
	a := h.call("POST", "/sessions", h.secretKey(), map[string]any{"role": "administrator"}).status(201)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
}

// Whatever is answered, a browser takes it for nothing else, frames it nowhere and runs nothing in it.
func TestEveryAnswerIsSafeInABrowser(t *testing.T) {
	h := newAPI(t)
	for _, path := range []string{"/", "/docs", "/docs/openapi.json", "/healthz", "/metrics", base + "/wizard", base + "/nothing", "/hooks/custom/x", base + "/token-requests"} {
		a := h.raw("GET", path, "", nil)
		policy := a.Header.Get("Content-Security-Policy")
		require.True(t, strings.HasPrefix(policy, "default-src 'none'; frame-ancestors 'none'"), "%s: %s", path, policy)
		require.NotContains(t, policy, "unsafe", path)
		require.NotContains(t, policy, "script-src", path)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "DENY", a.Header.Get("X-Frame-Options"), path)
		require.Equal(t, "no-referrer", a.Header.Get("Referrer-Policy"), path)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), path)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), path)
		require.Empty(t, a.Header.Get("Server"), path)
	}
	page := string(h.raw("GET", "/docs", "", nil).Body)
	for _, runs := range []string{"<script", "javascript:", " onclick=", " style=", "<iframe", " src="} {
		require.NotContains(t, page, runs)
	}
}

// What is no reverse proxy of ours cannot choose the address it is known by.
func TestOnlyOurProxiesNameTheSource(t *testing.T) {
	for _, tc := range []struct {
		trusted []string
		source  string
		warned  int
	}{{nil, "0.0.0.0", 1}, {[]string{"192.0.2.1"}, "0.0.0.0", 1}, {[]string{"0.0.0.0"}, "198.51.100.7", 0}} {
		var log bytes.Buffer
		h := newAPI(t, func(s *Server) {
			s.Log, s.Options.TrustedProxies = slog.New(slog.NewJSONHandler(&log, nil)), tc.trusted
		})
		for range 2 {
			h.call("GET", "/chats", "wsk_unknown", nil, "X-Forwarded-For", "198.51.100.7").status(401)
		}
		require.Equal(t, tc.warned, strings.Count(log.String(), "TRUSTED_PROXIES"), "the operator is told once")
		require.Contains(t, log.String(), `"source":"`+tc.source+`"`, tc.trusted)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	h := newAPI(t)
	for name, app := range map[string]*fiber.App{"api": h.App, "operations": h.Server.Operations()} {
		c := app.Config()
		for _, limit := range []time.Duration{c.ReadTimeout, c.WriteTimeout} {
			require.Positive(t, limit, name)
			require.LessOrEqual(t, limit, time.Minute, name)
		}
	}
}

// A file that nobody may send is refused, not cut off: most clients tell a reset connection from an answer badly.
func TestARefusedFileIsReadToItsEnd(t *testing.T) {
	h := newAPI(t)
	address := h.serve()
	file := strings.Repeat("x", 2*maxRead)
	for who, want := range map[string]int{"wsk_unknown": 401, h.secretKey(): 409} { // 409: its chats are off
		w := dial(t, address)
		require.NoError(t, w.send(fmt.Sprintf("POST /api/v1/chats/%s/files?name=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
			uuid.New(), who, len(file), file)))
		require.Equal(t, want, w.status())
	}
}
