package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/x/xtest"
)

// xPlace is a place with a connected X account, "@shop", and its customer Tom, whose chat is Anna's.
type xPlace struct {
	*place
	server  *xtest.Server
	app     *xtest.App
	account *xtest.Account
	tom     *xtest.Customer
	ch      gen.Channel
	chat    gen.Chat
}

// xKeys are the form's five values, with changes as pairs of name and value.
func xKeys(change ...string) body {
	all := body{"AccessToken": xToken, "AccessSecret": xSecret, "ConsumerKey": xConsumerKey, "ConsumerSecret": xConsumerSecret, "BearerToken": bearer}
	for i := 0; i+1 < len(change); i += 2 {
		all[change[i]] = change[i+1]
	}
	return all
}

// onAnXAccount proves something with an X account connected; more is put over the form.
func onAnXAccount(t *testing.T, more body, prove func(t *testing.T, p *xPlace)) {
	t.Helper()
	onX(t, func(t *testing.T, at *place, s *xtest.Server) {
		p := &xPlace{place: at, server: s, app: s.AddApp(xConsumerKey, xConsumerSecret, bearer)}
		p.account = p.app.AddAccount("4337869213", "shop", xToken, xSecret)
		p.tom = p.account.Customer("3001969357", "Tom", "tom_writes")
		in := body{"kind": "x", "name": "X", "queue_id": p.queue, "fields": xKeys()}
		for name, value := range more {
			in[name] = value
		}
		p.post("/channels", in, &p.ch)
		prove(t, p)
	})
}

// talks opens Tom's chat.
func (p *xPlace) talks() {
	p.t.Helper()
	p.tom.Write("hello")
	p.chat = p.given(p.chatOf("Tom").ID, "Anna")
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// path is the channel's.
func (p *xPlace) path() string { return "/channels/" + p.ch.ID.String() }

func (p *xPlace) sending() gen.HealthSide {
	p.t.Helper()
	return p.channelNow(p.ch.ID).Health.Sending
}

// received are the texts Tom has got.
func (p *xPlace) received() (texts []string) {
	for _, m := range p.tom.Inbox() {
		texts = append(texts, m.Text)
	}
	return texts
}

// message reads one message of the chat.
func (p *xPlace) message(id uuid.UUID) gen.Message {
	p.t.Helper()
	var list gen.MessageList
	p.get("/chats/"+p.chat.ID.String()+"/messages?limit=100", &list)
	i := slices.IndexFunc(list.Items, func(m gen.Message) bool { return m.ID == id })
	require.GreaterOrEqual(p.t, i, 0)
	return list.Items[i]
}

func TestS4_28_S4_29_NoCredits(t *testing.T) {
	for shape, refusal := range map[string]string{"402 A": xtest.NoCreditsOld, "402 B": xtest.NoCreditsNew} {
		t.Run(shape, func(t *testing.T) {
			onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
				p.talks()
				news := p.listen(p.api)
				p.app.SpendCredits(refusal)
				failed := p.fails(p.chat.ID, "one")
				require.Contains(t, *failed.Error, "no credits", "S4.29 the agent sees why")
				news.has("alert", p.ch.ID)
				require.False(t, p.sending().Ok, "S4.29 the administrator is told")
				require.Contains(t, *p.sending().Reason, "top it up")
				var open gen.FailureList
				p.get("/failures?kind=unsent", &open)
				require.Len(t, open.Items, 1, "S4.29")
				require.Contains(t, open.Items[0].Error, "no credits")

				p.tom.Write("are you there?")
				p.says("Tom", "hello", "one", "are you there?")
				p.until("S4.28 it reaches the CRM", func() bool { return slices.Contains(p.inCRM(p.chat.ID), "are you there?") })
				now := p.channelNow(p.ch.ID)
				require.Equal(t, gen.ChannelStateActive, now.State, "S4.28 not Disconnected")
				require.True(t, now.Health.Receiving.Ok)
				again := p.fails(p.chat.ID, "two")
				require.Contains(t, *again.Error, "no credits", "a later send is tried again, and says so again")
				require.Empty(t, p.received())

				p.app.TopUp()
				p.replies("Anna", p.chat.ID, "three")
				p.until("S4.29 the first success makes it well", func() bool { return p.sending().Ok })
				p.post("/failures/redrive", body{"kind": "unsent", "channel_id": p.ch.ID}, nil)
				p.until("S4.29 redrive works", func() bool { return len(p.received()) == 3 })
				require.ElementsMatch(t, []string{"three", "one", "two"}, p.received())
				p.get("/failures?kind=unsent", &open)
				require.Empty(t, open.Items)
			})
		})
	}
}

