package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/custom/customtest"
	"waggle/crm/creatio/creatiotest"
)

func TestS0_25_AnUnansweredChatIsTransferred(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 3)
		p.staff("Ann", "Bob")
		p.status("Bob", gen.AgentStatusOffline)
		chat := p.writes("Carl", "Hello?")
		p.given(chat.ID, "Ann")
		p.status("Bob", gen.AgentStatusActive)
		p.advance(3*time.Minute - margin)
		p.stays("it is Ann's while her time runs", func() bool { return p.holder(chat.ID) == "Ann" })
		events := p.listen(p.api)
		p.advance(margin)
		moved := p.given(chat.ID, "Bob")
		events.has("chat", chat.ID)
		require.Equal(t, "no answer for 3 minutes", *moved.TransferReason)
		p.crmRow(chat.ID, "the operator is Bob", func(r creatiotest.Row) bool { return r["OperatorId"] == p.agents["Bob"].crm.ID })
		entry := p.transfers(chat.ID)[0]
		require.Equal(t, p.processes("BeesenderSaveAfkChats")[0].ID, *entry.ProcessID, "S0.31 it carries the instance's id")

		p.replies("Bob", chat.ID, "Hello!")
		p.advance(24 * time.Hour)
		p.stays("S0.52 the last message is the agent's: never moved, however old", func() bool { return p.holder(chat.ID) == "Bob" })
		require.NotEqual(t, gen.ChatStatusClosed, p.chat(chat.ID).Status, "S0.44 it never closes a chat")
		p.writes("Carl", "Thanks, and")
		p.advance(2 * time.Minute)
		p.replies("Bob", chat.ID, "Yes?")
		p.advance(2 * time.Minute)
		p.stays("answered in time", func() bool { return p.holder(chat.ID) == "Bob" })
		p.writes("Carl", "one")
		p.advance(2 * time.Minute)
		p.writes("Carl", "two")
		p.advance(time.Minute)
		p.given(chat.ID, "Ann") // a client who keeps writing does not restart it (b15)
	})
}

func TestS0_46_WithoutTheCheckboxTheChatStays(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 2)
		p.staff("Ann", "Bob")
		p.patch("/configuration", body{"transfer_chats_without_agent_answer": false}, nil)
		chat := p.writes("Carl", "Hello?")
		p.until("somebody has it", func() bool { return p.holder(chat.ID) != "" })
		had := p.holder(chat.ID)
		p.advance(time.Hour)
		p.stays("off: it stays", func() bool { return p.holder(chat.ID) == had })
		require.Equal(t, []string{"change_agent_minutes"},
			p.faults(p.api, "PATCH", "/configuration", body{"transfer_chats_without_agent_answer": true, "change_agent_minutes": nil}), "S0.47")
		p.patch("/configuration", body{"transfer_chats_without_agent_answer": true, "change_agent_minutes": 120}, nil)
		p.stays("120 minutes are not over", func() bool { return p.holder(chat.ID) == had })
		p.patch("/configuration", body{"change_agent_minutes": 2}, nil)
		p.until("S0.45 2 minutes hold for a chat that waits already", func() bool { return p.holder(chat.ID) != had })
		require.NotEqual(t, gen.ChatStatusClosed, p.chat(chat.ID).Status, "S0.44")
	})
}

func TestS0_48_OnlyToAgentsOfTheChannel(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 1)
		p.staff("Ann", "Bob")
		other := customtest.New(confirmationCode)
		t.Cleanup(other.Close)
		elsewhere := p.connect(other, nil)
		p.card("Bob", body{"channel_ids": []uuid.UUID{elsewhere.ID}})
		chat := p.writes("Carl", "Hello?")
		p.given(chat.ID, "Ann")
		p.advance(time.Minute)
		p.stays("Bob is online with room, but not on the channel", func() bool { return p.holder(chat.ID) == "Ann" })
		p.card("Bob", body{"channel_ids": []uuid.UUID{elsewhere.ID, p.channel}})
		p.given(chat.ID, "Bob")
	})
}

func TestS0_49_OnlyToAgentsOnline(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 1)
		p.staff("Ann", "Bob")
		p.status("Bob", gen.AgentStatusOffline)
		chat := p.writes("Carl", "Hello?")
		p.given(chat.ID, "Ann")
		p.advance(time.Minute)
		p.stays("Bob is offline", func() bool { return p.holder(chat.ID) == "Ann" })
		p.until("the reason is told", func() bool {
			why := p.chat(chat.ID).TransferReason
			return why != nil && *why == "Bob: is offline"
		})
		p.status("Bob", gen.AgentStatusActive)
		p.given(chat.ID, "Bob")
	})
}

