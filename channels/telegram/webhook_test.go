package telegram

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

func request(secret, body string) channels.Request {
	return channels.Request{
		Method: http.MethodPost, Body: []byte(body), Query: func(string) string { return "" },
		Header: func(name string) string { return map[string]string{secretHeader: secret}[name] },
	}
}

func receive(t *testing.T, body string) channels.Delivery {
	t.Helper()
	d, err := New(http.DefaultClient, DefaultAPI).Webhook(t.Context(), channels.Channel{HookSecret: testSecret}, request(testSecret, body))
	require.NoError(t, err)
	return d
}

// private is a message of Ann's private chat with the given content fields.
func private(kind, content string) string {
	return fmt.Sprintf(`{"update_id":1,%q:{"message_id":16,"from":{"id":5551234567,"is_bot":false,"first_name":"Ann"},`+
		`"chat":{"id":5551234567,"first_name":"Ann","type":"private"},"date":1780000005,%s}}`, kind, content)
}

func TestWebhookSecretComesFirst(t *testing.T) {
	a := New(http.DefaultClient, DefaultAPI)
	ch := channels.Channel{HookSecret: testSecret}
	for name, secret := range map[string]string{"none": "", "another": "x" + testSecret[1:], "a prefix": testSecret[:10], "more": testSecret + "x"} {
		t.Run("S2.9 secret: "+name, func(t *testing.T) {
			for _, body := range []string{"", "{", private("message", `"text":"hi"`)} {
				_, err := a.Webhook(t.Context(), ch, request(secret, body))
				require.ErrorIs(t, err, channels.ErrUnauthorized, "whatever the body")
			}
		})
	}
	_, err := a.Webhook(t.Context(), channels.Channel{}, request("", private("message", `"text":"hi"`)))
	require.ErrorIs(t, err, channels.ErrUnauthorized, "a channel without a secret takes nothing")
}

func TestWebhookMalformed(t *testing.T) {
	a := New(http.DefaultClient, DefaultAPI)
	ch := channels.Channel{HookSecret: testSecret}
	for name, body := range map[string]string{
		"empty":                 ``,
		"no JSON":               `<html>`,
		"array":                 `[]`,
		"null":                  `null`,
		"no update_id":          `{"message":{}}`,
		"update_id null":        `{"update_id":null}`,
		"update_id a word":      `{"update_id":"x"}`,
		"message a word":        `{"update_id":1,"message":"x"}`,
		"message null":          `{"update_id":1,"message":null}`,
		"message without chat":  `{"update_id":1,"message":{"message_id":1}}`,
		"message without id":    `{"update_id":1,"message":{"chat":{"id":1,"type":"private"}}}`,
		"text a number":         private("message", `"text":7`),
		"member a word":         `{"update_id":1,"my_chat_member":"x"}`,
		"press without an id":   `{"update_id":1,"callback_query":{}}`,
		"photo no list":         private("message", `"photo":{}`),
		"photo of words":        private("message", `"photo":["x"]`),
		"entities a number":     private("message", `"text":"x","entities":7`),
		"nested without an end": `{"update_id":1,"message":` + strings.Repeat(`{"reply_to_message":`, 200000),
		"too large":             `{"update_id":1,"x":"` + strings.Repeat("x", bodyLimit) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Webhook(t.Context(), ch, request(testSecret, body))
			require.ErrorIs(t, err, channels.ErrMalformed)
		})
	}
	get := request(testSecret, private("message", `"text":"hi"`))
	get.Method = http.MethodGet
	_, err := a.Webhook(t.Context(), ch, get)
	require.ErrorIs(t, err, channels.ErrMalformed)
}

