package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/telegram/telegramtest"
	"waggle/crm/creatio/creatiotest"
)

func TestS3_42_TelegramNeedsAPublicAddress(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		p.restartedWith(func(c *app.Config) { c.PublicURL = "" })
		problem := p.refused(p.api, http.MethodPost, "/channels", p.botInput(botToken, nil), http.StatusConflict)
		require.Contains(t, *problem.Detail, "public_url", "S3.42 it names the setting")
		require.Contains(t, *problem.Detail, "polling", "S3.42 and the other way")
		ch := p.bot(body{"receive": "polling"})
		require.Equal(t, gen.ChannelStateActive, ch.State, "S3.42 polling works")
		require.Nil(t, ch.Hook)
		tom := bot.Customer(7, "Tom")
		tom.Write("hello")
		p.says("Tom", "hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		p.replies("Anna", chat.ID, "hi")
		require.Equal(t, "hi", tom.Inbox()[0].Text)
	})
}

func TestS3_43_TheSiteUrl(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.step1() // with /0
		var c gen.Configuration
		p.get("/configuration", &c)
		require.Equal(t, p.crm.URL()+"/0", *c.CRMURL, "S3.43")
		p.put("/wizard/credentials", body{
			"crm_url": p.crm.URL(), "secret_key": p.secretKey, "api_key": p.api.Token,
			"oauth": body{"identity_url": p.crm.IdentityURL(), "client_id": oauthClient, "client_secret": oauthSecret},
		}, nil) // and without it
		p.staff("Anna")
		p.crmRow(p.writes("Ann", "hello").ID, "S3.43 the chat arrives", func(creatiotest.Row) bool { return true })
	})
	t.Run("refused", func(t *testing.T) {
		p := newPlace(t)
		p.restartedWith(func(c *app.Config) { c.AllowHosts, c.PublicURL = nil, "" })
		for _, wrong := range []string{"http://yoursite.domain.com/0", "https://", "https:///0", "yoursite.domain.com"} {
			require.Equal(t, []string{"site_url"}, p.faults(p.api, http.MethodPatch, "/settings", body{"site_url": wrong}), "S3.43 "+wrong)
			require.Equal(t, []string{"public_url"}, p.faults(p.api, http.MethodPatch, "/configuration", body{"public_url": wrong}), "S3.43 "+wrong)
		}
		var s gen.Settings
		p.patch("/settings", body{"site_url": "https://yoursite.domain.com/0"}, &s)
		require.Equal(t, "https://yoursite.domain.com/0", *s.SiteURL.Value, "S3.43 the /0 is kept")
		p.patch("/settings", body{"site_url": "https://yoursite.domain.com"}, &s)
		require.Equal(t, "https://yoursite.domain.com", *s.SiteURL.Value, "S3.43")
	})
}

func TestS3_44_S3_45_S3_46_TheTelegramChannel(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		problem := p.refused(p.api, http.MethodPost, "/channels", p.botInput("222:wrong", nil), http.StatusUnprocessableEntity)
		require.Equal(t, "fields.Token", problem.Errors[0].Field, "S3.44")
		require.Contains(t, problem.Errors[0].Reason, "Unauthorized", "S3.44 Telegram's reason")
		ch := p.bot(nil)
		require.Equal(t, "@shop_bot", ch.Account.Name, "S3.44")
		for _, path := range []string{"/channels", "/channels/" + ch.ID.String(), "/channel-kinds"} {
			require.NotContains(t, p.send(http.MethodGet, path, nil).text, "AAsecond", "S3.44 masked for ever")
		}
		tom := bot.Customer(7, "Tom")
		tom.Write("hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		require.Equal(t, p.queue, *chat.QueueID, "S3.46 chosen at creation")
		p.patch("/channels/"+ch.ID.String(), body{"active": false}, nil)
		tom.Write("anybody?")
		bot.ResetLimits()
		p.patch("/channels/"+ch.ID.String(), body{"active": true}, nil)
		tom.Write("and now?")
		p.says("Tom", "hello", "and now?")
		require.Len(t, p.texts(chat.ID), 2, "S3.45 off, nothing is processed; on, it is")
	})
}

