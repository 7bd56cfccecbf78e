package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/channels/custom/customtest"
	"waggle/crm/creatio/creatiotest"
)

func TestS2_1_S2_2_S2_3_S2_4_S2_5_ADialogueInACompanysMessenger(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		require.Equal(t, gen.ChannelStateActive, p.channelNow(p.channel).State, "S2.1")
		chat := p.writes("Ann", "hello")
		require.Len(t, p.chats(), 1, "S2.4 one new chat")
		p.given(chat.ID, "Anna")
		p.replies("Anna", chat.ID, "how can I help?")
		p.replies("Anna", chat.ID, "are you there?")
		require.Equal(t, chat.ID, p.writes("Ann", "yes").ID, "S2.5 the same chat")
		require.Len(t, p.chats(), 1, "S2.5")
		var texts []string
		for _, m := range p.messenger.Customer(customtest.Profile{ID: "Ann"}).Inbox() {
			texts = append(texts, m.Text)
		}
		require.Equal(t, []string{"how can I help?", "are you there?"}, texts, "S2.2 once, in order")
		p.until("the CRM has the history", func() bool { return len(p.crm.Messages(chat.ID.String())) == 4 })
		require.Equal(t, []string{"hello", "how can I help?", "are you there?", "yes"}, p.inCRM(chat.ID), "S2.3 both sides, once, in order")
		require.Empty(t, p.messenger.Wrong())
	})
}

func TestS2_5_TwoFirstMessagesAtOnceOpenOneChat(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		statuses := make(chan int, 8)
		for i := range cap(statuses) {
			go func() {
				text := `{"type":"message","id":"m` + string(rune('0'+i)) + `","user":{"id":"ann"},"text":"hello"}`
				status, err := p.messenger.Post(t.Context(), p.messenger.Hook(), confirmationCode, []byte(text))
				if err != nil {
					status = 0
				}
				statuses <- status
			}()
		}
		for range cap(statuses) {
			require.Equal(t, http.StatusOK, <-statuses)
		}
		require.Len(t, p.chats(), 1)
		require.Len(t, p.texts(p.chats()[0].ID), cap(statuses))
	})
}

func TestS2_7_OnlyAdministratorsSetUpACompanysMessenger(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		in := p.custom(p.another(confirmationCode), nil)
		for name, who := range map[string]client.Client{
			"agent":              p.as("Anna"),
			"chat administrator": p.session(body{"role": "chat_administrator", "crm_user_id": "chief"}),
		} {
			problem := p.refused(who, http.MethodPost, "/channels", in, http.StatusForbidden)
			require.Contains(t, *problem.Detail, "dministrator", "S2.7 %s", name)
			p.refused(who, http.MethodPatch, "/channels/"+p.channel.String(), body{"name": name}, http.StatusForbidden)
			p.refused(who, http.MethodPost, "/channels/"+p.channel.String()+"/disconnect", nil, http.StatusForbidden)
		}
		var ch gen.Channel
		p.does(p.session(body{"role": "administrator", "crm_user_id": "admin"}), http.MethodPost, "/channels", in, &ch)
		require.Equal(t, gen.ChannelStateActive, ch.State, "S2.7")
	})
}

func TestS2_8_S2_10_S2_11_SeveralMessengersOfOneLiveChat(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		sales := p.team("Sales", gen.RoutingRuleToAnAvailableAgent, "Anna")
		var queues gen.QueueList
		p.get("/queues", &queues)
		require.Len(t, queues.Items, 2, "S2.10")
		p.card("Anna", body{"max_load": 10})
		for _, name := range []string{"One", "Two", "Three"} {
			m := p.another(confirmationCode)
			in := p.custom(m, nil)
			in["name"], in["queue_id"] = name, sales.ID
			p.post("/channels", in, nil)
			p.messenger = m
			p.given(p.writes("customer of "+name, "hello").ID, "Anna")
		}
		want := map[string]gen.ChannelState{"One": gen.ChannelStateActive, "Two": gen.ChannelStateActive, "Three": gen.ChannelStateActive}
		require.Equal(t, want, p.channelsOf("?queue_id="+sales.ID.String()), "S2.11 exactly them")
		require.Len(t, p.channelsOf(""), 4, "S2.8 three messengers of one live chat, and the first")
	})
}

