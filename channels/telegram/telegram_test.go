package telegram

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waggle/channels"
	"waggle/channels/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testToken  = "111:AAsecret"
	testSecret = "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDE"
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

// fixture is an adapter against the double, whose clock moves when the adapter waits.
type fixture struct {
	*Adapter
	server *telegramtest.Server
	bot    *telegramtest.Bot
	clock  *movedClock
	ch     channels.Channel
}

func setUp(t *testing.T) fixture {
	t.Helper()
	clock := &movedClock{now: time.Unix(1780000000, 0)}
	server := telegramtest.New(telegramtest.WithClock(clock))
	transport := &http.Transport{}
	t.Cleanup(server.Close)
	t.Cleanup(transport.CloseIdleConnections)
	a := New(&http.Client{Transport: transport}, server.URL+"/")
	a.pause = func(_ context.Context, d time.Duration) error { clock.advance(d); return nil }
	id := uuid.MustParse("01900000-0000-7000-8000-000000000001")
	return fixture{
		Adapter: a, server: server, bot: server.AddBot(testToken, "shop_bot"), clock: clock,
		ch: channels.Channel{
			ID: id, AccountID: "111", Fields: map[string]string{FieldToken: testToken}, Receive: channels.Webhook,
			HookURL: "http://127.0.0.1:1/hooks/telegram/" + id.String(), HookSecret: testSecret,
		},
	}
}

// asError requires err to be a typed failure that holds neither the token nor an address with it.
func asError(t *testing.T, err error) *channels.Error {
	t.Helper()
	require.Error(t, err)
	var e *channels.Error
	require.ErrorAs(t, err, &e)
	assert.NotContains(t, err.Error(), "AAsecret")
	assert.NotContains(t, err.Error(), "/bot")
	assert.NotEmpty(t, e.Reason)
	return e
}

// S3.44: the field is data; a wrong token is refused with Telegram's reason, a right one shows the bot's name.
func TestVerify(t *testing.T) {
	f := setUp(t)
	field := f.Describe().Fields[0]
	assert.Equal(t, "Token", field.Name)
	assert.True(t, field.Secret && field.Required)
	assert.True(t, f.Describe().Capabilities.StartDialogue, "S2.6 an agent may write first to whom the bot knows")

	account, err := f.Verify(t.Context(), f.ch)
	require.NoError(t, err)
	assert.Equal(t, channels.Account{ID: "111", Name: "@shop_bot"}, account)

	for name, token := range map[string]string{
		"S3.44 unknown token":           "111:AAsecretButWrong",
		"S3.44 no token":                "",
		"S3.44 no colon":                "AAsecret",
		"S3.44 a path is no token":      "111:AAsecret/../x",
		"S3.44 a line break":            "111:AAsecret\n",
		"S3.44 longer than 80":          "111:AAsecret" + strings.Repeat("a", 80),
		"S3.44 id larger than Telegram": "99999999999999999:AAsecret",
	} {
		t.Run(name, func(t *testing.T) {
			f.ch.Fields = map[string]string{FieldToken: token}
			_, err := f.Verify(t.Context(), f.ch)
			e := asError(t, err)
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Equal(t, FieldToken, e.Field)
		})
	}
}

// S3.48: a bot's old token dies with the new one; the bot stays the same account.
func TestVerifyReplacedToken(t *testing.T) {
	f := setUp(t)
	f.bot.ReplaceToken("111:BBnew")
	_, err := f.Verify(t.Context(), f.ch)
	e := asError(t, err)
	assert.Equal(t, channels.Refused, e.Outcome)
	assert.Contains(t, e.Reason, "Unauthorized", "Telegram's own reason")
	f.ch.Fields = map[string]string{FieldToken: "111:BBnew"}
	account, err := f.Verify(t.Context(), f.ch)
	require.NoError(t, err)
	assert.Equal(t, "111", account.ID)
}

