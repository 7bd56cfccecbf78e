package store_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// tenant makes an environment with a secret key.
func tenant(t *testing.T, s *store.Store) (token string, env uuid.UUID) {
	t.Helper()
	token, key, err := s.IssueKey(context.Background(), store.KeyOwner{}, 0)
	require.NoError(t, err)
	return token, key.EnvironmentID
}

// person makes an agent who is the CRM's user.
func person(t *testing.T, s *store.Store, env uuid.UUID, user string) uuid.UUID {
	t.Helper()
	a := store.Agent{ID: uuid.New(), EnvironmentID: env, CRMUserID: user, Name: "Ann", Enabled: true, Status: chat.Offline, StatusAt: store.At(time.Now()), CreatedAt: store.At(time.Now())}
	_, err := s.DB().NewInsert().Model(&a).Exec(context.Background())
	require.NoError(t, err)
	return a.ID
}

func setColumns(t *testing.T, s *store.Store, env uuid.UUID, values map[string]any) {
	t.Helper()
	q := s.DB().NewUpdate().Table("environments").Where("id = ?", env)
	for column, v := range values {
		q.Set(column+" = ?", v)
	}
	_, err := q.Exec(context.Background())
	require.NoError(t, err)
}

func TestSessions(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, env := tenant(t, s)
		_, foreign := tenant(t, s)
		agent := person(t, s, env, "user-1")

		t.Run("a session is its agent's, by his id or by his CRM user", func(t *testing.T) {
			for _, in := range []store.NewSession{
				{Role: chat.AgentRole, AgentID: agent, Life: time.Hour},
				{Role: chat.AgentRole, CRMUserID: "user-1", Life: time.Hour},
				{Role: chat.ChatAdministrator, CRMUserID: "user-1", Life: time.Hour},
			} {
				token, _, err := s.OpenSession(ctx, env, in)
				require.NoError(t, err)
				b, err := s.Authenticate(ctx, token)
				require.NoError(t, err)
				require.Equal(t, store.TokenSession, b.Kind)
				require.Equal(t, env, b.EnvironmentID)
				require.Equal(t, in.Role, b.Role)
				require.Equal(t, agent, b.AgentID)
				require.Equal(t, "user-1", b.CRMUserID)
			}
		})
		t.Run("an administrator need not be an agent", func(t *testing.T) {
			token, session, err := s.OpenSession(ctx, env, store.NewSession{Role: chat.Administrator, CRMUserID: "boss", Life: time.Hour})
			require.NoError(t, err)
			require.Zero(t, session.AgentID)
			b, err := s.Authenticate(ctx, token)
			require.NoError(t, err)
			require.Zero(t, b.AgentID)
			require.Equal(t, session.ID, b.SessionID)
		})
		t.Run("nobody's agent, a foreign one and a mismatch are not found", func(t *testing.T) {
			for _, in := range []store.NewSession{
				{Role: chat.AgentRole, CRMUserID: "nobody"},
				{Role: chat.AgentRole, AgentID: person(t, s, foreign, "user-1")},
				{Role: chat.Administrator, AgentID: uuid.New()},
				{Role: chat.AgentRole, AgentID: agent, CRMUserID: "user-2"},
			} {
				_, _, err := s.OpenSession(ctx, env, in)
				require.ErrorIs(t, err, store.ErrNotFound)
			}
		})
		t.Run("revoked", func(t *testing.T) {
			token, session, err := s.OpenSession(ctx, env, store.NewSession{Role: chat.Administrator, Life: time.Hour})
			require.NoError(t, err)
			require.ErrorIs(t, s.RevokeSession(ctx, foreign, session.ID), store.ErrNotFound)
			require.NoError(t, s.RevokeSession(ctx, env, session.ID))
			_, err = s.Authenticate(ctx, token)
			require.ErrorIs(t, err, store.ErrRevoked)
		})
		t.Run("a deleted agent's session opens nothing", func(t *testing.T) {
			gone := person(t, s, env, "user-9")
			token, _, err := s.OpenSession(ctx, env, store.NewSession{Role: chat.AgentRole, AgentID: gone, Life: time.Hour})
			require.NoError(t, err)
			_, err = s.DB().NewUpdate().Table("agents").Set("deleted_at = 1").Where("id = ?", gone).Exec(ctx)
			require.NoError(t, err)
			_, err = s.Authenticate(ctx, token)
			require.ErrorIs(t, err, store.ErrNotFound)
		})
		t.Run("expired, and at last forgotten", func(t *testing.T) {
			token, _, err := s.OpenSession(ctx, env, store.NewSession{Role: chat.Administrator, Life: time.Hour})
			require.NoError(t, err)
			require.NoError(t, s.Advance(ctx, time.Hour))
			_, err = s.Authenticate(ctx, token)
			require.ErrorIs(t, err, store.ErrExpired)
			require.NoError(t, s.Advance(ctx, 25*time.Hour))
			n, err := s.ForgetSessions(ctx, day)
			require.NoError(t, err)
			require.Positive(t, n)
			_, err = s.Authenticate(ctx, token)
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	})
}