func TestS2_9_OneAccountInOneLiveChat(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		problem := p.refused(p.api, http.MethodPost, "/channels", p.custom(p.messenger, nil), http.StatusConflict)
		require.Contains(t, *problem.Detail, "1st line", "S2.9 it names the live chat that has it")
		p.post("/channels/"+p.channel.String()+"/disconnect", nil, nil)
		p.refused(p.api, http.MethodPost, "/channels", p.custom(p.messenger, nil), http.StatusConflict)
		require.Len(t, p.channelsOf(""), 1, "S2.9, b43 also when the earlier channel is Disconnected")
	})
}

func TestS2_12_TheForm(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		m := p.another(confirmationCode)
		for _, row := range []struct {
			name  string
			in    body
			fault string
		}{
			{"S2.13 Webhook missing", p.custom(m, body{"webhook": nil}), "fields.Webhook"},
			{"S2.13 not a URL", p.custom(m, body{"webhook": "our messenger"}), "fields.Webhook"},
			{"S2.15 Confirmation code missing", p.custom(m, body{"confirmation_code": nil}), "fields.ConfirmationCode"},
			{"S2.15 empty", p.custom(m, body{"confirmation_code": ""}), "fields.ConfirmationCode"},
			{"S2.18 Company’s public URL empty", p.custom(m, body{"public_url": ""}), "fields.PublicURL"},
			{"no field of the kind", p.custom(m, body{"Token": "x"}), "fields.Token"},
			{"one field twice", p.custom(m, body{"Confirmation code": "x"}), "fields.ConfirmationCode"},
		} {
			require.Equal(t, []string{row.fault}, p.faults(p.api, http.MethodPost, "/channels", row.in), row.name)
		}
		nameless := p.custom(m, nil)
		delete(nameless, "name")
		require.Equal(t, []string{"name"}, p.faults(p.api, http.MethodPost, "/channels", nameless), "S2.12")
		require.Len(t, p.channelsOf(""), 1, "nothing was made")

		var kinds gen.ChannelKindList
		p.get("/channel-kinds", &kinds)
		labels := map[string]string{}
		for _, k := range kinds.Items {
			if k.Kind != "custom" && k.Kind != "telegram" {
				continue
			}
			for _, f := range k.Fields {
				if labels[f.Name] = f.Label; f.Name == "PublicURL" {
					require.Equal(t, p.crm.URL()+"/0", *f.Default, "S2.19 the company's full address")
				}
			}
		}
		want := map[string]string{"Token": "Token", "Webhook": "Webhook", "ConfirmationCode": "Confirmation code", "PublicURL": "Company’s public URL"}
		require.Equal(t, want, labels)

		// The captions name the fields as well, and what has a default fills itself in.
		var ch gen.Channel
		p.post("/channels", body{"kind": "custom", "name": "Support service", "fields": body{
			"Webhook": m.WebhookURL(), "Confirmation code": confirmationCode,
		}}, &ch)
		require.Equal(t, "Support service", ch.Name, "S2.12 read back")
		require.Equal(t, p.crm.URL()+"/0", ch.Fields["PublicURL"], "S2.19")
		require.Equal(t, p.config.PublicURL+"/hooks/custom/"+ch.ID.String(), ch.Hook.URL, "S2.19, S2.21 the full hook URL")
		require.Equal(t, "X-Confirmation-Code", *ch.Hook.Header, "S2.21")
		require.Contains(t, ch.Hook.Instructions, "confirmation code", "S2.21")
		require.NotContains(t, ch.Fields["ConfirmationCode"], confirmationCode, "S2.16 never shown again")
		p.patch("/channels/"+ch.ID.String(), body{"fields": body{"Company's public URL": "https://crm.example.com"}}, &ch)
		require.Equal(t, "https://crm.example.com", ch.Fields["PublicURL"])
		require.Equal(t, []string{"fields.PublicURL"}, p.faults(p.api, http.MethodPatch, "/channels/"+ch.ID.String(), body{"fields": body{"public_url": ""}}))
	})
}

