package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

var databases = []struct {
	name string
	open func(testing.TB) *store.Store
}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}}

// BenchmarkReceive takes slices of new messages of 1,000 known users in; an op is one message.
func BenchmarkReceive(b *testing.B) {
	for _, db := range databases {
		for _, size := range []int{1, 8, 16, 32, 64} {
			b.Run(fmt.Sprintf("%s/%d", db.name, size), func(b *testing.B) {
				s := db.open(b)
				r := newReceiving(b, s)
				var id atomic.Int64
				take := func(n int) {
					slice := make([]store.Inbound, n)
					for i := range slice {
						k := int(id.Add(1))
						slice[i] = r.event(fmt.Sprint(k%1000), k, "message the quick brown fox jumps over the lazy dog and keeps on running until the line is full")
					}
					for _, o := range s.Receive(context.Background(), slice) {
						require.NoError(b, o.Err)
					}
				}
				for range 10 {
					take(100)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for done := 0; done < b.N; done += size {
					take(size)
				}
			})
		}
	}
}
