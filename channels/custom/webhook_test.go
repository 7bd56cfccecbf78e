package custom_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/custom"
)

var hooked = channels.Channel{Fields: map[string]string{custom.FieldCode: code}}

func receive(body string) (channels.Delivery, error) {
	return custom.New(http.DefaultClient, clock).Webhook(context.Background(), hooked, request(encodedCode, []byte(body)))
}

func TestAWholeMessage(t *testing.T) {
	d, err := receive(`{"type":"message","id":"m-1","future_field":[1],
		"user":{"id":"ann-42","name":"Ann Lee","username":"annlee","language":"en","phone":"+14155550123","email":"ann@example.com"},
		"text":"Where is it?","reply_to":"m-0","at":"2026-11-21T10:00:00+01:00",
		"attachments":[{"name":"a.pdf","mime":"application/pdf","size":8,"url":"https://files.example/a"},
			{"mime":"image/png","url":"https://files.example/b"},{"name":"c","mime":"audio/ogg; codecs=opus","url":"https://files.example/c"},
			{"name":"d","mime":"video/mp4","url":"https://files.example/d"},{"name":"e","mime":"?","url":"https://files.example/e"}]}`)
	require.NoError(t, err)
	require.Len(t, d.Events, 1)
	e := d.Events[0]
	assert.True(t, e.At.Equal(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)))
	e.At = time.Time{}
	assert.Equal(t, channels.Event{
		Kind: channels.Message, Key: "message/m-1/ann-42", MessageID: "m-1", ReplyTo: "m-0", Text: "Where is it?",
		User: channels.User{ID: "ann-42", Name: "Ann Lee", Username: "annlee", Language: "en", Phone: "+14155550123", Email: "ann@example.com"},
		Attachments: []channels.Attachment{
			{Kind: "document", Name: "a.pdf", MIME: "application/pdf", Size: 8, Ref: "https://files.example/a"},
			{Kind: "photo", Name: "file", MIME: "image/png", Ref: "https://files.example/b"},
			{Kind: "audio", Name: "c", MIME: "audio/ogg; codecs=opus", Ref: "https://files.example/c"},
			{Kind: "video", Name: "d", MIME: "video/mp4", Ref: "https://files.example/d"},
			{Kind: "document", Name: "e", MIME: "?", Ref: "https://files.example/e"},
		},
	}, e)
}

func TestKeys(t *testing.T) {
	key := func(kind, user, id string) string {
		d, err := receive(fmt.Sprintf(`{"type":%q,"id":%q,"message_id":"m","user":{"id":%q},"text":"x"}`, kind, id, user))
		require.NoError(t, err)
		return d.Events[0].Key
	}
	all := map[string]bool{}
	for _, k := range []string{
		key("message", "a", "1"), key("edit", "a", "1"), key("message", "b", "1"), key("message", "a", "2"),
		key("message", "a/1", "2"), key("message", "a", "1/2"), key("message", "a%2F1", "2"), key("message", "a", "1%2F2"),
	} {
		assert.False(t, all[k], k)
		all[k] = true
	}
	longest := strings.Repeat("🐝", 32)
	assert.Less(t, len(key("message", longest, longest)), 1000, "fits every database's index")
}

// Found by chaos: without the message's key an edit became a second message.
func TestEditNamesItsMessage(t *testing.T) {
	message, err := receive(`{"type":"message","id":"m-1","user":{"id":"ann/42"},"text":"Where is my order 78?"}`)
	require.NoError(t, err)
	edit, err := receive(`{"type":"edit","id":"e-1","message_id":"m-1","user":{"id":"ann/42"},"text":"Where is my order 77?"}`)
	require.NoError(t, err)
	require.Equal(t, channels.Edit, edit.Events[0].Kind)
	require.Equal(t, message.Events[0].Key, edit.Events[0].MessageKey)
	require.Equal(t, message.Events[0].MessageID, edit.Events[0].MessageID)
}

