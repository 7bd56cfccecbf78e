package x

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/x/xtest"
)

// S4.26: Connect leaves nothing to be done at X.
func TestConnectByWebhook(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks(), "S4.26 X has checked the address (CRC) and delivers there")
	assert.Equal(t, []string{"all"}, f.shop.Subscribed())
	f.ann.Write("hello")
	d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
	require.NoError(t, err)
	assert.Equal(t, "hello", d.Events[0].Text, "S4.26 the first message arrives without further calls")

	t.Run("§5.4 DuplicateSubscriptionFailed is what was wanted", func(t *testing.T) {
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		assert.Equal(t, []string{"all"}, f.shop.Subscribed())
		assert.Equal(t, 1, f.server.Calls("createWebhook"))
	})
	t.Run("§5.1 one that X has given up is checked anew", func(t *testing.T) {
		f.app.Invalidate()
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		assert.Equal(t, 1, f.server.Calls("validateWebhook"))
	})
	t.Run("our own on a former public address is replaced, without take_over", func(t *testing.T) {
		moved := f.ch
		moved.HookURL = f.hookServer(t) + "/hooks/x/" + f.ch.ID.String()
		require.NoError(t, f.Connect(t.Context(), moved, channels.ConnectOptions{}))
		assert.Equal(t, []string{moved.HookURL}, f.app.Hooks())
	})
	t.Run("without a public URL the problem names the setting", func(t *testing.T) {
		ch := f.ch
		ch.HookURL = ""
		e := asError(t, f.Connect(t.Context(), ch, channels.ConnectOptions{}))
		assert.Equal(t, channels.Refused, e.Outcome)
		assert.Contains(t, e.Reason, "PUBLIC_URL")
	})
}

// X's reasons for refusing a webhook, in words for the administrator (§5.1).
func TestConnectRefused(t *testing.T) {
	t.Run("§5.1 UrlValidationFailed: https, no port, 200 characters", func(t *testing.T) {
		f := setUp(t)
		strict := xtest.New()
		t.Cleanup(strict.Close)
		strict.AddApp(testKey, testConsume, testBearer).AddAccount(shopID, "shop", testToken, testSecret)
		f.api.base = strict.URL
		f.api.now = setUp(t).clock.Now
		for _, address := range []string{"http://waggle.example/hooks/x/1", "https://waggle.example:8443/hooks/x/1", "https://waggle.example/" + strings.Repeat("x", 200)} {
			f.ch.HookURL = address
			e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Contains(t, e.Reason, "without a port")
		}
	})
	t.Run("§5.2 CrcValidationFailed: the secret of another app", func(t *testing.T) {
		f := setUp(t)
		f.app = f.server.AddApp("other", "otherSecret", "otherBearer")
		e := asError(t, f.Connect(t.Context(), with(f.ch, map[string]string{FieldBearerToken: "otherBearer"}), channels.ConnectOptions{}))
		assert.Equal(t, channels.Refused, e.Outcome)
		assert.Contains(t, e.Reason, "same app")
	})
	for reason, words := range map[string]string{"DuplicateUrlFailed": "another app", "WebhookLimitExceeded": "no further webhook"} {
		t.Run("§5.1 "+reason, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext("createWebhook", xtest.Refuse(400, `{"title":"Invalid Request","detail":"`+reason+`"}`))
			e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{TakeOver: true}))
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Contains(t, e.Reason, words)
		})
	}
	t.Run("§5.4 SubscriptionLimitExceeded: three accounts", func(t *testing.T) {
		f := setUp(t)
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		for i, id := range []string{"2", "3", "4"} {
			f.app.AddAccount(id, "more", id+"-token", "secret")
			err := f.Connect(t.Context(), with(f.ch, map[string]string{FieldAccessToken: id + "-token", FieldAccessSecret: "secret"}), channels.ConnectOptions{})
			if i < 2 {
				require.NoError(t, err)
				continue
			}
			e := asError(t, err)
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Contains(t, e.Reason, "three accounts")
		}
	})
	for name, row := range map[string]struct {
		fault xtest.Fault
		words string
	}{
		"§6 402":                    {xtest.Refuse(402, xtest.NoCreditsNew), "no credits"},
		"S4.13 §6 403 permission":   {xtest.Refuse(403, `{"type":"https://api.x.com/2/problems/oauth1-permissions","title":"Forbidden","status":403}`), "Regenerate"},
		"§6 401":                    {xtest.Refuse(401, `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`), "does not accept these keys"},
		"§5.4 a webhook that is no": {xtest.Refuse(400, `{"title":"WebhookIdInvalid"}`), "WebhookIdInvalid"},
	} {
		t.Run("subscribing: "+name, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext("subscribe", row.fault)
			e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			assert.Equal(t, channels.Refused, e.Outcome)
			assert.Contains(t, e.Reason, row.words)
		})
	}
}

