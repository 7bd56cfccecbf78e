package chat_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"waggle/chat"
)

func intPtr(n int) *int { return &n }

func TestRoom(t *testing.T) {
	tests := []struct {
		name   string
		limit  chat.Limit
		load   chat.Load
		weight int
		ok     bool
		why    string
	}{
		{"S0.50 Max load 5, sum 4: a chat of weight 1 fits", chat.Limit{MaxLoad: intPtr(5)}, chat.Load{4, 4}, 1, true, ""},
		{"S0.50 Max load 5, sum 5: none fits", chat.Limit{MaxLoad: intPtr(5)}, chat.Load{5, 5}, 1, false, "5 + 1 > 5"},
		{"S0.50 sum 5: not even weight 0", chat.Limit{MaxLoad: intPtr(5)}, chat.Load{1, 5}, 0, false, "5 of 5 taken"},
		{"S0.50 sum 4: weight 0 fits", chat.Limit{MaxLoad: intPtr(5)}, chat.Load{1, 4}, 0, true, ""},
		{"S0.50 weight 2 and more must fit whole (b10)", chat.Limit{MaxLoad: intPtr(5)}, chat.Load{2, 4}, 3, false, "4 + 3 > 5"},
		{"S0.51 Max load 0 takes nothing", chat.Limit{MaxLoad: intPtr(0)}, chat.Load{}, 0, false, "0 of 0 taken"},
		{"S3.62 at the limit nothing fits", chat.Limit{SimultaneousChats: 2}, chat.Load{2, 2}, 1, false, "2 of 2 chats"},
		{"S3.63 below the limit of 2 a chat fits", chat.Limit{SimultaneousChats: 2}, chat.Load{1, 9}, 9, true, ""},
		{"S3.64 limit 5: the fifth fits", chat.Limit{SimultaneousChats: 5}, chat.Load{4, 4}, 1, true, ""},
		{"S3.64 lowered below the present load: nothing fits", chat.Limit{SimultaneousChats: 1}, chat.Load{4, 4}, 1, false, "4 of 1 chats"},
		{"S3.62 limit 0 is no limit (b11)", chat.Limit{}, chat.Load{100, 100}, 1, true, ""},
		{"S3.63 a Max load replaces the limit (b11)", chat.Limit{MaxLoad: intPtr(9), SimultaneousChats: 2}, chat.Load{5, 5}, 1, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ok, why := tt.limit.Room(tt.load, tt.weight)
			assert.Equal(t, tt.ok, ok)
			assert.Equal(t, tt.why, why)
		})
	}
}