func TestConnectByWebhook(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	state := f.bot.Webhook()
	assert.Equal(t, f.ch.HookURL, state.URL)
	assert.Equal(t, testSecret, state.Secret)
	assert.Equal(t, []string{"message", "edited_message", "my_chat_member", "callback_query"}, state.AllowedUpdates)

	t.Run("S2.23 connecting again is harmless, within Telegram's one second too", func(t *testing.T) {
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	})
	t.Run("S3.42 without a public URL the problem names the setting", func(t *testing.T) {
		ch := f.ch
		ch.HookURL = ""
		e := asError(t, f.Connect(t.Context(), ch, channels.ConnectOptions{}))
		assert.Equal(t, channels.Refused, e.Outcome)
		assert.Contains(t, e.Reason, "PUBLIC_URL")
	})
	t.Run("S3.42 polling needs none", func(t *testing.T) {
		ch := f.ch
		ch.HookURL, ch.Receive = "", channels.Polling
		require.NoError(t, f.Connect(t.Context(), ch, channels.ConnectOptions{TakeOver: true}))
		assert.Empty(t, f.bot.Webhook().URL)
	})
	t.Run("S3.44 Telegram's reason for a bad address is shown", func(t *testing.T) {
		f.bot.FailNext("setWebhook", telegramtest.Refuse(400, "Bad Request: bad webhook: IP address 127.0.0.1 is reserved"))
		e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{TakeOver: true}))
		assert.Equal(t, channels.Refused, e.Outcome)
		assert.Contains(t, e.Reason, "IP address 127.0.0.1 is reserved")
	})
	t.Run("a long 429 is not waited for", func(t *testing.T) {
		f.bot.FailNext("setWebhook", telegramtest.TooManyRequests(60))
		e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{TakeOver: true}))
		assert.Equal(t, channels.RetryAt, e.Outcome)
	})
}

// S3.47: a bot is used on a single resource only.
func TestForeignWebhook(t *testing.T) {
	for _, receive := range []channels.Receive{channels.Webhook, channels.Polling} {
		t.Run("S3.47 "+string(receive), func(t *testing.T) {
			f := setUp(t)
			f.ch.Receive = receive
			other := f.ch
			other.Receive, other.HookURL, other.ID = channels.Webhook, "http://crm.example/telegram/theirsecret", uuid.Nil
			require.NoError(t, f.Connect(t.Context(), other, channels.ConnectOptions{}))

			e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			assert.Equal(t, channels.Foreign, e.Outcome)
			assert.Contains(t, e.Reason, "crm.example")
			assert.NotContains(t, e.Reason, "theirsecret")
			require.NoError(t, f.Disconnect(t.Context(), f.ch))
			assert.Equal(t, other.HookURL, f.bot.Webhook().URL, "it is left alone, by Disconnect too")

			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{TakeOver: true}))
			assert.NotEqual(t, other.HookURL, f.bot.Webhook().URL)
		})
	}
}

func TestOwnWebhookOnAFormerPublicURL(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.ch.HookURL = "http://new.example/hooks/telegram/" + f.ch.ID.String()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}), "no take_over for our own")
	assert.Equal(t, f.ch.HookURL, f.bot.Webhook().URL)
}

// S2.22, S2.27, b39: what was written while disconnected is dropped on reconnect.
func TestDisconnectAndReconnect(t *testing.T) {
	for _, receive := range []channels.Receive{channels.Webhook, channels.Polling} {
		for _, drop := range []bool{true, false} {
			f := setUp(t)
			f.ch.Receive = receive
			ann := f.bot.Customer(5, "Ann")
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			require.NoError(t, f.Disconnect(t.Context(), f.ch))
			require.NoError(t, f.Disconnect(t.Context(), f.ch), "S2.22 twice is once")
			assert.Empty(t, f.bot.Webhook().URL)
			ann.Write("1")
			ann.Write("2")
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{DropPending: drop}))
			if drop {
				assert.Zero(t, f.bot.Webhook().Pending, "S2.27 dropped")
			} else {
				assert.Equal(t, 2, f.bot.Webhook().Pending, "S2.27 only if asked: our own outage loses nothing")
			}
		}
	}
}
