package channelstest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// Threads is who holds the conversation with the customer, where the messenger lets several apps share one; zero where it does
// not.
type Threads struct {
	Us, Other string        // the messenger's names for Waggle's app and another one
	Holder    func() string // who has it; empty: nobody
	Let       func()        // the messenger lets us take from others from now on

	// What the other app does. Each returns the request the double posts of it.
	Takes func() channels.Request // it takes what is ours
	Gives func() channels.Request // it gives it to us
	Asks  func() channels.Request // it asks us for it
}

func threads(t *testing.T, h Harness) {
	s := start(t, h)
	_, can := s.Adapter.(channels.Threads)
	assert.Equal(t, s.Adapter.Describe().Capabilities.Bots, can, "sharing a conversation is offered by those who can")
	assert.Equal(t, can, s.Threads.Holder != nil, "what is said of it is shown")
	if !can {
		return
	}
	t.Run("what another app holds is its own", func(t *testing.T) { elsewhereHeld(t, start(t, h)) })
	t.Run("another app asks for it", func(t *testing.T) {
		s := start(t, h)
		s.take(t)
		assert.Equal(t, &channels.ControlNote{Owner: channels.Asked, App: s.Threads.Other}, s.report(t, s.Threads.Asks(), channels.Control).Control)
		assert.Equal(t, s.Threads.Us, s.Threads.Holder(), "it stays ours")
	})
	t.Run("it changes hands", func(t *testing.T) { changeHands(t, start(t, h)) })
}

// take makes the conversation, which is nobody's, ours.
func (s Subject) take(t *testing.T) channels.Threads {
	t.Helper()
	shared := s.Adapter.(channels.Threads)
	require.NoError(t, shared.Take(within(t, patience), s.Channel, s.UserID))
	require.Equal(t, s.Threads.Us, s.Threads.Holder())
	return shared
}

func elsewhereHeld(t *testing.T, s Subject) {
	s.take(t)
	taken := s.report(t, s.Threads.Takes(), channels.Control)
	assert.Equal(t, &channels.ControlNote{Owner: channels.OwnedByOther, App: s.Threads.Other}, taken.Control)
	asked := s.receive(t, s.Message("are you there?"))
	assert.Equal(t, channels.Message, asked.Kind)
	assert.True(t, asked.Standby, "it is told, and nobody else is to answer")
	_, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(0, text))
	_ = requireOutcome(t, s, err, channels.Elsewhere, text)
	assert.Empty(t, s.Inbox(), "certainly not done")

	given := s.report(t, s.Threads.Gives(), channels.Control)
	assert.Equal(t, channels.OwnedByUs, given.Control.Owner)
	assert.NotEqual(t, taken.Key, given.Key)
	assert.False(t, s.receive(t, s.Message("and now?")).Standby)
	_, err = s.Adapter.Send(within(t, patience), s.Channel, s.part(0, text))
	require.NoError(t, err, "the same part goes now")
	assert.Equal(t, []string{text}, s.Inbox())
}

func changeHands(t *testing.T, s Subject) {
	shared := s.take(t)
	s.take(t) // repeating is harmless
	require.NoError(t, shared.Pass(within(t, patience), s.Channel, s.UserID, s.Threads.Other))
	require.Equal(t, s.Threads.Other, s.Threads.Holder())
	_ = requireOutcome(t, s, shared.Take(within(t, patience), s.Channel, s.UserID), channels.Permanent)
	_ = requireOutcome(t, s, shared.Release(within(t, patience), s.Channel, s.UserID), channels.Permanent)
	require.NoError(t, shared.Request(within(t, patience), s.Channel, s.UserID))
	assert.Equal(t, s.Threads.Other, s.Threads.Holder(), "who is asked decides")
	s.Threads.Let()
	s.take(t)
	require.NoError(t, shared.Release(within(t, patience), s.Channel, s.UserID))
	assert.Empty(t, s.Threads.Holder())
}
