package app_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/telegram/telegramtest"
)

func TestS3_62_S3_65_ALimitOfChats(t *testing.T) {
	staffed(t, []string{"Anna", "Ben"}, func(t *testing.T, p *place) {
		p.status("Ben", gen.AgentStatusInactive)
		one := p.given(p.writes("1", "hello").ID, "Anna")
		p.given(p.writes("2", "hello").ID, "Anna")
		three := p.writes("3", "hello")
		p.stays("S3.62, S3.63 the rule skips him at 2: the third is not given", func() bool { return p.holder(three.ID) == "" })
		p.post("/chats/"+three.ID.String()+"/close", body{}, nil)
		p.offers("Anna", "Ben")
		p.status("Ben", gen.AgentStatusActive)
		anna, ben := p.listen(p.as("Anna")), p.listen(p.as("Ben"))
		four := p.writes("4", "hello")
		ben.has("chat", four.ID)
		require.Empty(t, p.seen("Anna", "?waiting=true"), "S3.65 he sees no new chats")
		p.refused(p.as("Anna"), http.MethodPost, "/chats/"+four.ID.String()+"/accept", nil, http.StatusConflict) // S3.62
		p.acts("Anna", one.ID, "close", body{})
		require.False(t, about(anna.upTo("resync", uuid.Nil), four.ID), "S3.65 not on /events either, until he ends one")
		require.Equal(t, []uuid.UUID{four.ID}, p.seen("Anna", "?waiting=true"), "S3.65 then at once")
		five := p.writes("5", "hello")
		anna.has("chat", five.ID)
		p.acts("Anna", four.ID, "accept", nil)
	})
}

func TestS3_64_TheLimitIsASetting(t *testing.T) {
	staffed(t, []string{"Anna"}, func(t *testing.T, p *place) {
		p.patch("/settings", body{"simultaneous_chats": 5}, nil)
		for i := range 5 {
			p.given(p.writes(fmt.Sprint(i), "hello").ID, "Anna") // S3.64: the fifth is given
		}
		sixth := p.writes("6", "hello")
		p.stays("S3.64 the sixth is not", func() bool { return p.holder(sixth.ID) == "" })
		p.patch("/settings", body{"simultaneous_chats": 1}, nil)
		p.stays("S3.64 lowering takes nothing away", func() bool { return p.agentNow("Anna").OpenChats == 5 })
		p.patch("/settings", body{"simultaneous_chats": 6}, nil)
		p.given(sixth.ID, "Anna")
	})
}

func TestS3_66_TheLimitCountsAllChannels(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		ch := p.bot(nil)
		bot.Customer(7, "Tom").Write("hello")
		p.given(p.chatOf("Tom").ID, "Anna")
		p.given(p.writes("Ann", "hello").ID, "Anna")
		require.Equal(t, 2, p.agentNow("Anna").OpenChats, "S3.66")
		third := p.writes("Bea", "hello")
		p.stays("S3.66 one of each makes two", func() bool { return p.holder(third.ID) == "" })
		var list gen.ChatList
		p.get("/chats?channel_id="+ch.ID.String(), &list)
		require.Len(t, list.Items, 1, "S3.26 a channel's feed has its own chats only")
		require.Equal(t, "Tom", list.Items[0].Contact.Name)
	})
}