// An app has one webhook: somebody else's is taken over only if asked for.
func TestForeignWebhook(t *testing.T) {
	f := setUp(t)
	f.app.AddHook("https://crm.example/x/theirsecret")
	e := asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Equal(t, channels.Foreign, e.Outcome)
	assert.Contains(t, e.Reason, "crm.example")
	assert.NotContains(t, e.Reason, "theirsecret")
	require.NoError(t, f.Disconnect(t.Context(), f.ch))
	assert.Equal(t, []string{"https://crm.example/x/theirsecret"}, f.app.Hooks(), "it is left alone, by Disconnect too")
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{TakeOver: true}))
	assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks())
}

// Two accounts of one app: the second uses the first one's webhook, and the webhook lives as long as anybody needs it.
func TestAccountsShareAnAppsWebhook(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	second := f.app.AddAccount("77", "outlet", "77-token", "secondSecret")
	other := with(f.ch, map[string]string{FieldAccessToken: "77-token", FieldAccessSecret: "secondSecret"})
	other.ID, other.AccountID = uuid.Must(uuid.NewV7()), "77"
	other.HookURL = strings.Replace(f.ch.HookURL, f.ch.ID.String(), other.ID.String(), 1)
	require.NoError(t, f.Connect(t.Context(), other, channels.ConnectOptions{}))
	assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks())
	assert.Equal(t, []string{"all"}, second.Subscribed())

	second.Customer("5", "Bob", "bob").Write("for the outlet")
	r := <-f.posted
	accounts, err := f.Accounts(t.Context(), f.ch, r)
	require.NoError(t, err)
	require.Contains(t, accounts, "77", "whose address it came to does not matter")
	d, err := f.Webhook(t.Context(), f.ch, r)
	require.NoError(t, err)
	assert.Empty(t, d.Events)
	assert.Equal(t, map[string]int{"other_account": 1}, d.Ignored)
	d, err = f.Webhook(t.Context(), other, accounts["77"])
	require.NoError(t, err)
	assert.Equal(t, "for the outlet", d.Events[0].Text)

	require.NoError(t, f.Disconnect(t.Context(), f.ch))
	assert.Empty(t, f.shop.Subscribed())
	assert.Equal(t, []string{"all"}, second.Subscribed())
	assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks(), "it is still used")
	require.NoError(t, f.Disconnect(t.Context(), other))
	assert.Empty(t, second.Subscribed())
	require.NoError(t, f.Disconnect(t.Context(), f.ch))
	assert.Empty(t, f.app.Hooks(), "ours, and used by nobody")
}

// §5.5: the successor of the Account Activity API, where that is gone.
func TestActivityAPI(t *testing.T) {
	f := setUp(t)
	f.app.RetireAccountActivity()
	for range 2 {
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		assert.Equal(t, activities, f.shop.Subscribed())
	}
	assert.Equal(t, 3, f.server.Calls("createActivity"), "connecting again makes no more of them")
	f.ann.Write("hello")
	d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
	require.NoError(t, err)
	require.Len(t, d.Events, 1)
	assert.Equal(t, "hello", d.Events[0].Text)
	assert.Equal(t, channels.User{ID: annID, Name: "Jordan Brinks", Username: "furiouscamper"}, d.Events[0].User, "users are wrapped in data")

	t.Run("a subscription of another webhook is led to ours", func(t *testing.T) {
		moved := f.ch
		moved.HookURL = f.hookServer(t) + "/hooks/x/" + f.ch.ID.String()
		require.NoError(t, f.Connect(t.Context(), moved, channels.ConnectOptions{}))
		assert.Equal(t, activities, f.shop.Subscribed())
		assert.Equal(t, 3, f.server.Calls("updateActivity"))
		f.ann.Write("again")
		<-f.posted
		f.ch = moved
	})
	require.NoError(t, f.Disconnect(t.Context(), f.ch))
	assert.Empty(t, f.shop.Subscribed())
	assert.Empty(t, f.app.Hooks())
	require.NoError(t, f.Disconnect(t.Context(), f.ch))
}

func TestConnectForPolling(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.ch.Receive = channels.Polling
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Empty(t, f.shop.Subscribed(), "nothing is delivered twice")
	assert.Empty(t, f.app.Hooks())
	f.server.FailNext("webhooks", xtest.Refuse(403, `{"title":"Client Forbidden"}`))
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}), "an app that may have no webhook")
	f.ch.HookURL = ""
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}), "an installation without a public address")
}

// What cannot be told to X is said, and nothing more is tried.
func TestDisconnectMeetsTrouble(t *testing.T) {
	for _, operation := range []string{"webhooks", "unsubscribe", "activity", "deleteWebhook"} {
		t.Run(operation, func(t *testing.T) {
			f := setUp(t)
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			f.server.FailNext(operation, xtest.ServerError())
			assert.Equal(t, channels.RetryAt, asError(t, f.Disconnect(t.Context(), f.ch)).Outcome)
			require.NoError(t, f.Disconnect(t.Context(), f.ch))
			assert.Empty(t, f.app.Hooks())
		})
	}
	t.Run("a webhook of which nobody knows whether it is used stays", func(t *testing.T) {
		f := setUp(t)
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		f.server.FailNext("subscriptions", xtest.ServerError())
		require.NoError(t, f.Disconnect(t.Context(), f.ch))
		assert.Empty(t, f.shop.Subscribed())
		assert.NotEmpty(t, f.app.Hooks())
	})
}
