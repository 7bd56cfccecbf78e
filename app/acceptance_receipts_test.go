package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
)

// pagePlace is a place with a connected Facebook page and its customer Ann, whose chat is Anna's.
type pagePlace struct {
	*place
	server *messengertest.Server
	app    *messengertest.App
	page   *messengertest.Page
	ann    *messengertest.Customer
	chat   gen.Chat
}

// onAFacebookPage proves something with a Facebook page whose customer has written.
func onAFacebookPage(t *testing.T, prove func(t *testing.T, p *pagePlace)) {
	t.Helper()
	onMessenger(t, func(t *testing.T, at *place, s *messengertest.Server) {
		p := &pagePlace{place: at, server: s, app: s.AddApp(metaApp, metaSecret), page: s.AddPage("1", "Corner Shop")}
		var ch gen.Channel
		p.post("/channels", body{"kind": "messenger", "name": "Facebook", "queue_id": p.queue, "fields": body{
			"PageId": p.page.ID, "PageAccessToken": p.page.Token(p.app), "AppId": metaApp, "AppSecret": metaSecret, "VerifyToken": verifyToken,
		}}, &ch)
		require.NoError(t, p.app.SetWebhook(ch.Hook.URL, verifyToken))
		p.ann = p.page.Customer("2001", "Ann", "Lee")
		p.ann.Write("hello")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		p.until("the chat is there", func() bool { return len(p.chats()) == 1 })
		p.chat = p.given(p.chats()[0].ID, "Anna")
		prove(t, p)
	})
}

// authors are who wrote a chat's messages, in order, with what they wrote.
func (p *place) authors(chat gen.Chat) (all []string) {
	p.t.Helper()
	for _, m := range p.messages(chat.ID) {
		all = append(all, string(m.Author)+": "+m.Text)
	}
	return all
}

// S0.21, S3.17: what Facebook tells of a message starts the closing clock; until then it does after an hour.
func TestS0_21_S3_17_FacebookTellsWhatArrived(t *testing.T) {
	onAFacebookPage(t, func(t *testing.T, p *pagePlace) {
		p.patch("/configuration", body{"close_chats_without_messages": true, "close_chats_minutes": 10}, nil)
		require.True(t, p.kind("messenger").Capabilities.ReadReceipts)
		news := p.listen(p.as("Anna"))
		m := p.reaches("Anna", p.chat.ID, "how can I help?", gen.MessageStateSent)
		now := p.advance(0)
		require.WithinDuration(t, now.Add(70*time.Minute), *p.chat1().ClosesAt, time.Minute, "a receipt that never comes keeps no chat open for ever")
		p.app.DuplicateNext(1)
		p.ann.Arrive()
		p.comes(p.chat.ID, m.ID, gen.MessageStateDelivered)
		news.has("message", m.ID)
		require.WithinDuration(t, now.Add(10*time.Minute), *p.chat1().ClosesAt, time.Minute)
		p.ann.Read()
		p.comes(p.chat.ID, m.ID, gen.MessageStateRead)
		p.ann.Arrive()
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		p.comes(p.chat.ID, m.ID, gen.MessageStateRead)
		p.advance(11 * time.Minute)
		require.Equal(t, "No answer from Client", *p.closed(p.chat.ID).CloseReason)
	})
}

func (p *pagePlace) chat1() gen.Chat { p.t.Helper(); return p.place.chat(p.chat.ID) }

// Design §3: an echo proves what was sent, though the answer was lost; nothing is sent or shown twice.
func TestFacebooksEchoProvesALostAnswer(t *testing.T) {
	onAFacebookPage(t, func(t *testing.T, p *pagePlace) {
		p.server.FailNext("messages", double.AfterAccepting(double.Drop()))
		p.reaches("Anna", p.chat.ID, "one", gen.MessageStateSent)
		p.reaches("Anna", p.chat.ID, "two", gen.MessageStateSent)
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Len(t, p.ann.Inbox(), 2)
		require.Equal(t, []string{"client: hello", "agent: one", "agent: two"}, p.authors(p.chat))
		require.False(t, p.failed("unsent"), "nothing is left for anybody to look at")
	})
}

// b9, S4.5: what a person of ours or a bot writes to the customer elsewhere is part of the conversation, once, here and in the CRM.
func TestWhatIsWrittenElsewhereJoinsTheChat_b9(t *testing.T) {
	onAFacebookPage(t, func(t *testing.T, p *pagePlace) {
		p.app.DuplicateNext(1)
		p.ann.Type("from the page's inbox")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Equal(t, []string{"client: hello", "other: from the page's inbox"}, p.authors(p.chat))
		c := p.chat1()
		require.Nil(t, c.UnansweredSince, "she is answered")
		require.EqualValues(t, "out", *c.LastDirection)
		p.until("the CRM has it", func() bool { return len(p.inCRM(p.chat.ID)) == 2 })
		require.Equal(t, []string{"hello", "from the page's inbox"}, p.inCRM(p.chat.ID))
	})
}

// A customer who has blocked the channel is shown so, and agents learn it before they write.
func TestABlockedCustomerOfFacebook(t *testing.T) {
	onAFacebookPage(t, func(t *testing.T, p *pagePlace) {
		require.Nil(t, p.chat1().BlockedAt)
		p.ann.Block()
		p.reaches("Anna", p.chat.ID, "are you there?", gen.MessageStateFailed)
		p.until("the chat shows it", func() bool { return p.chat1().BlockedAt != nil })
		path := "/chats/" + p.chat.ID.String() + "/messages"
		problem := p.refused(p.as("Anna"), http.MethodPost, path, body{"text": "hello?"}, http.StatusConflict)
		require.Contains(t, *problem.Detail, "the customer has blocked the channel")
		p.ann.Write("sorry, that was a mistake")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Nil(t, p.chat1().BlockedAt, "who writes takes messages again")
		p.reaches("Anna", p.chat.ID, "welcome back", gen.MessageStateSent)
	})
}

func TestABlockedCustomerOfTelegram(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, s *telegramtest.Server) {
		bot := s.AddBot(botToken, "shop_bot")
		p.bot(nil)
		tom := bot.Customer(7, "Tom")
		tom.Write("hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		news := p.listen(p.as("Anna"))
		tom.Block()
		news.has("chat", chat.ID)
		p.until("the chat shows it", func() bool { return p.chat(chat.ID).BlockedAt != nil })
		p.refused(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/messages", body{"text": "hello?"}, http.StatusConflict)
		tom.Unblock()
		p.until("the chat shows it no more", func() bool { return p.chat(chat.ID).BlockedAt == nil })
		p.replies("Anna", chat.ID, "welcome back")
	})
}

// S4.2, S4.5: X shows the account's own messages: ours once, what was written in X's own app as that, and how far it was read.
func TestS4_2_S4_5_XTellsOfTheAccountsMessages(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		p.server.FailNext("send", double.AfterAccepting(double.Drop()))
		m := p.reaches("Anna", p.chat.ID, "see https://shop.example/parcels & wait", gen.MessageStateDelivered)
		p.app.DuplicateNext(1)
		p.account.WriteByHand(p.tom, "from my phone")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Equal(t, []string{"client: hello", "agent: see https://shop.example/parcels & wait", "other: from my phone"}, p.authors(p.chat))
		p.tom.Read()
		p.comes(p.chat.ID, m.ID, gen.MessageStateRead)
		require.False(t, p.failed("unsent"))
	})
}
