package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"waggle/chat"
)

// BenchmarkPick chooses among agents of different loads, of whom every other one has had the chat.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n, " agents"), func(b *testing.B) {
			c := chat.RoutedChat{QueueID: queue, ChannelID: channel, Weight: 1, Tried: map[uuid.UUID]bool{}}
			var agents []*chat.RoutedAgent
			for i := range n {
				a := agent(fmt.Sprint("Agent ", i), load(i%12), took(time.Duration(i)*time.Minute))
				c.Tried[a.ID] = i%2 == 0
				agents = append(agents, a)
			}
			b.ReportAllocs()
			for b.Loop() {
				if chat.Pick(agents, c) == nil {
					b.Fatal("nobody")
				}
			}
		})
	}
}
