package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"waggle/store"
	"waggle/store/storetest"
)

func makes(answer string) func(context.Context, bun.Tx) (string, error) {
	return func(context.Context, bun.Tx) (string, error) { return answer, nil }
}

func TestIdempotencyKey(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		env := uuid.New()
		key := store.Idem{Operation: "sendMessage", Key: "k", RequestHash: []byte{1}}
		first, replayed, err := s.Once(ctx, env, key, makes("first"))
		require.NoError(t, err)
		require.False(t, replayed)
		require.Equal(t, "first", first)

		t.Run("the same request gets the same answer", func(t *testing.T) {
			again, replayed, err := s.Once(ctx, env, key, makes("second"))
			require.NoError(t, err)
			require.True(t, replayed)
			require.Equal(t, "first", again)
		})
		t.Run("another request is a conflict", func(t *testing.T) {
			other := key
			other.RequestHash = []byte{2}
			_, _, err := s.Once(ctx, env, other, makes("other"))
			require.ErrorIs(t, err, store.ErrConflict)
		})
		t.Run("another environment and another operation have keys of their own", func(t *testing.T) {
			_, replayed, err := s.Once(ctx, uuid.New(), key, makes("foreign"))
			require.NoError(t, err)
			require.False(t, replayed)
			other := key
			other.Operation = "createChannel"
			_, replayed, err = s.Once(ctx, env, other, makes("other"))
			require.NoError(t, err)
			require.False(t, replayed)
		})
		t.Run("a failure keeps nothing", func(t *testing.T) {
			failing := store.Idem{Operation: "sendMessage", Key: "f", RequestHash: []byte{1}}
			_, _, err := s.Once(ctx, env, failing, func(context.Context, bun.Tx) (string, error) { return "", errors.New("no") })
			require.EqualError(t, err, "no")
			_, replayed, err := s.Once(ctx, env, failing, makes("now"))
			require.NoError(t, err)
			require.False(t, replayed)
		})
		t.Run("without a key nothing is kept", func(t *testing.T) {
			for range 2 {
				_, replayed, err := s.Once(ctx, env, store.Idem{Operation: "sendMessage"}, makes("x"))
				require.NoError(t, err)
				require.False(t, replayed)
			}
		})
		t.Run("old keys are forgotten", func(t *testing.T) {
			require.NoError(t, s.Advance(ctx, 25*time.Hour))
			n, err := s.ForgetIdempotencyKeys(ctx, 24*time.Hour)
			require.NoError(t, err)
			require.EqualValues(t, 4, n)
			_, replayed, err := s.Once(ctx, env, key, makes("again"))
			require.NoError(t, err)
			require.False(t, replayed)
		})
	})
}

func TestIdempotencyKeyUsedAtOnceActsOnce(t *testing.T) {
	ctx := context.Background()
	s := storetest.Concurrent(t)
	key := store.Idem{Operation: "sendMessage", Key: "k", RequestHash: []byte{1}}
	env := uuid.New()
	var acted atomic.Int32
	answers := make([]string, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			var err error
			answers[i], _, err = s.Once(ctx, env, key, func(context.Context, bun.Tx) (string, error) {
				return fmt.Sprint("answer ", acted.Add(1)), nil
			})
			if err != nil {
				answers[i] = err.Error()
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, acted.Load())
	for _, a := range answers {
		require.Equal(t, "answer 1", a)
	}
}
