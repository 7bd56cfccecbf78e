package telegram

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
)

// getWebhookInfo (wire/telegram.md §2): what Telegram says of its deliveries.
func TestCheck(t *testing.T) {
	f := setUp(t)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(failing.Close)
	f.ch.HookURL = failing.URL + "/hooks/telegram/" + f.ch.ID.String()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	c, err := f.Check(t.Context(), f.ch)
	require.NoError(t, err)
	assert.Equal(t, channels.Checkup{}, c, "all is well")

	f.bot.Customer(5, "Ann").Write("hello")
	require.NoError(t, f.bot.WaitForFailures(t.Context(), 1))
	c, err = f.Check(t.Context(), f.ch)
	require.NoError(t, err)
	assert.Equal(t, channels.Checkup{
		Pending: 1, LastError: "Wrong response from the webhook: 500 Internal Server Error", LastErrorAt: f.clock.Now().UTC(),
	}, c)
}

func TestCheckFindsAWrongWebhook(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(f *fixture)
		says string
	}{
		"removed":       {func(*fixture) {}, "removed"},
		"foreign":       {func(f *fixture) { f.hookTo(t, "http://crm.example/theirsecret") }, "crm.example"},
		"former":        {func(f *fixture) { f.hookTo(t, "http://old.example/hooks/telegram/"+f.ch.ID.String()) }, "old.example"},
		"while polling": {func(f *fixture) { f.hookTo(t, "http://crm.example/theirsecret"); f.ch.Receive = channels.Polling }, "crm.example"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			c.set(&f)
			found, err := f.Check(t.Context(), f.ch)
			require.NoError(t, err)
			assert.Contains(t, found.Wrong, c.says)
			assert.NotContains(t, found.Wrong, "theirsecret")
		})
	}
	t.Run("polling wants none", func(t *testing.T) {
		f := setUp(t)
		f.ch.Receive = channels.Polling
		found, err := f.Check(t.Context(), f.ch)
		require.NoError(t, err)
		assert.Empty(t, found.Wrong)
	})
	t.Run("a revoked token is a typed failure", func(t *testing.T) {
		f := setUp(t)
		f.bot.Revoke()
		_, err := f.Check(t.Context(), f.ch)
		assert.Equal(t, channels.Refused, asError(t, err).Outcome)
	})
	t.Run("no answer is one too", func(t *testing.T) {
		f := setUp(t)
		f.bot.FailNext("getWebhookInfo", double.BadGateway())
		_, err := f.Check(t.Context(), f.ch)
		assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
	})
}

// hookTo sets the bot's webhook as somebody else would.
func (f *fixture) hookTo(t *testing.T, address string) {
	t.Helper()
	ch := f.ch
	ch.HookURL = address
	require.NoError(t, f.Connect(t.Context(), ch, channels.ConnectOptions{TakeOver: true}))
}