func TestS2_14_RequestsGoToTheWebhookAlone(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		var elsewhere atomic.Int64
		trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
		defer trap.Close()
		m := p.another(confirmationCode)
		in := p.custom(m, body{"public_url": trap.URL})
		in["queue_id"] = p.queue
		p.post("/channels", in, nil)
		require.Equal(t, 1, m.Connects(), "S2.14 verified, then connected")
		p.messenger = m
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.replies("Anna", chat.ID, "hello")
		require.Len(t, m.Customer(customtest.Profile{ID: "Ann"}).Inbox(), 1)
		m.Break(customtest.Redirect(trap.URL))
		p.does(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/messages", body{"text": "led away"}, nil)
		p.until("the redirect is refused", func() bool {
			return !p.chat(chat.ID).LastMessageAt.IsZero() && !p.lastChannel(in["name"].(string)).Health.Sending.Ok
		})
		require.Zero(t, elsewhere.Load(), "S2.14 nothing goes elsewhere")
	})
}

func TestS2_16_TheCodeProvesTheSender(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		hook, text := p.messenger.Hook(), []byte(`{"type":"message","id":"1","user":{"id":"ann"},"text":"hello"}`)
		for _, code := range []string{"wrong", "", confirmationCode + " "} {
			status, err := p.messenger.Post(t.Context(), hook, code, text)
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, status)
		}
		path := strings.TrimPrefix(hook, p.config.PublicURL)
		require.Equal(t, http.StatusUnauthorized, p.request(http.MethodPost, path, nil, string(text)).status, "no code")
		require.Empty(t, p.chats(), "nothing is stored")
		status, err := p.messenger.Post(t.Context(), hook, confirmationCode, text)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.Len(t, p.chats(), 1)
		for _, what := range []string{"once", "repeated"} {
			status, err = p.messenger.Post(t.Context(), hook, confirmationCode, []byte("{\"type\":\"message\",\"id\":\"2\",\"user\":{\"id\":\"ann\"},\"text\":\"a\\u0000b\xff\"}"))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status, what)
		}
		require.Equal(t, []string{"hello", "ab\uFFFD"}, p.texts(p.chats()[0].ID), "NUL and broken UTF-8 are made storable; a repeat is one message")
	})
}

func TestS2_17_TheCodeMayHaveAnyFormat(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		p.card("Anna", body{"max_load": 100})
		for name, code := range map[string]string{
			"one character": "x", "spaces": "  open  sesame ", "quotes": `"it's" ` + "`so`", "emoji": "🐝🍯",
			"500 characters": strings.Repeat("c", 500), "500 emoji": strings.Repeat("🐝", 500),
		} {
			m := p.another(code)
			in := p.custom(m, body{"confirmation_code": code})
			in["name"], in["queue_id"] = name, p.queue
			p.post("/channels", in, nil)
			p.messenger = m
			chat := p.given(p.writes("customer of "+name, "hello").ID, "Anna")
			p.replies("Anna", chat.ID, "S2.17 works both ways")
		}
	})
}

