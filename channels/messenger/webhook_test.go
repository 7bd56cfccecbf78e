package messenger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

var hookedChannel = channels.Channel{AccountID: "1", Fields: map[string]string{
	FieldPage: "1", FieldApp: ourApp, FieldAppSecret: appSecret, FieldVerifyToken: verifyToken,
}}

func request(body []byte, signature string) channels.Request {
	return channels.Request{
		Method: http.MethodPost, Body: body, Query: func(string) string { return "" },
		Header: func(name string) string { return map[string]string{"X-Hub-Signature-256": signature}[name] },
	}
}

// sealed is a body with its signature.
func sealed(body string) ([]byte, string) {
	mac := hmac.New(sha256.New, []byte(appSecret))
	_, _ = mac.Write([]byte(body))
	return []byte(body), "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func receive(t *testing.T, body string) channels.Delivery {
	t.Helper()
	d, err := New(http.DefaultClient, DefaultAPI).Webhook(t.Context(), hookedChannel, request(sealed(body)))
	require.NoError(t, err)
	return d
}

// delivered is a body with these events of customer 2 on page 1.
func delivered(list string, events ...string) string {
	return fmt.Sprintf(`{"object":"page","entry":[{"id":"1","time":1780000000000,%q:[%s]}]}`, list, strings.Join(events, ","))
}

func from(fields string) string {
	return `{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1780000000123,` + fields + `}`
}

func said(message string) string { return from(`"message":{` + message + `}`) }

func one(t *testing.T, list, event string) channels.Event {
	t.Helper()
	d := receive(t, delivered(list, event))
	require.Len(t, d.Events, 1, "%v", d.Ignored)
	return d.Events[0]
}

// wire/messenger.md §1.
func TestChallenge(t *testing.T) {
	a := New(http.DefaultClient, DefaultAPI)
	get := func(query map[string]string) channels.Request {
		return channels.Request{Method: http.MethodGet, Header: func(string) string { return "" }, Query: func(name string) string { return query[name] }}
	}
	right := map[string]string{"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": verifyToken}
	d, err := a.Webhook(t.Context(), hookedChannel, get(right))
	require.NoError(t, err)
	assert.Equal(t, "1158201444", string(d.Answer), "the raw challenge, not JSON")
	assert.Equal(t, "text/plain; charset=utf-8", d.AnswerType)
	accounts, err := a.Accounts(t.Context(), hookedChannel, get(right))
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, slices.Collect(maps.Keys(accounts)))

	for name, query := range map[string]map[string]string{
		"another token": {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": "x" + verifyToken[1:]},
		"no token":      {"hub.mode": "subscribe", "hub.challenge": "1"},
		"underscores":   {"hub_mode": "subscribe", "hub_challenge": "1", "hub_verify_token": verifyToken},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Webhook(t.Context(), hookedChannel, get(query))
			require.ErrorIs(t, err, channels.ErrChallenge, "§1: 403")
			_, err = a.Accounts(t.Context(), hookedChannel, get(query))
			require.ErrorIs(t, err, channels.ErrUnauthorized)
		})
	}
	_, err = a.Webhook(t.Context(), with(hookedChannel, FieldVerifyToken, ""), get(map[string]string{"hub.mode": "subscribe", "hub.challenge": "1"}))
	require.ErrorIs(t, err, channels.ErrUnauthorized, "a channel without a verify token proves nothing")
	_, err = a.Webhook(t.Context(), hookedChannel, get(map[string]string{"hub.mode": "unsubscribe", "hub.challenge": "1", "hub.verify_token": verifyToken}))
	require.ErrorIs(t, err, channels.ErrChallenge, "§1: 403")
}

// The vectors of wire/messenger.md §2: the signature is over the raw bytes, escaped or not.
func TestSignatureVectors(t *testing.T) {
	const escaped = `{"object":"page","entry":[{"id":"1","time":1,"messaging":[{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1,"message":{"mid":"m_1","text":"caf\u00e9"}}]}]}`
	raw := strings.ReplaceAll(escaped, `\u00e9`, "é")
	const escapedMAC = "sha256=531e3e4325d03db6fa672352c1b428101c05b0bf418b80f37847eeb3e201e9f5"
	const rawMAC = "sha256=4a49d70acd4b3403c3245bec5b36a1bbc7fd5798a7f81e650fbc1af5df1d205a"
	a := New(http.DefaultClient, DefaultAPI)
	for _, row := range []struct{ body, mac string }{{escaped, escapedMAC}, {raw, rawMAC}} {
		d, err := a.Webhook(t.Context(), hookedChannel, request([]byte(row.body), row.mac))
		require.NoError(t, err)
		require.Len(t, d.Events, 1)
		assert.Equal(t, channels.Event{
			Kind: channels.Message, Key: "m:m_1", MessageID: "m_1", Text: "café", User: channels.User{ID: "2"}, At: time.UnixMilli(1).UTC(),
		}, d.Events[0])
	}
	for name, r := range map[string]channels.Request{
		"the escaped body with the raw one's signature": request([]byte(escaped), rawMAC),
		"the raw body with the escaped one's signature": request([]byte(raw), escapedMAC),
		"no hex": request([]byte(raw), "sha256=zz"),
		"none":   request([]byte(raw), ""),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Webhook(t.Context(), hookedChannel, r)
			require.ErrorIs(t, err, channels.ErrUnauthorized)
		})
	}
	_, err := a.Webhook(t.Context(), with(hookedChannel, FieldAppSecret, ""), request([]byte(raw), rawMAC))
	require.ErrorIs(t, err, channels.ErrUnauthorized, "a channel without a secret takes nothing")
	assert.Equal(t, "1bf6d6969c48acce0fc9e8b544610595a6f5b7c2cc17e2625bfe073f97ca6b24", proof(appSecret, "EAAB_token"))
}

func TestMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"no entries":       `{"object":"page"}`,
		"entries null":     `{"object":"page","entry":null}`,
		"entries a word":   `{"object":"page","entry":"x"}`,
		"another object":   `{"object":"instagram","entry":[]}`,
		"too many entries": `{"object":"page","entry":[` + strings.Repeat("{},", longestList) + `{}]}`,
		"too large":        `{"object":"page","entry":[],"x":"` + strings.Repeat("x", bodyLimit) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(http.DefaultClient, DefaultAPI).Webhook(t.Context(), hookedChannel, request(sealed(body)))
			require.ErrorIs(t, err, channels.ErrMalformed)
		})
	}
}

// One bad event spoils no other: refusing them all would end in the app being unsubscribed.
func TestUnreadableEventIsLeftOut(t *testing.T) {
	for name, bad := range map[string]string{
		"a number": `7`, "null": `null`, "no sender": `{"recipient":{"id":"1"},"message":{"mid":"m","text":"x"}}`,
		"no mid": said(`"text":"x"`), "text a number": said(`"mid":"m","text":7`), "an endless mid": said(`"mid":"` + strings.Repeat("x", 300) + `","text":"x"`),
		"a mid with a line": said(`"mid":"a\nb","text":"x"`), "a sender that is an object": `{"sender":{"id":{}},"message":{"mid":"m"}}`,
		"a receipt of nothing": from(`"read":{}`), "an edit of nothing": from(`"message_edit":{"text":"x"}`),
	} {
		t.Run(name, func(t *testing.T) {
			d := receive(t, delivered("messaging", bad, said(`"mid":"m_2","text":"good"`)))
			require.Len(t, d.Events, 1)
			assert.Equal(t, "good", d.Events[0].Text)
			assert.Equal(t, 1, d.Ignored["unreadable"]+d.Ignored["other"], "%v", d.Ignored)
		})
	}
}

func TestBatches(t *testing.T) {
	body := `{"object":"page","entry":[` +
		`{"id":"1","time":1,"messaging":[` + said(`"mid":"m_1","text":"a"`) + `,` + said(`"mid":"m_2","text":"b"`) + `]},` +
		`{"id":"9","time":1,"messaging":[{"sender":{"id":"3"},"recipient":{"id":"9"},"timestamp":1,"message":{"mid":"m_3","text":"theirs"}}]},` +
		`{"id":"1","time":1,"standby":[` + said(`"mid":"m_4","text":"c"`) + `]},` +
		`{"id":1,"time":1,"changes":[{"field":"feed"}]},7]}`
	a := New(http.DefaultClient, DefaultAPI)
	d := receive(t, body)
	require.Len(t, d.Events, 3, "all entries and all their events")
	assert.Equal(t, map[string]int{"other_page": 1, "changes": 1, "unreadable": 1}, d.Ignored)

	accounts, err := a.Accounts(t.Context(), hookedChannel, request(sealed(body)))
	require.NoError(t, err)
	require.Len(t, accounts, 2, "one webhook for many pages")
	mine, err := a.Webhook(t.Context(), hookedChannel, accounts["1"])
	require.NoError(t, err)
	assert.Equal(t, d.Events, mine.Events)
	assert.Equal(t, map[string]int{"changes": 1}, mine.Ignored)
	theirs := hookedChannel
	theirs.AccountID = "9"
	other, err := a.Webhook(t.Context(), theirs, accounts["9"])
	require.NoError(t, err)
	require.Len(t, other.Events, 1)
	assert.Equal(t, "3", other.Events[0].User.ID)
	_, err = a.Webhook(t.Context(), with(theirs, FieldAppSecret, "another app's"), accounts["9"])
	require.ErrorIs(t, err, channels.ErrUnauthorized, "a page of another app takes nothing of this one")
	_, err = a.Accounts(t.Context(), hookedChannel, request([]byte(body), "sha256=00"))
	require.ErrorIs(t, err, channels.ErrUnauthorized)
	alone, err := a.Accounts(t.Context(), hookedChannel, request(sealed(delivered("messaging"))))
	require.NoError(t, err)
	assert.Equal(t, delivered("messaging"), string(alone["1"].Body), "of a single page the bytes stay as they are")
}

// What really comes from the double: escaped bytes, batches, repeats, retries.
func TestDeliveriesOfTheDouble(t *testing.T) {
	f := setUp(t)
	posted := f.hooked(t)
	f.ann.Write("Grüße / 世界 🐝")
	r := <-posted
	assert.False(t, bytes.ContainsFunc(r.Body, func(c rune) bool { return c >= utf8.RuneSelf }), "§7: the body is escaped ASCII")
	assert.Contains(t, string(r.Body), `\u00fc`)
	d, err := f.Webhook(t.Context(), f.ch, r)
	require.NoError(t, err)
	assert.Equal(t, "Grüße / 世界 🐝", d.Events[0].Text)

	f.app.DuplicateNext(1)
	f.ann.Write("twice")
	original, repeat := f.event(t, posted), f.event(t, posted)
	assert.Equal(t, original, repeat, "a repeat has the same key")

	f.app.Hold()
	first, second := f.ann.Write("one"), f.ann.Write("two")
	f.ann.Read()
	f.app.Flush()
	events := f.events(t, posted)
	require.Len(t, events, 3)
	assert.Equal(t, []string{first, second}, []string{events[0].MessageID, events[1].MessageID})
}
