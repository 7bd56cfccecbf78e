package telegram

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
)

// Entities count UTF-16 code units (wire/telegram.md §3); what they hide is not lost.
func TestHiddenLinks(t *testing.T) {
	link := func(offset, length int, url string) string {
		return fmt.Sprintf(`{"type":"text_link","offset":%d,"length":%d,"url":%q}`, offset, length, url)
	}
	for name, c := range map[string]struct{ text, entities, want string }{
		"none":                   {"plain", `{"type":"bold","offset":0,"length":5}`, "plain"},
		"one":                    {"see here now", link(4, 4, "https://a.example/x"), "see here (https://a.example/x) now"},
		"two":                    {"a b", link(0, 1, "u:1") + "," + link(2, 1, "u:2"), "a (u:1) b (u:2)"},
		"after an emoji":         {"😀 here", link(3, 4, "u:1"), "😀 here (u:1)"},
		"over an emoji":          {"a😀b", link(1, 2, "u:1"), "a😀 (u:1)b"},
		"the address is visible": {"https://a.example", link(0, 17, "https://a.example/"), "https://a.example"},
		"another is visible":     {"https://a.example", link(0, 17, "https://evil.example"), "https://a.example (https://evil.example)"},
		"beyond the end":         {"ab", link(1, 9, "u:1"), "ab"},
		"before the beginning":   {"ab", link(-1, 2, "u:1"), "ab"},
		"far beyond the end":     {"ab", link(1<<62, 1<<62, "u:1"), "ab"},
		"backwards":              {"ab", link(1, -1, "u:1"), "ab"},
		"the same twice":         {"ab", link(0, 2, "u:1") + "," + link(0, 2, "u:2"), "ab (u:1) (u:2)"},
		"last first":             {"ab", link(1, 1, "u:1") + "," + link(0, 1, "u:2"), "ab (u:1)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := receive(t, private("message", fmt.Sprintf(`"text":%q,"entities":[%s]`, c.text, c.entities)))
			assert.Equal(t, c.want, d.Events[0].Text)
			d = receive(t, private("message", fmt.Sprintf(`"video":{"file_id":"V"},"caption":%q,"caption_entities":[%s]`, c.text, c.entities)))
			assert.Equal(t, c.want, d.Events[0].Text, "in a caption too")
		})
	}
}

func TestWhatAMessageRefersTo(t *testing.T) {
	for name, c := range map[string]struct{ content, text, replyTo string }{
		"forwarded from a person":    {`"text":"x","forward_origin":{"type":"user","sender_user":{"first_name":"Bob","last_name":"Li"}}`, "Forwarded from Bob Li:\nx", ""},
		"who hides himself":          {`"text":"x","forward_origin":{"type":"hidden_user","sender_user_name":"B."}`, "Forwarded from B.:\nx", ""},
		"forwarded from a channel":   {`"text":"x","forward_origin":{"type":"channel","chat":{"title":"News"},"author_signature":"Eve"}`, "Forwarded from News (Eve):\nx", ""},
		"forwarded from a group":     {`"text":"x","forward_origin":{"type":"chat","sender_chat":{"title":"Team"}}`, "Forwarded from Team:\nx", ""},
		"forwarded from nobody":      {`"text":"x","forward_origin":{}`, "Forwarded from somebody:\nx", ""},
		"a forwarded picture":        {`"photo":[{"file_id":"P"}],"forward_origin":{"sender_user_name":"B"}`, "Forwarded from B:\n", ""},
		"a reply":                    {`"text":"x","reply_to_message":{"message_id":3}`, "x", "3"},
		"a reply to a chosen part":   {`"text":"x","reply_to_message":{"message_id":3},"quote":{"text":"a\nb","is_manual":true}`, "> a\n> b\nx", "3"},
		"a part Telegram chose":      {`"text":"x","reply_to_message":{"message_id":3},"quote":{"text":"a"}`, "x", "3"},
		"a reply into another chat":  {`"text":"x","external_reply":{"origin":{"type":"channel","chat":{"title":"News"}}},"quote":{"text":"a"}`, "In reply to News:\n> a\nx", ""},
		"a reply inside a reply":     {`"text":"x","reply_to_message":{"message_id":3,"reply_to_message":{"message_id":2}}`, "x", "3"},
		"a notice, though forwarded": {`"text":"x","forward_origin":{"sender_user_name":"B"},"pinned_message":{}`, "Forwarded from B:\nx", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := receive(t, private("message", strings.ReplaceAll(c.content, "\n", `\n`))).Events[0]
			assert.Equal(t, c.text, e.Text)
			assert.Equal(t, c.replyTo, e.ReplyTo)
		})
	}
}

