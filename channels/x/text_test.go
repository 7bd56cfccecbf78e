package x

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// S4.3: the customer's words are shown as he wrote them, whichever way they came: X escapes three characters, shortens every
// address and adds a link to a file.
func TestTextsAreAsTheyWereWritten(t *testing.T) {
	f := setUp(t)
	f.clock.advance(1e9)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	for _, text := range []string{
		"5 < 7 && 7 > 5", "&amp; &lt;b&gt; &quot; &amp;lt;", "<script>alert(1)</script>",
		"https://shop.example/?a=1&b=2", "see http://shop.example/x and https://shop.example/x, or http://shop.example/x", "https://t.co/own is mine", " spaces ",
	} {
		f.ann.Write(text)
		d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
		require.NoError(t, err)
		assert.Equal(t, []string{text}, texts(d), "by webhook")
	}
	for _, text := range []string{"", "look & see https://shop.example/1"} {
		f.ann.SendFile("photo", []byte("jpeg"), text)
		d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
		require.NoError(t, err)
		assert.Equal(t, []string{text}, texts(d), "the file's link is nobody's text")
		assert.Len(t, d.Events[0].Attachments, 1)
	}
	polled, _, err := f.Poll(t.Context(), f.ch, "")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"5 < 7 && 7 > 5", "&amp; &lt;b&gt; &quot; &amp;lt;", "<script>alert(1)</script>",
		"https://shop.example/?a=1&b=2", "see http://shop.example/x and https://shop.example/x, or http://shop.example/x", "https://t.co/own is mine", " spaces ",
		"", "look & see https://shop.example/1",
	}, texts(polled), "by polling")
}

func TestLinks(t *testing.T) {
	const wikipedia = `{"url":"https://t.co/SJ8nWqjwhz","expanded_url":"https://en.wikipedia.org/wiki/Frankenstein#Composition"}`
	for _, row := range []struct {
		name, entities, text, want string
	}{
		{"an address of somebody's", `{"urls":[` + wikipedia + `]}`, "Did you know? https://t.co/SJ8nWqjwhz", "Did you know? https://en.wikipedia.org/wiki/Frankenstein#Composition"},
		{"the list alone", `[` + wikipedia + `]`, "https://t.co/SJ8nWqjwhz", "https://en.wikipedia.org/wiki/Frankenstein#Composition"},
		{"one that is longer", `[{"url":"https://t.co/SJ8","expanded_url":"https://a.example"}]`, "https://t.co/SJ8nWqjwhz", "https://t.co/SJ8nWqjwhz"},
		{"each stands for one place", `[` + wikipedia + `]`, "https://t.co/SJ8nWqjwhz https://t.co/SJ8nWqjwhz", "https://en.wikipedia.org/wiki/Frankenstein#Composition https://t.co/SJ8nWqjwhz"},
		{"no address of the web", `[{"url":"https://t.co/a","expanded_url":"javascript:alert(1)"}]`, "https://t.co/a", "https://t.co/a"},
		{"a file of this machine", `[{"url":"https://t.co/a","expanded_url":"file:///etc/passwd"}]`, "https://t.co/a", "https://t.co/a"},
		{"without a host", `[{"url":"https://t.co/a","expanded_url":"https:///x"}]`, "https://t.co/a", "https://t.co/a"},
		{"longer than any server takes", `[{"url":"https://t.co/a","expanded_url":"https://a.example/` + strings.Repeat("a", addressLimit) + `"}]`, "https://t.co/a", "https://t.co/a"},
		{"nothing to stand for", `[{"url":"https://t.co/a"}]`, "https://t.co/a", "https://t.co/a"},
		{"a word that is no link of X", `[{"url":"hello","expanded_url":"https://a.example"}]`, "hello", "hello"},
		{"not fetched, and not replaced again", `[{"url":"https://t.co/a","expanded_url":"https://t.co/b"},{"url":"https://t.co/b","expanded_url":"https://b.example"}]`, "https://t.co/a", "https://t.co/b"},
		{"none", `null`, "https://t.co/a", "https://t.co/a"},
		{"a broken list", `{"urls":[7]}`, "https://t.co/a", "https://t.co/a"},
		{"no list", `7`, "https://t.co/a", "https://t.co/a"},
		{"more than are read", `{"urls":[` + strings.Repeat(`{},`, listLimit) + wikipedia + `]}`, "https://t.co/SJ8nWqjwhz", "https://t.co/SJ8nWqjwhz"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var l links
			require.NoError(t, json.Unmarshal([]byte(row.entities), &l))
			assert.Equal(t, row.want, l.written(row.text, func(link) bool { return false }))
			d := receive(t, withEntities(documentedEvent(annID, shopID, `"text":"`+row.text+`"`), row.entities))
			assert.Equal(t, []string{row.want}, texts(d), "it never keeps a message away")
		})
	}
}

// withEntities replaces the documented event's.
func withEntities(event, entities string) string {
	return strings.Replace(event, `{"hashtags":[],"symbols":[],"user_mentions":[],"urls":[]}`, entities, 1)
}

// The link of the message's own file is known by its place at X, by the file's key, or because the file names it (§3, §5.4).
func TestTheLinkOfAFile(t *testing.T) {
	const at, file = `"created_at":"2022-10-19T20:58:00.000Z","sender_id":"3001969357","dm_conversation_id":"3001969357-4337869213"`, `"includes":{"media":[{"media_key":"3_1","type":"photo","url":"https://pbs.twimg.com/x.jpg"}]}`
	for name, row := range map[string]struct{ more, want string }{
		"its place":              {`"attachments":{"media_keys":["3_1"]},"entities":{"urls":[{"url":"https://t.co/a","expanded_url":"https://twitter.com/messages/media/5"}]}`, "look"},
		"its key":                {`"attachments":{"media_keys":["3_1"]},"urls":[{"url":"https://t.co/a","expanded_url":"https://x.com/i/1","media_key":"3_1"}]`, "look"},
		"nothing says":           {`"attachments":{"media_keys":["3_1"]}`, "look"},
		"another message's file": {`"attachments":{"media_keys":["3_1"]},"entities":{"urls":[{"url":"https://t.co/a","expanded_url":"https://twitter.com/messages/media/6"}]}`, "look https://twitter.com/messages/media/6"},
		"no file is there":       {`"entities":{"urls":[{"url":"https://t.co/a","expanded_url":"https://twitter.com/messages/media/5"}]}`, "look https://twitter.com/messages/media/5"},
	} {
		t.Run(name, func(t *testing.T) {
			var answer page
			require.NoError(t, json.Unmarshal([]byte(`{"data":[{"id":"5","event_type":"MessageCreate","text":"look https://t.co/a",`+at+`,`+row.more+`}],`+file+`}`), &answer))
			p := pass{mark: "4"}
			p.add(answer, shopID)
			assert.Equal(t, []string{row.want}, texts(p.d))
		})
	}
}
