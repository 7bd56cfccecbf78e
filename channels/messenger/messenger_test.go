package messenger

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ourApp      = "1517776481860111"
	botApp      = "123456789"
	appSecret   = "test_app_secret" // of the vectors in wire/messenger.md §2
	verifyToken = "meatyhamhock-and-more"
)

// movedClock only moves when told to.
type movedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movedClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *movedClock) After(time.Duration) <-chan time.Time {
	now := make(chan time.Time, 1)
	now <- c.Now()
	return now
}

func (c *movedClock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// fixture is an adapter against the double: our app, a bot's, and a page with a customer who has not written yet.
type fixture struct {
	*Adapter
	server   *messengertest.Server
	app, bot *messengertest.App
	page     *messengertest.Page
	ann      *messengertest.Customer
	clock    *movedClock
	ch       channels.Channel
}

func setUp(t *testing.T) fixture {
	t.Helper()
	clock := &movedClock{now: time.UnixMilli(1780000000123)}
	server := messengertest.New(messengertest.WithClock(clock))
	transport := &http.Transport{}
	t.Cleanup(server.Close)
	t.Cleanup(transport.CloseIdleConnections)
	f := fixture{
		Adapter: New(&http.Client{Transport: transport}, server.URL+"/v25.0/"), server: server, clock: clock,
		app: server.AddApp(ourApp, appSecret), bot: server.AddApp(botApp, "the bot's"), page: server.AddPage("1", "Corner Shop"),
	}
	f.app.RequireProof()
	f.ann = f.page.Customer("2", "Ann", "Lee")
	id := uuid.MustParse("01900000-0000-7000-8000-000000000002")
	f.ch = channels.Channel{
		ID: id, AccountID: "1", Receive: channels.Webhook, HookURL: "https://waggle.example.com/hooks/messenger/" + id.String(),
		Fields: map[string]string{
			FieldPage: "1", FieldToken: f.page.Token(f.app), FieldApp: ourApp, FieldAppSecret: appSecret, FieldVerifyToken: verifyToken,
		},
	}
	return f
}

// hooked connects the channel and enters a webhook at the app; each delivery that comes is put into the channel returned.
func (f fixture) hooked(t *testing.T) <-chan channels.Request {
	t.Helper()
	posted := make(chan channels.Request, 20)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := requestOf(r)
		d, err := f.Webhook(r.Context(), f.ch, request)
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", d.AnswerType)
		_, _ = w.Write(d.Answer)
		if r.Method == http.MethodPost {
			posted <- request
		}
	}))
	t.Cleanup(hook.Close)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	require.NoError(t, f.app.SetWebhook(hook.URL, verifyToken))
	return posted
}

// events are those of the next delivery.
func (f fixture) events(t *testing.T, posted <-chan channels.Request) []channels.Event {
	t.Helper()
	d, err := f.Webhook(t.Context(), f.ch, <-posted)
	require.NoError(t, err)
	assert.Empty(t, d.Ignored)
	return d.Events
}

// event is the one of the next delivery.
func (f fixture) event(t *testing.T, posted <-chan channels.Request) channels.Event {
	t.Helper()
	events := f.events(t, posted)
	require.Len(t, events, 1)
	return events[0]
}

func with(ch channels.Channel, field, value string) channels.Channel {
	ch.Fields = maps.Clone(ch.Fields)
	ch.Fields[field] = value
	return ch
}

// asError requires err to be a typed failure that holds no secret and no address.
func asError(t *testing.T, err error) *channels.Error {
	t.Helper()
	require.Error(t, err)
	var e *channels.Error
	require.ErrorAs(t, err, &e)
	for _, secret := range []string{"EAAB", appSecret, "appsecret_proof=", "input_token", "http://"} {
		assert.NotContains(t, err.Error(), secret)
	}
	assert.NotEmpty(t, e.Reason)
	return e
}

func TestDescribe(t *testing.T) {
	d := New(http.DefaultClient, DefaultAPI).Describe()
	assert.Equal(t, "messenger", d.Kind, "S3.27")
	assert.Equal(t, "Facebook Messenger", d.Name)
	var secrets []string
	for _, f := range d.Fields {
		assert.True(t, f.Required)
		if f.Secret {
			secrets = append(secrets, f.Name)
		}
	}
	assert.Equal(t, []string{FieldToken, FieldAppSecret, FieldVerifyToken}, secrets)
	assert.True(t, d.Capabilities.Bots, "S3.57: bots are for this kind")
	assert.Equal(t, 24, d.Capabilities.WindowHours, "the window is known before anybody types")
	assert.False(t, d.Capabilities.StartDialogue, "nobody can write to a person who never wrote")
	assert.Zero(t, d.Capabilities.CaptionLimit, "a file and a caption are two sends")
	for _, words := range []string{
		"you can only connect public pages, not personal profiles",                                                                                                          // S3.34
		"“Identity server Url” (IdentityServerUrl)", "“Identity server client id” (IdentityServerClientId)", "“Identity server client secret” (IdentityServerClientSecret)", // S3.30
		"contact support",                                       // S3.31
		"permit the app to manage them",                         // S3.35
		"if you restrict it, chats may not work properly",       // S3.36
		"A channel is made for each page, with the page's name", // S3.37 S3.38
		"Set it to Active and select its queue",                 // S3.39 S3.40
		"a Facebook Page, a working Facebook Messenger channel, and a bot platform that supports the Handover Protocol", // S3.58
		"Settings → Advanced Messaging", "Connected Apps", // S3.59 c10
		"Primary Receiver for Handover Protocol – your bot platform", "Secondary Receiver for Handover Protocol – this app",
	} {
		assert.Contains(t, d.Help, words, "the seed's words and captions, letter by letter")
	}
}

