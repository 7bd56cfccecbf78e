package channelstest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

func webhook(t *testing.T, h Harness) {
	s := start(t, h)
	t.Run("a message", func(t *testing.T) {
		e := s.receive(t, s.Message("Hello, 世界 🐝 \" \\ \n <b>"))
		assert.Equal(t, channels.Message, e.Kind)
		assert.Equal(t, "Hello, 世界 🐝 \" \\ \n <b>", e.Text)
	})
	t.Run("a repetition has the same key, the next message another", func(t *testing.T) {
		r := s.Message("once")
		first, repeated, next := s.receive(t, r), s.receive(t, r), s.receive(t, s.Message("once"))
		assert.Equal(t, first, repeated)
		assert.NotEqual(t, first.Key, next.Key)
		assert.NotEqual(t, first.MessageID, next.MessageID)
	})
	t.Run("an edit", func(t *testing.T) {
		if s.Edit == nil {
			assert.False(t, s.Adapter.Describe().Capabilities.Edits)
			return
		}
		message := s.receive(t, s.Message("before"))
		r := s.Edit("after")
		first, repeated := s.receive(t, r), s.receive(t, r)
		assert.Equal(t, channels.Edit, first.Kind)
		assert.Equal(t, "after", first.Text)
		assert.Equal(t, first, repeated)
		assert.NotEqual(t, message.Key, first.Key)
		assert.NotEmpty(t, first.MessageKey, "it says which message it changes")
		assert.NotEqual(t, first.Key, first.MessageKey)
		assert.Empty(t, message.MessageKey)
		assert.NotEqual(t, first.Key, s.receive(t, s.Edit("after all")).Key, "each edit has a key of its own")
	})
	t.Run("the event outlives the request's buffer", func(t *testing.T) {
		r := s.Message("kept")
		e := s.receive(t, r)
		clear(r.Body)
		assert.Equal(t, "kept", e.Text)
	})
	assert.NotEmpty(t, s.Ignored, "what the messenger adds later must not break deliveries")
	for name, r := range s.Ignored {
		t.Run("ignored and counted: "+name, func(t *testing.T) {
			d, err := s.Adapter.Webhook(t.Context(), s.Channel, r)
			require.NoError(t, err)
			assert.Empty(t, d.Events)
			assert.NotEmpty(t, d.Ignored)
		})
	}
	for name, body := range malformed {
		t.Run("malformed: "+name, func(t *testing.T) {
			_, err := s.Adapter.Webhook(t.Context(), s.Channel, s.Sign(body))
			require.ErrorIs(t, err, channels.ErrMalformed)
			assertQuiet(t, s, err)
		})
	}
	for _, body := range [][]byte{s.Message("forged").Body, nil, []byte("{")} {
		for name, r := range s.Forge(body) {
			t.Run("forged: "+name, func(t *testing.T) {
				d, err := s.Adapter.Webhook(t.Context(), s.Channel, r)
				require.ErrorIs(t, err, channels.ErrUnauthorized, "proof comes before parsing")
				assert.Empty(t, d)
				assertQuiet(t, s, err)
			})
		}
	}
}

// assertQuiet demands an error that shows no secret.
func assertQuiet(t *testing.T, s Subject, err error) {
	t.Helper()
	for _, secret := range secrets(s) {
		assert.NotContains(t, err.Error(), secret)
	}
}

// receive reads a request that brings one message or one edit.
func (s Subject) receive(t *testing.T, r channels.Request) channels.Event {
	t.Helper()
	d, err := s.Adapter.Webhook(t.Context(), s.Channel, r)
	require.NoError(t, err)
	require.Len(t, d.Events, 1)
	e := d.Events[0]
	assert.NotEmpty(t, e.Key)
	assert.NotEmpty(t, e.User.ID)
	assert.NotEmpty(t, e.MessageID)
	assert.False(t, e.At.IsZero())
	return e
}
