package proof

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/proof/runner"
)

// In fair weather the audit is content; otherwise the other proofs would mean nothing.
func TestFairWeather(t *testing.T) {
	everywhere(t, "M.4 customers write, agents answer", func(t *testing.T, ctx context.Context, p place) {
		people := append(p.town.OnTelegram(3), p.town.OnMessenger(3)...)
		runner.WriteAll(ctx, people, 3)
		chats, err := p.town.Assigned(ctx, people)
		require.NoError(t, err)
		for _, c := range people {
			require.NoError(t, p.town.Reply(ctx, c, chats[c.Name], 2))
		}
		for _, c := range people {
			require.NoError(t, c.Has(ctx, 2))
		}
	})
}
