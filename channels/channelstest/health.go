package channelstest

import (
	"bytes"
	"log"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// credentials: the account is the same by its new credentials, which send, and the old ones no longer do.
func credentials(t *testing.T, s Subject) {
	before, err := s.Adapter.Verify(within(t, patience), s.Channel)
	require.NoError(t, err)
	renewed := s.Replace()
	_, err = s.Adapter.Verify(within(t, patience), s.Channel)
	_ = requireOutcome(t, s, err, channels.Refused)
	_, err = s.Adapter.Send(within(t, patience), s.Channel, s.part(0, text))
	_ = requireOutcome(t, s, err, channels.Broken, text)
	require.Empty(t, s.Inbox())

	s.Channel = renewed
	after, err := s.Adapter.Verify(within(t, patience), renewed)
	require.NoError(t, err)
	assert.Equal(t, before.ID, after.ID, "the same account")
	require.NoError(t, s.Adapter.Connect(within(t, patience), renewed, channels.ConnectOptions{}))
	_, err = s.Adapter.Send(within(t, patience), renewed, s.part(1, "with the new ones"))
	require.NoError(t, err)
	assert.Equal(t, []string{"with the new ones"}, s.Inbox())
}

// check: a kind that can be asked how it delivers says so while it does, and what is wrong when it no longer does.
func check(t *testing.T, s Subject) {
	checker, is := s.Adapter.(channels.Checker)
	if !is {
		return
	}
	require.NoError(t, s.Adapter.Connect(within(t, patience), s.Channel, channels.ConnectOptions{}))
	for range 2 {
		found, err := checker.Check(within(t, patience), s.Channel)
		require.NoError(t, err)
		assert.Empty(t, found.Wrong)
		assert.Empty(t, found.CannotSend)
	}
	require.NoError(t, s.Adapter.Disconnect(within(t, patience), s.Channel))
	found, err := checker.Check(within(t, patience), s.Channel)
	require.NoError(t, err)
	assert.NotEmpty(t, found.Wrong)
}

// catchLogs keeps what is logged while the test runs.
func catchLogs(t *testing.T) (logged func() string) {
	t.Helper()
	kept := &lockedBuffer{}
	former, flags := slog.Default(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(kept, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(former); log.SetFlags(flags) })
	return kept.String
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