func TestS4_13_S4_14_TheDirectMessagePermission(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		p.account.Regenerate(xToken, xSecret, false) // made before the app's permission was
		failed := p.fails(p.chat.ID, "one")
		for _, words := range []string{"“Read and write and Direct message”", "Regenerate", "AccessToken", "AccessSecret"} {
			require.Contains(t, *failed.Error, words, "S4.13, S4.14")
		}
		p.until("S4.13 the administrator is told what to do", func() bool { return strings.Contains(valueOf(p.sending().Reason), "Regenerate") })
		p.tom.Write("two")
		p.says("Tom", "hello", "one", "two") // S4.13 inbound goes on

		const renewed, renewedSecret = "4337869213-regenerated", "regeneratedSecret"
		p.account.Regenerate(renewed, renewedSecret, true)
		p.patch(p.path(), body{"fields": body{"AccessToken": renewed, "AccessSecret": renewedSecret}}, &p.ch)
		require.True(t, p.ch.Health.Sending.Ok, "S4.14")
		p.replies("Anna", p.chat.ID, "three")
		require.Equal(t, []string{"three"}, p.received(), "S4.14 the next send works")
		p.tom.Write("four")
		p.says("Tom", "hello", "one", "two", "three", "four") // S4.14 chats kept
		require.Len(t, p.chats(), 1)
		p.hides(p.ch, renewed, renewedSecret)
	})
}

// A new Secret Key of the app is entered in one step, while the channel is in service.
func TestS4_14_S4_22_AnotherSecretKey(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		challenge := func(secretKnown bool) {
			t.Helper()
			require.Equal(t, secretKnown, p.app.Challenge(p.ch.Hook.URL), "S4.22 CRC")
		}
		challenge(true)
		p.app.ReplaceSecret("secretKeyAfterRegenerate")
		refused := p.refused(p.api, http.MethodPatch, p.path(), body{"fields": body{"ConsumerSecret": "mistyped"}}, http.StatusUnprocessableEntity)
		require.NotEmpty(t, refused.Errors)
		challenge(false)
		p.patch(p.path(), body{"fields": body{"ConsumerSecret": "secretKeyAfterRegenerate"}}, &p.ch)
		require.Equal(t, gen.ChannelStateActive, p.ch.State)
		challenge(true)
		p.tom.Write("signed with the new one")
		p.says("Tom", "hello", "signed with the new one")
		p.replies("Anna", p.chat.ID, "so is this")
		require.Len(t, p.chats(), 1, "S4.14 chats kept")
	})
}

// The keys of another app, by PATCH: the former app delivers to nobody here any more, and the account that shared the channel's
// webhook there has one of its own at once.
func TestS4_14_AnotherAppsKeys(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		outlet := p.app.AddAccount("77", "outlet", "77-token", "outletSecret")
		ann := outlet.Customer("5", "Ann", "ann_writes")
		var second gen.Channel
		p.post("/channels", body{"kind": "x", "name": "Outlet", "queue_id": p.queue, "fields": xKeys("AccessToken", "77-token", "AccessSecret", "outletSecret")}, &second)
		require.Equal(t, []string{p.ch.Hook.URL}, p.app.Hooks(), "an app has one webhook")
		ann.Write("hello from the outlet")
		p.says("Ann", "hello from the outlet")

		other := p.server.AddApp("keyOfAnotherApp", "secretOfAnotherApp", "bearerOfAnotherApp")
		moved := other.AddAccount(p.account.ID, "shop", "4337869213-another", "another")
		p.patch(p.path(), body{"fields": xKeys("AccessToken", "4337869213-another", "AccessSecret", "another",
			"ConsumerKey", "keyOfAnotherApp", "ConsumerSecret", "secretOfAnotherApp", "BearerToken", "bearerOfAnotherApp")}, &p.ch)
		require.Equal(t, []string{p.ch.Hook.URL}, other.Hooks())
		require.Empty(t, p.account.Subscribed(), "nothing of it is left at the former app")
		require.Equal(t, []string{second.Hook.URL}, p.app.Hooks())
		require.Equal(t, []string{"all"}, outlet.Subscribed())
		ann.Write("still here")
		p.says("Ann", "hello from the outlet", "still here")
		moved.Customer("3001969357", "Tom", "tom_writes").Write("by the other app")
		p.says("Tom", "hello", "by the other app")

	})
}

