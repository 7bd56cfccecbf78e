package x

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/x/xtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys are of the shape of X's, the keys of nobody.
const (
	testToken   = "4337869213-accessTokenOfTheShop"
	testSecret  = "accessSecretOfTheShop"
	testKey     = "consumerKeyOfTheApp"
	testConsume = "consumerSecretOfTheApp"
	testBearer  = "AAAAbearer%2FOfTheApp%3D"
	shopID      = "4337869213"
	annID       = "3001969357"
)

// movedClock moves when told to, and when the adapter waits.
type movedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movedClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *movedClock) After(time.Duration) <-chan time.Time { return make(chan time.Time) }

func (c *movedClock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// fixture is an adapter against the double, with a webhook that answers as the façade does.
type fixture struct {
	*Adapter
	server *xtest.Server
	app    *xtest.App
	shop   *xtest.Account
	ann    *xtest.Customer
	clock  *movedClock
	ch     channels.Channel
	posted chan channels.Request // what X delivered
	*hookKeys
}

// hookKeys are the keys the webhook answers challenges with.
type hookKeys struct{ answers map[string]string }

func setUp(t *testing.T) fixture {
	t.Helper()
	clock := &movedClock{now: time.Now().Truncate(time.Second)}
	server := xtest.New(xtest.WithClock(clock), xtest.WithAnyHook())
	transport := &http.Transport{}
	t.Cleanup(server.Close)
	t.Cleanup(transport.CloseIdleConnections)
	f := fixture{server: server, clock: clock, posted: make(chan channels.Request, 100), hookKeys: &hookKeys{keys()}}
	f.Adapter = New(&http.Client{Transport: transport}, server.URL+"/")
	f.app = server.AddApp(testKey, testConsume, testBearer)
	f.shop = f.app.AddAccount(shopID, "shop", testToken, testSecret)
	f.ann = f.shop.Customer(annID, "Jordan Brinks", "furiouscamper")
	f.still()
	id := uuid.Must(uuid.NewV7())
	f.ch = channels.Channel{ID: id, AccountID: shopID, Fields: keys(), Receive: channels.Webhook, HookSecret: strings.Repeat("s", 43), Since: clock.Now()}
	f.ch.HookURL = f.hookServer(t) + "/hooks/x/" + id.String()
	return f
}

// still makes the adapter live by the fixture's clock.
func (f *fixture) still() {
	f.api.now = f.clock.Now
	f.wait = func(ctx context.Context, d time.Duration) error { f.clock.advance(d); return ctx.Err() }
}

// hookServer answers X's challenges by the adapter and keeps its deliveries.
func (f *fixture) hookServer(t *testing.T) string {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in := channels.Request{Method: r.Method, Header: r.Header.Get, Query: r.URL.Query().Get, Body: body}
		if r.Method == http.MethodPost {
			f.posted <- in
			return
		}
		d, err := f.Webhook(r.Context(), channels.Channel{Fields: f.answers}, in)
		if err != nil || strings.HasSuffix(r.URL.Path, "/gone") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(d.Answer)
	}))
	t.Cleanup(hook.Close)
	return hook.URL
}

func keys() map[string]string {
	return map[string]string{
		FieldAccessToken: testToken, FieldAccessSecret: testSecret, FieldConsumerKey: testKey, FieldConsumerSecret: testConsume, FieldBearerToken: testBearer,
	}
}

func with(ch channels.Channel, changes map[string]string) channels.Channel {
	ch.Fields = keys()
	for name, value := range changes {
		ch.Fields[name] = value
	}
	return ch
}

// asError requires err to be a typed failure that holds no key.
func asError(t *testing.T, err error) *channels.Error {
	t.Helper()
	var e *channels.Error
	require.ErrorAs(t, err, &e)
	for _, secret := range keys() {
		assert.NotContains(t, err.Error(), secret)
	}
	assert.NotContains(t, err.Error(), "oauth_signature")
	assert.NotContains(t, e.Reason, "127.0.0.1")
	assert.NotEmpty(t, e.Reason)
	return e
}

