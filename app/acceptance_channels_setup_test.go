package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/custom/customtest"
	"waggle/channels/telegram/telegramtest"
	"waggle/jobs"
)

const botToken = "222:AAsecond"

// custom is the form of the company's own messenger, filled in; fields are put over it, an empty one left out of it.
func (p *place) custom(m *customtest.Messenger, fields body) body {
	all := body{"webhook": m.WebhookURL(), "confirmation_code": confirmationCode, "public_url": p.crm.URL()}
	for name, value := range fields {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return body{"kind": "custom", "name": "Support service", "fields": all}
}

// another is one more company messenger.
func (p *place) another(code string) *customtest.Messenger {
	m := customtest.New(code)
	p.t.Cleanup(m.Close)
	return m
}

// team makes a queue of these agents.
func (p *place) team(name string, rule gen.RoutingRule, agents ...string) (q gen.Queue) {
	p.t.Helper()
	ids := []uuid.UUID{}
	for _, a := range agents {
		ids = append(ids, p.agents[a].id)
	}
	p.post("/queues", body{"name": name, "routing_rule": rule, "agent_ids": ids}, &q)
	return q
}

// soon ends what waits for a double before the whole test run ends it.
func (p *place) soon() context.Context {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	p.t.Cleanup(cancel)
	return ctx
}

// channelNow reads a channel.
func (p *place) channelNow(id uuid.UUID) (ch gen.Channel) {
	p.t.Helper()
	p.get("/channels/"+id.String(), &ch)
	return ch
}

// channelsOf lists channels; query is empty or begins with "?".
func (p *place) channelsOf(query string) (names map[string]gen.ChannelState) {
	p.t.Helper()
	var list gen.ChannelList
	p.get("/channels"+query, &list)
	names = map[string]gen.ChannelState{}
	for _, ch := range list.Items {
		names[ch.Name] = ch.State
	}
	return names
}

// onACompanysMessenger proves something in an installation with a company's messenger and one agent, Anna.
func onACompanysMessenger(t *testing.T, prove func(t *testing.T, p *place)) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Anna")
		prove(t, p)
	})
}

// inCRM are the texts of a chat as the CRM shows them.
func (p *place) inCRM(chat uuid.UUID) (texts []string) {
	for _, row := range p.crm.Messages(chat.String()) {
		texts = append(texts, row["Message"].(string))
	}
	return texts
}

// lastChannel is the channel with this name.
func (p *place) lastChannel(name string) (found gen.Channel) {
	p.t.Helper()
	var list gen.ChannelList
	p.get("/channels", &list)
	for _, ch := range list.Items {
		if ch.Name == name {
			found = ch
		}
	}
	return found
}

// upTo returns what came before an event of this type about this thing.
func (e *events) upTo(kind string, id uuid.UUID) (before []jobs.Event) {
	e.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case event, open := <-e.news:
			require.True(e.t, open, "the stream has ended")
			if event.Type == kind && event.ID == id {
				return before
			}
			before = append(before, event)
		case <-late:
			require.FailNow(e.t, "no event came", "%s of %s", kind, id)
		}
	}
}

// about tells whether one of the events is about a chat.
func about(all []jobs.Event, chat uuid.UUID) bool {
	return slices.ContainsFunc(all, func(e jobs.Event) bool { return e.ID == chat || e.ChatID == chat })
}

// acts lets an agent do something with a chat.
func (p *place) acts(name string, chat uuid.UUID, action string, in any) {
	p.t.Helper()
	p.does(p.as(name), http.MethodPost, "/chats/"+chat.String()+"/"+action, in, nil)
}

// moves lets an administrator give a chat to an agent.
func (p *place) moves(chat uuid.UUID, to string) {
	p.t.Helper()
	p.post("/chats/"+chat.String()+"/transfer", body{"agent_id": p.agents[to].id}, nil)
}

// seen are the chats an agent's list shows.
func (p *place) seen(name, query string) (ids []uuid.UUID) {
	p.t.Helper()
	var list gen.ChatList
	p.does(p.as(name), http.MethodGet, "/chats"+query, nil, &list)
	for _, c := range list.Items {
		ids = append(ids, c.ID)
	}
	return ids
}

// staffed proves something in an installation with these agents, who have a queue "To an available agent".
func staffed(t *testing.T, names []string, prove func(t *testing.T, p *place)) {
	t.Helper()
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff(names...)
		prove(t, p)
	})
}

