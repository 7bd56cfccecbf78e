package chat_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"waggle/chat"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestClosesAt(t *testing.T) {
	answered := chat.Clock{HasAgent: true, ClosingSince: at("2026-11-21 12:03"), LastMessageAt: at("2026-11-21 12:03")}
	waits := chat.Clock{HasAgent: true, LastMessageAt: at("2026-11-21 12:00")}
	unassigned := chat.Clock{LastMessageAt: at("2026-11-21 12:00"), ClosingSince: at("2026-11-21 12:00")}
	held := answered
	held.OnHold = true
	closed := answered
	closed.Closed = true
	on := func(queue, environment int) chat.Periods {
		return chat.Periods{QueueMinutes: queue, EnvironmentMinutes: environment, ChatsEnabled: true}
	}
	tests := []struct {
		name string
		chat chat.Clock
		p    chat.Periods
		at   string
		by   chat.ClosesBy
	}{
		{"S0.42 client 12:00, agent 12:03, period 5: closes 12:08", answered, on(0, 5), "2026-11-21 12:08", chat.ByEnvironment},
		{"S0.21 never while the client waits", waits, on(10, 5), "", ""},
		{"S0.41 off: does not close", answered, on(0, 0), "", ""},
		{"S3.17 queue timeout 10, delivered 12:03: closes 12:13", answered, on(10, 0), "2026-11-21 12:13", chat.ByQueue},
		{"S3.17 the queue's own timeout replaces the environment's (b4)", answered, on(10, 5), "2026-11-21 12:13", chat.ByQueue},
		{"S3.21 no queue timeout, environment off: stays open", answered, on(0, 0), "", ""},
		{"S1.17 nobody has it: only the month, both clocks on", unassigned, on(10, 5), "2026-12-21 12:00", chat.ByMonth},
		{"S3.18 on hold: only the month (b8)", held, on(10, 5), "2026-12-21 12:03", chat.ByMonth},
		{"S0.21 a closed chat closes no more", closed, on(10, 5), "", ""},
		{"S1.10 chats switched off: no clock runs (b24)", answered, chat.Periods{QueueMinutes: 10, EnvironmentMinutes: 5}, "", ""},
		{"S1.10 chats switched off: not even the month's (b24)", unassigned, chat.Periods{}, "", ""},
		{"S1.10 the month counts from when chats were switched on (b24)", unassigned,
			chat.Periods{ChatsEnabled: true, ChatsEnabledAt: at("2026-11-25 10:00")}, "2026-12-25 10:00", chat.ByMonth},
		{"S1.10 the clock counts from when chats were switched on (b24)", answered,
			chat.Periods{EnvironmentMinutes: 5, ChatsEnabled: true, NotBefore: at("2026-11-21 13:00")}, "2026-11-21 13:05", chat.ByEnvironment},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			when, by := chat.ClosesAt(tt.chat, tt.p)
			assert.Equal(t, tt.by, by)
			if tt.at == "" {
				assert.True(t, when.IsZero())
				return
			}
			assert.Equal(t, at(tt.at), when)
		})
	}
}

func TestDueBefore(t *testing.T) {
	now := at("2026-11-21 12:08")
	assert.Equal(t, at("2026-11-21 12:03"), chat.DueBefore(now, 5, time.Time{}), "S0.42")
	assert.Equal(t, at("2026-11-21 12:03"), chat.DueBefore(now, 5, at("2026-11-21 12:03")), "service resumed just long enough ago")
	assert.True(t, chat.DueBefore(now, 5, at("2026-11-21 12:04")).IsZero(), "our own outage is nobody's silence")
}

func TestMonth(t *testing.T) {
	tests := []struct{ name, from, to string }{
		{"S1.18 an ordinary month", "2026-11-21 12:00", "2026-12-21 12:00"},
		{"S1.18 31 January → last day of February (b7)", "2026-01-31 12:00", "2026-02-28 12:00"},
		{"S1.18 …of a leap year", "2028-01-31 12:00", "2028-02-29 12:00"},
		{"S1.18 over the year's end", "2026-12-31 23:59", "2027-01-31 23:59"},
		{"S1.18 31 March → 30 April", "2026-03-31 00:00", "2026-04-30 00:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, at(tt.to), chat.MonthAfter(at(tt.from)))
		})
	}
}

// S1.18 and S1.19: 27 days are never a month, 32 days always are, and the bound of the query leaves nothing out.
func TestMonth_S1_19(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := at("2026-01-01 00:00").Add(time.Duration(rapid.Int64Range(0, 4*366*24*3600).Draw(t, "seconds")) * time.Second)
		due := chat.MonthAfter(from)
		assert.True(t, due.After(from.AddDate(0, 0, 27)))
		assert.False(t, due.After(from.AddDate(0, 0, 32)))
		now := due.Add(time.Duration(rapid.Int64Range(0, 5*24*3600).Draw(t, "later")) * time.Second)
		assert.False(t, from.After(chat.MonthBefore(now)), "%s is due at %s, but the query at %s looks only up to %s", from, due, now, chat.MonthBefore(now))
	})
}
