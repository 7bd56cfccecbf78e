package api

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/telegram"
)

func TestTelegramChannel(t *testing.T) {
	m := newMessengers(t)
	bot := m.telegram.AddBot("222:second", "shop_bot")
	p := m.call("POST", "/channels", m.key, telegramChannel("222:wrong")).problem(422)
	require.Equal(t, "fields.Token", p.Errors[0].Field, "S3.44: Telegram's reason at the token")
	require.NotEmpty(t, p.Errors[0].Reason)

	queue := m.queue("1st-line support")
	a := m.call("POST", "/channels", m.key, telegramChannel("222:second", withProperty("queue_id", queue.ID)))
	var ch gen.Channel
	a.status(201).into(&ch)
	require.Equal(t, "@shop_bot", ch.Account.Name, "S3.44")
	require.NotContains(t, string(a.Body), "second", "S3.44: masked for ever")
	require.Equal(t, queue.ID, *ch.QueueID, "S3.46")
	require.Len(t, bot.Webhook().Secret, 43)
	require.Regexp(t, `^[A-Za-z0-9_-]{43}$`, bot.Webhook().Secret)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	bot.Customer(7, "Ann").Write("hello")
	require.NoError(t, bot.WaitDelivered(ctx))
	require.Equal(t, []string{"hello"}, m.texts(), "S3.46: the chat lands")

	m.call("PATCH", "/channels/"+ch.ID.String(), m.key, map[string]any{"active": false}).status(200)
	require.Empty(t, bot.Webhook().URL, "S3.45: off")
	bot.Customer(7, "Ann").Write("meanwhile")
	m.call("PATCH", "/channels/"+ch.ID.String(), m.key, map[string]any{"active": true}).status(200)
	require.Zero(t, bot.Webhook().Pending, "b39: the backlog is dropped")
	bot.Customer(7, "Ann").Write("again")
	require.NoError(t, bot.WaitDelivered(ctx))
	require.Equal(t, []string{"hello", "again"}, m.texts(), "S3.45: on")
}

func TestTelegramNeedsAPublicURL_S3_42(t *testing.T) {
	m := newMessengers(t, func(s *Server) { s.Options.PublicURL, s.Jobs.PublicURL = "", "" })
	m.telegram.AddBot("222:second", "shop_bot")
	p := m.call("POST", "/channels", m.key, telegramChannel("222:second")).problem(409)
	require.Contains(t, *p.Detail, "public_url")
	require.Contains(t, *p.Detail, "PUBLIC_URL")
	ch := m.add(telegramChannel("222:second", withProperty("receive", "polling")))
	require.Equal(t, gen.ChannelStateActive, ch.State)
	require.Nil(t, ch.Hook)
	m.call("PATCH", "/channels/"+ch.ID.String(), m.key, map[string]any{"receive": "webhook"}).problem(409)
	require.EqualValues(t, "polling", m.channel(ch.ID).Receive)
}

func TestBotUsedElsewhere_S3_47(t *testing.T) {
	m := newMessengers(t)
	bot := m.telegram.AddBot("222:second", "shop_bot")
	// Another product has the bot.
	resp, err := http.PostForm(m.telegram.URL+"/bot222:second/setWebhook", url.Values{"url": {"http://127.0.0.1:9/elsewhere"}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	p := m.call("POST", "/channels", m.key, telegramChannel("222:second")).problem(409)
	require.Contains(t, *p.Detail, "take_over")
	require.Empty(t, m.list())
	require.Contains(t, bot.Webhook().URL, "/elsewhere")
	ch := m.add(telegramChannel("222:second", withProperty("take_over", true)))
	require.Contains(t, bot.Webhook().URL, ch.ID.String())
}

func TestReplaceToken_S3_48(t *testing.T) {
	m := newMessengers(t)
	bot := m.telegram.AddBot("222:second", "shop_bot")
	m.telegram.AddBot("333:third", "other_bot")
	ch := m.add(telegramChannel("222:second"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	bot.Customer(7, "Ann").Write("before")
	require.NoError(t, bot.WaitDelivered(ctx))
	path := "/channels/" + ch.ID.String()
	token := func(value string) map[string]any {
		return map[string]any{"fields": map[string]string{telegram.FieldToken: value}}
	}

	p := m.call("PATCH", path, m.key, token("333:third")).problem(409)
	require.Contains(t, *p.Detail, "another account", "another bot needs another channel")

	bot.ReplaceToken("222:renewed")
	m.call("POST", path+"/connect", m.key, nil).problem(422)
	m.call("PATCH", path, m.key, token("222:wrong")).problem(422)
	m.call("PATCH", path, m.key, token("222:renewed")).status(200)
	m.call("PATCH", path, m.key, token(maskedField)).status(200)
	require.Equal(t, gen.ChannelStateActive, m.channel(ch.ID).State)
	bot.Customer(7, "Ann").Write("after")
	require.NoError(t, bot.WaitDelivered(ctx))
	require.Equal(t, []string{"before", "after"}, m.texts(), "the new one heals")
	require.Len(t, m.chats(), 1, "the chats are kept")
}
