package app_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/x/xtest"
)

// The keys of an X app and of the shop's account, and of a Meta app; nobody's.
const (
	xToken, xSecret                       = "4337869213-tokenOfTheShop", "secretOfTheShop"
	xConsumerKey, xConsumerSecret, bearer = "consumerKeyOfTheApp", "consumerSecretOfTheApp", "AAAAbearerOfTheApp"
	metaApp, metaSecret                   = "1517776481860111", "secret-of-the-meta-app"
	verifyToken                           = "meatyhamhock-and-more"
)

// onDouble proves something in an installation that has a double beside the company's messenger, and one agent, Anna.
func onDouble[S interface{ Close() }](t *testing.T, begin func(*app.Config) (S, string), address func(app.Config) string, prove func(*testing.T, *place, S)) {
	t.Helper()
	var servers sync.Map
	everywhere(t, func(t *testing.T, p *place) {
		s, _ := servers.Load(address(p.config))
		t.Cleanup(s.(S).Close)
		p.wizard(0, 0)
		p.staff("Anna")
		prove(t, p, s.(S))
	}, func(c *app.Config) {
		s, url := begin(c)
		servers.Store(url, s)
	})
}

func onX(t *testing.T, prove func(t *testing.T, p *place, s *xtest.Server)) {
	t.Helper()
	onDouble(t, func(c *app.Config) (*xtest.Server, string) {
		s := xtest.New(xtest.WithAnyHook())
		c.XURL = s.URL
		return s, s.URL
	}, func(c app.Config) string { return c.XURL }, prove)
}

func onMessenger(t *testing.T, prove func(t *testing.T, p *place, s *messengertest.Server)) {
	t.Helper()
	onDouble(t, func(c *app.Config) (*messengertest.Server, string) {
		s := messengertest.New()
		c.MessengerURL = s.URL
		return s, s.URL
	}, func(c app.Config) string { return c.MessengerURL }, prove)
}

// kind is a kind of channel as the façade describes it.
func (p *place) kind(name string) gen.ChannelKind {
	p.t.Helper()
	var list gen.ChannelKindList
	p.get("/channel-kinds", &list)
	i := slices.IndexFunc(list.Items, func(k gen.ChannelKind) bool { return k.Kind == name })
	require.GreaterOrEqual(p.t, i, 0, "there is no kind "+name)
	return list.Items[i]
}

// hides requires that no answer about a channel shows any of these secrets.
func (p *place) hides(ch gen.Channel, secrets ...string) {
	p.t.Helper()
	for _, path := range []string{"/channels", "/channels/" + ch.ID.String(), "/channel-kinds"} {
		text := p.send(http.MethodGet, path, nil).text
		for _, secret := range secrets {
			require.NotContains(p.t, text, secret, "masked for ever: "+path)
		}
	}
}

// identity is the customer of a chat as his messenger knows him, and as the CRM does.
func (p *place) identity(chat gen.Chat) (found gen.Identity) {
	p.t.Helper()
	var list gen.ContactList
	p.get("/contacts?limit=100", &list)
	require.Len(p.t, list.Items, 1, "one contact, however often he writes")
	require.Len(p.t, list.Items[0].Identities, 1)
	found = list.Items[0].Identities[0]
	p.until("the CRM has the identity", func() bool {
		row := p.crm.Row("ContactIdentity", found.ID.String())
		return row != nil && row["ChannelIdentity"] == found.ExternalID
	})
	p.until("the CRM has the chat", func() bool { return len(p.inCRM(chat.ID)) >= 1 })
	return found
}