func TestS3_47_TheBotIsUsedInOnePlace(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		res, err := http.Post(tg.URL+"/bot"+botToken+"/setWebhook", "application/json", strings.NewReader(`{"url":"http://127.0.0.1:9/elsewhere"}`))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		bot.ResetLimits()
		problem := p.refused(p.api, http.MethodPost, "/channels", p.botInput(botToken, nil), http.StatusConflict)
		require.Contains(t, *problem.Detail, "take_over", "S3.47")
		require.Contains(t, bot.Webhook().URL, "elsewhere", "S3.47 it is left alone")
		p.refused(p.api, http.MethodPost, "/channels", p.botInput(botToken, body{"receive": "polling"}), http.StatusConflict)
		ch := p.bot(body{"take_over": true})
		require.Contains(t, bot.Webhook().URL, ch.ID.String(), "S3.47")
		problem = p.refused(p.api, http.MethodPost, "/channels", p.botInput(botToken, body{"take_over": true}), http.StatusConflict)
		require.Contains(t, *problem.Detail, "1st line", "S2.9 the same bot a second time: it names the live chat that has it")
		require.Contains(t, bot.Webhook().URL, ch.ID.String(), "S2.9 which keeps it")
	})
}

func TestS3_48_TheTokenIsReplaceable(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		tg.AddBot("333:third", "other_bot")
		ch := p.bot(nil)
		path := "/channels/" + ch.ID.String()
		tom := bot.Customer(7, "Tom")
		tom.Write("hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		events := p.listen(p.api)
		bot.ReplaceToken("222:renewed")
		failed := p.fails(chat.ID, "by the old token")
		require.Contains(t, *failed.Error, "@BotFather", "S3.48 the agent reads why")
		events.has("alert", ch.ID) // of the send, or of a check that was earlier
		require.False(t, p.channelNow(ch.ID).Health.Sending.Ok, "S3.48 old one dead: channel error")
		require.Contains(t, *p.channelNow(ch.ID).Health.Sending.Reason, "@BotFather", "S3.48 it says what to do")
		tom.Write("still received")
		p.until("it goes on receiving", func() bool { return len(p.texts(chat.ID)) == 3 })
		p.refused(p.api, http.MethodPatch, path, body{"fields": body{"token": "333:third"}}, http.StatusConflict) // another bot's
		bot.ResetLimits()
		p.patch(path, body{"fields": body{"token": "222:renewed"}}, &ch)
		require.True(t, ch.Health.Sending.Ok, "S3.48 the new one heals")
		p.does(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/messages/"+failed.ID.String()+"/resend", nil, nil)
		inbox, err := tom.WaitFor(p.soon(), 1)
		require.NoError(t, err)
		require.Equal(t, "by the old token", inbox[0].Text, "S3.48")
	})
}

// S3.42: trouble while polling shows at the channel, and ends when it is over.
func TestS3_42_TroubleWhilePolling(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		conflict := telegramtest.Refuse(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
		bot.FailNext("getUpdates", conflict, conflict)
		ch := p.bot(body{"receive": "polling"})
		p.until("a second poller shows", func() bool {
			why := p.channelNow(ch.ID).Health.Receiving.Reason
			return why != nil && strings.Contains(*why, "another program")
		})
		tom := bot.Customer(7, "Tom")
		tom.Write("one")
		p.says("Tom", "one")
		p.until("it is over", func() bool { return p.channelNow(ch.ID).Health.Receiving.Ok })

		events := p.listen(p.api)
		bot.ReplaceToken("222:renewed")
		tom.Write("two") // ends the poll that is under way; the next one is refused
		events.has("alert", ch.ID)
		require.Contains(t, *p.channelNow(ch.ID).Health.Receiving.Reason, "@BotFather", "401: it says what to do")
		tom.Write("three")
		p.patch("/channels/"+ch.ID.String(), body{"fields": body{"token": "222:renewed"}}, nil)
		p.says("Tom", "one", "two", "three")
	})
}

func TestS3_42_AnotherWayToReceive(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		ch := p.bot(nil)
		path, tom := "/channels/"+ch.ID.String(), bot.Customer(7, "Tom")
		tom.Write("by webhook")
		p.says("Tom", "by webhook")
		p.patch(path, body{"receive": "polling"}, &ch)
		require.Empty(t, bot.Webhook().URL)
		require.Nil(t, ch.Hook)
		tom.Write("by polling")
		p.says("Tom", "by webhook", "by polling")
		bot.ResetLimits()
		p.patch(path, body{"receive": "webhook"}, &ch)
		require.Contains(t, bot.Webhook().URL, ch.ID.String())
		tom.Write("by webhook again")
		p.says("Tom", "by webhook", "by polling", "by webhook again")
		require.True(t, p.channelNow(ch.ID).Health.Receiving.Ok, "the end of the last poll is no trouble of the webhook")
	})
}

