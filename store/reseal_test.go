package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// newKey seals for the tests of Reseal.
type newKey struct{ beforeSealing func(about string) }

func (k newKey) Seal(plain []byte, about string) ([]byte, error) {
	if k.beforeSealing != nil {
		k.beforeSealing(about)
	}
	return []byte("new|" + about + "|" + string(plain)), nil
}

func (newKey) Open(sealed []byte, about string) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed), "new|"+about+"|")
	if !ok {
		return nil, errors.New("not sealed with the new key for this row")
	}
	return []byte(plain), nil
}

// sealedScene is an environment with a CRM's password and a channel with a bot token.
func sealedScene(t *testing.T, s *store.Store) (sc *storetest.Scene, channel uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	sc = storetest.NewScene(t, s)
	_, _, err := s.PutCredentials(ctx, sc.Env, store.Credentials{CRMKind: "creatio", CRMURL: "https://crm.example.com", Auth: "login", Login: "Supervisor", Password: "pass"})
	require.NoError(t, err)
	channel = uuid.New()
	_, _, err = s.CreateChannel(ctx, &store.Channel{
		ID: channel, EnvironmentID: sc.Env, Kind: "telegram", Name: "Bot", State: chat.ChannelActive, AccountID: "1", Weight: 1, Receive: "webhook",
		Fields: map[string]string{}, Secrets: sealedToken(t, s, channel, "token"),
	}, store.Idem{})
	require.NoError(t, err)
	return sc, channel
}

func sealedToken(t *testing.T, s *store.Store, channel uuid.UUID, token string) []byte {
	t.Helper()
	sealed, err := s.SealSecrets(channel, store.ChannelSecrets{HookSecret: token})
	require.NoError(t, err)
	return sealed
}

func TestResealLeavesNothingToTheOldKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		sc, channel := sealedScene(t, s)
		storetest.NewScene(t, s) // without secrets
		n, err := s.Reseal(ctx, newKey{})
		require.NoError(t, err)
		require.Equal(t, 2, n)

		env, err := s.Environment(ctx, sc.Env)
		require.NoError(t, err)
		plain, err := newKey{}.Open(env.Secrets, sc.Env.String())
		require.NoError(t, err)
		require.Contains(t, string(plain), "pass")
		ch, err := s.Channel(ctx, sc.Env, channel)
		require.NoError(t, err)
		plain, err = newKey{}.Open(ch.Secrets, channel.String())
		require.NoError(t, err)
		require.Contains(t, string(plain), "token")

		n, err = s.Reseal(ctx, newKey{})
		require.NoError(t, err)
		require.Zero(t, n, "twice is once")
	})
}

// Who changes a row meanwhile wins, and what he wrote is sealed anew too; who has read the old row cannot bring it back.
func TestResealMeetsChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		sc, channel := sealedScene(t, s)
		read, err := s.Channel(ctx, sc.Env, channel)
		require.NoError(t, err)
		connection := store.ChannelConnection{AccountID: "1", Secrets: sealedToken(t, s, channel, "changed"), Receive: "webhook"}
		changes := 0
		_, err = s.Reseal(ctx, newKey{beforeSealing: func(about string) {
			if about == channel.String() && changes == 0 {
				changes++
				require.NoError(t, s.ReplaceConnection(ctx, read, connection))
			}
		}})
		require.NoError(t, err)
		require.Equal(t, 1, changes)
		now, err := s.Channel(ctx, sc.Env, channel)
		require.NoError(t, err)
		plain, err := newKey{}.Open(now.Secrets, channel.String())
		require.NoError(t, err)
		require.Contains(t, string(plain), "changed")
		read.Version++ // as the change left it
		require.ErrorIs(t, s.ReplaceConnection(ctx, read, connection), store.ErrMoved)
	})
}

func TestResealStopsAtWhatNothingOpens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		sc, channel := sealedScene(t, s)
		ch, err := s.Channel(ctx, sc.Env, channel)
		require.NoError(t, err)
		require.NoError(t, s.ReplaceConnection(ctx, ch, store.ChannelConnection{AccountID: "1", Secrets: []byte("of a lost key"), Receive: "webhook"}))
		_, err = s.Reseal(ctx, newKey{})
		require.ErrorContains(t, err, "channels")
	})
}