func TestAPIKeyOpensItsEnvironmentTheOldOneForAWhile(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		secret, env := tenant(t, s)
		now, err := s.Now(ctx)
		require.NoError(t, err)
		hash := func(key string) []byte { h := sha256.Sum256([]byte(key)); return h[:] }
		setColumns(t, s, env, map[string]any{"api_key_hash": hash("new"), "old_api_key_hash": hash("old"), "old_api_key_until": store.At(now.Add(time.Hour)), "crm_url": "https://crm.example.com"})

		for _, key := range []string{"new", "old"} {
			b, err := s.Authenticate(ctx, key)
			require.NoError(t, err, key)
			require.Equal(t, store.TokenAPIKey, b.Kind)
			require.Equal(t, env, b.EnvironmentID)
			require.Equal(t, "https://crm.example.com", b.CRMURL)
		}
		b, err := s.Authenticate(ctx, secret)
		require.NoError(t, err)
		require.True(t, b.HasAPIKey)

		require.NoError(t, s.Advance(ctx, time.Hour))
		_, err = s.Authenticate(ctx, "old")
		require.ErrorIs(t, err, store.ErrExpired)
		_, err = s.Authenticate(ctx, "new")
		require.NoError(t, err)
	})
}

func TestOfferedQueuesAreHisEnvironments(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, env := tenant(t, s)
		_, foreign := tenant(t, s)
		agent := person(t, s, env, "")
		queue := store.Queue{ID: uuid.New(), EnvironmentID: env, Name: "Sales", Rule: chat.ToAllAgents, CreatedAt: store.At(time.Now())}
		_, err := s.DB().NewInsert().Model(&queue).Exec(ctx)
		require.NoError(t, err)
		_, err = s.DB().NewInsert().Model(&store.QueueAgent{QueueID: queue.ID, AgentID: agent, EnvironmentID: env}).Exec(ctx)
		require.NoError(t, err)

		queues, err := s.OfferedQueues(ctx, env, agent)
		require.NoError(t, err)
		require.Empty(t, queues, "b17: not while he is offline")
		require.NoError(t, s.SetAgentStatus(ctx, env, agent, chat.Active))
		queues, err = s.OfferedQueues(ctx, env, agent)
		require.NoError(t, err)
		require.Equal(t, map[uuid.UUID]bool{queue.ID: true}, queues)
		queues, err = s.OfferedQueues(ctx, foreign, agent)
		require.NoError(t, err)
		require.Empty(t, queues)
	})
}

func TestM_5_OnlyTheOriginsOfCRMsAreKnown(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, one := tenant(t, s)
		_, two := tenant(t, s)
		setColumns(t, s, one, map[string]any{"crm_url": "https://crm.example.com"})
		setColumns(t, s, two, map[string]any{"crm_url": "https://other.example.com/site"})
		for origin, known := range map[string]bool{
			"https://crm.example.com": true, "https://other.example.com": true,
			"https://crm.example.co": false, "https://crm.example.com.evil.example": false, "http://crm.example.com": false, "null": false, "": false, "%": false,
		} {
			got, err := s.KnowsCRMOrigin(ctx, origin)
			require.NoError(t, err)
			require.Equal(t, known, got, origin)
		}
	})
}
