package x

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// A customer's file is fetched as the account: the double hands it out to a good signature only.
func TestOpenFile(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	for _, kind := range []string{"photo", "video"} {
		f.ann.SendFile(kind, []byte("content of a "+kind), "")
		d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
		require.NoError(t, err)
		require.Len(t, d.Events, 1)
		assert.Empty(t, d.Events[0].Text)
		file, err := f.OpenFile(t.Context(), f.ch, d.Events[0].Attachments[0].Ref)
		require.NoError(t, err)
		data, err := io.ReadAll(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		assert.Equal(t, "content of a "+kind, string(data))
		assert.EqualValues(t, len(data), file.Size)
	}
	_, err := f.OpenFile(t.Context(), f.ch, f.server.URL+"/files/none")
	assert.Equal(t, channels.Permanent, asError(t, err).Outcome)
	_, err = f.OpenFile(t.Context(), channels.Channel{}, f.server.URL+"/files/0.bin")
	assert.Equal(t, channels.Refused, asError(t, err).Outcome)
	f.shop.Regenerate("1-x", "y", true)
	_, err = f.OpenFile(t.Context(), f.ch, f.server.URL+"/files/0.bin")
	assert.Equal(t, FieldAccessToken, asError(t, err).Field, "the file is not at fault")
	f.server.Close()
	_, err = f.OpenFile(t.Context(), f.ch, f.server.URL+"/files/0.bin")
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
}

// S4.7, c17: files are fetched from X's hosts only, whatever trick an address plays.
func TestFilesOfOtherHosts(t *testing.T) {
	a := New(&http.Client{Transport: noCalls{t}}, DefaultAPI)
	for _, ref := range []string{
		"", "x.jpg", "/etc/passwd", "file:///etc/passwd", "http://ton.twitter.com/x", "https://ton.twitter.com:8443/x", "https://ton.twitter.com@evil.example/x",
		"https://user@ton.twitter.com/x", "https://ton.twitter.com.evil.example/x", "https://evil.example/ton.twitter.com", "https://evil.example#@ton.twitter.com",
		"https://evil.example\\@ton.twitter.com/x", "//ton.twitter.com/x", "https://169.254.169.254/latest", "http://api.x.com/2/users/me", "https://api.x.com:444/x",
		"https://TON.twitter.com.\x00/x", "https://ton.twitter.com%2eevil.example/x", "javascript:alert(1)",
	} {
		_, err := a.OpenFile(t.Context(), channels.Channel{Fields: keys()}, ref)
		assert.Equal(t, channels.Permanent, channels.AsError(err).Outcome, ref)
	}
	for _, ref := range []string{"https://ton.twitter.com/i/x.jpg?a=b", "https://pbs.twimg.com/x", "https://video.twimg.com/x", "https://api.x.com/2/x"} {
		assert.True(t, a.xKeeps(ref), ref)
	}
}

// noCalls fails the test at any call.
type noCalls struct{ t *testing.T }

func (n noCalls) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was called", r.URL)
	return nil, io.EOF
}