// A channel that is deleted leaves nothing at X, and the account that came by its webhook has one of its own.
func TestS4_26_ADeletedChannelThatSharedItsWebhook(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		outlet := p.app.AddAccount("77", "outlet", "77-token", "outletSecret")
		var second gen.Channel
		p.post("/channels", body{"kind": "x", "name": "Outlet", "queue_id": p.queue, "fields": xKeys("AccessToken", "77-token", "AccessSecret", "outletSecret")}, &second)
		require.Equal(t, []string{p.ch.Hook.URL}, p.app.Hooks(), "an app has one webhook")
		p.does(p.api, http.MethodDelete, p.path(), nil, nil)
		require.Empty(t, p.account.Subscribed())
		require.Equal(t, []string{second.Hook.URL}, p.app.Hooks())
		outlet.Customer("5", "Ann", "ann_writes").Write("hello from the outlet")
		p.says("Ann", "hello from the outlet")
		p.does(p.api, http.MethodPost, "/channels/"+second.ID.String()+"/disconnect", nil, nil)
		require.Empty(t, p.app.Hooks())
	})
}

// Where X refuses while credentials are changed, the channel stays as it was.
func TestS4_14_AChangeThatXRefusesIsTakenBack(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		p.account.Regenerate("4337869213-regenerated", "regeneratedSecret", true)
		p.server.FailNext("validateWebhook", xtest.Refuse(400, `{"errors":[{"message":"CrcValidationFailed"}],"title":"Invalid Request","type":"https://api.twitter.com/2/problems/invalid-request"}`))
		change := body{"fields": body{"AccessToken": "4337869213-regenerated", "AccessSecret": "regeneratedSecret"}}
		p.refused(p.api, http.MethodPatch, p.path(), change, http.StatusUnprocessableEntity)
		p.account.Regenerate(xToken, xSecret, true)
		p.replies("Anna", p.chat.ID, "by the former token")
		require.Equal(t, gen.ChannelStateActive, p.channelNow(p.ch.ID).State)
	})
}

// again starts Waggle anew: a process that has just begun polls at once, and then once a minute.
func (p *xPlace) again() {
	p.t.Helper()
	p.restartedWith(func(*app.Config) {})
}

func TestS2_27_b39_WhatWasWrittenWhilePollingStoodStill(t *testing.T) {
	onAnXAccount(t, body{"receive": "polling"}, func(t *testing.T, p *xPlace) {
		require.Empty(t, p.account.Subscribed())
		require.Nil(t, p.ch.Hook)
		p.tom.Write("hello")
		p.again()
		p.says("Tom", "hello")
		p.post(p.path()+"/disconnect", nil, nil)
		p.tom.Wrote(time.Now().Add(-5*time.Millisecond), "while it was disconnected") // X's times, and SQLite's, are milliseconds
		p.post(p.path()+"/connect", nil, nil)
		p.tom.Write("since connected")
		p.again()
		p.says("Tom", "hello", "since connected")
	})
}

func TestS4_28_PollingRestsWithoutCredits(t *testing.T) {
	onAnXAccount(t, body{"receive": "polling"}, func(t *testing.T, p *xPlace) {
		receiving := func() gen.HealthSide { return p.channelNow(p.ch.ID).Health.Receiving }
		p.app.SpendCredits(xtest.NoCreditsNew)
		p.tom.Write("hello")
		p.again()
		p.until("it shows at the channel", func() bool { return !receiving().Ok })
		require.Contains(t, *receiving().Reason, "no credits")
		polls := p.server.Calls("events")
		p.stays("it rests", func() bool { return p.server.Calls("events") == polls })
		p.app.TopUp()
		p.again()
		p.says("Tom", "hello") // nothing is lost
		p.until("a probe that succeeds ends it", func() bool { return receiving().Ok })
	})
}

