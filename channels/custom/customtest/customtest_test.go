package customtest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels/double"
)

const code = "open sesame 🐝"

func start(t *testing.T) *Messenger {
	t.Helper()
	m := New(code)
	t.Cleanup(m.Close)
	return m
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

// call is what some Waggle sends.
type call struct {
	method, path, code, contentType, body string
}

func do(t *testing.T, m *Messenger, c call) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx(t), c.method, m.URL+c.path, strings.NewReader(c.body))
	require.NoError(t, err)
	if c.code != "" {
		r.Header.Set("X-Confirmation-Code", c.code)
	}
	r.Header.Set("Content-Type", c.contentType)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body), resp.Header
}

func right(body string) call {
	return call{http.MethodPost, webhookPath, encodeCode(code), "application/json", body}
}

const hello = `{"type":"message","channel":"c","id":"k-1","user":{"id":"ann"},"text":"Hello"}`

func TestWrongRequestsAreRefused(t *testing.T) {
	change := func(edit func(*call)) call {
		c := right(hello)
		edit(&c)
		return c
	}
	for _, row := range []struct {
		name   string
		call   call
		status int
		blamed bool
	}{
		{"no code", change(func(c *call) { c.code = "" }), 401, false},
		{"wrong code", change(func(c *call) { c.code = "guess" }), 401, false},
		{"code not percent-encoded", change(func(c *call) { c.code = code }), 200, false}, // decodes to itself: no percent in it
		{"broken escape", change(func(c *call) { c.code = encodeCode(code) + "%" }), 401, false},
		{"plus for space", change(func(c *call) { c.code = strings.ReplaceAll(encodeCode(code), "%20", "+") }), 401, false},
		{"the code comes before the body", call{http.MethodPost, webhookPath, "", "", "{"}, 401, false},
		{"another path", change(func(c *call) { c.path = "/" }), 404, true},
		{"GET", change(func(c *call) { c.method = http.MethodGet }), 400, true},
		{"form", change(func(c *call) { c.contentType = "application/x-www-form-urlencoded" }), 400, true},
		{"no JSON", right(`hello`), 400, true},
		{"a list", right(`[]`), 400, true},
		{"wrong types", right(`{"type":"message","channel":"c","id":1}`), 400, true},
		{"no type", right(`{"channel":"c"}`), 400, true},
		{"unknown type", right(`{"type":"typing","channel":"c"}`), 400, true},
		{"no channel", right(`{"type":"message","id":"k","user":{"id":"ann"},"text":"x"}`), 400, true},
		{"no id", right(`{"type":"message","channel":"c","user":{"id":"ann"},"text":"x"}`), 400, true},
		{"id too long", right(`{"type":"message","channel":"c","id":"` + strings.Repeat("k", 129) + `","user":{"id":"ann"},"text":"x"}`), 400, true},
		{"no user", right(`{"type":"message","channel":"c","id":"k","text":"x"}`), 400, true},
		{"no text", right(`{"type":"message","channel":"c","id":"k","user":{"id":"ann"}}`), 400, true},
		{"empty text", right(`{"type":"message","channel":"c","id":"k","user":{"id":"ann"},"text":""}`), 400, true},
		{"empty reply_to", right(`{"type":"message","channel":"c","id":"k","user":{"id":"ann"},"text":"x","reply_to":""}`), 400, true},
		{"text too long", right(`{"type":"message","channel":"c","id":"k","user":{"id":"ann"},"text":"` + strings.Repeat("x", 10_001) + `"}`), 400, true},
		{"text too long in UTF-16", right(`{"type":"message","channel":"c","id":"k","user":{"id":"ann"},"text":"` + strings.Repeat("🐝", 5_001) + `"}`), 400, true},
		{"longest text", right(`{"type":"message","channel":"c","id":"k","user":{"id":"ann"},"text":"` + strings.Repeat("🐝", 5_000) + `"}`), 200, false},
		{"unknown user", right(`{"type":"message","channel":"c","id":"k","user":{"id":"bob"},"text":"x"}`), 400, false},
		{"check without company_url", right(`{"type":"check","channel":"c"}`), 400, true},
		{"connect without hook_url", right(`{"type":"connect","channel":"c","company_url":"https://crm.example"}`), 400, true},
		{"connect with a relative hook_url", right(`{"type":"connect","channel":"c","company_url":"https://crm.example","hook_url":"/hooks"}`), 400, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := start(t)
			m.Customer(Profile{ID: "ann"})
			status, body, _ := do(t, m, row.call)
			assert.Equal(t, row.status, status)
			assert.True(t, json.Valid([]byte(body)))
			assert.Equal(t, row.blamed, len(m.Wrong()) == 1, "%v", m.Wrong())
		})
	}
}