// The composed examples of wire/telegram.md §3.
func TestComposedExamples(t *testing.T) {
	d := receive(t, `{"update_id":700000001,"message":{"message_id":15,"from":{"id":5551234567,"is_bot":false,"first_name":"Ann","last_name":"Lee","username":"annlee","language_code":"en"},"chat":{"id":5551234567,"first_name":"Ann","last_name":"Lee","username":"annlee","type":"private"},"date":1780000000,"text":"hi"}}`)
	require.Len(t, d.Events, 1)
	assert.Equal(t, channels.Event{
		Kind: channels.Message, Key: "m:15:5551234567", MessageID: "15", Text: "hi", At: time.Unix(1780000000, 0).UTC(),
		User: channels.User{ID: "5551234567", Name: "Ann Lee", Username: "annlee", Language: "en"},
	}, d.Events[0])

	d = receive(t, `{"update_id":700000002,"message":{"message_id":16,"from":{"id":5551234567,"is_bot":false,"first_name":"Ann"},"chat":{"id":5551234567,"first_name":"Ann","type":"private"},"date":1780000005,"caption":"my receipt","photo":[{"file_id":"AgACs","file_unique_id":"AQADs","width":90,"height":67,"file_size":1200},{"file_id":"AgACx","file_unique_id":"AQADx","width":1280,"height":960,"file_size":120000}]}}`)
	require.Len(t, d.Events, 1)
	assert.Equal(t, "my receipt", d.Events[0].Text)
	assert.Equal(t, []channels.Attachment{{Kind: "photo", Name: "photo.jpg", MIME: "image/jpeg", Size: 120000, Ref: "AgACx", ID: "AQADx"}}, d.Events[0].Attachments)

	d = receive(t, `{"update_id":700000003,"my_chat_member":{"chat":{"id":5551234567,"first_name":"Ann","type":"private"},"from":{"id":5551234567,"is_bot":false,"first_name":"Ann"},"date":1780000009,"old_chat_member":{"user":{"id":111,"is_bot":true,"first_name":"B","username":"b_bot"},"status":"member"},"new_chat_member":{"user":{"id":111,"is_bot":true,"first_name":"B","username":"b_bot"},"status":"kicked","until_date":0}}}`)
	assert.Equal(t, []channels.Event{{
		Kind: channels.Block, Key: "s:5551234567:1780000009:kicked", User: channels.User{ID: "5551234567", Name: "Ann"}, At: time.Unix(1780000009, 0).UTC(),
	}}, d.Events)
}

