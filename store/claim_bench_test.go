package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// eachBacklog runs f on both databases with so many chats that have something due towards both sides.
func eachBacklog(b *testing.B, f func(b *testing.B, sc *storetest.Scene)) {
	for _, db := range databases {
		for _, due := range []int{100, 2_000} {
			b.Run(fmt.Sprintf("%s/%d", db.name, due), func(b *testing.B) {
				s := db.open(b)
				sc := storetest.NewScene(b, s)
				_, _, err := s.PutCredentials(context.Background(), sc.Env, store.Credentials{
					CRMKind: "creatio", CRMURL: "https://crm.example.com", Auth: "login", Login: "Supervisor", Password: "pass",
				})
				require.NoError(b, err)
				agent := sc.Agent("Ben")
				queue := sc.Queue(chat.ToAnAvailableAgent, 0, agent)
				channels := make([]uuid.UUID, 10)
				for i := range channels {
					channels[i] = sc.Channel(queue, 1)
				}
				for i := range due {
					sc.Replies(sc.Writes(channels[i%len(channels)], fmt.Sprint("user ", i)), agent)
				}
				b.ReportAllocs()
				b.ResetTimer()
				f(b, sc)
			})
		}
	}
}

// BenchmarkClaimSends leases lanes to the messengers, as many as one Deliver works at once; the leases end at once.
func BenchmarkClaimSends(b *testing.B) {
	eachBacklog(b, func(b *testing.B, sc *storetest.Scene) {
		for b.Loop() {
			lanes, err := sc.ClaimSends(context.Background(), "bench", 64, 4, nil, 0)
			require.NoError(b, err)
			require.Len(b, lanes, 40, "four of each channel")
		}
	})
}

// BenchmarkPush leases lanes to the CRM, as many as one push takes, reads what they need and gives them back unproven.
func BenchmarkPush(b *testing.B) {
	eachBacklog(b, func(b *testing.B, sc *storetest.Scene) {
		ctx := context.Background()
		for b.Loop() {
			claim, err := sc.ClaimPush(ctx, sc.Env, "bench", 50, time.Minute)
			require.NoError(b, err)
			require.Len(b, claim.Chats, 50)
			_, err = sc.LoadPush(ctx, claim, 500)
			require.NoError(b, err)
			var back store.PushSettlement
			for i := range claim.Chats {
				back.Chats = append(back.Chats, store.PushedChat{Chat: &claim.Chats[i], Seq: claim.Chats[i].CRMSeq})
			}
			require.NoError(b, sc.SettlePush(ctx, sc.Env, back))
		}
	})
}
