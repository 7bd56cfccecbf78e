package api

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

// strangersDoor is a façade with a toy's channel, whose clock stands and whose statements are counted.
type strangersDoor struct {
	*harness
	statements atomic.Int64
	key        string
	hook       string
	now        time.Time
}

func newStrangersDoor(t *testing.T) *strangersDoor {
	t.Helper()
	d := &strangersDoor{now: time.Now()}
	d.harness = newAPI(t, func(s *Server) {
		s.Store = storetest.Watched(t, func(string) { d.statements.Add(1) })
		s.Jobs.Store = s.Store
		s.Channels["toy"] = &toy{}
		s.Jobs.Intake = jobs.NewIntake(s.Jobs)
		t.Cleanup(s.Jobs.Intake.Close)
	})
	clock := func() time.Time { return d.now }
	d.Server.strangers.now, d.Server.noHooks.now, d.Server.origins.now = clock, clock, clock
	d.key = d.secretKey()
	d.hook = d.channel("1")
	return d
}

// channel adds a channel and returns where its deliveries arrive.
func (d *strangersDoor) channel(cup string) string {
	var ch gen.Channel
	d.call("POST", "/channels", d.key, map[string]any{"kind": "toy", "name": "Toy", "fields": map[string]string{"Cup": cup, "String": "long"}}).
		status(http.StatusCreated).into(&ch)
	return "/hooks/toy/" + ch.ID.String()
}

func (d *strangersDoor) deliver(hook string) *answer {
	return d.raw("POST", hook, "", fmt.Sprintf(`{"id": %q, "from": "ann", "text": "hello?"}`, uuid.New()), "X-String", "long")
}

// asked counts the statements that a request needs.
func (d *strangersDoor) asked(request func()) int64 {
	before := d.statements.Load()
	request()
	return d.statements.Load() - before
}

func TestAWebhookOfNoChannelIsLookedUpOnceASecond(t *testing.T) {
	d := newStrangersDoor(t)
	id := uuid.New()
	nowhere := "/hooks/toy/" + id.String()
	require.EqualValues(t, 1, d.asked(func() { d.deliver(nowhere).problem(404) }))
	require.Zero(t, d.asked(func() {
		d.deliver(nowhere).problem(404)
		d.raw("GET", nowhere, "", nil).problem(404)
	}))
	d.deliver(d.hook).status(200)
	d.deliver(d.channel("2")).status(200)

	ch := &store.Channel{ID: id, EnvironmentID: d.environment(d.key), Kind: "toy", Name: "Toy", State: chat.ChannelActive, Receive: "webhook", Weight: 1}
	secrets, err := d.Server.Store.SealSecrets(id, store.ChannelSecrets{Fields: map[string]string{"String": "long"}})
	require.NoError(t, err)
	ch.Secrets = secrets
	_, _, err = d.Server.Store.CreateChannel(t.Context(), ch, store.Idem{})
	require.NoError(t, err)
	d.now = d.now.Add(glimpseAge)
	d.deliver(nowhere).status(200)
}

func TestADeletedChannelIsNotLookedUpForEachDelivery(t *testing.T) {
	d := newStrangersDoor(t)
	hook := d.channel("2")
	d.raw("POST", hook, "", "{", "X-String", "long").problem(400)
	d.call("DELETE", "/channels/"+strings.TrimPrefix(hook, "/hooks/toy/"), d.key, nil).status(204)
	d.raw("GET", hook, "", nil).problem(404) // reads it anew
	require.Zero(t, d.asked(func() { d.deliver(hook).problem(404) }))
}

func TestWebhooksOfNoChannelAreLimitedPerSource(t *testing.T) {
	d := newStrangersDoor(t)
	d.deliver(d.hook).status(200)
	elsewhere := d.channel("2") // this process has not seen it
	for range strangerBurst {
		d.deliver("/hooks/toy/" + uuid.NewString()).problem(404)
	}
	require.Zero(t, d.asked(func() {
		a := d.deliver("/hooks/toy/" + uuid.NewString())
		require.Equal(t, "urn:waggle:problem:too-many-requests", a.problem(429).Type)
		require.Equal(t, "1", a.Header.Get("Retry-After"))
	}))
	d.deliver(d.hook).status(200) // known here
	d.deliver(elsewhere).problem(429)
	d.now = d.now.Add(strangerEvery)
	d.deliver(elsewhere).status(200) // the messenger's next try
}

func TestOriginsAreLookedUpOnceASecond(t *testing.T) {
	d := newStrangersDoor(t)
	preflight := func(origin string) *answer {
		return d.call("OPTIONS", "/configuration", "", nil, "Origin", origin, "Access-Control-Request-Method", "GET")
	}
	require.EqualValues(t, 1, d.asked(func() {
		preflight("https://crm.example.com").problem(403)
		preflight("https://crm.example.com").problem(403)
	}))
	require.Zero(t, d.asked(func() { preflight("https://" + strings.Repeat("a", maxOrigin)).problem(403) }))
	d.bind(d.key, "https://crm.example.com")
	d.now = d.now.Add(glimpseAge)
	require.EqualValues(t, 1, d.asked(func() {
		preflight("https://crm.example.com").status(204)
		preflight("https://crm.example.com").status(204)
	}))
	for n := range strangerBurst {
		preflight(fmt.Sprintf("https://%d.example", n)).problem(403)
	}
	preflight("https://other.example").problem(429)
	for range strangerBurst { // so that a second does not rest the source
		d.Server.strangers.charge(sourceAt("0.0.0.0"))
	}
	d.now = d.now.Add(glimpseAge)
	preflight("https://other.example").problem(429)
	require.EqualValues(t, 1, d.asked(func() { preflight("https://crm.example.com").status(204) }), "what was known is looked up all the same")
}

func TestGlimpsesAreBounded(t *testing.T) {
	g := newGlimpses[int, bool](time.Now)
	for n := range maxGlimpses + 1 {
		g.put(n, true)
	}
	require.Len(t, g.last, 1)
	last, fresh := g.get(maxGlimpses)
	require.True(t, last && fresh)
}
