package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/crm/creatio/creatiotest"
)

func TestS3_4_WithoutAQueueAChatWaitsVisibly(t *testing.T) {
	staffed(t, []string{"Anna"}, func(t *testing.T, p *place) {
		p.patch("/channels/"+p.channel.String(), body{"queue_id": nil}, nil)
		chat := p.writes("Ann", "hello")
		p.stays("S3.4 not routed", func() bool { return p.holder(chat.ID) == "" })
		require.Equal(t, []string{"hello"}, p.texts(chat.ID), "S3.4 the message is kept")
		require.Contains(t, *p.chat(chat.ID).HeldReason, "no queue", "S3.4 visible as such")
		p.patch("/channels/"+p.channel.String(), body{"queue_id": p.queue}, nil)
		require.Nil(t, p.given(chat.ID, "Anna").HeldReason, "S3.4 queue set: routed")
	})
}

func TestS3_5_AQueueIsATeam(t *testing.T) {
	staffed(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		p.offers("Anna")
		ben := p.listen(p.as("Ben"))
		chat := p.writes("Ann", "hello")
		path := "/chats/" + chat.ID.String()
		p.until("Anna sees it", func() bool { return slices.Contains(p.seen("Anna", "?waiting=true"), chat.ID) })
		require.Empty(t, p.seen("Ben", ""), "S3.5 an agent of another queue does not see it")
		p.refused(p.as("Ben"), http.MethodGet, path, nil, http.StatusNotFound)
		p.refused(p.as("Ben"), http.MethodPost, path+"/accept", nil, http.StatusNotFound)
		p.status("Ben", gen.AgentStatusInactive)
		require.False(t, about(ben.upTo("agent", p.agents["Ben"].id), chat.ID), "S3.5 no event tells him")
		p.stays("S3.5 nor gets it", func() bool { return p.holder(chat.ID) == "" })
		p.acts("Anna", chat.ID, "accept", nil)
	})
}

func TestS3_6_QueuesAndChannelsInAnyNumber(t *testing.T) {
	staffed(t, []string{"Anna", "Ben", "Cid"}, func(t *testing.T, p *place) {
		p.patch("/settings", body{"simultaneous_chats": 0}, nil)
		one := p.messenger
		second := p.team("2nd line", gen.RoutingRuleToAnAvailableAgent, "Cid")
		p.patch("/queues/"+p.queue.String(), body{"agent_ids": []uuid.UUID{p.agents["Anna"].id}}, nil)
		for i, q := range []uuid.UUID{p.queue, p.queue, second.ID, second.ID} {
			p.messenger = p.another(confirmationCode)
			in := p.custom(p.messenger, nil)
			in["name"], in["queue_id"] = fmt.Sprint("Channel ", i), q
			p.post("/channels", in, nil)
			to := map[uuid.UUID]string{p.queue: "Anna", second.ID: "Cid"}[q]
			p.given(p.writes(fmt.Sprint("customer ", i), "hello").ID, to)
		}
		require.Len(t, p.channelsOf(""), 5, "S3.6 two queues and five channels; now three queues of one channel")
		p.messenger = one
		third := p.team("3rd line", gen.RoutingRuleToAnAvailableAgent, "Ben")
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.acts("Anna", chat.ID, "transfer", body{"queue_id": second.ID})
		p.given(chat.ID, "Cid")
		p.acts("Cid", chat.ID, "transfer", body{"queue_id": third.ID})
		p.given(chat.ID, "Ben")
	})
}

func TestS3_7_S3_8_TheQueuesForm(t *testing.T) {
	staffed(t, nil, func(t *testing.T, p *place) {
		require.Equal(t, []string{"name"}, p.faults(p.api, http.MethodPost, "/queues", body{"routing_rule": "to_all_agents"}), "S3.7")
		for _, rule := range []gen.RoutingRule{gen.RoutingRuleToAllAgents, gen.RoutingRuleToAnAvailableAgent} {
			var q gen.Queue
			p.post("/queues", body{"name": "1st-line support", "routing_rule": rule}, &q)
			p.get("/queues/"+q.ID.String(), &q)
			require.Equal(t, "1st-line support", q.Name, "S3.7 read back")
			require.Equal(t, rule, q.RoutingRule, "S3.8")
		}
		in := body{"name": "1st line", "routing_rule": "to_the_best_agent"}
		require.Equal(t, []string{"routing_rule"}, p.faults(p.api, http.MethodPost, "/queues", in), "S3.8 anything else")
	})
}

