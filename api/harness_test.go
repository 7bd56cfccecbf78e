package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/crm"
	"waggle/jobs"
	"waggle/media"
	"waggle/store"
	"waggle/store/storetest"
)

// harness is a whole façade on a fresh database, with hints in memory:
//
//	h := newAPI(t)
//	key := h.secretKey()                                            // of a new environment
//	a := h.call("POST", "/channels", key, map[string]any{"kind": "custom"})
//	a.status(201); a.into(&channel)                                  // or a.problem(409).Type
type harness struct {
	t      *testing.T
	Server *Server
	App    *fiber.App
	Hints  *hintsInMemory
}

// newAPI makes a façade on SQLite, or on PostgreSQL where TEST_DATABASE_URL is set. Options may be changed before the first
// call only through with.
func newAPI(t *testing.T, with ...func(*Server)) *harness {
	t.Helper()
	s := storetest.Concurrent(t)
	hints := &hintsInMemory{}
	registry := prometheus.NewRegistry()
	server := &Server{
		Store: s, Channels: channels.Registry{}, CRMs: crm.Registry{}, Metrics: registry,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), // says why a 500
		Options: Options{
			PublicURL: "https://waggle.example.com", AllowHosts: []string{"127.0.0.1"}, VendorContact: "support@vendor.example", MovableClock: true, Version: "test",
		},
	}
	files, err := media.Open("file://" + t.TempDir())
	require.NoError(t, err)
	server.Jobs = &jobs.Jobs{
		Store: s, Media: files, Channels: server.Channels, CRMs: server.CRMs, Hints: hints, Metrics: jobs.NewMetrics(registry),
		Log: server.log(), PublicURL: server.Options.PublicURL, Owner: "test",
	}
	for _, f := range with {
		f(server)
	}
	return &harness{t: t, Server: server, App: server.App(), Hints: hints}
}

// secretKey issues a secret key with a new, empty environment.
func (h *harness) secretKey() string {
	h.t.Helper()
	token, _, err := h.Server.Store.IssueKey(context.Background(), store.KeyOwner{}, 0)
	require.NoError(h.t, err)
	return token
}

// environment is the one a token opens.
func (h *harness) environment(token string) uuid.UUID {
	h.t.Helper()
	b, err := h.Server.Store.Authenticate(context.Background(), token)
	require.NoError(h.t, err)
	return b.EnvironmentID
}

// bind does Step 1 for the environment of a secret key: its CRM's address, and an API key, which is returned.
func (h *harness) bind(secretKey, crmURL string) (apiKey string) {
	h.t.Helper()
	_, made, err := h.Server.Store.PutCredentials(context.Background(), h.environment(secretKey), store.Credentials{
		CRMKind: "creatio", CRMURL: crmURL, Auth: "api_key", NewAPIKey: true,
	})
	require.NoError(h.t, err)
	return made.Clear
}

// agent makes an agent who is the CRM's user with this id.
func (h *harness) agent(env uuid.UUID, crmUser string) uuid.UUID {
	h.t.Helper()
	a := store.Agent{EnvironmentID: env, Name: "Agent of " + crmUser, CRMUserID: crmUser, Enabled: true, Status: chat.Offline}
	require.NoError(h.t, h.Server.Store.CreateAgent(context.Background(), &a, nil))
	return a.ID
}

// session opens a session in the environment of key. An agent's needs his id; uuid.Nil for the others.
func (h *harness) session(key string, role chat.Role, agent uuid.UUID) string {
	h.t.Helper()
	body := map[string]any{"role": role}
	if agent != uuid.Nil {
		body["agent_id"] = agent
	}
	var out gen.Session
	h.call("POST", "/sessions", key, body).status(201).into(&out)
	return out.Token
}

// call calls an operation beneath /api/v1 with a bearer (none if empty). body is marshalled to JSON unless it is a string or nil.
// headers are pairs of name and value.
func (h *harness) call(method, path, bearer string, body any, headers ...string) *answer {
	h.t.Helper()
	return h.raw(method, base+path, bearer, body, headers...)
}

