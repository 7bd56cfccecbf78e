package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/telegram/telegramtest"
)

// messages are a chat's messages as its agents read them.
func (p *place) messages(chat uuid.UUID) []gen.Message {
	p.t.Helper()
	var list gen.MessageList
	p.get("/chats/"+chat.String()+"/messages?limit=100", &list)
	return list.Items
}

// jpeg begins a picture, so that it is one.
const jpeg = "\xff\xd8\xff\xe0\x00\x10JFIF "

// download reads an attachment as an agent's browser does, once it is fetched from the messenger.
func (p *place) download(name string, a gen.Attachment) string {
	p.t.Helper()
	require.NotNil(p.t, a.URL)
	var got answer
	p.until("the file is fetched", func() bool {
		got = p.request(http.MethodGet, *a.URL, []string{"Authorization", "Bearer " + p.as(name).Token})
		return got.status != http.StatusConflict
	})
	require.Equal(p.t, http.StatusOK, got.status)
	return got.text
}

// Issue 4, Telegram: an album is one message with several parts, for the agent and in the CRM.
func TestTelegram_Album(t *testing.T) {
	for name, arrival := range map[string]func(bot *telegramtest.Bot){
		"in order":   func(*telegramtest.Bot) {},
		"last first": func(bot *telegramtest.Bot) { bot.ReorderNext(3) },
		"repeated":   func(bot *telegramtest.Bot) { bot.DuplicateNext(3) },
	} {
		t.Run(name, func(t *testing.T) {
			onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
				bot := tg.AddBot(botToken, "shop_bot")
				p.bot(nil)
				tom := bot.Customer(7, "Tom")
				arrival(bot)
				picture := func(data, caption string) telegramtest.Picture {
					return telegramtest.Picture{Data: []byte(jpeg + data), Caption: caption}
				}
				ids := tom.SendAlbum(picture("first", ""), picture("second", "three pictures"), picture("third", ""))
				chat := p.given(p.chatOf("Tom").ID, "Anna")
				var album gen.Message
				shows := func(text string, files int) func() bool {
					return func() bool {
						all := p.messages(chat.ID)
						require.Len(t, all, 1, "an album is one message")
						album = all[0]
						return album.Text == text && len(album.Attachments) == files
					}
				}
				p.until("all of the album is there", shows("three pictures", 3))
				for i, data := range []string{"first", "second", "third"} {
					require.Equal(t, "photo", album.Attachments[i].Kind)
					require.Equal(t, jpeg+data, p.download("Anna", album.Attachments[i]), "in the order of the album")
				}
				links := album.Attachments
				p.until("it is one record in the CRM, with all its links", func() bool {
					texts := p.inCRM(chat.ID)
					return len(texts) == 1 && strings.HasPrefix(texts[0], "three pictures\n") && strings.Count(texts[0], "/api/v1/media/") == 3
				})

				tom.EditCaption(ids[1], "two pictures and a drawing")
				p.until("an edit of one piece changes the message", shows("two pictures and a drawing", 3))
				tom.ReplacePhoto(ids[2], []byte(jpeg+"drawing"))
				p.until("a piece's picture is replaced", func() bool {
					shows("two pictures and a drawing", 3)()
					return *album.Attachments[2].URL != *links[2].URL
				})
				require.Equal(t, jpeg+"drawing", p.download("Anna", album.Attachments[2]))
				require.Equal(t, *links[0].URL, *album.Attachments[0].URL, "links never change")
				require.Len(t, album.Edits, 2)
				require.Equal(t, "three pictures", album.Edits[0].Text, "the old text stays readable")
				require.Equal(t, jpeg+"third", p.download("Anna", album.Edits[1].Attachments[2]), "and the old picture")
				p.until("the CRM has the final text", func() bool {
					texts := p.inCRM(chat.ID)
					return len(texts) == 1 && strings.HasPrefix(texts[0], "two pictures and a drawing\n")
				})

				var timeline gen.Timeline
				p.get("/chats/"+chat.ID.String()+"/timeline?limit=100", &timeline)
				kinds := map[gen.TimelineKind]int{}
				for i, e := range timeline.Items {
					require.EqualValues(t, i+1, e.Seq, "the numbers have no gaps")
					kinds[e.Kind]++
					if e.Kind == gen.TimelineKindAddition {
						require.Equal(t, album.ID, *e.MessageID)
						require.Len(t, e.Attachments, 1)
					}
				}
				require.Equal(t, 2, kinds[gen.TimelineKindAddition])
			})
		})
	}
}

// Issue 4, Telegram: edits are kept as history, pressed buttons, places and forwards can be read, and a shared contact is the
// contact's phone.
func TestTelegram_EverythingPeopleSend(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		p.bot(nil)
		tom := bot.Customer(7, "Tom")
		id := tom.Write("helo")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		tom.Edit(id, "hello")
		p.until("the edit is there", func() bool { return p.messages(chat.ID)[0].Text == "hello" })
		require.Equal(t, "helo", p.messages(chat.ID)[0].Edits[0].Text)

		press := tom.Press(tom.Buttons("Again?", "Yes, please"), "yes, please")
		require.NoError(t, bot.WaitAnswered(p.soon(), press))
		p.says("Tom", "hello", "Yes, please")

		tom.ShareLocation(48.2, 16.37)
		tom.Send(map[string]any{"text": "news", "forward_origin": map[string]any{"type": "hidden_user", "sender_user_name": "Bob"}})
		tom.ShareContact("+43 660 1234567")
		p.until("all is there", func() bool { return len(p.messages(chat.ID)) == 5 })
		all := p.messages(chat.ID)
		require.Contains(t, all[2].Text, "48.2,16.37")
		require.Equal(t, &gen.Place{Latitude: 48.2, Longitude: 16.37}, all[2].Attachments[0].Place)
		require.Nil(t, all[2].Attachments[0].URL, "a place is no file")
		require.Equal(t, "Forwarded from Bob:\nnews", all[3].Text)
		require.Equal(t, "+43 660 1234567", *all[4].Attachments[0].Phone)

		var contact gen.Contact
		p.get("/contacts/"+chat.Contact.ID.String(), &contact)
		require.NotNil(t, contact.Phone)
		require.Equal(t, "+436601234567", *contact.Phone, "offered as the contact's phone")
	})
}
