package messenger

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
)

// S3.36: a permission that is taken away later is found, and told apart from deliveries that end.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		spoil      func(f fixture)
		wrong      string
		cannotSend string
	}{
		"all is well":                   {spoil: func(fixture) {}},
		"pages_messaging is taken away": {spoil: func(f fixture) { f.page.Forbid("pages_messaging") }, cannotSend: "does not permit pages_messaging to the app; log in with Facebook again"},
		"the token is dead":             {spoil: func(f fixture) { f.page.Revoke() }, cannotSend: "log in with Facebook again, or enter a new token"},
		"the app was taken off the page": {spoil: func(f fixture) { require.NoError(t, f.Disconnect(t.Context(), f.ch)) },
			wrong: "no longer reports its messages"},
		"the page reports no messages": {spoil: func(f fixture) { f.page.Subscribe(f.app, "standby") }, wrong: "no longer reports its messages"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			c.spoil(f)
			found, err := f.Check(t.Context(), f.ch)
			require.NoError(t, err)
			for _, says := range []struct{ got, want string }{{found.Wrong, c.wrong}, {found.CannotSend, c.cannotSend}} {
				assert.Equal(t, says.want == "", says.got == "", "%+v", found)
				assert.Contains(t, says.got, says.want)
			}
		})
	}
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.server.FailNext("subscribed_apps", double.BadGateway())
	_, err := f.Check(t.Context(), f.ch)
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome, "no answer is none")
	f.server.FailNext("debug_token", messengertest.Refuse(100, 33, "Unsupported get request."))
	_, err = f.Verify(t.Context(), f.ch)
	require.NoError(t, err, "a server without /debug_token tells nothing against the token")
	_, err = f.Check(t.Context(), with(f.ch, FieldAppSecret, "wrong"))
	assert.Equal(t, channels.Refused, asError(t, err).Outcome)
}