// raw is call for any path, such as /hooks/….
func (h *harness) raw(method, path, bearer string, body any, headers ...string) *answer {
	h.t.Helper()
	r := h.request(method, path, bearer, body, headers...)
	resp, err := h.App.Test(r, -1)
	require.NoError(h.t, err)
	return h.answered(r, resp)
}

// request is one that was not sent yet.
func (h *harness) request(method, path, bearer string, body any, headers ...string) *http.Request {
	h.t.Helper()
	r := httptest.NewRequest(method, path, bodyOf(h.t, body))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// answered reads what came and holds it against the contract.
func (h *harness) answered(r *http.Request, resp *http.Response) *answer {
	h.t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	a := &answer{t: h.t, what: r.Method + " " + r.RequestURI, Status: resp.StatusCode, Header: resp.Header, Body: text}
	keepsContract(h.t, r, a)
	return a
}

func bodyOf(t *testing.T, body any) io.Reader {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return http.NoBody
	case string:
		return bytes.NewReader([]byte(b))
	default:
		j, err := json.Marshal(b)
		require.NoError(t, err)
		return bytes.NewReader(j)
	}
}

// serve serves the façade on a real socket until the test ends, and returns its address. For what call cannot do: streams, and
// requests that break the server's limits.
func (h *harness) serve() string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(h.t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.App.Listener(l)
	}()
	h.t.Cleanup(func() {
		_ = h.App.ShutdownWithTimeout(5 * time.Second)
		<-served
	})
	return "http://" + l.Addr().String()
}

// answer is what the façade answered.
type answer struct {
	t      *testing.T
	what   string
	Status int
	Header http.Header
	Body   []byte
}

// status requires the answer's status.
func (a *answer) status(want int) *answer {
	a.t.Helper()
	require.Equal(a.t, want, a.Status, "%s: %s", a.what, a.Body)
	return a
}

// into decodes the answer's JSON.
func (a *answer) into(v any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.Body, v), "%s: %s", a.what, a.Body)
}

// problem requires a problem with this status and returns it.
func (a *answer) problem(status int) gen.Problem {
	a.t.Helper()
	a.status(status)
	require.Equal(a.t, "application/problem+json", a.Header.Get("Content-Type"), a.what)
	var p gen.Problem
	a.into(&p)
	require.Equal(a.t, status, p.Status, a.what)
	require.NotEmpty(a.t, p.Type, a.what)
	require.NotEmpty(a.t, p.Title, a.what)
	require.NotNil(a.t, p.Instance, a.what)
	return p
}

// faults requires a 422 and returns the fields it names.
func (a *answer) faults() []string {
	a.t.Helper()
	var names []string
	for _, e := range a.problem(http.StatusUnprocessableEntity).Errors {
		names = append(names, e.Field)
	}
	return names
}

// sortedFaults is faults, in alphabetical order.
func (a *answer) sortedFaults() []string {
	a.t.Helper()
	names := a.faults()
	slices.Sort(names)
	return names
}

// hintsInMemory keeps what was hinted and passes events on to subscribers.
type hintsInMemory struct {
	mu          sync.Mutex
	looks       []jobs.Look
	events      []jobs.Event
	subscribers map[chan *jobs.Event]uuid.UUID
}

func (h *hintsInMemory) Look(l jobs.Look) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks = append(h.looks, l)
}

func (h *hintsInMemory) Publish(e jobs.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	for to, environment := range h.subscribers {
		if environment == e.Environment {
			to <- &e
		}
	}
}

func (h *hintsInMemory) Subscribe(ctx context.Context, environment uuid.UUID) <-chan *jobs.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	to := make(chan *jobs.Event, 100)
	if h.subscribers == nil {
		h.subscribers = map[chan *jobs.Event]uuid.UUID{}
	}
	h.subscribers[to] = environment
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subscribers, to)
	})
	return to
}

// Looks returns the hints to the workers so far.
func (h *hintsInMemory) Looks() []jobs.Look {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]jobs.Look(nil), h.looks...)
}

// Events returns the events published so far.
func (h *hintsInMemory) Events() []jobs.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]jobs.Event(nil), h.events...)
}
