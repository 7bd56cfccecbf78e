package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

const day = 24 * time.Hour

func TestS0_9_RequestedKeyIsValidForTwoWeeks(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		token, key, err := s.RequestKey(ctx, store.KeyOwner{Company: "Acme", Phone: "+4930123456", Email: "ann@acme.example"})
		require.NoError(t, err)
		require.Equal(t, key.IssuedAt.Add(14*day), key.ExpiresAt.Time)

		require.NoError(t, s.Advance(ctx, 13*day+23*time.Hour))
		b, err := s.Authenticate(ctx, token)
		require.NoError(t, err)
		require.Equal(t, key.EnvironmentID, b.EnvironmentID)
		require.Equal(t, store.TokenSecretKey, b.Kind)

		require.NoError(t, s.Advance(ctx, time.Hour))
		_, err = s.Authenticate(ctx, token)
		require.ErrorIs(t, err, store.ErrExpired)
	})
}

func TestS0_10_SecondRequestForAnEmailGivesNothing(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		owner := store.KeyOwner{Company: "Acme", Phone: "+4930123456", Email: "ann@acme.example"}
		_, first, err := s.RequestKey(ctx, owner)
		require.NoError(t, err)
		token, _, err := s.RequestKey(ctx, owner)
		require.ErrorIs(t, err, store.ErrConflict)
		require.Empty(t, token)

		keys, err := s.Keys(ctx)
		require.NoError(t, err)
		require.Len(t, keys, 1)
		require.Equal(t, first.ExpiresAt, keys[0].ExpiresAt)
		require.Empty(t, keys[0].CRMURL)

		_, _, err = s.IssueKey(ctx, owner, 0)
		require.NoError(t, err, "the operator may issue as many as he likes")
	})
}

func TestS0_9_ExtendingReleasesTheHeldChats(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		token, key, err := s.IssueKey(ctx, store.KeyOwner{}, day)
		require.NoError(t, err)
		held := holdChat(t, s, key.EnvironmentID)
		require.NoError(t, s.Advance(ctx, 2*day))
		now, err := s.Now(ctx)
		require.NoError(t, err)

		_, err = s.ExtendKey(ctx, key.ID, now.Add(-time.Hour))
		require.NoError(t, err)
		require.Equal(t, "key_expired", heldReason(t, s, held), "still expired")

		extended, err := s.ExtendKey(ctx, key.ID, now.Add(30*day))
		require.NoError(t, err)
		require.Equal(t, store.At(now.Add(30*day)), extended.ExpiresAt)
		require.Empty(t, heldReason(t, s, held))
		_, err = s.Authenticate(ctx, token)
		require.NoError(t, err)
	})
}

func holdChat(t *testing.T, s *store.Store, env uuid.UUID) uuid.UUID {
	t.Helper()
	c := store.Chat{ID: uuid.New(), EnvironmentID: env, ChannelID: uuid.New(), IdentityID: uuid.New(), ContactID: uuid.New(), OpenedAt: store.At(time.Now()), HeldReason: "key_expired"}
	_, err := s.DB().NewInsert().Model(&c).Exec(context.Background())
	require.NoError(t, err)
	return c.ID
}

func heldReason(t *testing.T, s *store.Store, id uuid.UUID) string {
	t.Helper()
	var c store.Chat
	require.NoError(t, s.DB().NewSelect().Model(&c).Where("id = ?", id).Scan(context.Background()))
	return c.HeldReason
}

func TestS0_5_RevokedAndUnknownKeysOpenNothing(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		token, key, err := s.IssueKey(ctx, store.KeyOwner{}, 0)
		require.NoError(t, err)
		for range 2 {
			_, err = s.RevokeKey(ctx, key.ID)
			require.NoError(t, err)
		}
		_, err = s.Authenticate(ctx, token)
		require.ErrorIs(t, err, store.ErrRevoked)
		_, err = s.ExtendKey(ctx, key.ID, time.Now().Add(day))
		require.ErrorIs(t, err, store.ErrConflict)

		for _, altered := range []string{"", token + "x", token[:len(token)-1], "wsk_" + uuid.NewString()} {
			_, err = s.Authenticate(ctx, altered)
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		_, err = s.RevokeKey(ctx, uuid.New())
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestS0_35_ReleasedKeyLeavesItsEnvironmentBehind(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		token, key, err := s.IssueKey(ctx, store.KeyOwner{}, 0)
		require.NoError(t, err)
		released, err := s.ReleaseKey(ctx, key.ID)
		require.NoError(t, err)
		require.NotEqual(t, key.EnvironmentID, released.EnvironmentID)
		b, err := s.Authenticate(ctx, token)
		require.NoError(t, err)
		require.Equal(t, released.EnvironmentID, b.EnvironmentID)
		require.Empty(t, b.CRMURL)
	})
}

func TestTokensAreKeptAsHashesOnly(t *testing.T) {
	ctx := context.Background()
	s := storetest.SQLite(t)
	token, key, err := s.IssueKey(ctx, store.KeyOwner{}, 0)
	require.NoError(t, err)
	require.Len(t, key.Hash, 32)
	require.NotContains(t, string(key.Hash), token)
	require.Equal(t, token[len(token)-4:], key.Hint)
	require.Regexp(t, `^wsk_[A-Za-z0-9_-]{43}$`, token)
}
