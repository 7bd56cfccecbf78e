package chat

import (
	"fmt"
	"math"
)

// Load is what an agent has: his open chats without those on hold, and the sum of their weights.
type Load struct {
	Chats  int
	Weight int
}

// Limit is what an agent may have. A Max load, where he has one, replaces the environment's SimultaneousChats (b11); there
// 0 means no limit.
type Limit struct {
	MaxLoad           *int
	SimultaneousChats int
}

// NoRoom is what Left returns where not even a chat of weight 0 fits.
const NoRoom = -1

// Left is the greatest weight a further chat may have; NoRoom where none may come, math.MaxInt32 without a limit. The load
// must be below the Max load, and with the chat's weight must not exceed it (b10).
func (l Limit) Left(load Load) int {
	switch {
	case l.MaxLoad != nil && load.Weight < *l.MaxLoad:
		return *l.MaxLoad - load.Weight
	case l.MaxLoad != nil:
		return NoRoom
	case l.SimultaneousChats == 0 || load.Chats < l.SimultaneousChats:
		return math.MaxInt32
	default:
		return NoRoom
	}
}

// Room reports whether one more chat of this weight fits. If not, why says it in figures: "4 + 3 > 5".
func (l Limit) Room(load Load, weight int) (ok bool, why string) {
	switch {
	case weight <= l.Left(load):
		return true, ""
	case l.MaxLoad == nil:
		return false, fmt.Sprintf("%d of %d chats", load.Chats, l.SimultaneousChats)
	case weight == 0:
		return false, fmt.Sprintf("%d of %d taken", load.Weight, *l.MaxLoad)
	default:
		return false, fmt.Sprintf("%d + %d > %d", load.Weight, weight, *l.MaxLoad)
	}
}
