package chat_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"waggle/chat"
)

func TestMessageStateOf(t *testing.T) {
	const planned, sending, sent, delivered, read = chat.PartPlanned, chat.PartSending, chat.PartSent, chat.PartDelivered, chat.PartRead
	for _, row := range []struct {
		parts []chat.PartState
		want  chat.MessageState
	}{
		{[]chat.PartState{sent}, chat.MessageSent},
		{[]chat.PartState{delivered}, chat.MessageDelivered},
		{[]chat.PartState{read}, chat.MessageRead},
		{[]chat.PartState{read, sent}, chat.MessageSent},
		{[]chat.PartState{read, delivered}, chat.MessageDelivered},
		{[]chat.PartState{read, planned}, chat.MessageSending},
		{[]chat.PartState{sent, sending}, chat.MessageSending},
		{[]chat.PartState{sent, chat.PartUnknown, chat.PartFailed}, chat.MessageUnknown},
		{[]chat.PartState{read, chat.PartFailed}, chat.MessageFailed},
	} {
		assert.Equal(t, row.want, chat.MessageStateOf(row.parts), "%v", row.parts)
	}
}

func TestPartsNeverGoBackwards(t *testing.T) {
	ladder := []chat.PartState{chat.PartSending, chat.PartSent, chat.PartDelivered, chat.PartRead}
	for i, low := range ladder {
		for _, high := range ladder[i:] {
			assert.Equal(t, high, low.Further(high))
			assert.Equal(t, high, high.Further(low))
		}
		assert.Equal(t, i > 0, low.Taken(), "%s", low)
	}
	assert.False(t, chat.PartUnknown.Taken())
	assert.False(t, chat.PartFailed.Taken())
}

// S0.21, S3.17: only what was delivered starts the closing clock, and what was sent does after an hour without a receipt.
func TestClosingSince_S0_21_S3_17(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	assert.Equal(t, now, chat.ClosingSince(chat.MessageDelivered, now))
	assert.Equal(t, now, chat.ClosingSince(chat.MessageRead, now), "who has read it has it")
	assert.Equal(t, now.Add(time.Hour), chat.ClosingSince(chat.MessageSent, now))
}

func TestSameText(t *testing.T) {
	for _, row := range []struct {
		sent, shown string
		same        bool
	}{
		{"Good morning", "Good morning", true},
		{"Good morning", "Good morning!", false},
		{"see https://shop.example/a?b=1 now", "see https://t.co/AbC123 now", true},
		{"see https://shop.example/a", "see", false},
		{"<b>you & me</b>", "&lt;b&gt;you &amp; me&lt;/b&gt;", true},
		{" two\n\nlines ", "two lines", true},
		{"", "", true},
		{"", "a", false},
	} {
		assert.Equal(t, row.same, chat.SameText(row.sent, row.shown), "%q and %q", row.sent, row.shown)
	}
}
