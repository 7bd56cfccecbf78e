package demo

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheStoryEndsWell(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, (&Command{Once: true}).run(context.Background(), &out), out.String())
	require.Contains(t, out.String(), "all is as it should be")
	require.NotContains(t, out.String(), messengerCode, "the story tells no secret")
}

func TestSwappedCountsTextsOutOfPlace(t *testing.T) {
	for name, row := range map[string]struct {
		want, got []string
		n         int
	}{
		"in order":      {[]string{"a", "b", "c"}, []string{"a", "b", "c"}, 0},
		"two exchanged": {[]string{"a", "b", "c"}, []string{"b", "a", "c"}, 2},
		"one missing":   {[]string{"a", "b"}, []string{"a"}, 0},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.n, swapped(row.want, row.got)) })
	}
}
