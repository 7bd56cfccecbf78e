package api

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/store"
)

// One request reads a busy channel again; the others go by what was known, though not for ever, and never where a proof was wrong.
func TestOneRequestReadsABusyChannelAgain(t *testing.T) {
	id := uuid.New()
	for _, test := range []struct {
		name          string
		since, age    time.Duration
		first, second bool // whether the channel need not be read
	}{
		{"just read", hookViewAge / 2, hookViewAge, true, true},
		{"to be read again", hookViewAge * 3 / 2, hookViewAge, false, true},
		{"too old", hookViewAge * 5 / 2, hookViewAge, false, false},
		{"after a wrong proof", hookViewMinAge * 3 / 2, hookViewMinAge, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hookChannels{read: map[uuid.UUID]hookChannel{id: {row: &store.Channel{ID: id, Kind: "telegram"}, at: time.Now().Add(-test.since)}}}
			_, first := h.known("telegram", id, test.age)
			_, second := h.known("telegram", id, test.age)
			require.Equal(t, test.first, first)
			require.Equal(t, test.second, second)
		})
	}
}
