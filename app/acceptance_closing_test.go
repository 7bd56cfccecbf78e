package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/crm/creatio/creatiotest"
)

// margin is what a test leaves for its own calls before a deadline: the moved clock goes on by itself.
const margin = 5 * time.Second

// silent lets a customer write and the agent answer, and returns the chat: from now on it is the client's turn.
func (p *place) silent(customer, agent string) gen.Chat {
	p.t.Helper()
	chat := p.writes(customer, "Where is my parcel?")
	p.given(chat.ID, agent)
	p.replies(agent, chat.ID, "On its way.")
	return p.chat(chat.ID)
}

func (p *place) isOpen(c gen.Chat) func() bool {
	return func() bool { return p.chat(c.ID).Status != gen.ChatStatusClosed }
}

func TestS0_21_ASilentClientsChatCloses(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(10, 0)
		p.staff("Ann")
		chat := p.silent("Carl", "Ann")
		require.NotNil(t, chat.ClosesAt)
		require.Equal(t, gen.ChatClosesByEnvironment, *chat.ClosesBy)
		now := p.advance(0)
		p.advance(chat.ClosesAt.Sub(now) - margin)
		p.stays("it is open before the time is over", p.isOpen(chat))
		p.advance(margin)
		closed := p.closed(chat.ID)
		require.Equal(t, "No answer from Client", *closed.CloseReason)
		require.False(t, closed.ClosedAt.Before(*chat.ClosesAt), "not even a moment too early: %s, %s", closed.ClosedAt, chat.ClosesAt)
		row := p.crmRow(chat.ID, "it is completed", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusCompleted })
		require.Equal(t, "No answer from Client", row["Notes"])
		require.NotEqual(t, chat.ID, p.writes("Carl", "Are you there?").ID, "S2.4 the next message opens a new one")
	})
}

func TestS0_41_TheCheckboxSwitchesClosing(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Ann")
		chat := p.silent("Carl", "Ann")
		p.advance(24 * time.Hour)
		p.stays("S0.21 off: it stays open", p.isOpen(chat))
		require.Empty(t, p.processes(""), "S0.19")
		p.patch("/configuration", body{"close_chats_minutes": 5}, nil)
		p.stays("minutes alone change nothing", p.isOpen(chat))
		p.patch("/configuration", body{"close_chats_without_messages": true}, nil)
		p.closed(chat.ID)
		require.Len(t, p.processes("BeesenderCloseOldChats"), 1, "saving starts one where none runs")

		next := p.silent("Dora", "Ann")
		p.patch("/configuration", body{"close_chats_without_messages": false}, nil)
		p.advance(time.Hour)
		p.stays("off again: no more closing", p.isOpen(next))
		require.Len(t, p.processes("BeesenderCloseOldChats"), 1, "switching off stops the effect, not the instance (b26)")
		p.patch("/configuration", body{"close_chats_without_messages": true}, nil)
		p.closed(next.ID)
		require.Len(t, p.processes("BeesenderCloseOldChats"), 1, "and none is added beside it (b26)")
	})
}

func TestS0_42_TheTimeCountsFromTheLastMessage(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 0)
		p.staff("Ann")
		chat := p.writes("Carl", "12:00")
		p.given(chat.ID, "Ann")
		p.advance(3 * time.Minute)
		p.replies("Ann", chat.ID, "12:03")
		p.advance(4 * time.Minute)
		p.stays("open at 12:07", p.isOpen(chat))
		p.advance(time.Minute)
		p.closed(chat.ID)

		again := p.silent("Carl", "Ann")
		p.advance(4 * time.Minute)
		p.replies("Ann", again.ID, "Did you find it?")
		p.advance(4 * time.Minute)
		p.stays("a follow-up of the agent restarts it (b1)", p.isOpen(again))
		p.writes("Carl", "Not yet")
		p.advance(24 * time.Hour)
		p.stays("never while the client waits (b2)", p.isOpen(again))
	})
}