func TestAnotherChannelIsUnknown(t *testing.T) {
	m := start(t)
	m.Customer(Profile{ID: "ann"})
	status, _, _ := do(t, m, right(`{"type":"connect","channel":"c","company_url":"https://crm.example","hook_url":"https://waggle.example/hook"}`))
	require.Equal(t, 200, status)
	status, _, _ = do(t, m, right(hello))
	assert.Equal(t, 200, status)
	status, _, _ = do(t, m, right(strings.Replace(hello, `"c"`, `"d"`, 1)))
	assert.Equal(t, 404, status)
}

func TestRepetitionsAreShownOnce(t *testing.T) {
	m := start(t)
	ann := m.Customer(Profile{ID: "ann"})
	_, first, _ := do(t, m, right(hello))
	_, second, _ := do(t, m, right(hello))
	assert.Equal(t, first, second)
	assert.Len(t, ann.Inbox(), 1)
	assert.Equal(t, 1, m.Repeats("k-1"))
	assert.Zero(t, m.Repeats("k-2"))
	status, _, _ := do(t, m, right(strings.Replace(hello, "Hello", "Bye", 1)))
	assert.Equal(t, 400, status, "one key, two contents")
	assert.Len(t, m.Wrong(), 1)
}

func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name       string
		fault      double.Fault
		status     int
		retryAfter string
		shown      int
	}{
		{"500", Status(500), 500, "", 0},
		{"500 after accepting", double.AfterAccepting(Status(500)), 500, "", 1},
		{"503", Down(30), 503, "30", 0},
		{"503 without Retry-After", Down(0), 503, "", 0},
		{"429", TooManyRequests(17), 429, "17", 0},
		{"400", Refuse("user_blocked"), 400, "", 0},
		{"page", Page(502), 502, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := start(t)
			ann := m.Customer(Profile{ID: "ann"})
			m.FailNext(row.fault)
			status, _, header := do(t, m, right(hello))
			assert.Equal(t, row.status, status)
			assert.Equal(t, row.retryAfter, header.Get("Retry-After"))
			assert.Len(t, ann.Inbox(), row.shown)
			status, _, _ = do(t, m, right(hello))
			assert.Equal(t, 200, status, "one fault, one request")
			assert.Len(t, ann.Inbox(), 1)
		})
	}
	t.Run("broken until healed", func(t *testing.T) {
		m := start(t)
		m.Break(Status(404))
		for range 3 {
			status, _, _ := do(t, m, right(hello))
			assert.Equal(t, 404, status)
		}
		m.Heal()
		m.Customer(Profile{ID: "ann"})
		status, _, _ := do(t, m, right(hello))
		assert.Equal(t, 200, status)
	})
	t.Run("hanging after accepting", func(t *testing.T) {
		m := start(t)
		ann := m.Customer(Profile{ID: "ann"})
		m.FailNext(double.AfterAccepting(double.Hang()))
		c, cancel := context.WithCancel(ctx(t))
		done := make(chan error, 1)
		go func() {
			_, err := m.Post(c, m.WebhookURL(), code, []byte(hello))
			done <- err
		}()
		_, err := ann.WaitFor(ctx(t), 1)
		require.NoError(t, err)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
	t.Run("connections refused, then accepted at the same address", func(t *testing.T) {
		m := start(t)
		m.Customer(Profile{ID: "ann"})
		url := m.WebhookURL()
		m.RefuseConnections()
		_, err := m.Post(ctx(t), url, code, []byte(hello))
		require.ErrorContains(t, err, "refused")
		m.Listen()
		status, err := m.Post(ctx(t), url, code, []byte(hello))
		require.NoError(t, err)
		assert.Equal(t, 200, status)
	})
}

// waggle is a hook that answers what it is told and keeps what it got.
type waggle struct {
	mu       sync.Mutex
	statuses []int // one per request; afterwards 200
	body     string
	got      []string
	codes    []string
}

func (h *waggle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, string(body))
	h.codes = append(h.codes, r.Header.Get("X-Confirmation-Code"))
	if len(h.statuses) > 0 {
		w.WriteHeader(h.statuses[0])
		h.statuses = h.statuses[1:]
	}
	_, _ = io.WriteString(w, h.body)
}