// The form is data.
func TestDescribe(t *testing.T) {
	d := New(&http.Client{}, DefaultAPI).Describe()
	t.Run("S4.16, S4.1, c12: there is a kind x", func(t *testing.T) {
		assert.Equal(t, "x", d.Kind)
		assert.Equal(t, "X", d.Name)
	})
	t.Run("b44, S4.19, S4.20, S4.21, S4.22, S4.23: five fields with the seed's names, required and masked for ever (S4.11)", func(t *testing.T) {
		var names []string
		for _, f := range d.Fields {
			names = append(names, f.Name)
			assert.Equal(t, f.Name, f.Label)
			assert.True(t, f.Required && f.Secret)
		}
		assert.Equal(t, []string{"AccessToken", "AccessSecret", "ConsumerKey", "ConsumerSecret", "BearerToken"}, names)
	})
	t.Run("S4.10, S4.12, S4.22: each field says what X calls it and where it is", func(t *testing.T) {
		for i, words := range []string{"“Access Token”", "“Access Token Secret”", "“Consumer Key”", "“Secret Key”", "“Bearer Token”"} {
			assert.Contains(t, d.Fields[i].Help, words)
		}
	})
	t.Run("S4.9, S4.11, S4.13, S4.14, S4.15, S4.28, c11: the help leads through X's console", func(t *testing.T) {
		for _, words := range []string{
			"https://console.x.com/", "Account Name", "Describe all of your use cases of X's data and API", "We do not use X data for resale, redistribution, advertising, profiling, scraping",
			"Select all checkboxes and click Submit", "from a few minutes to several hours", "Create App", "Application Name", "Development", "Create New Client Application",
			"Application Created Successfully", "Consumer Key, the Secret Key and the Bearer Token: save them immediately, they may not be displayed again",
			"Keys & Tokens", "User authentication settings", "Set up", "App permissions “Read and write and Direct message”", "Type of App “Web App, Automated App or Bot”",
			"Callback URI / Redirect URL and Website URL may be any valid URL", "the remaining fields may stay empty", "Save Changes",
			"section OAuth 1.0 Keys, block Access Token, click Generate", "Regenerate",
			"Without funds or an active plan in the X Developer Platform account incoming messages are delivered to the CRM, outgoing messages are not sent",
		} {
			assert.Contains(t, d.Help, words)
		}
	})
	t.Run("S4.17, S4.24, S4.25: no queue, weight or URL is a field of the kind", func(t *testing.T) { assert.Len(t, d.Fields, 5) })
	assert.Equal(t, []channels.Receive{channels.Webhook, channels.Polling}, d.Receive)
	assert.False(t, d.Capabilities.Receipts, "an accepted send counts as delivered: X tells of reading only")
	assert.False(t, d.Capabilities.Idempotent)
}