func TestS1_15_TheTimeOfClosingIsConfigurable(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(60, 0)
		p.staff("Ann")
		chat := p.silent("Carl", "Ann")
		p.advance(10 * time.Minute)
		p.stays("S1.15 60 minutes are not over", p.isOpen(chat))
		var c gen.Configuration
		p.patch("/configuration", body{"close_chats_minutes": 2}, &c)
		require.Equal(t, 5, *c.CloseChatsMinutes, "S0.43")
		require.Contains(t, codes(c.Warnings), "raised_to_minimum", "S0.43 and says so")
		p.closed(chat.ID)

		p.patch("/queues/"+p.queue.String(), body{"completion_timeout_minutes": 30}, nil)
		next := p.silent("Dora", "Ann")
		require.Equal(t, gen.ChatClosesByQueue, *next.ClosesBy)
		p.advance(20 * time.Minute)
		p.stays("the queue's own time replaces the environment's (b4)", p.isOpen(next))
		p.advance(10 * time.Minute)
		p.closed(next.ID)
	})
}

func TestS1_17_OnlyAnAssignedChatClosesByItself(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 1)
		p.staff("Ann")
		p.patch("/queues/"+p.queue.String(), body{"completion_timeout_minutes": 5}, nil)
		assigned := p.silent("Carl", "Ann")
		p.status("Ann", gen.AgentStatusOffline)
		waiting := p.writes("Dora", "Hello?")
		p.advance(24 * time.Hour)
		p.closed(assigned.ID)
		p.stays("nobody has it", p.isOpen(waiting))
		require.Empty(t, p.holder(waiting.ID))
	})
}

func TestS1_18_UnassignedDialoguesStayForAMonth(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.step1() // no wizard is ever finished, and closing is off (S1.19)
		p.staff("Ann")
		p.status("Ann", gen.AgentStatusOffline)
		chat := p.writes("Carl", "Hello?")
		require.Equal(t, gen.ChatClosesByMonth, *chat.ClosesBy)
		p.advance(27 * 24 * time.Hour)
		p.stays("S1.18 open after 27 days", p.isOpen(chat))
		p.advance(5 * 24 * time.Hour)
		closed := p.closed(chat.ID)
		require.NotNil(t, closed.CloseReason)
		p.crmRow(chat.ID, "it is completed (S1.19)", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusCompleted })
		require.Len(t, p.crm.Messages(chat.ID.String()), 1, "S0.3 with its message, once")
	})
}

func TestS1_10_ChatsMustBeSwitchedOn(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 0)
		var s gen.Settings
		p.get("/settings", &s)
		require.False(t, s.ChatsEnabled, "a fresh environment has them off")
		p.staff("Ann")
		chat := p.silent("Carl", "Ann")
		p.patch("/settings", body{"chats_enabled": false}, nil)
		off := p.refused(p.as("Ann"), "GET", "/chats", nil, 409)
		require.Contains(t, *off.Detail, "chats are switched off")
		p.refused(p.as("Ann"), "POST", "/chats/"+chat.ID.String()+"/messages", body{"text": "?"}, 409)
		late := p.writes("Dora", "While it was off")
		p.advance(40 * 24 * time.Hour)
		p.stays("nothing is closed, not even after a month (b24)", func() bool { return p.isOpen(chat)() && p.isOpen(late)() })
		p.stays("nothing is routed", func() bool { return p.holder(late.ID) == "" })
		require.Nil(t, p.crm.Row("OmniChat", late.ID.String()), "nothing is pushed")

		p.patch("/settings", body{"chats_enabled": true}, nil)
		p.given(late.ID, "Ann")
		p.until("off loses nothing", func() bool { return len(p.crm.Messages(late.ID.String())) == 1 })
		var list gen.ChatList
		p.does(p.as("Ann"), "GET", "/chats", nil, &list)
		require.Len(t, list.Items, 2)
		p.stays("clocks count from the switching on (b24)", p.isOpen(chat))
		p.advance(5 * time.Minute)
		p.closed(chat.ID)
	})
}

func codes(warnings []gen.Warning) (all []string) {
	for _, w := range warnings {
		all = append(all, w.Code)
	}
	return all
}
