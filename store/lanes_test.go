package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLanesCountWhatIsDue(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		r.take(r.event("7", 1, "hello"), r.event("8", 1, "good day"))
		states, err := r.Lanes(context.Background())
		require.NoError(t, err)
		require.Len(t, states, 2)
		require.Equal(t, "crm", states[0].Lane)
		require.EqualValues(t, 2, states[0].Due)
		require.Positive(t, states[0].Oldest)
		require.Zero(t, states[1].Due)
		require.Zero(t, states[1].Oldest)
	})
}