func TestS0_50_OnlyToAgentsWithRoom(t *testing.T) {
	for _, row := range []struct {
		name   string
		has    []int // weights of Bob's open chats; his Max load is 5
		weight int   // of the chat in question
		moves  bool
		why    string
	}{
		{"S0.50 sum 4, weight 1", []int{4}, 1, true, ""},
		{"S0.50 sum 5, weight 1", []int{4, 1}, 1, false, "Bob: 5 + 1 > 5"},
		{"S0.50 sum 5, weight 0", []int{5}, 0, false, "Bob: 5 of 5 taken"},
		{"S0.50 sum 4, weight 3 (b10)", []int{4}, 3, false, "Bob: 4 + 3 > 5"},
	} {
		t.Run(row.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p *place) {
				p.wizard(0, 2)
				p.staff("Ann", "Bob")
				p.card("Ann", body{"max_load": 100})
				p.status("Ann", gen.AgentStatusOffline)
				p.card("Bob", body{"max_load": 6})
				for i, weight := range append([]int{6}, row.has...) {
					p.patch("/channels/"+p.channel.String(), body{"weight": weight}, nil)
					chat := p.writes(fmt.Sprint("Early ", i), "Hello?")
					p.given(chat.ID, "Bob")
					p.replies("Bob", chat.ID, "Yes?")
					if i == 0 { // closed chats are not counted
						p.does(p.as("Bob"), "POST", "/chats/"+chat.ID.String()+"/close", body{}, nil)
					}
				}
				p.card("Bob", body{"max_load": 5})
				p.status("Bob", gen.AgentStatusOffline)
				p.status("Ann", gen.AgentStatusActive)
				p.patch("/channels/"+p.channel.String(), body{"weight": row.weight}, nil)
				chat := p.writes("Carl", "Hello?")
				require.Equal(t, row.weight, chat.Weight)
				p.given(chat.ID, "Ann")
				p.status("Bob", gen.AgentStatusActive)
				p.advance(2 * time.Minute)
				if row.moves {
					p.given(chat.ID, "Bob")
					return
				}
				p.until("the reason is told in figures", func() bool {
					why := p.chat(chat.ID).TransferReason
					return why != nil && *why == row.why
				})
				p.stays("it stays", func() bool { return p.holder(chat.ID) == "Ann" })
			})
		})
	}
}

func TestS0_51_MaxLoadIsOfTheCard(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Ann")
		path := "/agents/" + p.agents["Ann"].id.String()
		var a gen.Agent
		p.patch(path, body{"max_load": 5}, &a)
		require.Equal(t, 5, *a.MaxLoad, "S0.37 changed later in the same place")
		p.get(path, &a)
		require.Equal(t, 5, *a.MaxLoad)
		require.Equal(t, []string{"max_load"}, p.faults(p.api, "PATCH", path, body{"max_load": -1}))
	})
}

func TestS1_16_WhoGetsDialoguesIsConfigurable(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Ann", "Bob")
		only := func(name string) {
			p.patch("/queues/"+p.queue.String(), body{"agent_ids": []uuid.UUID{p.agents[name].id}}, nil)
		}
		only("Bob")
		p.given(p.writes("Carl", "Hello?").ID, "Bob")
		only("Ann")
		p.given(p.writes("Dora", "Hello?").ID, "Ann")
		p.patch("/queues/"+p.queue.String(), body{"routing_rule": gen.RoutingRuleToAllAgents}, nil)
		offered := p.writes("Eve", "Hello?")
		p.stays("to all agents: nobody is given it", func() bool { return p.holder(offered.ID) == "" })
		p.does(p.as("Ann"), "POST", "/chats/"+offered.ID.String()+"/accept", nil, nil)
		require.Equal(t, "Ann", p.holder(offered.ID))
	})
}

// transfers are a chat's timeline entries that tell of a transfer.
func (p *place) transfers(chat uuid.UUID) (entries []gen.TimelineEntry) {
	p.t.Helper()
	var line gen.Timeline
	p.get("/chats/"+chat.String()+"/timeline?limit=100", &line)
	for _, e := range line.Items {
		if e.Kind == gen.TimelineKindTransferred {
			entries = append(entries, e)
		}
	}
	return entries
}