func TestS3_9_ToAllAgents(t *testing.T) {
	staffed(t, []string{"Anna", "Ben", "Cid"}, func(t *testing.T, p *place) {
		p.offers("Anna", "Ben", "Cid")
		streams := map[string]*events{}
		for name := range p.agents {
			streams[name] = p.listen(p.as(name))
		}
		chat := p.writes("Ann", "hello")
		for name, s := range streams {
			s.has("chat", chat.ID)
			require.Equal(t, []uuid.UUID{chat.ID}, p.seen(name, "?waiting=true"), "S3.9 available for all")
		}
		answers := make(chan error, 2)
		for _, name := range []string{"Anna", "Ben"} {
			as := p.as(name)
			go func() {
				answers <- as.Call(t.Context(), http.MethodPost, "/api/v1/chats/"+chat.ID.String()+"/accept", nil, nil)
			}()
		}
		first, second := <-answers, <-answers
		if first != nil {
			first, second = second, first
		}
		require.NoError(t, first, "S3.9 one has it")
		var late *client.Error
		require.ErrorAs(t, second, &late)
		require.Equal(t, http.StatusConflict, late.Status, "S3.9 the other comes too late")
		require.Empty(t, p.seen("Cid", ""), "S3.9 and it is offered to nobody any more")
		streams["Cid"].has("chat", chat.ID)
	})
}

func TestS3_10_ToAnAvailableAgent(t *testing.T) {
	staffed(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		p.status("Ben", gen.AgentStatusInactive)
		ben := p.listen(p.as("Ben"))
		chat := p.writes("Ann", "hello")
		p.given(chat.ID, "Anna")
		require.Nil(t, p.chat(chat.ID).AcceptedAt, "S3.10 without anyone's accept")
		require.Equal(t, []uuid.UUID{chat.ID}, p.seen("Anna", ""))
		p.status("Ben", gen.AgentStatusActive)
		require.False(t, about(ben.upTo("agent", p.agents["Ben"].id), chat.ID))
		require.Empty(t, p.seen("Ben", ""), "S3.10 others do not see it")
	})
}

func TestS3_11_WhoHasTheFewestChats(t *testing.T) {
	staffed(t, []string{"Anna", "Ben", "Cid", "Dan"}, func(t *testing.T, p *place) {
		for name, n := range map[string]int{"Anna": 2, "Ben": 1, "Cid": 1} {
			for i := range n {
				p.moved(fmt.Sprint(name, i), name)
			}
		}
		p.given(p.writes("Zoe", "hello").ID, "Dan") // S3.11: 2, 1, 1, 0 gives the 0
		require.Equal(t, "Dan", p.holder(p.writes("Zoe", "S3.11").ID))
	})
}

func TestS3_12_OnATieWhoHasNotTakenOneForLongest(t *testing.T) {
	staffed(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		taken := func(customer string) string {
			chat := p.writes(customer, "hello")
			p.until("somebody has it", func() bool { return p.holder(chat.ID) != "" })
			name := p.holder(chat.ID)
			p.acts(name, chat.ID, "close", body{})
			return name
		}
		first := taken("1")
		other := map[string]string{"Anna": "Ben", "Ben": "Anna"}[first]
		require.Equal(t, other, taken("2"), "S3.12 who never took one comes first")
		require.Equal(t, first, taken("3"), "S3.12 by last taken")
		p.app.Stop()
		p.start()
		require.Equal(t, other, taken("4"), "S3.12 it survives a restart")
	})
}

func TestS3_13_S3_14_NotTakenWithinFiveMinutes(t *testing.T) {
	acceptTimeout(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		p.status("Ben", gen.AgentStatusInactive)
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.status("Ben", gen.AgentStatusActive)
		p.advance(5*time.Minute - margin)
		p.staysUntil(chat.AssignedAt.Add(5*time.Minute), "S3.13 not before", func() bool { return p.holder(chat.ID) == "Anna" })
		events := p.listen(p.api)
		p.advance(margin)
		p.given(chat.ID, "Ben")
		events.has("agent", p.agents["Anna"].id)
		require.Equal(t, gen.AgentStatusInactive, p.agentNow("Anna").Status, "S3.14")
		require.True(t, p.agentNow("Anna").Enabled, "b13 the administrator's card stays")
		p.advance(5 * time.Minute)
		p.until("S3.13 no next agent: it waits", func() bool { return p.holder(chat.ID) == "" })
		require.Equal(t, gen.AgentStatusInactive, p.agentNow("Ben").Status, "S3.14")
	})
}

func TestS3_14_ATransferLeavesTheStatusAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 3)
		p.staff("Anna", "Ben")
		p.status("Ben", gen.AgentStatusInactive)
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.acts("Anna", chat.ID, "accept", nil)
		p.status("Ben", gen.AgentStatusActive)
		p.advance(3 * time.Minute)
		p.given(chat.ID, "Ben")
		require.Equal(t, gen.AgentStatusActive, p.agentNow("Anna").Status, "S3.14, b13")
	})
}