func TestContents(t *testing.T) {
	for _, row := range []struct {
		name, content, text string
		want                []channels.Attachment
	}{
		{"document", `"document":{"file_id":"D","file_unique_id":"d","file_name":"a.pdf","mime_type":"application/pdf","file_size":7}`, "",
			[]channels.Attachment{{Kind: "document", Name: "a.pdf", MIME: "application/pdf", Size: 7, Ref: "D", ID: "d"}}},
		{"document with a path for a name", `"document":{"file_id":"D","file_unique_id":"d","file_name":"..\\..\\a/b.pdf"}`, "",
			[]channels.Attachment{{Kind: "document", Name: "b.pdf", MIME: "application/octet-stream", Ref: "D", ID: "d"}}},
		{"document named ..", `"document":{"file_id":"D","file_unique_id":"d","file_name":".."}`, "",
			[]channels.Attachment{{Kind: "document", Name: "file", MIME: "application/octet-stream", Ref: "D", ID: "d"}}},
		{"voice", `"voice":{"file_id":"V","file_unique_id":"v","duration":3}`, "",
			[]channels.Attachment{{Kind: "voice", Name: "voice.ogg", MIME: "audio/ogg", Ref: "V", ID: "v"}}},
		{"audio", `"audio":{"file_id":"A","file_unique_id":"a","file_name":"song.mp3"}`, "",
			[]channels.Attachment{{Kind: "audio", Name: "song.mp3", MIME: "audio/mpeg", Ref: "A", ID: "a"}}},
		{"video", `"video":{"file_id":"V","file_unique_id":"v"},"caption":"look"`, "look",
			[]channels.Attachment{{Kind: "video", Name: "video.mp4", MIME: "video/mp4", Ref: "V", ID: "v"}}},
		{"video note", `"video_note":{"file_id":"N","file_unique_id":"n"}`, "",
			[]channels.Attachment{{Kind: "video", Name: "video_note.mp4", MIME: "video/mp4", Ref: "N", ID: "n"}}},
		{"animation, which is a document too", `"animation":{"file_id":"G","file_unique_id":"g"},"document":{"file_id":"G","file_unique_id":"g"}`, "",
			[]channels.Attachment{{Kind: "video", Name: "animation.mp4", MIME: "video/mp4", Ref: "G", ID: "g"}}},
		{"sticker", `"sticker":{"file_id":"S","file_unique_id":"s","emoji":"👍","is_animated":false,"is_video":false}`, "👍",
			[]channels.Attachment{{Kind: "sticker", Name: "sticker.webp", MIME: "image/webp", Ref: "S", ID: "s"}}},
		{"animated sticker", `"sticker":{"file_id":"S","file_unique_id":"s","is_animated":true}`, "",
			[]channels.Attachment{{Kind: "sticker", Name: "sticker.tgs", MIME: "application/x-tgsticker", Ref: "S", ID: "s"}}},
		{"video sticker", `"sticker":{"file_id":"S","file_unique_id":"s","is_video":true}`, "",
			[]channels.Attachment{{Kind: "sticker", Name: "sticker.webm", MIME: "video/webm", Ref: "S", ID: "s"}}},
		{"location", `"location":{"latitude":52.5,"longitude":-13.25}`, "Location: 52.5,-13.25\nhttps://www.openstreetmap.org/?mlat=52.5&mlon=-13.25",
			[]channels.Attachment{{Kind: "location", Name: "geo:52.5,-13.25", Place: &channels.Place{Latitude: 52.5, Longitude: -13.25}}}},
		{"live location", `"location":{"latitude":1,"longitude":2,"live_period":900}`,
			"Live location, as it was at first: 1,2\nhttps://www.openstreetmap.org/?mlat=1&mlon=2",
			[]channels.Attachment{{Kind: "location", Name: "geo:1,2", Place: &channels.Place{Latitude: 1, Longitude: 2}}}},
		{"venue, which is a location too", `"venue":{"title":"Zoo","address":"1 St"},"location":{"latitude":1,"longitude":2}`, "Location: Zoo, 1 St, 1,2\nhttps://www.openstreetmap.org/?mlat=1&mlon=2",
			[]channels.Attachment{{Kind: "location", Name: "geo:1,2", Place: &channels.Place{Latitude: 1, Longitude: 2}}}},
		{"contact", `"contact":{"phone_number":"+491","first_name":"Bob"}`, "Contact: Bob, +491",
			[]channels.Attachment{{Kind: "contact", Name: "Bob", Phone: "+491"}}},
		{"dice", `"dice":{"emoji":"🎲","value":4}`, "🎲 4", nil},
		{"poll", `"poll":{"question":"When?","options":[{"text":"now"},{"text":"never"}]}`, "Poll: When?\n- now\n- never", nil},
		{"story", `"story":{"id":1}`, "(a story, which cannot be shown here)", nil},
		{"paid media", `"paid_media":{}`, "(paid media, which cannot be shown here)", nil},
		{"checklist", `"checklist":{"title":"Move","tasks":[{"id":1,"text":"boxes"}]}`, "Checklist: Move\n- boxes", nil},
		{"game", `"game":{"title":"Chess"}`, "Game: Chess", nil},
		{"invoice", `"invoice":{"title":"Tea","description":"a cup"}`, "Invoice: Tea, a cup", nil},
		{"text with all of Unicode", `"text":"a\u0000b \ud83d\ude00 \ud800"`, "a\x00b 😀 \ufffd", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := receive(t, private("message", row.content))
			require.Len(t, d.Events, 1)
			assert.Equal(t, row.text, d.Events[0].Text)
			assert.Equal(t, row.want, d.Events[0].Attachments)
		})
	}
}

func TestReplyTo(t *testing.T) {
	d := receive(t, private("message", `"text":"yes","reply_to_message":{"message_id":14,"date":1,"chat":{"id":5551234567,"type":"private"}}`))
	assert.Equal(t, "14", d.Events[0].ReplyTo)
}

// Only the customer's own, freshly shared contact is vouched for.
func TestOwnContact(t *testing.T) {
	for content, phone := range map[string]string{
		`"contact":{"phone_number":"491","first_name":"Ann","user_id":5551234567}`:                                  "491",
		`"contact":{"phone_number":"491","first_name":"Bob","user_id":7}`:                                           "",
		`"contact":{"phone_number":"491","first_name":"Ann"}`:                                                       "",
		`"contact":{"phone_number":"491","first_name":"Ann","user_id":5551234567},"forward_origin":{"type":"user"}`: "",
	} {
		assert.Equal(t, phone, receive(t, private("message", content)).Events[0].User.Phone, content)
	}
}

