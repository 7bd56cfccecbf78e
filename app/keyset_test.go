package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/app"
	"waggle/keyring"
	"waggle/store"
)

// Three runs of keys rotate-keyset: what was sealed before opens after each, and at last without the key that sealed it.
func TestTheKeysetIsRotated(t *testing.T) {
	ctx := t.Context()
	c := app.Config{DataDir: t.TempDir()}
	first, err := keyring.LoadOrCreate(c.DataDir + "/keyset.json")
	require.NoError(t, err)
	s, err := app.CreateStore(ctx, c)
	require.NoError(t, err)
	_, err = s.Migrate(ctx)
	require.NoError(t, err)
	_, key, err := s.IssueKey(ctx, store.KeyOwner{}, 0)
	require.NoError(t, err)
	_, _, err = s.PutCredentials(ctx, key.EnvironmentID, store.Credentials{
		CRMKind: "creatio", CRMURL: "https://crm.example.com", Auth: "login", Login: "Supervisor", Password: "before all this",
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())

	for _, want := range []keyring.Step{keyring.Added, keyring.InUse, keyring.Retired} {
		step, err := app.RotateKeyset(ctx, c)
		require.NoError(t, err)
		require.Equal(t, want, step)

		s, err := app.OpenStore(ctx, c)
		require.NoError(t, err)
		e, err := s.Environment(ctx, key.EnvironmentID)
		require.NoError(t, err)
		crm, err := s.Connection(e)
		require.NoError(t, err, want)
		require.Equal(t, "before all this", crm.Password)
		_, err = first.Open(e.Secrets, e.ID.String())
		require.Equal(t, want == keyring.Retired, err != nil, "the first key opens it until it is retired")
		require.NoError(t, s.Close())
	}
}
