package x

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
)

// What X tells about its deliveries (wire/x.md §5.1, §5.4, §5.5).
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *fixture)
		says  string // empty: all is well
	}{
		"all is well": {func(*fixture) {}, ""},
		"all is well by the successor": {func(f *fixture) {
			f.app.RetireAccountActivity()
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
		}, ""},
		"the webhook is gone": {func(f *fixture) { f.app.RemoveHooks() }, "has been removed"},
		"it leads elsewhere": {func(f *fixture) {
			f.app.RemoveHooks()
			f.app.AddHook("https://crm.example/theirsecret")
		}, "to crm.example instead of here"},
		"it is no longer valid":             {func(f *fixture) { f.app.Invalidate() }, "did not answer its check"},
		"the account is not subscribed":     {func(f *fixture) { f.shop.Unsubscribe() }, "subscription has ended"},
		"nor subscribed with the successor": {func(f *fixture) { f.shop.Unsubscribe(); f.app.RetireAccountActivity() }, "subscription has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			c.spoil(&f)
			found, err := f.Check(t.Context(), f.ch)
			require.NoError(t, err)
			assert.Empty(t, found.CannotSend)
			assert.NotContains(t, found.Wrong, "theirsecret")
			if c.says == "" {
				assert.Empty(t, found.Wrong)
				return
			}
			assert.Contains(t, found.Wrong, c.says)
			assert.Contains(t, found.Wrong, "onnect the channel again", "it says what to do")
			assert.Equal(t, name == "it is no longer valid", found.Late > 28*time.Hour, "§5.2 deliveries may have failed for 28 hours by then")
		})
	}
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.server.FailNext("webhooks", double.BadGateway())
	_, err := f.Check(t.Context(), f.ch)
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome, "no answer is none")
	_, err = f.Check(t.Context(), with(f.ch, map[string]string{FieldBearerToken: "wrong"}))
	assert.Equal(t, channels.Refused, asError(t, err).Outcome)
}
