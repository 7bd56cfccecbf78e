package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/telegram/telegramtest"
)

// Somebody else takes the bot: its channel says so by itself, administrators are alarmed, and connecting it again heals it.
func TestAChannelThatStopsReceivingSaysSo(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		p.restartedWith(func(c *app.Config) { c.Check = 50 * time.Millisecond })
		bot := tg.AddBot(botToken, "shop_bot")
		ch := p.bot(nil)
		require.True(t, ch.Health.Receiving.Ok)
		administrators := p.listen(p.api)
		bot.ResetLimits()
		res, err := http.Post(tg.URL+"/bot"+botToken+"/setWebhook", "application/json", strings.NewReader(`{"url":"http://127.0.0.1:9/elsewhere"}`))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
		administrators.has("alert", ch.ID)
		health := p.channelNow(ch.ID).Health
		require.False(t, health.Receiving.Ok)
		require.Contains(t, *health.Receiving.Reason, "instead of here")
		require.NotNil(t, health.Receiving.Since)
		require.True(t, health.Sending.Ok, "it still sends")

		bot.ResetLimits()
		p.post("/channels/"+ch.ID.String()+"/connect", body{"take_over": true}, nil)
		require.True(t, p.channelNow(ch.ID).Health.Receiving.Ok)
		bot.Customer(7, "Tom").Write("hello")
		p.says("Tom", "hello")
		require.Equal(t, gen.ChannelStateActive, p.channelNow(ch.ID).State)
	})
}