// offers gives the messenger's channel to a new queue "To all agents".
func (p *place) offers(agents ...string) gen.Queue {
	p.t.Helper()
	q := p.team("To all", gen.RoutingRuleToAllAgents, agents...)
	p.patch("/channels/"+p.channel.String(), body{"queue_id": q.ID}, nil)
	return q
}

// moved opens a customer's chat at an agent, whoever it went to first.
func (p *place) moved(customer, to string) gen.Chat {
	p.t.Helper()
	chat := p.writes(customer, "hello")
	p.until("somebody has it", func() bool { return p.holder(chat.ID) != "" })
	if p.holder(chat.ID) != to {
		p.moves(chat.ID, to)
	}
	return p.chat(chat.ID)
}

// acceptTimeout is staffed with the default accept timeout of 5 minutes.
func acceptTimeout(t *testing.T, names []string, prove func(t *testing.T, p *place)) {
	t.Helper()
	staffed(t, names, func(t *testing.T, p *place) {
		p.patch("/settings", body{"operator_accept_chat_timeout": nil}, nil)
		prove(t, p)
	})
}

// staysUntil is stays for what ends at a time that a slow machine may reach meanwhile: the moved clock goes on by itself.
func (p *place) staysUntil(end time.Time, what string, holds func() bool) {
	p.t.Helper()
	p.ticks()
	if !holds() {
		require.False(p.t, p.advance(0).Before(end), what)
	}
}

// agentNow reads an agent.
func (p *place) agentNow(name string) (a gen.Agent) {
	p.t.Helper()
	p.get("/agents/"+p.agents[name].id.String(), &a)
	return a
}

// onTelegram proves something in an installation that has a Telegram beside the company's messenger, and one agent, Anna.
func onTelegram(t *testing.T, prove func(t *testing.T, p *place, tg *telegramtest.Server)) {
	t.Helper()
	var servers sync.Map
	everywhere(t, func(t *testing.T, p *place) {
		tg, _ := servers.Load(p.config.TelegramURL)
		t.Cleanup(tg.(*telegramtest.Server).Close)
		p.wizard(0, 0)
		p.staff("Anna")
		prove(t, p, tg.(*telegramtest.Server))
	}, func(c *app.Config) {
		tg := telegramtest.New()
		servers.Store(tg.URL, tg)
		c.TelegramURL = tg.URL
	})
}

// botInput is the form of a Telegram channel; more is put over it.
func (p *place) botInput(token string, more body) body {
	in := body{"kind": "telegram", "name": "Bot", "queue_id": p.queue, "fields": body{"token": token}}
	for name, value := range more {
		in[name] = value
	}
	return in
}

// bot connects the bot with the token botToken.
func (p *place) bot(more body) (ch gen.Channel) {
	p.t.Helper()
	p.post("/channels", p.botInput(botToken, more), &ch)
	return ch
}

// chatOf waits for the open chat of the contact with this name.
func (p *place) chatOf(name string) (found gen.Chat) {
	p.t.Helper()
	p.until(name+" has an open chat", func() bool {
		all := p.chats()
		i := slices.IndexFunc(all, func(c gen.Chat) bool { return c.Contact.Name == name && c.Status != gen.ChatStatusClosed })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// says waits until a contact's open chat holds exactly these texts.
func (p *place) says(name string, texts ...string) {
	p.t.Helper()
	chat := p.chatOf(name)
	p.until(fmt.Sprintf("%s's chat holds %d messages", name, len(texts)), func() bool { return len(p.texts(chat.ID)) >= len(texts) })
	require.Equal(p.t, texts, p.texts(chat.ID))
}

// restartedWith starts Waggle again with another configuration.
func (p *place) restartedWith(change func(*app.Config)) {
	p.t.Helper()
	p.app.Stop()
	c := p.config
	c.Listener = p.listener()
	change(&c)
	p.run(c)
}

// fails lets Anna send what the messenger refuses for good.
func (p *place) fails(chat uuid.UUID, text string) (m gen.Message) {
	p.t.Helper()
	p.does(p.as("Anna"), http.MethodPost, "/chats/"+chat.String()+"/messages", body{"text": text}, &m)
	p.until("the message has failed", func() bool {
		var list gen.MessageList
		p.get("/chats/"+chat.String()+"/messages?limit=100", &list)
		i := slices.IndexFunc(list.Items, func(x gen.Message) bool { return x.ID == m.ID })
		m = list.Items[i]
		return m.State == gen.MessageStateFailed
	})
	return m
}
