package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

// freshEnvironment issues a key with its empty environment.
func freshEnvironment(t *testing.T, s *store.Store) (key string, environment uuid.UUID) {
	t.Helper()
	key, k, err := s.IssueKey(context.Background(), store.KeyOwner{}, 0)
	require.NoError(t, err)
	return key, k.EnvironmentID
}

func TestM_7_DoubleClickIsOneJob(t *testing.T) {
	s := storetest.Concurrent(t)
	_, environment := freshEnvironment(t, s)
	ids := make([]uuid.UUID, 8)
	starts := make([]bool, len(ids))
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			job, started, err := s.StartJob(context.Background(), environment, store.JobSynchronize)
			assert.NoError(t, err)
			ids[i], starts[i] = job.ID, started
		})
	}
	wg.Wait()
	started := 0
	for i, id := range ids {
		assert.Equal(t, ids[0], id)
		if starts[i] {
			started++
		}
	}
	assert.Equal(t, 1, started)
}

func TestJobLife(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		_, other := freshEnvironment(t, s)
		started, _, err := s.StartJob(ctx, environment, store.JobSynchronize)
		require.NoError(t, err)

		first, err := s.ClaimJob(ctx, store.JobSynchronize, "one", time.Minute)
		require.NoError(t, err)
		require.Equal(t, started.ID, first.ID)
		require.Equal(t, store.JobRunning, first.State)
		require.False(t, first.StartedAt.IsZero())
		_, err = s.ClaimJob(ctx, store.JobSynchronize, "two", time.Minute)
		require.ErrorIs(t, err, store.ErrNotFound, "leased")

		// The first worker dies: its lease ends at once, and another goes on where it was (M.4).
		require.NoError(t, s.ProgressJob(ctx, first, store.JobProgress{Phase: "Contacts", Position: "p7", Done: 7, Total: 9}, -time.Second))
		second, err := s.ClaimJob(ctx, store.JobSynchronize, "two", time.Minute)
		require.NoError(t, err)
		require.Equal(t, "p7", second.Position)
		require.Equal(t, first.StartedAt, second.StartedAt)
		require.Greater(t, second.Fence, first.Fence)
		require.ErrorIs(t, s.ProgressJob(ctx, first, store.JobProgress{}, time.Minute), store.ErrConflict, "the fence keeps the dead one out")
		require.ErrorIs(t, s.FinishJob(ctx, first, ""), store.ErrConflict)

		_, err = s.Job(ctx, other, started.ID)
		require.ErrorIs(t, err, store.ErrNotFound, "another environment's")
		_, err = s.CancelJob(ctx, other, started.ID)
		require.ErrorIs(t, err, store.ErrNotFound, "another environment's")

		require.NoError(t, s.FinishJob(ctx, second, "the CRM refuses the login"))
		done, err := s.Job(ctx, environment, started.ID)
		require.NoError(t, err)
		require.Equal(t, store.JobFailed, done.State)
		require.Equal(t, "the CRM refuses the login", done.Error)
		require.EqualValues(t, 7, done.Done)
		require.False(t, done.FinishedAt.IsZero())
		_, err = s.CancelJob(ctx, environment, started.ID)
		require.ErrorIs(t, err, store.ErrConflict, "it has ended")
	})
}

func TestCancelledJobStopsItsWorker(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		_, _, err := s.StartJob(ctx, environment, store.JobSynchronize)
		require.NoError(t, err)
		claimed, err := s.ClaimJob(ctx, store.JobSynchronize, "one", time.Minute)
		require.NoError(t, err)
		cancelled, err := s.CancelJob(ctx, environment, claimed.ID)
		require.NoError(t, err)
		require.Equal(t, store.JobCanceled, cancelled.State)
		require.ErrorIs(t, s.ProgressJob(ctx, claimed, store.JobProgress{}, time.Minute), store.ErrConflict)
		_, err = s.ClaimJob(ctx, store.JobSynchronize, "two", time.Minute)
		require.ErrorIs(t, err, store.ErrNotFound)

		next, started, err := s.StartJob(ctx, environment, store.JobSynchronize)
		require.NoError(t, err)
		require.True(t, started, "it may be started again")
		require.NotEqual(t, claimed.ID, next.ID)

		page, cursor, err := s.Jobs(ctx, environment, "", store.Page{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, next.ID, page[0].ID, "newest first")
		page, cursor, err = s.Jobs(ctx, environment, "", store.Page{Limit: 1, Cursor: cursor})
		require.NoError(t, err)
		require.Equal(t, claimed.ID, page[0].ID)
		require.Empty(t, cursor)
		_, _, err = s.Jobs(ctx, environment, "", store.Page{Limit: 1, Cursor: "nonsense"})
		require.ErrorIs(t, err, store.ErrCursor)
	})
}