func TestS2_20_ConnectVerifies(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		m := p.another(confirmationCode)
		m.SetCode("another code")
		require.Equal(t, []string{"fields.ConfirmationCode"}, p.faults(p.api, http.MethodPost, "/channels", p.custom(m, nil)), "S2.20 the code is refused")
		m.SetCode(confirmationCode)
		m.RefuseConnections()
		p.refused(p.api, http.MethodPost, "/channels", p.custom(m, nil), http.StatusBadGateway)
		require.Len(t, p.channelsOf(""), 1, "nothing is Active")

		in := p.custom(m, nil)
		in["active"] = false
		var ch gen.Channel
		p.post("/channels", in, &ch)
		require.Equal(t, gen.ChannelStateInactive, ch.State)
		path := "/channels/" + ch.ID.String() + "/connect"
		p.refused(p.api, http.MethodPost, path, nil, http.StatusBadGateway)
		require.Equal(t, gen.ChannelStateInactive, p.channelNow(ch.ID).State)
		m.Listen()
		m.SetHook(ch.Hook.URL)
		_, err := m.Customer(customtest.Profile{ID: "Eve"}).Write(t.Context(), "too early")
		require.NoError(t, err)
		require.Empty(t, p.chats(), "no messages are taken")
		p.post(path, nil, &ch)
		require.Equal(t, gen.ChannelStateActive, ch.State, "S2.20 fixed")
		p.messenger = m
		p.writes("Ann", "hello")
	})
}

func TestS2_22_S2_23_TheButton(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.replies("Anna", chat.ID, "hello")
		path := "/channels/" + p.channel.String()
		var ch gen.Channel
		p.post(path+"/disconnect", nil, &ch)
		require.Equal(t, gen.ChannelStateDisconnected, ch.State, "S2.22")
		require.EqualValues(t, "Disconnected", ch.State)
		problem := p.refused(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/messages", body{"text": "lost?"}, http.StatusConflict)
		require.Contains(t, *problem.Detail, "is Disconnected", "S2.22 with that reason")
		p.post(path+"/connect", nil, &ch)
		require.Equal(t, gen.ChannelStateActive, ch.State, "S2.23")
		require.Equal(t, p.channel, ch.ID)
		require.Equal(t, []string{"hello", "hello"}, p.texts(chat.ID), "S2.23 the history is kept")
		require.Equal(t, chat.ID, p.writes("Ann", "again").ID, "S2.23 the chat is kept")
		p.replies("Anna", chat.ID, "here I am")
	})
}

func TestS2_24_S2_25_NameAndDelete(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		events := p.listen(p.api)
		path := "/channels/" + p.channel.String()
		p.patch(path, body{"name": "Service 🐝"}, nil)
		events.has("channel", p.channel)
		require.Equal(t, "Service 🐝", p.channelNow(p.channel).Name, "S2.24")
		chat := p.writes("Ann", "hello")
		problem := p.refused(p.api, http.MethodDelete, path, nil, http.StatusConflict)
		require.Equal(t, "A channel with at least one integrated chat cannot be deleted. If it is no longer valid, deactivate it instead.", *problem.Detail, "S2.25, S3.28")
		require.Equal(t, chat.ID, p.writes("Ann", "still here?").ID, "S3.28 it still works")

		m := p.another(confirmationCode)
		var ch gen.Channel
		p.post("/channels", p.custom(m, nil), &ch)
		p.does(p.api, http.MethodDelete, "/channels/"+ch.ID.String(), nil, nil)
		p.refused(p.api, http.MethodGet, "/channels/"+ch.ID.String(), nil, http.StatusNotFound)
		p.post("/channels", p.custom(m, nil), &ch) // its account is free again

		p.patch(path, body{"active": false}, &ch)
		require.Equal(t, gen.ChannelStateDisconnected, ch.State, "S3.29 deactivated instead")
		require.Contains(t, p.channelsOf(""), "Service 🐝", "S3.29 it stays listed")
		require.Equal(t, []string{"hello", "still here?"}, p.texts(chat.ID), "S3.29 its history is readable")
		_, err := p.messenger.Customer(customtest.Profile{ID: "Ann"}).Write(t.Context(), "anybody?")
		require.NoError(t, err)
		require.Len(t, p.texts(chat.ID), 2, "S3.29 it takes no messages")
	})
}