func TestVerify(t *testing.T) {
	f := setUp(t)
	account, err := f.Verify(t.Context(), f.ch)
	require.NoError(t, err)
	assert.Equal(t, channels.Account{ID: "1", Name: "Corner Shop"}, account, "S3.38: the name is the page's")
	assert.Empty(t, f.page.Subscribed(f.app), "it changes nothing")

	person := f.server.AddPerson("77", "Pat").Manages(f.page)
	f.server.LogIn(person)
	userToken := f.userToken(t)
	other := f.server.AddPage("9", "Other Shop")
	for name, row := range map[string]struct {
		ch     channels.Channel
		field  string
		reason string
	}{
		"an unknown token":                 {with(f.ch, FieldToken, "EAABnobody"), FieldToken, "access token"},
		"S3.34 a person's token":           {with(f.ch, FieldToken, userToken), FieldToken, "a person's"},
		"another page's token":             {with(f.ch, FieldToken, other.Token(f.app)), FieldToken, "not this page's"},
		"S3.34 a person's id":              {with(f.ch, FieldPage, "77"), FieldPage, "no page"},
		"an id with a path":                {with(f.ch, FieldPage, "1/../9"), FieldPage, "number"},
		"no token":                         {with(f.ch, FieldToken, ""), FieldToken, "missing"},
		"no secret":                        {with(f.ch, FieldAppSecret, ""), FieldAppSecret, "missing"},
		"another app's secret":             {with(f.ch, FieldAppSecret, "wrong"), FieldAppSecret, "secret"},
		"another app":                      {with(f.ch, FieldApp, botApp), FieldAppSecret, "app id"},
		"no app":                           {with(f.ch, FieldApp, ""), FieldApp, "number"},
		"S3.35 pages_messaging refused":    {with(f.ch, FieldToken, f.page.Token(f.app, "pages_manage_metadata")), FieldToken, "permit pages_messaging to"},
		"S3.35 both permissions refused":   {with(f.ch, FieldToken, f.page.Token(f.app, "pages_show_list")), FieldToken, "pages_messaging and pages_manage_metadata"},
		"a token of another app's visitor": {with(with(f.ch, FieldApp, botApp), FieldAppSecret, "the bot's"), FieldAppSecret, "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Verify(t.Context(), row.ch)
			e := asError(t, err)
			assert.Equal(t, channels.Refused, e.Outcome, "%v", err)
			assert.Equal(t, row.field, e.Field, "%v", err)
			assert.Contains(t, e.Reason, row.reason)
		})
	}
	f.page.Revoke()
	_, err = f.Verify(t.Context(), f.ch)
	assert.Equal(t, FieldToken, asError(t, err).Field, "S3.36: a dead token is told")
}

func TestConnect(t *testing.T) {
	f := setUp(t)
	f.page.Subscribe(f.bot, "messages", "standby")
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Equal(t, slices.Sorted(slices.Values(subscribed)), f.page.Subscribed(f.app), "the page is subscribed with all we read")
	require.NoError(t, f.Disconnect(t.Context(), f.ch))
	assert.Nil(t, f.page.Subscribed(f.app))
	assert.Equal(t, []string{"messages", "standby"}, f.page.Subscribed(f.bot), "other apps of the page stay")

	hidden := f.ch
	hidden.HookURL = ""
	e := asError(t, f.Connect(t.Context(), hidden, channels.ConnectOptions{}))
	assert.Equal(t, channels.Refused, e.Outcome)
	assert.Contains(t, e.Reason, "PUBLIC_URL")

	f.page.Forbid("pages_manage_metadata")
	e = asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Equal(t, channels.Refused, e.Outcome, "S3.35")
	assert.Contains(t, e.Reason, "pages_manage_metadata", "S3.35: it says which is missing")

	f.server.FailNext("subscribed_apps", double.BadGateway())
	assert.Equal(t, channels.RetryAt, asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{})).Outcome)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, channels.RetryAt, asError(t, f.Connect(ctx, f.ch, channels.ConnectOptions{})).Outcome)
}
