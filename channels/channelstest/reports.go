package channelstest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// Reports is what a messenger tells beside words. Each function is the request the double posts; nil where the kind reports none.
type Reports struct {
	Echo      func() channels.Request             // of what was sent last
	Lose      func()                              // the next send is carried out and its answer is lost
	Elsewhere func(text string) channels.Request  // somebody else writes to the customer for the account
	Arrived   func(id string) channels.Request    // what was sent so far has arrived, this message among it
	Read      func() channels.Request             // what was sent so far was read
	Block     func(blocked bool) channels.Request // the customer takes no more messages, or takes them again
}

func reports(t *testing.T, h Harness) {
	can := start(t, h).Adapter.Describe().Capabilities
	given := start(t, h).Reports
	assert.Equal(t, can.Echoes, given.Echo != nil, "what is said of echoes is shown")
	assert.Equal(t, can.Receipts, given.Arrived != nil, "what is said of receipts is shown")
	assert.Equal(t, can.Reads, given.Read != nil, "what is said of reading is shown")
	if can.Echoes {
		t.Run("an echo shows what was sent", func(t *testing.T) { echo(t, start(t, h)) })
		t.Run("an echo proves what was sent though the answer was lost", func(t *testing.T) { lostAnswer(t, start(t, h)) })
		t.Run("an echo shows what somebody else wrote", func(t *testing.T) { elsewhere(t, start(t, h)) })
	}
	if can.Receipts {
		t.Run("what has arrived", func(t *testing.T) { receipt(t, start(t, h), false) })
	}
	if can.Reads {
		t.Run("what was read", func(t *testing.T) { receipt(t, start(t, h), true) })
	}
	if given.Block != nil {
		t.Run("a block and its end", func(t *testing.T) { block(t, start(t, h)) })
	}
}

// report reads a request that tells one thing about the customer, twice alike.
func (s Subject) report(t *testing.T, r channels.Request, want channels.EventKind) channels.Event {
	t.Helper()
	var events [2]channels.Event
	for i := range events {
		d, err := s.Adapter.Webhook(t.Context(), s.Channel, r)
		require.NoError(t, err)
		require.Len(t, d.Events, 1)
		events[i] = d.Events[0]
	}
	assert.Equal(t, events[0], events[1], "a repetition is the same")
	assert.Equal(t, want, events[0].Kind)
	assert.NotEmpty(t, events[0].Key)
	assert.Equal(t, s.UserID, events[0].User.ID, "it is about the customer, whoever did it")
	return events[0]
}

func echo(t *testing.T, s Subject) {
	sent, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(0, "one"))
	require.NoError(t, err)
	e := s.report(t, s.Reports.Echo(), channels.Echo)
	assert.Equal(t, sent.MessageID, e.MessageID, "its id is the one the answer gave")
	assert.Equal(t, "one", e.Text)
	assert.Contains(t, []string{"", s.part(0, "one").Key}, e.Echo.PartKey)
	require.False(t, e.At.IsZero())
	if !sent.At.IsZero() {
		assert.Equal(t, sent.At, e.At, "both are by the messenger's clock")
	}
	_, err = s.Adapter.Send(within(t, patience), s.Channel, s.part(1, "one"))
	require.NoError(t, err)
	assert.NotEqual(t, e.Key, s.report(t, s.Reports.Echo(), channels.Echo).Key, "the next one has another key")
}

func lostAnswer(t *testing.T, s Subject) {
	s.Reports.Lose()
	_, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(0, text))
	_ = requireOutcome(t, s, err, channels.Unknown, text)
	e := s.report(t, s.Reports.Echo(), channels.Echo)
	assert.NotEmpty(t, e.MessageID)
	assert.True(t, e.Echo.PartKey == s.part(0, text).Key || e.Echo.PartKey == "" && e.Text == text, "it can be told which part it was")
	assert.Equal(t, []string{text}, s.Inbox())
}

func elsewhere(t *testing.T, s Subject) {
	e := s.report(t, s.Reports.Elsewhere("by hand"), channels.Echo)
	assert.Empty(t, e.Echo.PartKey, "it is none of ours")
	assert.Equal(t, "by hand", e.Text)
	assert.NotEmpty(t, e.MessageID)
}

func receipt(t *testing.T, s Subject, read bool) {
	sent, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(0, "one"))
	require.NoError(t, err)
	at := s.report(t, s.Reports.Echo(), channels.Echo).At
	r := s.Reports.Read
	if !read {
		r = func() channels.Request { return s.Reports.Arrived(sent.MessageID) }
	}
	e := s.report(t, r(), channels.Receipt)
	require.NotNil(t, e.Receipt)
	assert.Equal(t, read, e.Receipt.Read)
	if !e.Receipt.Until.IsZero() {
		assert.False(t, e.Receipt.Until.Before(at), "the moment includes it, by the messenger's clock")
	}
	if e.Receipt.Until.IsZero() || len(e.Receipt.MessageIDs) > 0 {
		assert.Contains(t, e.Receipt.MessageIDs, sent.MessageID)
	}
}

func block(t *testing.T, s Subject) {
	first := s.report(t, s.Reports.Block(true), channels.Block)
	second := s.report(t, s.Reports.Block(false), channels.Unblock)
	assert.NotEqual(t, first.Key, second.Key)
}