func TestS2_26_AnInterruptedConnection(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		events, before := p.listen(p.api), time.Now().Add(-time.Minute)
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		p.messenger.SetCode("changed at the messenger")
		failed := p.fails(chat.ID, "not sent")
		require.Contains(t, *failed.Error, "confirmation code", "the agent reads why")
		events.has("alert", p.channel)
		health := p.channelNow(p.channel).Health
		require.False(t, health.Sending.Ok)
		require.True(t, health.Sending.Since.After(before), "S2.26 since when")
		require.Contains(t, *health.Sending.Reason, "confirmation code", "why")
		require.Equal(t, []string{"fields.ConfirmationCode"}, p.faults(p.api, http.MethodPost, "/channels/"+p.channel.String()+"/connect", nil), "not healed yet")
		p.messenger.SetCode(confirmationCode)
		var ch gen.Channel
		p.post("/channels/"+p.channel.String()+"/connect", nil, &ch)
		require.True(t, ch.Health.Sending.Ok && ch.Health.Receiving.Ok, "S2.26 healed")
		p.post("/failures/redrive", body{"kind": "unsent", "channel_id": p.channel}, nil)
		inbox, err := p.messenger.Customer(customtest.Profile{ID: "Ann"}).WaitFor(p.soon(), 1)
		require.NoError(t, err)
		require.Equal(t, "not sent", inbox[0].Text, "what failed is sent once it is redriven")
	})
}

func TestS2_27_MessagesOfAnInterruptionDoNotAppear(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		path := "/channels/" + p.channel.String()
		p.post(path+"/disconnect", nil, nil)
		ann := p.messenger.Customer(customtest.Profile{ID: "Ann", Name: "Ann"})
		for _, text := range []string{"1", "2", "3"} {
			_, err := ann.Write(t.Context(), text)
			require.NoError(t, err)
		}
		p.until("they are counted", func() bool { return p.channelNow(p.channel).Dropped == 3 })
		p.messenger.SetHook("http://127.0.0.1:9/unreachable")
		_, err := ann.Write(t.Context(), "what the messenger would deliver again by itself")
		require.Error(t, err)
		p.post(path+"/connect", nil, nil)
		require.NoError(t, p.messenger.Retry(t.Context()))
		chat := p.writes("Ann", "4")
		require.Equal(t, []string{"4"}, p.texts(chat.ID), "S2.27 exactly one appears")
		p.crmRow(chat.ID, "the chat", func(creatiotest.Row) bool { return true })
		p.until("the CRM has it", func() bool { return len(p.crm.Messages(chat.ID.String())) == 1 })
	})
}

// A repetition of a request is answered from what is known: the messenger may be away by then.
func TestS2_20_ARepeatedRequestNeedsNoMessenger(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		m := p.another(confirmationCode)
		once := p.api.Once("make a channel")
		var first, again gen.Channel
		p.does(once, http.MethodPost, "/channels", p.custom(m, nil), &first)
		m.RefuseConnections()
		p.does(once, http.MethodPost, "/channels", p.custom(m, nil), &again)
		require.Equal(t, first.ID, again.ID)
		other := p.custom(m, nil)
		other["name"] = "Another"
		p.refused(once, http.MethodPost, "/channels", other, http.StatusConflict)
		require.Len(t, p.channelsOf(""), 2)
	})
}

// S2.21: where the public address changes, the answer says which messengers must be told.
func TestS2_21_AnotherPublicAddress(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		moved := strings.Replace(p.config.PublicURL, "127.0.0.1", "localhost", 1)
		var out gen.Configuration
		p.patch("/configuration", body{"public_url": moved}, &out)
		var told string
		for _, w := range out.Warnings {
			if w.Code == "reconnect_channels" {
				told = w.Text
			}
		}
		require.Contains(t, told, "Own messenger")
		p.post("/channels/"+p.channel.String()+"/connect", nil, nil)
		require.Equal(t, moved+"/hooks/custom/"+p.channel.String(), p.messenger.Hook())
		p.writes("Ann", "hello")
	})
}
