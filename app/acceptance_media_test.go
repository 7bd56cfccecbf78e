package app_test

import (
	"encoding/json"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/custom/customtest"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
	"waggle/channels/x/xtest"
)

// Issue 4: files are fetched by a job, kept, and opened by a short-lived link; text does not wait for them.
func TestFilesOfACustomer(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		png := "\x89PNG\r\n\x1a\n" + strings.Repeat("picture ", 10_000)
		photo := p.messenger.Upload("photo.png", "image/png", []byte(png))
		gone := customtest.Attachment{Name: "gone.pdf", MIME: "application/pdf", URL: photo.URL + "-gone"}
		ann := p.messenger.Customer(customtest.Profile{ID: "Ann", Name: "Ann"})
		_, err := ann.Write(t.Context(), "look at this", photo, gone)
		require.NoError(t, err)
		chat := p.chatOf("Ann")
		var files []gen.Attachment
		p.until("the files are fetched or given up", func() bool {
			files = p.messages(chat.ID)[0].Attachments
			return *files[0].State != gen.AttachmentStateWaiting && *files[1].State != gen.AttachmentStateWaiting
		})
		require.Equal(t, gen.AttachmentStateStored, *files[0].State)
		require.Equal(t, gen.AttachmentStateFailed, *files[1].State)
		require.Contains(t, *files[1].Error, "404")
		require.Nil(t, files[1].Link)

		given := p.request(http.MethodGet, *files[0].Link, nil)
		require.Equal(t, http.StatusOK, given.status, "a page's image has no header")
		require.Equal(t, png, given.text)
		require.Equal(t, http.StatusUnauthorized, p.request(http.MethodGet, *files[0].URL, nil).status, "S4.8")
		p.restartedWith(func(*app.Config) {})
		require.Equal(t, png, p.request(http.MethodGet, *files[0].Link, nil).text, "kept")
	})
}

// sendsFile lets Anna upload a file to a chat, as her page does, and send it.
func (p *place) sendsFile(chat uuid.UUID, name, content, text string) (m gen.Message) {
	p.t.Helper()
	path := "/api/v1/chats/" + chat.String() + "/files?name=" + url.QueryEscape(name)
	uploaded := p.request(http.MethodPost, path, []string{"Authorization", "Bearer " + p.as("Anna").Token}, content)
	require.Equal(p.t, http.StatusCreated, uploaded.status, uploaded.text)
	var f gen.UploadedFile
	require.NoError(p.t, json.Unmarshal([]byte(uploaded.text), &f))
	p.does(p.as("Anna"), http.MethodPost, "/chats/"+chat.String()+"/messages", body{"text": text, "files": []uuid.UUID{f.ID}}, &m)
	return m
}

// refusedFile requires a message to have failed, with a sentence that tells why.
func (p *place) refusedFile(m gen.Message, why string) {
	p.t.Helper()
	p.comes(m.ChatID, m.ID, gen.MessageStateFailed)
	all := p.messages(m.ChatID)
	i := slices.IndexFunc(all, func(x gen.Message) bool { return x.ID == m.ID })
	require.Contains(p.t, *all[i].Error, why)
	require.True(p.t, p.failed("unsent"), "and it is kept for somebody to look at")
}

// inAll requires an agent's file to be in the chat and in the CRM, once each.
func (p *place) inAll(m gen.Message, content string) {
	p.t.Helper()
	require.Equal(p.t, content, p.download("Anna", m.Attachments[0]))
	want := m.Text + "\n" + *m.Attachments[0].Name + ": " + p.config.PublicURL + *m.Attachments[0].URL
	p.until("it is one record in the CRM, with its link", func() bool {
		return len(slices.DeleteFunc(p.inCRM(m.ChatID), func(text string) bool { return text != want })) == 1
	})
}

// aPNG is a picture that every messenger takes for one.
func aPNG(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 60, 40))))
	return b.String()
}

// Issue 4: agents upload files and send them, with a text or without.
func TestFilesOfAnAgent(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		chat := p.given(p.writes("Ann", "hello").ID, "Anna")
		content := "%PDF-1.7 " + strings.Repeat("bill ", 1_000_000)
		p.sendsFile(chat.ID, "bill.pdf", content, "your bill")
		got, err := p.messenger.Customer(customtest.Profile{ID: "Ann"}).WaitFor(p.soon(), 1)
		require.NoError(t, err)
		require.Equal(t, "your bill", got[0].Text)
		require.Equal(t, content, string(got[0].File.Content))
		require.Empty(t, p.messenger.Wrong())
	})
}

