package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/custom"
	"waggle/jobs"
)

const (
	// planted stands in every text and customer's name: it is answered, but no log and no problem ever holds it.
	planted = "Zt3xt"
	// plantedSecret stands in every secret: nothing that leaves ever holds it.
	plantedSecret = "Zs3cret"

	fuzzFor     = 10 * time.Second
	fuzzRequest = 250 // of one environment, which its requests may leave unusable
)

// ends are the operations that leave callers without their rights: they are rare.
var ends = []string{"revokeCurrentSession", "deleteAgent", "putWizardCredentials", "generateAPIKey"}

// TestFuzzOperations sends every operation of the contract generated requests, sound and hostile, with every kind of bearer. None
// may be answered 5xx or otherwise than the contract says, show another environment, or leave a text or secret in the log.
// FUZZ_SECONDS makes it longer; FUZZ_SEED repeats a run, whose seed is in its output.
func TestFuzzOperations(t *testing.T) {
	f := newFuzzer(t)
	f.ours = f.tenant("Our")
	for _, o := range f.operations {
		f.send(o)
	}
	for end := time.Now().Add(number("FUZZ_SECONDS", fuzzFor)); time.Now().Before(end); {
		f.ours = f.tenant("Our")
		before := f.snapshot(f.theirs)
		for range fuzzRequest {
			f.send(f.pick())
		}
		f.scope.report()
		require.Equal(t, before, f.snapshot(f.theirs), "another environment was changed")
	}
	t.Logf("%d requests: %v", f.sent, f.statuses)
	require.Greater(t, f.statuses[200], f.sent/10, "sound ones are among them")
}

func number(name string, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return time.Duration(n) * time.Second
}

type fuzzer struct {
	*tenants
	random     *rand.Rand
	operations []fuzzed
	log        *syncLog
	sent       int
	statuses   map[int]int
	scope      *scope
	foreignKey string // the other environment's Secret key
}

type fuzzed struct {
	method, path string // the path without /api/v1
	under        string // what it is under
	op           *openapi3.Operation
	parameters   openapi3.Parameters
}

// briefHints are hints of one event, after which a stream ends.
type briefHints struct{ jobs.Hints }

func (briefHints) Subscribe(_ context.Context, environment uuid.UUID) <-chan *jobs.Event {
	events := make(chan *jobs.Event, 1)
	events <- &jobs.Event{Type: "queue", Environment: environment}
	close(events)
	return events
}

// syncLog is a log that many write and one reads and empties.
type syncLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	l.text.Reset()
	return text
}

func newFuzzer(t *testing.T) *fuzzer {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("FUZZ_SEED"), 10, 64)
	if err != nil {
		seed = uint64(rand.Uint32())
	}
	t.Logf("FUZZ_SEED=%d", seed)
	f := &fuzzer{random: rand.New(rand.NewPCG(seed, 0)), log: &syncLog{}, statuses: map[int]int{}, scope: newScope(t)}
	f.tenants = newTenants(t, func(s *Server) {
		s.Log = slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.Jobs.Log, s.Jobs.Hints = s.Log, briefHints{s.Jobs.Hints}
		s.Channels["custom"] = filed{Adapter: s.Channels["custom"]}
	})
	f.foreignKey = f.theirs.Key
	f.theirs.Key = f.bind(f.foreignKey, "https://other.example.com")
	spec, err := gen.GetSpec()
	require.NoError(t, err)
	for path, item := range spec.Paths.Map() {
		under := base
		if item.Servers != nil {
			under = ""
		}
		for method, op := range item.Operations() {
			f.operations = append(f.operations, fuzzed{method, path, under, op, slices.Concat(item.Parameters, op.Parameters)})
		}
	}
	slices.SortFunc(f.operations, func(a, b fuzzed) int { return strings.Compare(a.op.OperationID, b.op.OperationID) })
	return f
}

// pick picks an operation.
func (f *fuzzer) pick() fuzzed {
	o := pick(f, f.operations...)
	for slices.Contains(ends, o.op.OperationID) && !f.chance(5) {
		o = pick(f, f.operations...)
	}
	return o
}

