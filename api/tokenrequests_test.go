package api

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
)

func tokenRequest(email string) map[string]any {
	return map[string]any{"company_name": "Acme", "phone_number": "+49 30 123456", "email": email}
}

func TestS0_6_TokenRequestGivesAKey(t *testing.T) {
	h := newAPI(t)
	now, err := h.Server.Store.Now(context.Background())
	require.NoError(t, err)
	var grant gen.TokenGrant
	h.call("POST", "/token-requests", "", tokenRequest("ann@acme.example")).status(201).into(&grant)
	require.NotEmpty(t, grant.SecretKey)
	require.WithinDuration(t, now.Add(14*24*time.Hour), grant.ExpiresAt, time.Minute)
	require.Equal(t, "support@vendor.example", grant.RenewalContact)
	h.call("POST", "/sessions", grant.SecretKey, map[string]any{"role": "administrator"}).status(201)
}

func TestS0_7_TokenFormNamesTheFieldAtFault(t *testing.T) {
	h := newAPI(t)
	for _, missing := range []string{"company_name", "phone_number", "email"} {
		t.Run("without "+missing, func(t *testing.T) {
			body := maps.Clone(tokenRequest("ann@acme.example"))
			delete(body, missing)
			require.Equal(t, []string{missing}, h.call("POST", "/token-requests", "", body).faults())
			body[missing] = "   "
			require.Equal(t, []string{missing}, h.call("POST", "/token-requests", "", body).faults())
		})
	}
	for _, email := range []string{"ann", "ann@", "@acme.example", "ann@acme.example, bob@acme.example", "Ann <ann@acme.example>"} {
		require.Equal(t, []string{"email"}, h.call("POST", "/token-requests", "", tokenRequest(email)).faults(), email)
	}
	require.Equal(t, []string{"company_name", "email", "phone_number"}, h.call("POST", "/token-requests", "", map[string]any{}).faults())
}

func TestS0_10_SecondTokenRequestIsRefused(t *testing.T) {
	h := newAPI(t)
	var first gen.TokenGrant
	h.call("POST", "/token-requests", "", tokenRequest("ann@acme.example")).status(201).into(&first)
	a := h.call("POST", "/token-requests", "", tokenRequest("ANN@acme.example"))
	require.Contains(t, *a.problem(409).Detail, "support@vendor.example")
	require.NotContains(t, string(a.Body), "wsk_")
	keys, err := h.Server.Store.Keys(context.Background())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.WithinDuration(t, first.ExpiresAt, keys[0].ExpiresAt.Time, 0)
}