func TestFilesOfAnAgentOnTelegram(t *testing.T) {
	onTelegram(t, func(t *testing.T, p *place, tg *telegramtest.Server) {
		bot := tg.AddBot(botToken, "shop_bot")
		p.bot(nil)
		tom := bot.Customer(7, "Tom")
		tom.Write("hello")
		chat := p.given(p.chatOf("Tom").ID, "Anna")
		photo := aPNG(t)
		m := p.sendsFile(chat.ID, "receipt.png", photo, "your receipt")
		p.comes(chat.ID, m.ID, gen.MessageStateDelivered)
		inbox := tom.Inbox()
		require.Len(t, inbox, 1, "one message with its caption")
		require.Equal(t, []string{"sendphoto", "receipt.png", "your receipt", photo}, []string{inbox[0].Method, inbox[0].FileName, inbox[0].Text, string(inbox[0].File)})
		p.inAll(m, photo)

		long := strings.Repeat("ten chars ", 120)
		m = p.sendsFile(chat.ID, "bill.pdf", "%PDF-1.7", long)
		p.comes(chat.ID, m.ID, gen.MessageStateDelivered)
		inbox = tom.Inbox()
		require.Len(t, inbox, 3, "a text that is no caption is a message of its own")
		require.Equal(t, []string{"%PDF-1.7", "", ""}, []string{string(inbox[1].File), inbox[1].Text, string(inbox[2].File)})
		require.Equal(t, long, inbox[2].Text)

		bot.FailNext("sendDocument", telegramtest.Refuse(http.StatusRequestEntityTooLarge, "Request Entity Too Large"))
		p.refusedFile(p.sendsFile(chat.ID, "bill.pdf", "%PDF-1.7", "again"), "larger than Telegram takes")
		p.replies("Anna", chat.ID, "it was too large") // others go on
		require.Len(t, tom.Inbox(), 4)
	})
}

func TestFilesOfAnAgentOnX_S4_4(t *testing.T) {
	onAnXAccount(t, nil, func(t *testing.T, p *xPlace) {
		p.talks()
		photo := aPNG(t)
		p.server.FailNext("upload", xtest.ServerError()) // nothing was sent yet: it is tried again
		m := p.sendsFile(p.chat.ID, "receipt.png", photo, "your receipt")
		p.comes(p.chat.ID, m.ID, gen.MessageStateDelivered)
		got := p.tom.Inbox()
		require.Len(t, got, 1, "one message with its caption")
		require.Equal(t, []string{"photo", "your receipt", photo}, []string{got[0].MediaKind, got[0].Text, string(got[0].Media)})
		p.inAll(m, photo)

		p.server.FailNext("send", double.AfterAccepting(double.Drop()))
		m = p.sendsFile(p.chat.ID, "again.png", photo, "once more")
		p.comes(p.chat.ID, m.ID, gen.MessageStateDelivered) // its echo proves it
		require.Len(t, p.tom.Inbox(), 2)

		p.refusedFile(p.sendsFile(p.chat.ID, "bill.pdf", "%PDF-1.7", "your bill"), "X takes pictures (JPEG, PNG, WebP, GIF) and videos (MP4, MOV)")
		require.Len(t, p.tom.Inbox(), 2, "neither the file nor its text")
		require.Equal(t, []string{"client: hello", "agent: your receipt", "agent: once more", "agent: your bill"}, p.authors(p.chat), "echoes are shown nowhere")
	})
}

func TestFilesOfAnAgentOnFacebook(t *testing.T) {
	onAFacebookPage(t, func(t *testing.T, p *pagePlace) {
		photo := aPNG(t)
		p.server.FailNext("message_attachments", double.BadGateway()) // nothing was sent yet: it is tried again
		m := p.sendsFile(p.chat.ID, "receipt.png", photo, "your receipt")
		p.comes(p.chat.ID, m.ID, gen.MessageStateSent)
		inbox := p.ann.Inbox()
		require.Len(t, inbox, 2, "Facebook carries a file and its text as two messages")
		require.Equal(t, []string{"image", "receipt.png", "", photo}, []string{inbox[0].FileKind, inbox[0].FileName, inbox[0].Text, string(inbox[0].File)})
		require.Equal(t, "your receipt", inbox[1].Text)
		p.inAll(m, photo)

		p.server.FailNext("messages", double.AfterAccepting(double.Drop()))
		m = p.sendsFile(p.chat.ID, "bill.pdf", "%PDF-1.7", "")
		p.comes(p.chat.ID, m.ID, gen.MessageStateSent) // its echo proves it
		require.Len(t, p.ann.Inbox(), 3)

		p.server.FailNext("message_attachments", messengertest.Refuse(100, 2018047, "(#100) Upload attachment failure."))
		p.refusedFile(p.sendsFile(p.chat.ID, "bill.pdf", "%PDF-1.7", "your bill"), "Upload attachment failure")
		require.Len(t, p.ann.Inbox(), 3, "neither the file nor its text")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Equal(t, []string{"client: hello", "agent: your receipt", "agent: ", "agent: your bill"}, p.authors(p.chat), "echoes are shown nowhere")
	})
}