// send sends one request to an operation and checks all that must hold.
func (f *fuzzer) send(o fuzzed) {
	f.t.Helper()
	path, body, bearer, headers := f.path(o), f.body(o), f.bearer(), f.headers(o)
	f.log.take()
	f.seen()
	f.Server.limits() // what is sent knows no limits
	a := f.exchange(f.request(o.method, path, bearer, body, headers...))
	f.sent++
	what := fmt.Sprintf("request %d: %s\n%v\n%q\nanswered %d %s", f.sent, a.what, headers, body, a.Status, a.Body)
	f.statuses[a.Status]++
	log := f.log.take()
	// A file or a CRM on the other side may be out of reach; nothing else may fail.
	require.True(f.t, a.Status < 500 || a.Status == http.StatusBadGateway, "%s\n%s", what, log)
	if a.Status >= 400 {
		require.Equal(f.t, "application/problem+json", a.Header.Get("Content-Type"), what)
		require.NotContains(f.t, string(a.Body), planted, what)
	}
	require.NotContains(f.t, string(a.Body), plantedSecret, what)
	require.NotContains(f.t, string(a.Body), f.theirs.mark+" ", what)
	require.NotContains(f.t, log, planted, what)
	require.NotContains(f.t, log, plantedSecret, what)
	require.Equal(f.t, "nosniff", a.Header.Get("X-Content-Type-Options"), what)
	if bearer != "" && !raw(o.op) && o.op.OperationID != "requestToken" {
		f.scope.check(f.ours.Env, o.op.OperationID, f.seen())
	}
}

// exchange sends a request over a real connection: an event stream takes its own over.
func (f *fuzzer) exchange(r *http.Request) *answer {
	f.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	require.NoError(f.t, err)
	defer conn.Close()
	r.Close = true
	require.NoError(f.t, r.Write(conn), r.Method+" "+r.RequestURI+fmt.Sprint(r.Header))
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	require.NoError(f.t, err)
	return f.answered(r, resp)
}

// chance is true in n of 100 cases.
func (f *fuzzer) chance(n int) bool { return f.random.IntN(100) < n }

func pick[T any](f *fuzzer, of ...T) T { return of[f.random.IntN(len(of))] }

func (f *fuzzer) bearer() string {
	if f.chance(3) {
		return pick(f, "", "wsk_"+plantedSecret, f.ours.Key+"x")
	}
	return f.ours.callers[pick(f, slices.Sorted(maps.Keys(f.ours.callers))...)]
}

// id is mostly one of ours, sometimes theirs, nobody's, or none.
func (f *fuzzer) id(name string) string {
	switch n := f.random.IntN(100); {
	case n < 70:
		return f.ours.id(name).String()
	case n < 85:
		return f.theirs.id(name).String()
	case n < 92:
		return uuid.NewString()
	default:
		return pick(f, "0", "%00", "null", "../../etc", "'; DROP TABLE chats; --", strings.Repeat("9", 300), "00000000-0000-0000-0000-000000000000")
	}
}

func (f *fuzzer) path(o fuzzed) string {
	var query url.Values = map[string][]string{}
	path := o.path
	for _, p := range o.parameters {
		schema := p.Value.Schema.Value
		switch p.Value.In {
		case openapi3.ParameterInPath:
			name := p.Value.Name
			if name == "id" {
				name = strings.Split(path, "/")[1]
			}
			value := fmt.Sprint(f.value(name, schema, 0))
			value = value[:min(len(value), 1000)] // the address must fit with the headers
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(value))
		case openapi3.ParameterInQuery:
			if f.chance(40) {
				value := fmt.Sprint(f.value(p.Value.Name, schema, 0))
				query.Set(p.Value.Name, value[:min(len(value), 1000)])
			}
		}
	}
	if f.chance(5) {
		query.Set("token", plantedSecret)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return o.under + path
}