// media_group_id: each picture of an album is an update of its own (wire/telegram.md §3).
func TestAlbums(t *testing.T) {
	photo := `"media_group_id":"77","photo":[{"file_id":"P","file_unique_id":"p"}]`
	e := receive(t, private("message", photo)).Events[0]
	assert.Equal(t, "a:5551234567:77", e.Album)
	assert.Equal(t, "m:16:5551234567", e.Key, "each has a key of its own")
	edit := receive(t, private("edited_message", photo+`,"caption":"late","edit_date":1780000010`)).Events[0]
	assert.Equal(t, e.Album, edit.Album)
	assert.Equal(t, e.Key, edit.MessageKey)
	assert.Empty(t, receive(t, private("message", `"text":"x"`)).Events[0].Album)
}

func TestBlocked(t *testing.T) {
	change := func(status string) channels.Event {
		d := receive(t, fmt.Sprintf(`{"update_id":1,"my_chat_member":{"chat":{"id":5,"first_name":"Ann","type":"private"},"from":{"id":5,"first_name":"Ann"},`+
			`"date":1780000009,"new_chat_member":{"status":%q}}}`, status))
		require.Len(t, d.Events, 1)
		return d.Events[0]
	}
	blocked, unblocked := change("kicked"), change("member")
	assert.Equal(t, channels.Block, blocked.Kind)
	assert.Equal(t, channels.Unblock, unblocked.Kind)
	assert.Equal(t, "5", blocked.User.ID)
	assert.NotEqual(t, blocked.Key, unblocked.Key)
	assert.Equal(t, blocked.Key, change("kicked").Key, "a repeat is recognised")
}

// callback_query: what a pressed button says is what the customer says.
func TestPresses(t *testing.T) {
	press := func(rest string) channels.Delivery {
		return receive(t, `{"update_id":1,"callback_query":{"id":"4711","from":{"id":5,"first_name":"Ann"},"chat_instance":"1",`+rest+`}}`)
	}
	d := press(`"data":"yes","message":{"message_id":3,"date":1,"chat":{"id":5,"type":"private"},"reply_markup":{"inline_keyboard":[[{"text":"No","callback_data":"no"}],` +
		`[{"text":"A page","url":"https://x.example"},{"text":"Yes, please","callback_data":"yes"}]]}}`)
	assert.Equal(t, []channels.Event{{
		Kind: channels.Message, Key: "c:4711", MessageID: "c:4711", User: channels.User{ID: "5", Name: "Ann"}, Text: "Yes, please", ReplyTo: "3",
	}}, d.Events)
	assert.JSONEq(t, `{"method":"answerCallbackQuery","callback_query_id":"4711"}`, string(d.Answer), "it ends the clock on the button, after the commit (§4)")

	d = press(`"data":"yes","message":{"message_id":3,"date":0,"chat":{"id":5,"type":"private"}}`)
	assert.Equal(t, "yes", d.Events[0].Text, "of a message that is not accessible any more only the data are known")
	assert.NotNil(t, press(`"data":"x","inline_message_id":"i"`).Answer, "one we do not show is answered too")
}