// X's budget is a time to wait for, told to the agent, and no error.
func TestS4_4_TheBudgetIsAnExpectedTime(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		began := time.Now()
		var ids []uuid.UUID
		for i := range 32 {
			var m gen.Message
			p.does(p.as("Anna"), http.MethodPost, "/chats/"+p.chat.ID.String()+"/messages", body{"text": fmt.Sprint(i)}, &m)
			ids = append(ids, m.ID)
		}
		p.until("the 16th has a time", func() bool { return p.message(ids[15]).ExpectedAt != nil })
		require.Len(t, p.received(), 15)
		require.Equal(t, 15, p.server.Calls("send"), "what X's headers tell is enough: nothing is refused")
		for i, id := range ids[15:] {
			m := p.message(id)
			require.Equal(t, gen.MessageStateAccepted, m.State, "no error")
			require.Nil(t, m.Error)
			require.NotEmpty(t, *m.WaitingReason)
			want := began.Add(time.Duration(1+i/15) * 15 * time.Minute)
			require.WithinDuration(t, want, *m.ExpectedAt, time.Minute, "message %d", 16+i)
		}
		require.True(t, p.sending().Ok)
		var line gen.Timeline
		p.get("/chats/"+p.chat.ID.String()+"/timeline?limit=100", &line)
		require.NotNil(t, line.Items[len(line.Items)-1].Message.ExpectedAt)
	})
}

// What was accepted and has to wait all the same is told to whoever looks at the chat.
func TestS4_4_TheExpectedTimeIsToldToBrowsers(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		news := p.listen(p.as("Anna"))
		p.account.UseUp("send", false)
		began := time.Now()
		p.does(p.as("Anna"), http.MethodPost, "/chats/"+p.chat.ID.String()+"/messages", body{"text": "how can I help?"}, nil)
		news.expects(p.chat.ID, began.Add(15*time.Minute))
	})
}

// expects waits for the event that tells when a chat's waiting message should go.
func (e *events) expects(chat uuid.UUID, at time.Time) {
	e.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case event := <-e.news:
			if event.Type == "message" && event.ChatID == chat && !event.ExpectedAt.IsZero() {
				require.WithinDuration(e.t, at, event.ExpectedAt, time.Minute)
				return
			}
		case <-late:
			require.FailNow(e.t, "no event told the expected time")
		}
	}
}

// An agent may write first where the kind can and the channel's switch is on, and never to a stranger.
func TestS1_1_S2_6_b20_AgentsWriteFirst(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		start := func(contact uuid.UUID) body {
			return body{"channel_id": p.ch.ID, "contact_id": contact, "text": "your parcel is here"}
		}
		tom := p.chat.Contact.ID
		p.acts("Anna", p.chat.ID, "close", nil)
		off := p.refused(p.as("Anna"), http.MethodPost, "/chats", start(tom), http.StatusConflict)
		require.Contains(t, *off.Detail, "does not allow agents to start", "b20 off by default")
		p.patch(p.path(), body{"agents_may_start": true}, nil)
		ann := p.writes("Ann", "in the company's messenger").Contact.ID
		stranger := p.refused(p.as("Anna"), http.MethodPost, "/chats", start(ann), http.StatusConflict)
		require.Contains(t, *stranger.Detail, "You cannot start a dialogue with a new customer from within the chat", "S1.1")
		require.Empty(t, p.received(), "nothing is sent")
		var chat gen.Chat
		p.does(p.as("Anna"), http.MethodPost, "/chats", start(tom), &chat)
		require.Equal(t, "Anna", chat.Agent.Name, "S2.6")
		p.until("it is sent", func() bool { return len(p.received()) == 1 })
		p.tom.Write("thanks")
		p.says("Tom", "your parcel is here", "thanks")
		p.acts("Anna", chat.ID, "close", nil)
		p.post(p.path()+"/disconnect", nil, nil)
		idle := p.refused(p.as("Anna"), http.MethodPost, "/chats", start(tom), http.StatusConflict)
		require.Contains(t, *idle.Detail, "Disconnected", "b40")
	})
}

