package chat_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/chat"
)

func TestWritableUntil(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for name, row := range map[string]struct {
		wrote   time.Time
		window  time.Duration
		until   time.Time
		limited bool
	}{
		"Telegram, X: at any time":              {noon, 0, time.Time{}, false},
		"Messenger: 24 hours after he wrote":    {noon, day, noon.Add(day), true},
		"Messenger: never, if he never wrote":   {time.Time{}, day, time.Time{}.Add(day), true},
		"a kind that gives another time":        {noon, time.Hour, noon.Add(time.Hour), true},
		"at any time, also if he never wrote":   {time.Time{}, 0, time.Time{}, false},
		"a window that is none is no window":    {noon, -time.Hour, time.Time{}, false},
		"it counts in hours, not calendar days": {noon.Add(time.Minute), day, noon.Add(day + time.Minute), true},
	} {
		until, limited := chat.WritableUntil(row.wrote, row.window)
		require.Equal(t, row.limited, limited, name)
		require.Equal(t, row.until, until, name)
	}
	require.Contains(t, chat.WindowClosed(day), "24 hours")
}

// X's budget is 15 messages in 15 minutes (wire/x.md §3); 1,440 a day are the same.
func TestExpectedAt(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	x := chat.Budget{Messages: 15, Per: 15 * time.Minute}
	for name, row := range map[string]struct {
		budget chat.Budget
		ahead  int
		want   time.Duration
	}{
		"the next one":                           {x, 0, 0},
		"the last one of the next 15":            {x, 14, 0},
		"the first one after them":               {x, 15, 15 * time.Minute},
		"the 46th":                               {x, 45, 45 * time.Minute},
		"the 1,441st is a day later":             {x, 1440, 24 * time.Hour},
		"a budget nobody knows: when it goes on": {chat.Budget{}, 100, 0},
	} {
		require.Equal(t, noon.Add(row.want), row.budget.ExpectedAt(noon, row.ahead), name)
	}
}
