package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

func TestLead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		lead := func(owner string, lease time.Duration) bool {
			got, err := s.Lead(ctx, "scheduler", owner, lease)
			require.NoError(t, err)
			return got
		}
		require.True(t, lead("a", time.Hour))
		require.True(t, lead("a", time.Hour), "the leader keeps it")
		require.False(t, lead("b", time.Hour))
		require.NoError(t, s.Resign(ctx, "scheduler", "b"))
		require.False(t, lead("b", time.Hour), "only the leader can resign")
		require.NoError(t, s.Resign(ctx, "scheduler", "a"))
		require.True(t, lead("b", -time.Second))
		require.True(t, lead("a", time.Hour), "a lease that has ended is free")
	})
}

func TestLeadAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var leaders atomic.Int32
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if got, err := s.Lead(context.Background(), "scheduler", string(rune('a'+i)), time.Hour); err == nil && got {
					leaders.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, leaders.Load())
	})
}

func TestClocksRestAfterAnOutage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		require.NoError(t, s.Heartbeat(ctx))
		first, err := s.Resumed(ctx)
		require.NoError(t, err)
		require.False(t, first.IsZero(), "the first start resumes service")

		require.NoError(t, s.Advance(ctx, 24*time.Hour))
		require.NoError(t, s.Heartbeat(ctx))
		same, err := s.Resumed(ctx)
		require.NoError(t, err)
		require.Equal(t, first, same, "advancing the clock is no outage")

		_, err = s.DB().NewUpdate().Table("clock").Set("heartbeat_at = heartbeat_at - ?", (store.Outage + time.Second).Microseconds()).Where("id = 1").Exec(ctx)
		require.NoError(t, err)
		require.NoError(t, s.Heartbeat(ctx))
		resumed, err := s.Resumed(ctx)
		require.NoError(t, err)
		now, err := s.Now(ctx)
		require.NoError(t, err)
		require.WithinDuration(t, now, resumed, time.Minute)
		require.Greater(t, resumed.Sub(first), 23*time.Hour, "in business time")
	})
}