func TestEdits(t *testing.T) {
	edit := func(content string) channels.Event {
		d := receive(t, private("edited_message", content))
		require.Len(t, d.Events, 1)
		return d.Events[0]
	}
	e := edit(`"edit_date":1780000010,"text":"new"`)
	assert.Equal(t, channels.Edit, e.Kind)
	assert.Equal(t, "16", e.MessageID)
	assert.Equal(t, "m:16:5551234567", e.MessageKey)
	assert.Equal(t, time.Unix(1780000010, 0).UTC(), e.At)
	assert.Equal(t, e.Key, edit(`"edit_date":1780000010,"text":"new"`).Key, "a repeat is the same edit")
	keys := map[string]bool{e.Key: true, e.MessageKey: true}
	for _, other := range []string{
		`"edit_date":1780000011,"text":"new"`, `"edit_date":1780000010,"text":"newer"`, `"edit_date":1780000010,"caption":"new"`,
		`"edit_date":1780000010,"photo":[{"file_id":"F1","file_unique_id":"u1"}]`,
		`"edit_date":1780000010,"photo":[{"file_id":"F2","file_unique_id":"u2"}]`,
	} {
		keys[edit(other).Key] = true
	}
	assert.Len(t, keys, 7, "two edits within a second are two")
	assert.Equal(t, map[string]int{"live_location": 1}, receive(t, private("edited_message", `"location":{"latitude":1,"longitude":2}`)).Ignored)
}

// Private chats only: everything else is counted and ignored.
func TestIgnored(t *testing.T) {
	for body, kind := range map[string]string{
		`{"update_id":1,"message":{"message_id":1,"chat":{"id":-1,"type":"group"},"text":"x"}}`:                                "group",
		`{"update_id":1,"message":{"message_id":1,"chat":{"id":-1,"type":"supergroup"},"text":"x"}}`:                           "supergroup",
		`{"update_id":1,"edited_message":{"message_id":1,"chat":{"id":-1,"type":"channel"},"text":"x"}}`:                       "channel",
		`{"update_id":1,"message":{"message_id":1,"chat":{"id":-1,"type":"Something new"},"text":"x"}}`:                        "other",
		`{"update_id":1,"message":{"message_id":1,"from":{"id":2,"is_bot":true},"chat":{"id":2,"type":"private"},"text":"x"}}`: "bot",
		`{"update_id":1,"channel_post":{"message_id":1}}`:                                                                      "channel_post",
		`{"update_id":1,"callback_query":{"id":"1"}}`:                                                                          "callback_query",
		`{"update_id":1,"callback_query":{"id":"1","data":"x","inline_message_id":"i"}}`:                                       "callback_query",
		`{"update_id":1,"callback_query":{"id":"1","game_short_name":"g","message":{"chat":{"id":1,"type":"private"}}}}`:       "callback_query",
		`{"update_id":1,"callback_query":{"id":"1","data":"x","message":{"chat":{"id":-1,"type":"group"}}}}`:                   "group",
		`{"update_id":1,"message_reaction":{"chat":{"id":1,"type":"private"}}}`:                                                "message_reaction",
		`{"update_id":1,"business_message":{"message_id":1}}`:                                                                  "business_message",
		`{"update_id":1,"inline_query":7}`:                                                                                     "inline_query",
		`{"update_id":1,"A new\nkind":{}}`:                                                                                     "other",
		`{"update_id":1}`:                                                                                                      "other",
		`{"update_id":1,"my_chat_member":{"chat":{"id":1,"type":"private"},"new_chat_member":{"status":"left"}}}`:              "my_chat_member",
		`{"update_id":1,"my_chat_member":{"chat":{"id":-1,"type":"group"},"new_chat_member":{"status":"kicked"}}}`:             "group",
		private("message", `"pinned_message":{"message_id":3}`):                                                                "service",
	} {
		d := receive(t, body)
		assert.Empty(t, d.Events, body)
		assert.Equal(t, map[string]int{kind: 1}, d.Ignored, body)
	}
	d := receive(t, strings.Replace(private("message", `"text":"x"`), `"update_id":1`, `"update_id":1,"a_new_field":{}`, 1))
	assert.Len(t, d.Events, 1, "what we know comes first")
}

// One message_id in two chats is two messages; one update delivered twice is one (wire/telegram.md §3).
func TestKeysAreUniqueInsideTheBot(t *testing.T) {
	key := func(chat string) string {
		return receive(t, `{"update_id":1,"message":{"message_id":1,"chat":{"id":`+chat+`,"type":"private"},"text":"x"}}`).Events[0].Key
	}
	assert.NotEqual(t, key("12"), key("13"))
	assert.Equal(t, "m:1:4503599627370495", key("4503599627370495"), "52 bits of id")
}

