package messenger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"waggle/channels"
)

// Each row of the event table of wire/messenger.md §3.
func TestEvents(t *testing.T) {
	user, at := channels.User{ID: "2"}, time.UnixMilli(1780000000123).UTC()
	for _, row := range []struct {
		name, event string
		want        channels.Event
	}{
		{"an answer to a message", said(`"mid":"m_2","text":"yes","reply_to":{"mid":"m_1"}`),
			channels.Event{Kind: channels.Message, Key: "m:m_2", MessageID: "m_2", ReplyTo: "m_1", Text: "yes"}},
		{"a quick reply", said(`"mid":"m_2","text":"Red","quick_reply":{"payload":"RED"}`),
			channels.Event{Kind: channels.Message, Key: "m:m_2", MessageID: "m_2", Text: "Red"}},
		{"surrogates", said(`"mid":"m_2","text":"\ud83d\udc1d \ud83d \u4e16\/"`),
			channels.Event{Kind: channels.Message, Key: "m:m_2", MessageID: "m_2", Text: "🐝 \uFFFD 世/"}},
		{"a postback", from(`"postback":{"mid":"m_2","title":"Start","payload":"GET_STARTED","referral":{"ref":"x"}}`),
			channels.Event{Kind: channels.Message, Key: "m:m_2", MessageID: "m_2", Text: "Start"}},
		{"a postback without a title", from(`"postback":{"mid":"m_2","payload":"GET_STARTED"}`),
			channels.Event{Kind: channels.Message, Key: "m:m_2", MessageID: "m_2", Text: "GET_STARTED"}},
		{"an edit", from(`"message_edit":{"mid":"m_2","text":"better","num_edit":1}`),
			channels.Event{Kind: channels.Edit, Key: "e:m_2:1:1780000000123", MessageKey: "m:m_2", MessageID: "m_2", Text: "better"}},
		{"a read receipt with its watermark only", from(`"read":{"watermark":1458668856253}`),
			channels.Event{Kind: channels.Receipt, Key: "r:2:1458668856253:" + digest(), Receipt: &channels.ReceiptNote{Read: true, Until: time.UnixMilli(1458668856253).UTC()}}},
		{"it is taken from us without a word by whom", from(`"take_thread_control":{"previous_owner_app_id":"` + ourApp + `"}`),
			channels.Event{Kind: channels.Control, Key: "c:take:2:1780000000123:" + digest("", ourApp), Control: &channels.ControlNote{Owner: channels.OwnedByOther}}},
		{"it is taken from us", from(`"take_thread_control":{"previous_owner_app_id":"` + ourApp + `","new_owner_app_id":"` + botApp + `","metadata":"x"}`),
			channels.Event{Kind: channels.Control, Key: "c:take:2:1780000000123:" + digest(botApp, ourApp), Control: &channels.ControlNote{Owner: channels.OwnedByOther, App: botApp}}},
		{"it is passed to us", from(`"pass_thread_control":{"previous_owner_app_id":null,"new_owner_app_id":"` + ourApp + `","metadata":"x"}`),
			channels.Event{Kind: channels.Control, Key: "c:pass:2:1780000000123:" + digest(ourApp, ""), Control: &channels.ControlNote{Owner: channels.OwnedByUs, App: ourApp}}},
		{"it is passed to the page's inbox", from(`"pass_thread_control":{"new_owner_app_id":` + PageInbox + `}`),
			channels.Event{Kind: channels.Control, Key: "c:pass:2:1780000000123:" + digest(PageInbox, ""), Control: &channels.ControlNote{Owner: channels.OwnedByOther, App: PageInbox}}},
		{"it is passed to nobody", from(`"pass_thread_control":{"previous_owner_app_id":"` + botApp + `","new_owner_app_id":null}`),
			channels.Event{Kind: channels.Control, Key: "c:pass:2:1780000000123:" + digest("", botApp), Control: &channels.ControlNote{Owner: channels.OwnedByNobody}}},
		{"it is asked for", from(`"request_thread_control":{"requested_owner_app_id":123456789,"metadata":"x"}`),
			channels.Event{Kind: channels.Control, Key: "c:request:2:1780000000123:" + digest(botApp, ""), Control: &channels.ControlNote{Owner: channels.Asked, App: botApp}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.want.User, row.want.At = user, at
			assert.Equal(t, row.want, one(t, "messaging", row.event))
			row.want.Standby = true
			assert.Equal(t, row.want, one(t, "standby", row.event), "the same on standby")
		})
	}
	t.Run("a delivery has no time of its own", func(t *testing.T) {
		e := one(t, "messaging", `{"sender":{"id":"2"},"recipient":{"id":"1"},"delivery":{"mids":["m_1","m_2"],"watermark":1458668856253}}`)
		assert.Equal(t, time.UnixMilli(1780000000000).UTC(), e.At)
		assert.Equal(t, &channels.ReceiptNote{MessageIDs: []string{"m_1", "m_2"}, Until: time.UnixMilli(1458668856253).UTC()}, e.Receipt)
		bare := one(t, "messaging", `{"sender":{"id":"2"},"recipient":{"id":"1"},"delivery":{"watermark":1458668856253}}`)
		assert.Empty(t, bare.Receipt.MessageIDs, "mids may be missing")
		assert.NotEqual(t, e.Key, bare.Key)
	})
	t.Run("a postback on standby has lost its payload, one of old its mid", func(t *testing.T) {
		e := one(t, "standby", from(`"postback":{}`))
		assert.Equal(t, "(a button)", e.Text)
		assert.NotEmpty(t, e.MessageID)
		assert.NotEqual(t, e.Key, one(t, "standby", from(`"postback":{"title":"Start"}`)).Key)
	})
	t.Run("what is no use is counted", func(t *testing.T) {
		d := receive(t, delivered("messaging", said(`"mid":"m","is_deleted":true`), `{"sender":{"id":"1"},"recipient":{"id":"2"},"message":{"mid":"m","text":"x"}}`))
		assert.Empty(t, d.Events)
		assert.Equal(t, map[string]int{"deleted": 1, "own": 1}, d.Ignored)
	})
}