func TestS4_3_S4_26_AnXChannel(t *testing.T) {
	onX(t, func(t *testing.T, p *place, s *xtest.Server) {
		app := s.AddApp(xConsumerKey, xConsumerSecret, bearer)
		account := app.AddAccount("4337869213", "shop", xToken, xSecret)
		tom := account.Customer("3001969357", "Tom", "tom_writes")
		fields := func(change ...string) body {
			all := body{"AccessToken": xToken, "AccessSecret": xSecret, "ConsumerKey": xConsumerKey, "ConsumerSecret": xConsumerSecret, "BearerToken": bearer}
			for i := 0; i+1 < len(change); i += 2 {
				if all[change[i]] = change[i+1]; change[i+1] == "" {
					delete(all, change[i])
				}
			}
			return body{"kind": "x", "name": "Ours 🐝", "fields": all}
		}
		require.Equal(t, "X", p.kind("x").Title, "S4.16")
		for id, field := range map[string]string{
			"S4.19": "AccessToken", "S4.20": "AccessSecret", "S4.21": "ConsumerKey", "S4.22": "ConsumerSecret", "S4.23": "BearerToken",
		} {
			require.Equal(t, []string{"fields." + field}, p.faults(p.api, http.MethodPost, "/channels", fields(field, "")), id)
		}
		swapped := p.refused(p.api, http.MethodPost, "/channels", fields("AccessToken", xSecret, "AccessSecret", xToken), http.StatusUnprocessableEntity)
		require.Contains(t, swapped.Errors[0].Reason, "swapped", "S4.20")

		var ch gen.Channel
		p.post("/channels", fields(), &ch)
		require.Equal(t, gen.ChannelStateActive, ch.State, "S4.26 without further calls")
		require.Equal(t, "Ours 🐝", ch.Name, "S4.18")
		require.Nil(t, ch.QueueID, "S4.17")
		require.Equal(t, 1, ch.Weight, "S4.24")
		require.Nil(t, ch.URL, "S4.25")
		require.Equal(t, "@shop", ch.Account.Name)
		p.hides(ch, xToken, xSecret, xConsumerKey, xConsumerSecret, bearer)
		p.patch("/channels/"+ch.ID.String(), body{"queue_id": p.queue}, nil) // S4.17 may be set later

		app.DuplicateNext(1)
		tom.Write("hello")
		require.NoError(t, app.WaitDelivered(p.soon()))
		p.says("Tom", "hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		hook := "/hooks/x/" + ch.ID.String()
		forged := `{"for_user_id":"4337869213","direct_message_events":[]}`
		require.Equal(t, http.StatusUnauthorized, p.request(http.MethodPost, hook, []string{"X-Twitter-Webhooks-Signature", app.Sign([]byte("another body"))}, forged).status, "S4.3")
		require.Len(t, p.texts(chat.ID), 1, "S4.3 once even if repeated, and nothing forged")

		p.replies("Anna", chat.ID, "how can I help?")
		inbox := tom.Inbox()
		require.Len(t, inbox, 1, "S4.4 one message")
		require.Equal(t, "how can I help?", inbox[0].Text, "S4.4")
		tom.Read()
		tom.Write("thanks")
		p.says("Tom", "hello", "how can I help?", "thanks")
		who := p.identity(chat)
		require.Equal(t, "3001969357", who.ExternalID, "S4.6")
		require.Equal(t, "tom_writes", *who.Username, "S4.6 the handle")
		require.Empty(t, app.Failures())
		p.writes("Ann", "in the company's own messenger")
		p.onlyOf(ch, chat)
	})
}

// The window in which a page may write is known before anybody types; after it nothing is tried.
func TestAPageMayWriteFor24Hours(t *testing.T) {
	onMessenger(t, func(t *testing.T, p *place, s *messengertest.Server) {
		app, page := s.AddApp(metaApp, metaSecret), s.AddPage("1", "Corner Shop")
		var ch gen.Channel
		p.post("/channels", body{"kind": "messenger", "name": "Facebook", "queue_id": p.queue, "fields": body{
			"PageId": page.ID, "PageAccessToken": page.Token(app), "AppId": metaApp, "AppSecret": metaSecret, "VerifyToken": verifyToken,
		}}, &ch)
		require.NoError(t, app.SetWebhook(ch.Hook.URL, verifyToken))
		ann := page.Customer("2001", "Ann", "Lee")
		write := func(text string) (chat gen.Chat) {
			ann.Write(text)
			require.NoError(t, app.WaitDelivered(p.soon()))
			p.until("the chat is there", func() bool { return len(p.chats()) == 1 })
			return p.given(p.chats()[0].ID, "Anna")
		}
		chat := write("hello")
		wrote := *chat.LastMessageAt
		require.WithinDuration(t, wrote.Add(24*time.Hour), *chat.WritableUntil, 0)
		replies := func(text string) {
			n := len(ann.Inbox()) + 1
			p.does(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/messages", body{"text": text}, nil)
			p.until("it is sent", func() bool { return len(ann.Inbox()) == n })
		}
		replies("how can I help?")
		require.WithinDuration(t, wrote.Add(24*time.Hour), *p.chat(chat.ID).WritableUntil, 0, "our own messages do not move it")

		p.advance(24*time.Hour + time.Second)
		calls := s.Calls("messages")
		path := "/chats/" + chat.ID.String() + "/messages"
		late := p.refused(p.as("Anna"), http.MethodPost, path, body{"text": "still there?"}, http.StatusConflict)
		require.Contains(t, *late.Detail, "24 hours")
		require.Equal(t, calls, s.Calls("messages"), "nothing is tried")
		require.Equal(t, []string{"hello", "how can I help?"}, p.texts(chat.ID), "nothing is kept")

		chat = write("I am back")
		require.True(t, chat.WritableUntil.After(p.advance(0)))
		replies("welcome")
		require.Nil(t, p.writes("Carl", "in the company's own messenger").WritableUntil, "at any time")
	})
}

// onlyOf requires a channel's feed to be this chat.
func (p *place) onlyOf(ch gen.Channel, chat gen.Chat) {
	p.t.Helper()
	var list gen.ChatList
	p.get("/chats?channel_id="+ch.ID.String(), &list)
	require.Len(p.t, list.Items, 1, "S3.26 the feed of this source alone")
	require.Equal(p.t, chat.ID, list.Items[0].ID, "S3.26")
}

func TestS3_26_S3_38_AFacebookPage(t *testing.T) {
	onMessenger(t, func(t *testing.T, p *place, s *messengertest.Server) {
		app, page := s.AddApp(metaApp, metaSecret), s.AddPage("1", "Corner Shop")
		token := page.Token(app)
		in := body{"kind": "messenger", "name": "Facebook", "queue_id": p.queue, "fields": body{
			"PageId": page.ID, "PageAccessToken": token, "AppId": metaApp, "AppSecret": metaSecret, "VerifyToken": verifyToken,
		}}
		require.True(t, p.kind("messenger").Capabilities.DeliveryReceipts)
		var ch gen.Channel
		p.post("/channels", in, &ch)
		require.Equal(t, gen.ChannelStateActive, ch.State)
		require.Equal(t, "Corner Shop", ch.Account.Name, "S3.38 the page's name")
		p.hides(ch, token, metaSecret, verifyToken)
		require.NoError(t, app.SetWebhook(ch.Hook.URL, verifyToken), "Facebook's challenge is answered")

		ann := page.Customer("2001", "Ann", "Lee")
		app.DuplicateNext(1)
		ann.Write("hello")
		require.NoError(t, app.WaitDelivered(p.soon()))
		p.until("the chat is there", func() bool { return len(p.chats()) == 1 })
		chat := p.given(p.chats()[0].ID, "Anna")
		require.Equal(t, []string{"hello"}, p.texts(chat.ID), "once, even if repeated")
		hook := strings.TrimPrefix(ch.Hook.URL, p.config.PublicURL)
		forged := `{"object":"page","entry":[]}`
		require.Equal(t, http.StatusUnauthorized,
			p.request(http.MethodPost, hook, []string{"X-Hub-Signature-256", app.Sign([]byte("another body"))["X-Hub-Signature-256"]}, forged).status)

		p.reaches("Anna", chat.ID, "how can I help?", gen.MessageStateSent)
		inbox := ann.Inbox()
		require.Len(t, inbox, 1)
		require.Equal(t, "how can I help?", inbox[0].Text)
		ann.Arrive()
		ann.Read()
		ann.Write("thanks")
		require.NoError(t, app.WaitDelivered(p.soon()))
		require.Equal(t, []string{"hello", "how can I help?", "thanks"}, p.texts(chat.ID), "receipts and echoes are no messages")
		require.Equal(t, "2001", p.identity(chat).ExternalID)
		p.writes("Carl", "in the company's own messenger")
		p.onlyOf(ch, chat)
	})
}