func connected(t *testing.T, h *waggle) *Messenger {
	t.Helper()
	if h.body == "" {
		h.body = "{}"
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	m := start(t)
	m.SetHook(srv.URL)
	return m
}

func texts(t *testing.T, bodies []string) (out []string) {
	t.Helper()
	for _, b := range bodies {
		var e event
		require.NoError(t, json.Unmarshal([]byte(b), &e))
		out = append(out, e.Type+" "+e.Text)
	}
	return out
}

func TestCustomerKeepsWhatWaggleDidNotTake(t *testing.T) {
	h := &waggle{statuses: []int{503, 500}}
	m := connected(t, h)
	ann := m.Customer(Profile{ID: "ann", Name: "Ann"})
	id, err := ann.Write(ctx(t), "one")
	require.ErrorContains(t, err, "503")
	_, err = ann.Write(ctx(t), "two")
	require.ErrorContains(t, err, "500", "the first is tried again before the second")
	assert.Equal(t, 2, m.Pending())
	require.NoError(t, m.Retry(ctx(t)))
	require.NoError(t, ann.Edit(ctx(t), id, "one!"))
	assert.Zero(t, m.Pending())
	assert.Equal(t, []string{"message one", "message one", "message one", "message two", "edit one!"}, texts(t, h.got))
	assert.Equal(t, h.got[0], h.got[2], "a repetition is the same to the letter")
	assert.Equal(t, encodeCode(code), h.codes[0])
}

func TestCustomerGivesUpOn400(t *testing.T) {
	m := connected(t, &waggle{statuses: []int{400}})
	_, err := m.Customer(Profile{ID: "ann"}).Write(ctx(t), "x")
	require.ErrorContains(t, err, "given up")
	assert.Zero(t, m.Pending())
}

func TestWaggleMustAnswerAnObject(t *testing.T) {
	m := connected(t, &waggle{body: "OK"})
	_, err := m.Customer(Profile{ID: "ann"}).Write(ctx(t), "x")
	require.ErrorContains(t, err, "JSON object")
	assert.Equal(t, 1, m.Pending())
}

func TestNobodyToSendTo(t *testing.T) {
	m := start(t)
	_, err := m.Customer(Profile{ID: "ann"}).Write(ctx(t), "x")
	require.Error(t, err)
	assert.Equal(t, 1, m.Pending())
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	c, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := start(t).Customer(Profile{ID: "ann"}).WaitFor(c, 1)
	require.ErrorIs(t, err, context.Canceled)
}

func TestFilesWantTheCode(t *testing.T) {
	m := start(t)
	at := m.Upload("Rechnung März.pdf", "application/pdf", []byte("%PDF"))
	path := strings.TrimPrefix(at.URL, m.URL)
	status, _, _ := do(t, m, call{method: http.MethodGet, path: path})
	assert.Equal(t, 401, status)
	status, body, header := do(t, m, call{method: http.MethodGet, path: path, code: encodeCode(code)})
	assert.Equal(t, 200, status)
	assert.Equal(t, "%PDF", body)
	assert.Equal(t, "application/pdf", header.Get("Content-Type"))
	status, _, _ = do(t, m, call{method: http.MethodGet, path: path + "x", code: encodeCode(code)})
	assert.Equal(t, 404, status)
}