// manyNames are members of an object that all have names of their own.
func manyNames(size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, `,"n%06d":0`, b.Len())
	}
	return b.String()
}

// No allocation over ten times the body, whatever is in it.
func TestMemoryOfHostileUpdates(t *testing.T) {
	const size = 500_000
	list := func(element string) string {
		return "[" + strings.Repeat(element+",", size/(len(element)+1)) + element + "]"
	}
	a := New(http.DefaultClient, DefaultAPI)
	for name, body := range map[string]string{
		"photo sizes":      private("message", `"photo":`+list(`{}`)),
		"entities":         private("message", `"text":"x","entities":`+list(`{}`)),
		"links":            private("message", `"text":"x","entities":`+list(`{"type":"text_link","offset":0,"length":1,"url":"u"}`)),
		"poll options":     private("message", `"poll":{"options":`+list(`{}`)+`}`),
		"keyboard":         `{"update_id":1,"callback_query":{"id":"1","message":{"reply_markup":{"inline_keyboard":` + list(`[]`) + `}}}}`,
		"a row of buttons": `{"update_id":1,"callback_query":{"id":"1","message":{"reply_markup":{"inline_keyboard":[` + list(`{}`) + `]}}}}`,
		"nested replies":   private("message", `"text":"x","reply_to_message":`+strings.Repeat(`{"reply_to_message":`, 5000)+"{}"+strings.Repeat("}", 5000)),
		"one long text":    private("message", `"text":"`+strings.Repeat("x", size)+`"`),
		"an unknown kind":  `{"update_id":1,"new_kind":` + list(`{}`) + `}`,
		"unknown kinds":    `{"update_id":1` + manyNames(size) + `}`,
		"unknown fields":   private("message", `"text":"x"`+manyNames(size)),
	} {
		t.Run(name, func(t *testing.T) {
			r := request(testSecret, body)
			ch := channels.Channel{HookSecret: testSecret}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = a.Webhook(t.Context(), ch, r)
			runtime.ReadMemStats(&after)
			assert.Less(t, float64(after.TotalAlloc-before.TotalAlloc)/float64(len(body)), 10.0)
		})
	}
}

// Issue 4, the same for whatever may come again and again.
func TestMemoryOfCrowdedUpdates(t *testing.T) {
	a, ch := New(http.DefaultClient, DefaultAPI), channels.Channel{HookSecret: testSecret}
	reading := func(body string) func() error {
		r := request(testSecret, body)
		return func() error {
			_, err := a.Webhook(t.Context(), ch, r)
			return err
		}
	}
	channelstest.Crowds(t, reading,
		private("message", `"text":"x","entities":[{"type":"text_link","offset":0,"length":1,"url":"u"}],"reply_to_message":{"message_id":1},`+
			`"external_reply":{"origin":{"chat":{"title":"News"}}},"quote":{"text":"a","is_manual":true},"forward_origin":{"sender_user":{"first_name":"Bob"}}`),
		private("edited_message", `"edit_date":1,"media_group_id":"7","caption":"c","photo":[{"file_id":"a"}],"document":{"file_id":"D"},"sticker":{"emoji":"x"}`),
		private("message", `"location":{"latitude":1},"venue":{"title":"Zoo"},"contact":{"phone_number":"1"},"poll":{"question":"?","options":[{"text":"a"}]},"invoice":{}`),
		`{"update_id":1,"callback_query":{"id":"1","data":"yes","from":{"id":5},"message":{"message_id":3,"chat":{"id":5,"type":"private"},`+
			`"reply_markup":{"inline_keyboard":[[{"text":"Yes","callback_data":"yes"}]]}}}}`,
		`{"update_id":1,"my_chat_member":{"chat":{"id":5,"type":"private"},"from":{"id":5},"date":1,"new_chat_member":{"status":"kicked"}}}`,
		`{"update_id":1,"new_kind":{}}`)
}
