package x

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
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
		f.ann.Write("again")
		assert.Contains(t, string((<-f.posted).Body), "again")
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
		fault double.Fault
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

// S4.14: a channel that goes over to another app leaves nothing of its own at the former one, and takes nothing from others.
func TestLeaveForAnotherApp(t *testing.T) {
	leaving := func(t *testing.T) (f fixture, app *xtest.App, now channels.Channel) {
		f = setUp(t)
		require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		app = f.server.AddApp("anotherKey", "anotherSecret", "anotherBearer")
		app.AddAccount(shopID, "shop", shopID+"-another", "another")
		now = with(f.ch, map[string]string{
			FieldAccessToken: shopID + "-another", FieldAccessSecret: "another", FieldConsumerKey: "anotherKey", FieldConsumerSecret: "anotherSecret", FieldBearerToken: "anotherBearer",
		})
		f.answers = now.Fields
		return f, app, now
	}
	t.Run("what was its own is ended, with the former keys", func(t *testing.T) {
		f, app, now := leaving(t)
		require.NoError(t, f.Connect(t.Context(), now, channels.ConnectOptions{}))
		shared, err := f.Leave(t.Context(), f.ch, now)
		require.NoError(t, err)
		assert.False(t, shared)
		assert.Empty(t, f.shop.Subscribed())
		assert.Empty(t, f.app.Hooks())
		assert.Equal(t, []string{now.HookURL}, app.Hooks(), "the new one is not touched")
	})
	t.Run("another account keeps the webhook it came by, until it has its own", func(t *testing.T) {
		f, _, now := leaving(t)
		second := f.app.AddAccount("77", "outlet", "77-token", "secondSecret")
		other := with(f.ch, map[string]string{FieldAccessToken: "77-token", FieldAccessSecret: "secondSecret"})
		other.ID, other.AccountID = uuid.Must(uuid.NewV7()), "77"
		other.HookURL = strings.Replace(f.ch.HookURL, f.ch.ID.String(), other.ID.String(), 1)
		f.answers = keys()
		require.NoError(t, f.Connect(t.Context(), other, channels.ConnectOptions{}))
		shared, err := f.Leave(t.Context(), f.ch, now)
		require.NoError(t, err)
		assert.True(t, shared)
		assert.Empty(t, f.shop.Subscribed())
		assert.Equal(t, []string{"all"}, second.Subscribed())
		assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks())
	})
	t.Run("the same app by other keys", func(t *testing.T) {
		f, _, now := leaving(t)
		c, err := credentialsOf(f.ch)
		require.NoError(t, err)
		hooks, fail := f.hooks(t.Context(), c)
		require.Nil(t, fail)
		f.server.FailNext("webhooks", xtest.Refuse(200, `{"data":[{"id":"`+hooks[0].ID+`","url":"`+hooks[0].URL+`"}]}`)) // what the other bearer is shown
		shared, err := f.Leave(t.Context(), now, f.ch)
		require.NoError(t, err)
		assert.False(t, shared)
		renewed := with(f.ch, map[string]string{FieldAccessToken: shopID + "-renewed"})
		_, err = f.Leave(t.Context(), f.ch, renewed)
		require.NoError(t, err)
		assert.Equal(t, []string{"all"}, f.shop.Subscribed())
		assert.Zero(t, f.server.Calls("unsubscribe"))
	})
	t.Run("a channel that is no more", func(t *testing.T) {
		f, _, _ := leaving(t)
		_, err := f.Leave(t.Context(), f.ch, channels.Channel{})
		require.NoError(t, err)
		assert.Empty(t, f.app.Hooks())
	})
	t.Run("former keys that are worth nothing any more", func(t *testing.T) {
		f, _, now := leaving(t)
		_, err := f.Leave(t.Context(), with(f.ch, map[string]string{FieldBearerToken: "revoked"}), now)
		assert.Equal(t, channels.Refused, asError(t, err).Outcome)
		f.server.FailNext("webhooks", xtest.Refuse(200, `{}`), xtest.ServerError())
		_, err = f.Leave(t.Context(), f.ch, now)
		assert.Equal(t, channels.RetryAt, asError(t, err).Outcome, "what is not known to be another app's is left alone")
		assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks())
	})
}

// S4.22: a webhook is checked again each time, also one X holds for valid: the app's Secret Key may be a new one.
func TestConnectHasTheWebhookChallenged(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Equal(t, 1, f.server.Calls("validateWebhook"))
	f.app.ReplaceSecret("anotherSecretKey")
	renewed := with(f.ch, map[string]string{FieldConsumerSecret: "anotherSecretKey"})
	e := asError(t, f.Connect(t.Context(), renewed, channels.ConnectOptions{}))
	assert.Equal(t, channels.Refused, e.Outcome)
	assert.Contains(t, e.Reason, "ConsumerSecret", "who answers for the address still has the old one")
	f.server.FailNext("validateWebhook", xtest.Refuse(200, `{"data":{"valid":false}}`))
	assert.Contains(t, asError(t, f.Connect(t.Context(), renewed, channels.ConnectOptions{})).Reason, "was not satisfied")
	f.answers = renewed.Fields
	require.NoError(t, f.Connect(t.Context(), renewed, channels.ConnectOptions{}))
	f.ann.Write("hello")
	d, err := f.Webhook(t.Context(), renewed, <-f.posted)
	require.NoError(t, err)
	assert.Equal(t, []string{"hello"}, texts(d))
}

// The webhook of another channel of ours that answers no challenge any more, because it is gone or has an old Secret Key, makes
// room for a new one.
func TestASharedWebhookThatAnswersNoMore(t *testing.T) {
	f := setUp(t)
	gone := strings.Replace(f.ch.HookURL, f.ch.ID.String(), "gone", 1)
	f.app.AddHook(gone)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	assert.Equal(t, []string{f.ch.HookURL}, f.app.Hooks())
	f.server.FailNext("validateWebhook", xtest.Refuse(404, `{"title":"Not Found Error","status":404}`))
	f.server.FailNext("deleteWebhook", xtest.Refuse(404, `{"title":"Not Found Error","status":404}`))
	assert.Equal(t, channels.Refused, asError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{})).Outcome, "the double has it still")
	f.server.FailNext("validateWebhook", xtest.Refuse(404, `{"title":"Not Found Error","status":404}`))
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}), "one that vanished meanwhile is made anew")
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