func (f *fuzzer) headers(o fuzzed) (pairs []string) {
	if f.chance(10) {
		pairs = append(pairs, "Origin", pick(f, "https://crm.example.com", "null", "https://"+planted, "\x01"))
	}
	if f.chance(3) {
		pairs = append(pairs, "Content-Type", pick(f, "text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data"))
	}
	if f.chance(2) {
		pairs = append(pairs, "Content-Encoding", "gzip")
	}
	for _, p := range o.parameters {
		if p.Value.In == openapi3.ParameterInHeader && f.chance(50) {
			pairs = append(pairs, p.Value.Name, pick(f, "same", uuid.NewString(), strings.Repeat("k", 300)))
		}
	}
	if slices.Contains(o.op.Tags, "hooks") {
		pairs = append(pairs, "X-Confirmation-Code", url.PathEscape(pick(f, confirmationCode, confirmationCode, confirmationCode, plantedSecret)))
	}
	return pairs
}

// body is the request's: a file, or JSON that may be broken.
func (f *fuzzer) body(o fuzzed) any {
	if o.op.OperationID == "uploadFile" {
		return f.file()
	}
	schema := jsonSchema(o.op.RequestBody)
	if slices.Contains(o.op.Tags, "hooks") {
		schema = hookBody
	}
	if schema == nil || f.chance(2) {
		return nil
	}
	if f.chance(5) {
		return pick(f, "", "null", "[]", "{", `{"a":`, "\x00", `"`+planted+`"`, strings.Repeat("[", 5000), `{"surplus":"`+planted+`"}`, "{} {}", `{"text":"`+"\xff\xfe"+`"}`)
	}
	text, err := json.Marshal(f.value("", schema, 0))
	require.NoError(f.t, err)
	return string(text)
}

// file begins like one of some kind and goes on at random, up to more than the messenger takes.
func (f *fuzzer) file() string {
	begin := pick(f, "", picture, "%PDF-1.7\n", "GIF89a", "\xff\xd8\xff\xe0\x00\x10JFIF", "PK\x03\x04", "\x7fELF\x02\x01", "MZ", "<script>", "{}", planted,
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.exe\"\r\n\r\nMZ\r\n--b--\r\n")
	rest := make([]byte, pick(f, 0, 1, 100, 100, 100, 5000, 5<<20))
	for i := range min(len(rest), 5000) {
		rest[i] = byte(f.random.Uint32())
	}
	return begin + string(rest)
}

// hookBody is what the custom messenger sends (PROTOCOL.md §5).
var hookBody = func() *openapi3.Schema {
	text := openapi3.NewStringSchema
	user := openapi3.NewObjectSchema().WithProperty("id", text()).WithProperty("name", text()).WithProperty("phone", text()).WithProperty("email", text())
	user.Required = []string{"id"}
	file := openapi3.NewObjectSchema().WithProperty("name", text()).WithProperty("mime", text()).WithProperty("size", openapi3.NewInt64Schema()).WithProperty("url", text())
	s := openapi3.NewObjectSchema().WithProperty("type", openapi3.NewStringSchema().WithEnum("message", "edit", "typing")).
		WithProperty("id", text()).WithProperty("user", user).WithProperty("message_id", text()).WithProperty("reply_to", text()).
		WithProperty("text", text()).WithProperty("attachments", openapi3.NewArraySchema().WithItems(file)).WithProperty("at", openapi3.NewDateTimeSchema())
	s.Required = []string{"type", "id", "user", "text"}
	return s
}()

// value is one the schema takes or, now and then, one it must refuse.
func (f *fuzzer) value(name string, s *openapi3.Schema, depth int) any {
	switch {
	case f.chance(4):
		return f.hostile()
	case s.Nullable && f.chance(15):
		return nil
	case len(s.Enum) > 0:
		return pick(f, s.Enum...)
	case s.Type == nil || depth > 5:
		return map[string]any{}
	case s.Type.Is("object"):
		return f.object(name, s, depth)
	case s.Type.Is("array"):
		items := []any{}
		for range f.random.IntN(3) {
			items = append(items, f.value(name, s.Items.Value, depth+1))
		}
		return items
	case s.Type.Is("boolean"):
		return f.chance(50)
	case s.Type.Is("integer"), s.Type.Is("number"):
		return f.number(s)
	default:
		return f.text(name, s)
	}
}