// The form of an X channel, field by field, and what a wrong one is told.
func TestS4_12_S4_16_S4_25_TheForm(t *testing.T) {
	onX(t, func(t *testing.T, p *place, s *xtest.Server) {
		account := s.AddApp(xConsumerKey, xConsumerSecret, bearer).AddAccount("4337869213", "shop", xToken, xSecret)
		in := func(change ...string) body { return body{"kind": "x", "name": "X", "fields": xKeys(change...)} }
		kind := p.kind("x")
		var fields []string
		for _, f := range kind.Fields {
			require.True(t, f.Required && f.Secret, "S4.19–S4.23 %s", f.Name)
			require.NotEmpty(t, f.Help, "S4.10 where to find it")
			fields = append(fields, f.Name)
		}
		require.Equal(t, []string{"AccessToken", "AccessSecret", "ConsumerKey", "ConsumerSecret", "BearerToken"}, fields, "S4.16 its form")
		for name, row := range map[string]struct {
			in    body
			field string
			words string
		}{
			"S4.12 wrong Access Token Secret": {in("AccessSecret", "wrong"), "fields.AccessToken", "Unauthorized"},
			"S4.12 wrong Consumer Key":        {in("ConsumerKey", "wrong"), "fields.AccessToken", "ConsumerKey"},
			"S4.22 wrong Secret Key":          {in("ConsumerSecret", "wrong"), "fields.AccessToken", "ConsumerSecret"},
			"S4.23 wrong Bearer Token":        {in("BearerToken", "wrong"), "fields.BearerToken", "Bearer Token of the same app"},
			"S4.11 a key with a line break":   {in("ConsumerKey", xConsumerKey+"\n"), "fields.ConsumerKey", ""},
		} {
			refused := p.refused(p.api, http.MethodPost, "/channels", row.in, http.StatusUnprocessableEntity)
			require.Len(t, refused.Errors, 1, name)
			require.Equal(t, row.field, refused.Errors[0].Field, name)
			require.Contains(t, refused.Errors[0].Reason, row.words, name)
		}
		evil := in()
		evil["url"] = "javascript:alert(1)"
		require.Equal(t, []string{"url"}, p.faults(p.api, http.MethodPost, "/channels", evil), "S4.25")
		nameless := in()
		nameless["name"] = " "
		require.Equal(t, []string{"name"}, p.faults(p.api, http.MethodPost, "/channels", nameless), "S4.18")
		require.Empty(t, account.Subscribed(), "nothing was set up")

		good := in()
		good["name"], good["weight"], good["url"] = strings.Repeat("🐝", 200), 3, "https://x.com/shop"
		var ch gen.Channel
		p.post("/channels", good, &ch)
		require.Equal(t, strings.Repeat("🐝", 200), ch.Name, "S4.18 any name")
		require.Equal(t, 3, ch.Weight, "S4.24")
		require.Equal(t, "https://x.com/shop", *ch.URL, "S4.25")
		require.Equal(t, "@shop", ch.Account.Name, "S4.2")
	})
}

// S4.12, S4.29, c11: without credits the check tells that apart from wrong keys.
func TestS4_12_c11_ConnectingWithoutCredits(t *testing.T) {
	onX(t, func(t *testing.T, p *place, s *xtest.Server) {
		app := s.AddApp(xConsumerKey, xConsumerSecret, bearer)
		app.AddAccount("4337869213", "shop", xToken, xSecret)
		app.SpendCredits(xtest.NoCreditsOld)
		in := body{"kind": "x", "name": "X", "fields": xKeys()}
		refused := p.refused(p.api, http.MethodPost, "/channels", in, http.StatusUnprocessableEntity)
		require.Contains(t, *refused.Detail, "the keys are accepted")
		require.Contains(t, *refused.Detail, "no credits")
		app.TopUp()
		p.post("/channels", in, nil)
	})
}

func TestS4_2_S4_5_S4_27_OperatorsStartWorking(t *testing.T) {
	onAnXAccount(t, body{"queue_id": nil}, func(t *testing.T, p *xPlace) {
		p.tom.Write("hello")
		waiting := p.chatOf("Tom")
		p.stays("S4.27 nobody has it", func() bool { return p.holder(waiting.ID) == "" })
		require.Contains(t, *p.place.chat(waiting.ID).HeldReason, "no queue", "S4.27 it is visible as such")
		p.card("Anna", body{"channel_ids": []uuid.UUID{p.ch.ID}})
		chat := p.given(waiting.ID, "Anna") // S4.27 at once
		p.replies("Anna", chat.ID, "how can I help?")
		p.account.WriteByHand(p.tom, "from X's own app")
		p.tom.Write("thanks")
		p.until("S4.5 both sides are in the CRM", func() bool { return slices.Contains(p.inCRM(chat.ID), "thanks") })
		require.Subset(t, p.inCRM(chat.ID), []string{"hello", "how can I help?", "thanks"})
		var list gen.MessageList
		p.get("/chats/"+chat.ID.String()+"/messages?limit=100", &list)
		for _, m := range list.Items {
			if m.Text == "how can I help?" || m.Text == "from X's own app" {
				require.Equal(t, gen.DirectionOut, m.Direction, "S4.2 what the account sends is not shown as the customer's")
			}
		}
		texts := p.texts(chat.ID)
		slices.Sort(texts)
		require.Len(t, slices.Compact(texts), len(list.Items), "S4.2 its own sends are not shown twice")
	})
}