func TestS3_15_TheTimeIsASetting(t *testing.T) {
	acceptTimeout(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		p.status("Ben", gen.AgentStatusInactive)
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.status("Ben", gen.AgentStatusActive)
		p.advance(3 * time.Minute)
		p.stays("not yet", func() bool { return p.holder(chat.ID) == "Anna" })
		p.patch("/settings", body{"operator_accept_chat_timeout": 2}, nil)
		p.given(chat.ID, "Ben") // S3.15: at once, for chats already offered
		require.Equal(t, gen.AgentStatusInactive, p.agentNow("Anna").Status, "S3.15")
	})
}

func TestS3_16_AnInactiveAgentSetsHimselfActive(t *testing.T) {
	staffed(t, []string{"Anna"}, func(t *testing.T, p *place) {
		p.status("Anna", gen.AgentStatusInactive)
		chat := p.writes("Ann", "hello")
		p.stays("S3.16 he gets nothing, even with room", func() bool { return p.holder(chat.ID) == "" })
		require.Empty(t, p.seen("Anna", "?waiting=true"))
		p.status("Anna", gen.AgentStatusActive)
		p.given(chat.ID, "Anna")
	})
}

func TestS3_17_S3_18_S3_19_S3_20_TheCompletionTimeout(t *testing.T) {
	staffed(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		p.patch("/queues/"+p.queue.String(), body{"completion_timeout_minutes": 10}, nil)
		p.status("Ben", gen.AgentStatusInactive)
		chat := p.silent("Carl", "Anna")
		kept := p.silent("Kim", "Anna")
		p.acts("Anna", kept.ID, "hold", nil)
		first := *chat.ClosesAt
		p.advance(5 * time.Minute)
		p.replies("Anna", chat.ID, "Anything else?")
		again := p.chat(chat.ID)
		require.Equal(t, gen.ChatClosesByQueue, *again.ClosesBy)
		require.WithinDuration(t, first.Add(5*time.Minute), *again.ClosesAt, 20*time.Second, "S3.17 it counts from the last outgoing message")
		p.advance(again.ClosesAt.Sub(p.advance(0)) - margin)
		p.staysUntil(*again.ClosesAt, "S3.17 it is open until then", p.isOpen(chat))
		p.advance(margin)
		closed := p.closed(chat.ID)
		require.False(t, closed.ClosedAt.Before(*again.ClosesAt), "S3.17")
		p.crmRow(chat.ID, "S3.18 it is closed there too", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusCompleted })
		p.stays("S3.18, b8 not on hold", p.isOpen(kept))

		p.status("Anna", gen.AgentStatusInactive)
		p.status("Ben", gen.AgentStatusActive)
		next := p.writes("Carl", "Yes, one more thing")
		require.NotEqual(t, chat.ID, next.ID, "S3.19 a new chat")
		require.Len(t, p.texts(chat.ID), 3, "S3.19 the old one is untouched")
		p.given(next.ID, "Ben") // S3.20: to the active one
		require.Equal(t, "Anna", p.holder(chat.ID), "S3.20")
	})
}

func TestS3_21_WithoutATimeoutItDoesNotClose(t *testing.T) {
	staffed(t, []string{"Anna"}, func(t *testing.T, p *place) {
		chat := p.silent("Carl", "Anna")
		p.advance(10 * 24 * time.Hour)
		p.stays("S3.21 it is open after ten days", p.isOpen(chat))
	})
}

func TestS3_22_S3_25_TheAgentsOfQueues(t *testing.T) {
	staffed(t, nil, func(t *testing.T, p *place) {
		chat := p.writes("Ann", "hello")
		p.stays("nobody is there", func() bool { return p.holder(chat.ID) == "" })
		p.hire("Anna")
		anna := []uuid.UUID{p.agents["Anna"].id}
		p.patch("/queues/"+p.queue.String(), body{"agent_ids": anna}, nil)
		p.given(chat.ID, "Anna")
		require.Len(t, p.agentNow("Anna").QueueIds, 1, "S3.22 a user who was added is routable")
		second := p.team("2nd line", gen.RoutingRuleToAnAvailableAgent, "Anna")
		m := p.another(confirmationCode)
		in := p.custom(m, nil)
		in["queue_id"] = second.ID
		p.post("/channels", in, nil)
		first := p.messenger
		p.messenger = m
		p.given(p.writes("Bea", "hello").ID, "Anna")
		require.ElementsMatch(t, []uuid.UUID{p.queue, second.ID}, p.agentNow("Anna").QueueIds, "S3.25 chats of both")
		third := p.writes("Cleo", "hello")
		p.stays("S3.25 one limit over both", func() bool { return p.holder(third.ID) == "" })
		p.messenger = first
		fourth := p.writes("Dora", "hello")
		p.stays("S3.25 one limit over both", func() bool { return p.holder(fourth.ID) == "" })
	})
}