func (f *fuzzer) object(name string, s *openapi3.Schema, depth int) any {
	if name == "fields" { // of a channel: addresses lead to our own doubles only
		return map[string]any{
			custom.FieldWebhook: f.custom.WebhookURL(), custom.FieldCode: pick(f, confirmationCode, plantedSecret),
			custom.FieldPublicURL: "https://crm.example.com",
		}
	}
	out := map[string]any{}
	for _, property := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, property) && !f.chance(3) || f.chance(40) {
			out[property] = f.value(property, s.Properties[property].Value, depth+1)
		}
	}
	if s.MaxProps != nil && !f.chance(10) {
		for _, property := range slices.Sorted(maps.Keys(out)) {
			if len(out) > int(*s.MaxProps) {
				delete(out, property)
			}
		}
	}
	if f.chance(2) {
		out["constructor"] = planted
	}
	return out
}

func (f *fuzzer) number(s *openapi3.Schema) any {
	if f.chance(10) {
		return pick[any](f, -1, 0, 1<<31, int64(1)<<62, -1.5, 1e300)
	}
	low, high := 0.0, 1000.0
	if s.Min != nil {
		low = *s.Min
	}
	if s.Max != nil {
		high = *s.Max
	}
	return int(low) + f.random.IntN(max(1, min(1000, int(high-low))))
}

// text is a string for a property of this name; what is secret has the planted secret in it, the rest the planted text.
func (f *fuzzer) text(name string, s *openapi3.Schema) any {
	switch {
	case s.Format == "uuid":
		return f.id(name)
	case s.Format == "date-time":
		return "2026-01-31T12:00:00Z"
	case name == "kind":
		return pick(f, "custom", "toy")
	case strings.Contains(name, "url"):
		return pick(f, "https://crm.example.com", "https://crm.example.com/0", "http://127.0.0.1:1", "https://"+planted+".example", "javascript:alert(1)", "file:///etc/passwd", "http://[::1", "//x")
	case name == "email":
		return pick(f, fmt.Sprintf("ann%d@acme.example", f.random.IntN(1e6)), planted)
	case slices.Contains([]string{"password", "secret_key", "api_key", "client_secret", "identity_server_client_secret"}, name):
		return pick(f, plantedSecret+uuid.NewString(), adminPassword, f.ours.Key, f.foreignKey)
	case name == "accounts":
		return pick(f, f.ours.mark+" cup", planted)
	case name == "login":
		return pick(f, "Supervisor", planted)
	case name == "cursor":
		return pick(f, "x", f.theirs.ids["chats"].String(), f.ours.ids["chats"].String(), "eyJuIjoiIiwiaSI6IiJ9", "eyJuIjoiQSIsImkiOiIwMTkzMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAifQ")
	}
	prefix := planted
	if slices.Contains([]string{"name", "nickname"}, name) {
		prefix = "The" // a channel's name is told where it does not work
	}
	text := prefix + " " + pick(f, "Hello", "Grüße 🐝", "a\x00b", "' OR 1=1 --", "<script>", "\u202e\u2028", "%s%n{{.}}", strings.Repeat("long ", 60), "\ufeff", "\n")
	if s.MaxLength != nil && f.chance(5) {
		text = strings.Repeat("x", int(*s.MaxLength)+pick(f, 0, 1))
	}
	return text
}

func (f *fuzzer) hostile() any {
	return pick[any](f, nil, true, -1, 1.5, "", planted, planted+"\x00", "\u0000", []any{}, []any{nil}, map[string]any{}, map[string]any{"surplus": planted},
		strings.Repeat("é", 3000), json.Number("1e999"), int64(-1)<<63, "9999-12-31T23:59:59Z", f.theirs.ids["chats"])
}