// From the double through a real connection into events, with a repeat and an edit.
func TestWebhookFromTheDouble(t *testing.T) {
	f := setUp(t)
	events := make(chan channels.Event, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d, err := f.Webhook(r.Context(), f.ch, channels.Request{Method: r.Method, Header: r.Header.Get, Query: r.URL.Query().Get, Body: body})
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for _, e := range d.Events {
			events <- e
		}
	}))
	defer hook.Close()
	f.ch.HookURL = hook.URL + "/hooks/telegram/" + f.ch.ID.String()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	ann := f.bot.Customer(5, "Ann").Named("Lee", "annlee")
	f.bot.DuplicateNext(1)
	id := ann.Write("one")
	ann.Edit(id, "uno")
	ann.SendPhoto([]byte("jpeg"), "look")
	require.NoError(t, f.bot.WaitDelivered(t.Context()))
	one, again, edit, photo := <-events, <-events, <-events, <-events
	assert.Equal(t, one, again)
	assert.Equal(t, channels.User{ID: "5", Name: "Ann Lee", Username: "annlee", Language: "en"}, one.User)
	assert.Equal(t, one.Key, edit.MessageKey)
	assert.Equal(t, "look", photo.Text)

	file, err := f.OpenFile(t.Context(), f.ch, photo.Attachments[0].Ref)
	require.NoError(t, err)
	defer file.Close()
	data, err := io.ReadAll(file)
	require.NoError(t, err)
	assert.Equal(t, "jpeg", string(data))
	assert.EqualValues(t, 4, file.Size)
	assert.Empty(t, events)
}

// Whatever comes, the parser answers with events that have what the contract asks for, or with ErrMalformed.
func FuzzParse(f *testing.F) {
	f.Add(private("message", `"text":"hi"`))
	f.Add(private("edited_message", `"edit_date":1,"caption":"x","photo":[{"file_id":"a"},{"file_id":"b"}]`))
	f.Add(private("message", `"contact":{"phone_number":"1","user_id":5551234567},"location":{"latitude":1e308}`))
	f.Add(`{"update_id":1,"my_chat_member":{}}`)
	f.Add(`{"update_id":1,"message":{"message_id":1,"reply_to_message":{"reply_to_message":{}}}}`)
	f.Add(private("message", `"text":"a 😀 b","entities":[{"type":"text_link","offset":2,"length":2,"url":"https://x.example"},{"type":"text_link","offset":-1,"length":9,"url":"y"}]`))
	f.Add(private("message", `"media_group_id":"7","photo":[{"file_id":"a"}],"caption":"c","forward_origin":{"type":"user","sender_user":{"first_name":"Bob"}}`))
	f.Add(private("message", `"text":"x","external_reply":{"origin":{"chat":{"title":"News"}}},"quote":{"text":"a\nb","is_manual":true}`))
	f.Add(private("message", `"poll":{"question":"?","options":[{"text":"a"},{}]}`))
	f.Add(`{"update_id":1,"callback_query":{"id":"1","data":"yes","from":{"id":5},"message":{"message_id":3,"chat":{"id":5,"type":"private"},"reply_markup":{"inline_keyboard":[[{"text":"Yes","callback_data":"yes"}]]}}}}`)
	f.Add(`{"update_id":1,"my_chat_member":{"chat":{"id":5,"type":"private"},"date":1,"new_chat_member":{"status":"kicked"}}}`)
	f.Add(`[[[[`)
	a := New(http.DefaultClient, DefaultAPI)
	f.Fuzz(func(t *testing.T, body string) {
		d, err := a.Webhook(t.Context(), channels.Channel{HookSecret: testSecret}, request(testSecret, body))
		if err != nil {
			require.ErrorIs(t, err, channels.ErrMalformed)
			return
		}
		require.True(t, json.Valid([]byte(body)))
		require.Equal(t, 1, len(d.Events)+len(d.Ignored), "an update is one event or ignored once")
		for _, e := range d.Events {
			require.NotEmpty(t, e.Key)
			require.NotEmpty(t, e.User.ID)
			word := e.Kind == channels.Message || e.Kind == channels.Edit
			require.Equal(t, word, e.MessageID != "")
			require.Equal(t, word, e.Text != "" || len(e.Attachments) > 0)
			require.Equal(t, e.Kind == channels.Edit, e.MessageKey != "")
			for _, at := range e.Attachments {
				require.NotContains(t, at.Name, "/")
			}
		}
	})
}
