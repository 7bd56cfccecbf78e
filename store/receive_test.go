package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

func TestMigrate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		n, err := s.Pending(context.Background())
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