func TestMalformedBodiesAreExplained(t *testing.T) {
	many := strings.Repeat(`{"url":"https://files.example/a"},`, 21)
	for _, row := range []struct{ name, body, want string }{
		{"no type", `{"id":"1","user":{"id":"a"},"text":"x"}`, "type"},
		{"no id", `{"type":"message","user":{"id":"a"},"text":"x"}`, "id must be"},
		{"id is a number", `{"type":"message","id":1,"user":{"id":"a"},"text":"x"}`, "types"},
		{"no user", `{"type":"message","id":"1","text":"x"}`, "user.id"},
		{"empty user id", `{"type":"message","id":"1","user":{"id":""},"text":"x"}`, "user.id"},
		{"control character in an id", `{"type":"message","id":"1\u0000","user":{"id":"a"},"text":"x"}`, "id must be"},
		{"id too long", `{"type":"message","id":"` + strings.Repeat("1", 129) + `","user":{"id":"a"},"text":"x"}`, "id must be"},
		{"reply_to too long", `{"type":"message","id":"1","reply_to":"` + strings.Repeat("1", 129) + `","user":{"id":"a"},"text":"x"}`, "reply_to"},
		{"edit without message_id", `{"type":"edit","id":"1","user":{"id":"a"},"text":"x"}`, "message_id"},
		{"no content", `{"type":"message","id":"1","user":{"id":"a"}}`, "neither text"},
		{"time", `{"type":"message","id":"1","user":{"id":"a"},"text":"x","at":"yesterday"}`, "types"},
		{"attachment without url", `{"type":"message","id":"1","user":{"id":"a"},"attachments":[{"name":"a"}]}`, "url"},
		{"attachment of a local file", `{"type":"message","id":"1","user":{"id":"a"},"attachments":[{"url":"file:///etc/passwd"}]}`, "url"},
		{"attachment with a password", `{"type":"message","id":"1","user":{"id":"a"},"attachments":[{"url":"https://u:p@x.example"}]}`, "url"},
		{"negative size", `{"type":"message","id":"1","user":{"id":"a"},"attachments":[{"size":-1,"url":"https://x.example"}]}`, "size"},
		{"too many attachments", `{"type":"message","id":"1","user":{"id":"a"},"attachments":[` + many[:len(many)-1] + `]}`, "20 attachments"},
		{"too large", `{"type":"message","id":"1","user":{"id":"a"},"text":"` + strings.Repeat("x", 1<<20) + `"}`, "1 MiB"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := receive(row.body)
			require.ErrorIs(t, err, channels.ErrMalformed)
			assert.ErrorContains(t, err, row.want)
		})
	}
}

func TestOnlyPOST(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
		r := request(encodedCode, []byte(`{}`))
		r.Method = method
		_, err := custom.New(http.DefaultClient, clock).Webhook(t.Context(), hooked, r)
		require.ErrorIs(t, err, channels.ErrMalformed, method)
	}
}

func TestS2_16_CodeOfTheHook(t *testing.T) {
	for _, row := range []struct {
		name, code, header string
		ok                 bool
	}{
		{"right", "secret", "secret", true},
		{"encoded more than needed", "secret", "%73ecret", true},
		{"lower case escapes", "é", "%c3%a9", true},
		{"plus is a plus", "a+b", "a+b", true},
		{"plus is no space", "a b", "a+b", false},
		{"space", "a b", "a%20b", true},
		{"missing", "secret", "", false},
		{"wrong", "secret", "Secret", false},
		{"broken escape", "100%", "100%", false},
		{"a broken escape proves nothing", "", "%", false},
		{"a channel without a code takes nothing", "", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			ch := channels.Channel{Fields: map[string]string{custom.FieldCode: row.code}}
			_, err := custom.New(http.DefaultClient, clock).Webhook(t.Context(), ch, request(row.header, []byte(`{"type":"typing"}`)))
			assert.Equal(t, row.ok, err == nil)
			if !row.ok {
				assert.ErrorIs(t, err, channels.ErrUnauthorized)
			}
		})
	}
}

func FuzzWebhook(f *testing.F) {
	for _, seed := range []string{
		`{"type":"message","id":"m-1","user":{"id":"a"},"text":"x"}`,
		`{"type":"edit","id":"e-1","message_id":"m-1","user":{"id":"a"},"text":"y"}`,
		`{"type":"message","id":"m-2","user":{"id":"a"},"attachments":[{"mime":"image/png","url":"https://x.example/a"}]}`,
		`{"type":"typing"}`, `{}`, `[]`, "null", "\x00",
	} {
		f.Add([]byte(seed))
	}
	a := custom.New(http.DefaultClient, clock)
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := a.Webhook(t.Context(), hooked, request(encodedCode, body))
		if err != nil {
			require.ErrorIs(t, err, channels.ErrMalformed)
			require.Empty(t, d)
			return
		}
		require.Equal(t, 1, len(d.Events)+len(d.Ignored))
		for _, e := range d.Events {
			require.NotEmpty(t, e.Key)
			require.NotEmpty(t, e.User.ID)
			require.NotEmpty(t, e.MessageID)
			require.False(t, e.At.IsZero())
			require.True(t, e.Text != "" || len(e.Attachments) > 0)
			require.True(t, utf8.ValidString(e.Key+e.Text+e.MessageID+e.User.ID))
		}
		again, err := a.Webhook(t.Context(), hooked, request(encodedCode, body))
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}

// Issue 4: what comes in allocates at most ten times its size, whatever comes again and again.
func TestMemoryOfCrowds(t *testing.T) {
	a := custom.New(http.DefaultClient, clock)
	reading := func(body string) func() error {
		r := request(encodedCode, []byte(body))
		return func() error {
			_, err := a.Webhook(t.Context(), hooked, r)
			return err
		}
	}
	channelstest.Crowds(t, reading,
		`{"type":"message","id":"m-1","user":{"id":"ann-42","name":"Ann Lee","phone":"1"},"text":"x","reply_to":"m-0","at":"2026-11-21T10:00:00+01:00",`+
			`"attachments":[{"name":"a.pdf","mime":"application/pdf","size":8,"url":"https://files.example/a"}]}`)
}