// S3.44: what Telegram may send besides a customer's texts, as often and in whatever order it likes.
func TestS3_44_WhatTelegramMaySend(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		ch := p.bot(nil)
		tom := bot.Customer(7, "Tom")
		bot.Push("message", body{"message_id": 1, "date": 1, "text": "to all", "from": body{"id": 7, "first_name": "Tom"}, "chat": body{"id": -100, "type": "supergroup", "title": "Group"}})
		p.until("a group's message is counted", func() bool { return p.channelNow(ch.ID).Ignored == 1 })
		hook := strings.TrimPrefix(bot.Webhook().URL, p.config.PublicURL)
		proof := []string{"X-Telegram-Bot-Api-Secret-Token", bot.Webhook().Secret, "Content-Type", "application/json"}
		require.Equal(t, http.StatusOK, p.request(http.MethodPost, hook, proof, `{"update_id": 1, "something_new": {"id": 1}}`).status)
		p.until("an unknown kind is counted", func() bool { return p.channelNow(ch.ID).Ignored == 2 })
		require.Empty(t, p.chats(), "nothing is stored")
		require.Equal(t, http.StatusUnauthorized, p.request(http.MethodPost, hook, nil, `{"update_id": 1}`).status)

		bot.DuplicateNext(1)
		tom.Write("once")
		require.NoError(t, bot.WaitDelivered(p.soon()))
		p.says("Tom", "once")
		bot.ReorderNext(2)
		tom.Write("first")
		tom.Write("second")
		require.NoError(t, bot.WaitDelivered(p.soon()))
		chat := p.chatOf("Tom")
		require.ElementsMatch(t, []string{"once", "first", "second"}, p.texts(chat.ID), "each once")

		update := "{\"update_id\": 2, \"message\": {\"message_id\": 900, \"date\": 1, \"text\": \"a\\u0000b\xff\\ud83dc\", \"from\": {\"id\": 8, \"first_name\": \"Nul\"}, \"chat\": {\"id\": 8, \"type\": \"private\", \"first_name\": \"Nul\"}}}"
		require.Equal(t, http.StatusOK, p.request(http.MethodPost, hook, proof, update).status)
		p.says("Nul", "ab\uFFFD\uFFFDc")
		p.until("the CRM has it too", func() bool { return len(p.inCRM(p.chatOf("Nul").ID)) == 1 })

		long := strings.Repeat("ten chars ", 1000)
		update = fmt.Sprintf(`{"update_id": 3, "message": {"message_id": 901, "date": 1, "text": %q, "from": {"id": 9, "first_name": "Leo"}, "chat": {"id": 9, "type": "private", "first_name": "Leo"}}}`, long)
		require.Equal(t, http.StatusOK, p.request(http.MethodPost, hook, proof, update).status)
		p.says("Leo", long)
	})
}

// S3.44: sends that Telegram refuses or puts off.
func TestS3_44_WhatTelegramMayRefuse(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		ch := p.bot(nil)
		tom := bot.Customer(7, "Tom")
		tom.Write("hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")

		bot.FailNext("sendMessage", telegramtest.TooManyRequests(1))
		long := strings.TrimSpace(strings.Repeat("ten chars ", 1000))
		p.replies("Anna", chat.ID, long) // 429: it waits and goes on
		var parts []string
		for _, m := range tom.Inbox() {
			parts = append(parts, m.Text)
		}
		require.Len(t, parts, 3)
		require.Equal(t, long, strings.Join(parts, " "), "10,000 characters arrive whole, in order")

		bot.FailNext("sendMessage", telegramtest.Refuse(403, "Forbidden: bot was blocked by the user"))
		failed := p.fails(chat.ID, "are you there?")
		require.Contains(t, *failed.Error, "blocked", "403 concerns this customer alone")
		require.True(t, p.channelNow(ch.ID).Health.Sending.Ok)
		tom.Write("here I am") // who writes takes messages again
		require.NoError(t, bot.WaitDelivered(p.soon()))

		bot.FailNext("sendMessage", telegramtest.Refuse(401, "Unauthorized"))
		failed = p.fails(chat.ID, "refused with the token")
		p.until("401 shows at the channel", func() bool { return !p.channelNow(ch.ID).Health.Sending.Ok })
		bot.ResetLimits()
		p.replies("Anna", chat.ID, "later")
		p.until("the first success makes it well", func() bool { return p.channelNow(ch.ID).Health.Sending.Ok })
		p.does(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/messages/"+failed.ID.String()+"/resend", nil, nil)
		inbox, err := tom.WaitFor(p.soon(), 5)
		require.NoError(t, err)
		require.Equal(t, "refused with the token", inbox[4].Text)
	})
}