// wire/messenger.md §3 message_echoes: the sender is the page, the customer is the recipient.
func TestEchoes(t *testing.T) {
	echo := func(fields string) string {
		return `{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":1780000000123,"message":{"is_echo":true,"mid":"m_1","text":"hi",` + fields + `}}`
	}
	for name, row := range map[string]struct {
		fields string
		want   channels.EchoNote
	}{
		"ours":                           {`"app_id":1517776481860111,"metadata":"part-1"`, channels.EchoNote{PartKey: "part-1", App: ourApp}},
		"ours, the id a string":          {`"app_id":"1517776481860111","metadata":"part-1"`, channels.EchoNote{PartKey: "part-1", App: ourApp}},
		"a bot's":                        {`"app_id":123456789`, channels.EchoNote{App: botApp, Bot: true}},
		"a bot's that copies our key":    {`"app_id":123456789,"metadata":"part-1"`, channels.EchoNote{App: botApp, Bot: true}},
		"a person's in the page's inbox": {`"app_id":263902037430900`, channels.EchoNote{App: "263902037430900"}},
		"a person's on the page":         {`"attachments":[]`, channels.EchoNote{}},
		"ours, by another program of it": {`"app_id":1517776481860111`, channels.EchoNote{App: ourApp}},
	} {
		t.Run(name, func(t *testing.T) {
			e := one(t, "messaging", echo(row.fields))
			assert.Equal(t, channels.Echo, e.Kind)
			assert.Equal(t, "2", e.User.ID)
			assert.Equal(t, "hi", e.Text)
			assert.Equal(t, "m_1", e.MessageID)
			assert.Equal(t, &row.want, e.Echo)
			assert.NotEqual(t, "m:m_1", e.Key)
		})
	}
}

func TestContents(t *testing.T) {
	const cdn = `https://cdn.fbsbx.com/v/t59.2708-21/1_2/a%20b.pdf?oh=1`
	for _, row := range []struct {
		name, message, text string
		want                []channels.Attachment
	}{
		{"a picture", `"attachments":[{"type":"image","payload":{"url":"https:\/\/scontent.xx.fbcdn.net\/v\/x?oh=1"}}]`, "",
			[]channels.Attachment{{Kind: "photo", Name: "photo.jpg", MIME: "image/jpeg", Ref: "https://scontent.xx.fbcdn.net/v/x?oh=1"}}},
		{"several, and a text", `"text":"look","attachments":[{"type":"file","payload":{"url":"` + cdn + `"}},{"type":"video","payload":{"url":"https://video.xx.fbcdn.net/v"}}]`, "look",
			[]channels.Attachment{{Kind: "document", Name: "a b.pdf", MIME: "application/pdf", Ref: cdn}, {Kind: "video", Name: "video.mp4", MIME: "video/mp4", Ref: "https://video.xx.fbcdn.net/v"}}},
		{"a voice", `"attachments":[{"type":"audio","payload":{"url":"https://cdn.fbsbx.com/a"}}]`, "",
			[]channels.Attachment{{Kind: "audio", Name: "audio.mp3", MIME: "audio/mpeg", Ref: "https://cdn.fbsbx.com/a"}}},
		{"a sticker", `"attachments":[{"type":"image","payload":{"url":"https://scontent.xx.fbcdn.net/s","sticker_id":369239263222822}}]`, "",
			[]channels.Attachment{{Kind: "sticker", Name: "sticker.png", MIME: "image/png", Ref: "https://scontent.xx.fbcdn.net/s"}}},
		{"a reel", `"attachments":[{"type":"ig_reel","payload":{"url":"https://video.xx.fbcdn.net/r","title":"x"}}]`, "",
			[]channels.Attachment{{Kind: "video", Name: "reel.mp4", MIME: "video/mp4", Ref: "https://video.xx.fbcdn.net/r"}}},
		{"a location", `"attachments":[{"type":"location","payload":{"coordinates":{"lat":50.5,"long":-3}}}]`, "Location: 50.5,-3",
			[]channels.Attachment{{Kind: "location", Name: "geo:50.5,-3"}}},
		{"a shared link", `"attachments":[{"type":"fallback","title":"Shop","url":"https://shop.example/1"}]`, "Shop https://shop.example/1", nil},
		{"a shared link in the payload", `"attachments":[{"type":"fallback","payload":{"title":"Shop","url":"https://shop.example/1"}}]`, "Shop https://shop.example/1", nil},
		{"a link the text has already", `"text":"see https://shop.example/1","attachments":[{"type":"fallback","url":"https://shop.example/1"}]`, "see https://shop.example/1", nil},
		{"a template", `"attachments":[{"type":"template","payload":{"template_type":"generic"}}]`, "(a card, which cannot be shown here)", nil},
		{"something new", `"attachments":[{"type":"hologram","payload":{"url":"https://x.fbcdn.net/h"}}]`, "(an attachment that cannot be shown here)", nil},
		{"a payload that is null", `"attachments":[{"type":"image","payload":null}]`, "(an attachment that cannot be shown here)", nil},
		{"nothing", `"is_unsupported":true`, "(a message that cannot be shown here)", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := one(t, "messaging", said(`"mid":"m_1",`+row.message))
			assert.Equal(t, row.text, e.Text)
			assert.Equal(t, row.want, e.Attachments)
		})
	}
}