// S4.2, S4.12, c11: whose keys these are, and what is wrong where it is nobody's.
func TestVerify(t *testing.T) {
	f := setUp(t)
	account, err := f.Verify(t.Context(), f.ch)
	require.NoError(t, err)
	assert.Equal(t, channels.Account{ID: shopID, Name: "@shop"}, account, "S4.2")

	for _, row := range []struct {
		name    string
		fields  map[string]string
		field   string
		because string
	}{
		{"S4.19 no AccessToken", map[string]string{FieldAccessToken: ""}, FieldAccessToken, "missing"},
		{"S4.20 no AccessSecret", map[string]string{FieldAccessSecret: ""}, FieldAccessSecret, "missing"},
		{"S4.21 no ConsumerKey", map[string]string{FieldConsumerKey: ""}, FieldConsumerKey, "missing"},
		{"S4.22 no ConsumerSecret", map[string]string{FieldConsumerSecret: ""}, FieldConsumerSecret, "missing"},
		{"S4.23 no BearerToken", map[string]string{FieldBearerToken: ""}, FieldBearerToken, "missing"},
		{"S4.23 a line break would be a header of its own", map[string]string{FieldBearerToken: "x\r\nHost: y"}, FieldBearerToken, "not a key"},
		{"S4.12 c11 another AccessToken", map[string]string{FieldAccessToken: "4337869213-another"}, FieldAccessToken, "Unauthorized"},
		{"S4.12 c11 another AccessSecret", map[string]string{FieldAccessSecret: "another"}, FieldAccessToken, "does not accept these keys"},
		{"S4.12 c11 another ConsumerKey", map[string]string{FieldConsumerKey: "another"}, FieldAccessToken, "does not accept these keys"},
		{"S4.12 c11 another ConsumerSecret", map[string]string{FieldConsumerSecret: "another"}, FieldAccessToken, "does not accept these keys"},
		{"S4.20 swapped", map[string]string{FieldAccessToken: testSecret, FieldAccessSecret: testToken}, FieldAccessToken, "swapped"},
		{"S4.23 another BearerToken", map[string]string{FieldBearerToken: "AAAAanother"}, FieldBearerToken, "BearerToken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := f.Verify(t.Context(), with(f.ch, row.fields))
			e := asError(t, err)
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Equal(t, row.field, e.Field)
			assert.Contains(t, e.Reason, row.because)
		})
	}
}

// c11: no credits is told from a wrong key, in both shapes of the 402.
func TestVerifyWithoutCredits(t *testing.T) {
	for name, body := range map[string]string{"A": xtest.NoCreditsOld, "B": xtest.NoCreditsNew} {
		t.Run("c11 402 "+name, func(t *testing.T) {
			f := setUp(t)
			f.app.SpendCredits(body)
			_, err := f.Verify(t.Context(), f.ch)
			e := asError(t, err)
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Empty(t, e.Field, "no field is at fault")
			assert.Contains(t, e.Reason, "no credits")
			assert.Contains(t, e.Reason, "keys are accepted")
			f.app.TopUp()
			_, err = f.Verify(t.Context(), f.ch)
			require.NoError(t, err)
		})
	}
}

func TestVerifyMeetsTrouble(t *testing.T) {
	for _, row := range []struct {
		name, operation string
		fault           double.Fault
		want            channels.Outcome
	}{
		{"§6 5xx", "me", xtest.ServerError(), channels.RetryAt},
		{"§6 HTML", "me", double.BadGateway(), channels.RetryAt},
		{"§6 429", "me", xtest.Refuse(429, `{"errors":[{"code":88,"message":"Rate limit exceeded"}]}`), channels.RetryAt},
		{"an account without an id", "me", xtest.Refuse(200, `{"data":{}}`), channels.Refused},
		{"an id that is a path", "me", xtest.Refuse(200, `{"data":{"id":"1/../2","username":"x"}}`), channels.Refused},
		{"§6 403 for the bearer", "webhooks", xtest.Refuse(403, `{"title":"Forbidden","type":"about:blank","status":403,"detail":"no"}`), channels.Refused},
		{"§6 402 for the bearer", "webhooks", xtest.Refuse(402, xtest.NoCreditsOld), channels.Refused},
		{"a connection lost", "me", double.Drop(), channels.RetryAt},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext(row.operation, row.fault)
			_, err := f.Verify(t.Context(), f.ch)
			assert.Equal(t, row.want, asError(t, err).Outcome)
		})
	}
	t.Run("polling does without webhooks", func(t *testing.T) {
		f := setUp(t)
		f.ch.Receive = channels.Polling
		f.server.FailNext("webhooks", xtest.Refuse(403, `{"title":"Client Forbidden","type":"https://api.twitter.com/2/problems/client-forbidden"}`))
		_, err := f.Verify(t.Context(), f.ch)
		require.NoError(t, err)
	})
}

func TestWait(t *testing.T) {
	require.NoError(t, wait(t.Context(), time.Nanosecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, wait(ctx, time.Hour), context.Canceled)
}
