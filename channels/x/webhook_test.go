package x

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
)

// vectorSecret is the documented consumer secret, with which wire/x.md §5.2 and §5.3 are computed.
const vectorSecret = "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"

var hookChannel = channels.Channel{AccountID: shopID, Fields: map[string]string{FieldConsumerSecret: vectorSecret}}

func asked(token string) channels.Request {
	return channels.Request{
		Method: http.MethodGet, Header: func(string) string { return "" },
		Query: func(name string) string { return map[string]string{"crc_token": token}[name] },
	}
}

func offline() *Adapter { return New(&http.Client{}, DefaultAPI) }

func receive(t *testing.T, body string) channels.Delivery {
	t.Helper()
	d, err := offline().Webhook(t.Context(), hookChannel, delivery(body, signature(vectorSecret, []byte(body))))
	require.NoError(t, err, body)
	return d
}

// The documented event of wire/x.md §5.4, with what varies put in.
func documentedEvent(sender, recipient, data string) string {
	return fmt.Sprintf(`{"for_user_id":"4337869213","direct_message_events":[{"type":"message_create","id":"954491830116155396","created_timestamp":"1516403560557",`+
		`"message_create":{"target":{"recipient_id":%q},"sender_id":%q,"source_app_id":"13090192","message_data":{%s,"entities":{"hashtags":[],"symbols":[],`+
		`"user_mentions":[],"urls":[]}}}}],"apps":{"13090192":{"id":"13090192","name":"FuriousCamperTestApp1","url":"https://x.com/furiouscamper"}},`+
		`"users":{"3001969357":{"id":"3001969357","created_timestamp":"1422556069340","name":"Jordan Brinks","screen_name":"furiouscamper","protected":false},`+
		`"4337869213":{"id":"4337869213","name":"Harrison Test","screen_name":"Harris_0ff"}}}`, recipient, sender, data)
}

// §5.2, S4.22: the challenge, and what it must not be used for.
func TestChallenge(t *testing.T) {
	a := offline()
	t.Run("S4.22 §5.2 the vector", func(t *testing.T) {
		d, err := a.Webhook(t.Context(), hookChannel, asked("challenge_string"))
		require.NoError(t, err)
		assert.JSONEq(t, `{"response_token":"sha256=nlBfoc+sYi739ivT57rTKKl7OQM8PcJSNybJqfjoBUk="}`, string(d.Answer))
		accounts, err := a.Accounts(t.Context(), hookChannel, asked("challenge_string"))
		require.NoError(t, err)
		assert.Contains(t, accounts, shopID)
	})
	for name, token := range map[string]string{
		"none": "", "endless": strings.Repeat("x", 1001),
		"a delivery, to be signed for a forger": documentedEvent(annID, shopID, `"text":"forged"`),
		"a short one":                           `{"for_user_id":"1"}`, "one after a space": " \n{}",
	} {
		t.Run("S4.3 no answer: "+name, func(t *testing.T) {
			d, err := a.Webhook(t.Context(), hookChannel, asked(token))
			require.ErrorIs(t, err, channels.ErrMalformed)
			assert.Empty(t, d.Answer)
			_, err = a.Accounts(t.Context(), hookChannel, asked(token))
			require.ErrorIs(t, err, channels.ErrMalformed)
		})
	}
	t.Run("a channel without a secret answers nothing", func(t *testing.T) {
		_, err := a.Webhook(t.Context(), channels.Channel{}, asked("x"))
		require.ErrorIs(t, err, channels.ErrUnauthorized)
	})
}

// §5.3, S4.3: base64, over the raw body, with the consumer secret.
func TestSignatureOfDeliveries(t *testing.T) {
	const body = `{"for_user_id":"111"}`
	assert.Equal(t, "sha256=bwW9WB+r2vpwZce3NXpFU1G6ZARsByA7AQSspbvKDlI=", signature(vectorSecret, []byte(body)), "§5.3 the vector")
	a := offline()
	for name, proof := range map[string]string{
		"hex, as Meta's is": "sha256=6f05bd581fabdafa7065c7b7357a455351ba64046c07203b0104aca5bbca0e52", "none": "", "the scheme alone": "sha256=",
		"url-safe base64": "sha256=bwW9WB-r2vpwZce3NXpFU1G6ZARsByA7AQSspbvKDlI=", "unpadded": "sha256=bwW9WB+r2vpwZce3NXpFU1G6ZARsByA7AQSspbvKDlI",
	} {
		t.Run("S4.3 refused: "+name, func(t *testing.T) {
			_, err := a.Webhook(t.Context(), hookChannel, delivery(body, proof))
			require.ErrorIs(t, err, channels.ErrUnauthorized)
			_, err = a.Accounts(t.Context(), hookChannel, delivery(body, proof))
			require.ErrorIs(t, err, channels.ErrUnauthorized)
		})
	}
	_, err := a.Webhook(t.Context(), channels.Channel{}, delivery(body, signature("", []byte(body))))
	require.ErrorIs(t, err, channels.ErrUnauthorized, "a channel without a secret takes nothing")
	big := strings.Repeat(" ", bodyLimit) + body
	_, err = a.Webhook(t.Context(), hookChannel, delivery(big, signature(vectorSecret, []byte(big))))
	require.ErrorIs(t, err, channels.ErrMalformed)
}

// S4.3, S4.6: the documented event becomes the customer's message, with his id, name and handle.
func TestMessage(t *testing.T) {
	d := receive(t, documentedEvent(annID, shopID, `"text":"Hello World!"`))
	require.Len(t, d.Events, 1)
	assert.Equal(t, channels.Event{
		Kind: channels.Message, Key: "m:954491830116155396", MessageID: "954491830116155396", Text: "Hello World!",
		User: channels.User{ID: annID, Name: "Jordan Brinks", Username: "furiouscamper"}, At: time.UnixMilli(1516403560557).UTC(),
	}, d.Events[0])

	t.Run("§5.5 the same in the X Activity API's envelope is the same event", func(t *testing.T) {
		inner := strings.Replace(documentedEvent(annID, shopID, `"text":"Hello World!"`), `"for_user_id":"4337869213",`, "", 1)
		inner = strings.Replace(inner, `{"id":"3001969357","created_timestamp":"1422556069340","name":"Jordan Brinks","screen_name":"furiouscamper","protected":false}`,
			`{"data":{"id":"3001969357","name":"Jordan Brinks","username":"furiouscamper"}}`, 1)
		xaa := receive(t, `{"data":{"event_uuid":"1","filter":{"user_id":"4337869213"},"event_type":"dm.received","tag":"Waggle","payload":`+inner+`}}`)
		assert.Equal(t, d.Events, xaa.Events)
	})
	t.Run("without a time the id has it", func(t *testing.T) {
		for _, odd := range []string{"", "99999999999999999", "-5", "yesterday"} {
			d := receive(t, strings.Replace(documentedEvent(annID, shopID, `"text":"x"`), "1516403560557", odd, 1))
			assert.Equal(t, time.UnixMilli(1516403560557).UTC(), d.Events[0].At, odd)
		}
	})
}

// S4.2, §5.4: what the account itself sent comes back; it is an echo and nobody's message.
func TestEcho(t *testing.T) {
	d := receive(t, documentedEvent(shopID, annID, `"text":"Hello from the shop"`))
	require.Len(t, d.Events, 1)
	e := d.Events[0]
	assert.Equal(t, channels.Echo, e.Kind, "S4.2")
	assert.Equal(t, "954491830116155396", e.MessageID, "the id a send returns")
	assert.Equal(t, annID, e.User.ID, "the customer's side of it")
	assert.Equal(t, "furiouscamper", e.User.Username)
	assert.Equal(t, &channels.EchoNote{App: "FuriousCamperTestApp1"}, e.Echo)
}

// Of our own send the echo has the id the send returned, twice if it is delivered twice.
func TestEchoOfASend(t *testing.T) {
	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.app.DuplicateNext(1)
	sent, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "hi"})
	require.NoError(t, err)
	var keys []string
	for range 2 {
		d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
		require.NoError(t, err)
		require.Len(t, d.Events, 1)
		assert.Equal(t, channels.Echo, d.Events[0].Kind)
		assert.Equal(t, sent.MessageID, d.Events[0].MessageID)
		keys = append(keys, d.Events[0].Key)
	}
	assert.Equal(t, keys[0], keys[1], "S4.3 once even if repeated")
	f.shop.WriteByHand(f.ann, "by hand")
	d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
	require.NoError(t, err)
	assert.Equal(t, "Twitter Web Client", d.Events[0].Echo.App)
}

func TestReceipt(t *testing.T) {
	d := receive(t, `{"for_user_id":"4337869213","direct_message_mark_read_events":[{"created_timestamp":"1516403570000","sender_id":"3001969357",`+
		`"target":{"recipient_id":"4337869213"},"last_read_event_id":"954491830116155396"}],"users":{}}`)
	require.Len(t, d.Events, 1)
	e := d.Events[0]
	assert.Equal(t, channels.Receipt, e.Kind)
	assert.Equal(t, "r:3001969357:954491830116155396", e.Key)
	assert.Equal(t, annID, e.User.ID)
	assert.Equal(t, time.UnixMilli(1516403570000).UTC(), e.At)
	assert.Equal(t, &channels.ReceiptNote{Read: true, MessageIDs: []string{"954491830116155396"}, Until: time.UnixMilli(1516403560557).UTC()}, e.Receipt,
		"what was sent after the last message read has not been read")

	f := setUp(t)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.ann.Write("x")
	<-f.posted
	f.ann.Read()
	d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
	require.NoError(t, err)
	assert.Equal(t, channels.Receipt, d.Events[0].Kind)
}

func TestAttachments(t *testing.T) {
	photo := `"attachment":{"type":"media","media":{"id":1,"type":"photo","url":"https://t.co/abc","media_url_https":"https://ton.twitter.com/i/ton/data/dm/1/2/x.jpg"}}`
	d := receive(t, documentedEvent(annID, shopID, `"text":"look https://t.co/abc",`+photo))
	assert.Equal(t, "look", d.Events[0].Text, "the file's own link is no text")
	assert.Equal(t, []channels.Attachment{{Kind: "photo", Name: "photo.jpg", MIME: "image/jpeg", Ref: "https://ton.twitter.com/i/ton/data/dm/1/2/x.jpg"}}, d.Events[0].Attachments)

	video := `"attachment":{"type":"media","media":{"type":"video","url":"https://t.co/v","media_url_https":"https://pbs.twimg.com/thumb.jpg","video_info":{"variants":[` +
		`{"content_type":"application/x-mpegURL","url":"https://video.twimg.com/a.m3u8"},{"bitrate":256000,"content_type":"video/mp4","url":"https://video.twimg.com/s.mp4"},` +
		`{"bitrate":832000,"content_type":"video/mp4","url":"https://video.twimg.com/l.mp4"}]}}}`
	d = receive(t, documentedEvent(annID, shopID, `"text":"https://t.co/v",`+video))
	assert.Empty(t, d.Events[0].Text)
	assert.Equal(t, []channels.Attachment{{Kind: "video", Name: "video.mp4", MIME: "video/mp4", Ref: "https://video.twimg.com/l.mp4"}}, d.Events[0].Attachments)
	for in, want := range map[string]channels.Attachment{
		`"type":"photo","media_url_https":"https://ton.twitter.com/x.png?a=b"`: {Kind: "photo", Name: "photo.png", MIME: "image/png", Ref: "https://ton.twitter.com/x.png?a=b"},
		`"type":"animated_gif","video_info":{"variants":null}`:                 {Kind: "video", Name: "video.mp4", MIME: "video/mp4"},
		`"type":"hologram","media_url_https":"https://ton.twitter.com/x"`:      {Kind: "document", Name: "file", MIME: "application/octet-stream"},
	} {
		d := receive(t, documentedEvent(annID, shopID, `"text":"","attachment":{"media":{`+in+`}}`))
		assert.Equal(t, []channels.Attachment{want}, d.Events[0].Attachments)
	}
}

// What is no Direct Message between two is counted and ignored.
func TestIgnored(t *testing.T) {
	of := func(fields string) string { return `{"for_user_id":"4337869213",` + fields + `}` }
	for body, want := range map[string]string{
		of(`"tweet_create_events":[{"id":1}]`):                                                                      "other",
		of(`"direct_message_indicate_typing_events":[{"sender_id":"3001969357"}]`):                                  "typing",
		of(`"direct_message_events":[]`):                                                                            "other",
		of(`"direct_message_events":[{"type":"message_delete","id":"1"}]`):                                          "other",
		of(`"direct_message_events":null`):                                                                          "other",
		of(`"direct_message_mark_read_events":[{"sender_id":"4337869213","last_read_event_id":"1"}]`):               "own_read",
		of(`"direct_message_mark_read_events":[{"sender_id":"3001969357","last_read_event_id":"1/../2"}]`):          "malformed",
		strings.Replace(documentedEvent(annID, shopID, `"text":"x"`), "954491830116155396", "1'; --", 1):            "malformed",
		documentedEvent("ann", shopID, `"text":"x"`):                                                                "malformed",
		documentedEvent(annID, "5", `"text":"x"`):                                                                   "group",
		documentedEvent(shopID, shopID, `"text":"x"`):                                                               "self",
		documentedEvent(annID, shopID, `"text":""`):                                                                 "empty",
		`{"for_user_id":"5","direct_message_events":[]}`:                                                            "other_account",
		`{"user_event":{"revoke":{"source":{"user_id":"63046977"}}}}`:                                               "revoked",
		`{"data":{"filter":{"user_id":"4337869213"},"event_type":"chat.received","payload":{"encoded_event":"…"}}}`: "encrypted_chat",
		`{"data":{"filter":{"user_id":"4337869213"},"event_type":"profile.update.bio","payload":{"before":"a"}}}`:   "other",
	} {
		d := receive(t, body)
		assert.Empty(t, d.Events, body)
		assert.Equal(t, map[string]int{want: 1}, d.Ignored, body)
	}
}

func TestMalformed(t *testing.T) {
	many := strings.Repeat(`{},`, listLimit) + `{}`
	for name, body := range map[string]string{
		"no account":               `{}`,
		"an account of no shape":   `{"for_user_id":"../1"}`,
		"an account as a number":   `{"for_user_id":1}`,
		"events that are no list":  `{"for_user_id":"1","direct_message_events":{}}`,
		"an id as a number":        `{"for_user_id":"1","direct_message_events":[{"id":1}]}`,
		"more than X ever names":   `{"for_user_id":"1","direct_message_events":[` + many + `]}`,
		"the same list once more":  `{"for_user_id":"1","direct_message_events":[{}],"direct_message_events":[{}]}`,
		"variants without end":     documentedEvent(annID, shopID, `"text":"x","attachment":{"media":{"video_info":{"variants":[`+many+`]}}}`),
		"no text of characters":    documentedEvent(annID, shopID, "\"text\":\"\xff\""),
		"a payload that is a list": `{"data":{"filter":{"user_id":"1"},"payload":[]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := offline().Webhook(t.Context(), hookChannel, delivery(body, signature(vectorSecret, []byte(body))))
			require.ErrorIs(t, err, channels.ErrMalformed)
			_, err = offline().Accounts(t.Context(), hookChannel, delivery(body, signature(vectorSecret, []byte(body))))
			require.ErrorIs(t, err, channels.ErrMalformed)
		})
	}
	t.Run("users that are none leave the message without a name", func(t *testing.T) {
		for _, users := range []string{`[]`, `7`, `{"3001969357":7}`, `{"3001969357":{"name":7}}`} {
			body, _, _ := strings.Cut(documentedEvent(annID, shopID, `"text":"x"`), `"users":`)
			d := receive(t, body+`"users":`+users+`}`)
			assert.Equal(t, channels.User{ID: annID}, d.Events[0].User)
		}
	})
}

// crowded are bodies of few bytes and many things.
func crowded() map[string]string {
	const n = 100_000
	event := documentedEvent(annID, shopID, `"text":"x"`)
	return map[string]string{
		"empty events":      `{"for_user_id":"1","direct_message_events":[` + strings.Repeat(`{},`, n) + `{}]}`,
		"lists of the same": `{"for_user_id":"1",` + strings.Repeat(`"direct_message_events":[],`, n/10) + `"x":1}`,
		"many users":        event[:len(event)-2] + strings.Repeat(`,"1":{}`, n) + `}}`,
		"many variants":     documentedEvent(annID, shopID, `"text":"x","attachment":{"media":{"type":"video","video_info":{"variants":[`+strings.Repeat(`{},`, n)+`{}]}}}`),
		"many links":        withEntities(documentedEvent(annID, shopID, `"text":"`+strings.Repeat("https://t.co/a ", n/10)+`"`), `[{"url":"https://t.co/a","expanded_url":"https://`+strings.Repeat("a", n)+`"}]`),
		"links of nothing":  withEntities(documentedEvent(annID, shopID, `"text":"x"`), `{"urls":[`+strings.Repeat(`{},`, n)+`{}]}`),
		"many fields":       `{"for_user_id":"4337869213"` + strings.Repeat(`,"a":[]`, n) + `}`,
		"a long text":       documentedEvent(annID, shopID, `"text":"`+strings.Repeat(`\u0001`, n)+`"`),
		"broken characters": documentedEvent(annID, shopID, `"text":"`+strings.Repeat("\xff", n)+`"`),
		"deep":              `{"for_user_id":"4337869213","a":` + strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000) + `}`,
	}
}

// What comes in takes at most ten times its size, all allocations counted, beside what any delivery takes.
func TestWebhookStaysSmall(t *testing.T) {
	for name, body := range crowded() {
		t.Run(name, func(t *testing.T) {
			a, r := offline(), delivery(body, signature(vectorSecret, []byte(body)))
			assert.LessOrEqual(t, allocated(func() { _, _ = a.Webhook(t.Context(), hookChannel, r) }), uint64(10*len(body)+96<<10))
		})
	}
}

func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Issue 4, the same for whatever may come again and again.
func TestCrowdedDeliveriesStaySmall(t *testing.T) {
	a := offline()
	reading := func(body string) func() error {
		r := delivery(body, signature(vectorSecret, []byte(body)))
		return func() error {
			_, err := a.Webhook(t.Context(), hookChannel, r)
			return err
		}
	}
	channelstest.Crowds(t, reading,
		documentedEvent(annID, shopID, `"text":"hi","attachment":{"media":{"type":"video","url":"u","video_info":{"variants":[{"url":"x","content_type":"video/mp4","bitrate":1}]}}}`),
		`{"for_user_id":"4337869213","direct_message_mark_read_events":[{"sender_id":"1","last_read_event_id":"9"}],"direct_message_indicate_typing_events":[{}]}`,
		`{"data":{"filter":{"user_id":"4337869213"},"event_type":"dm.received","payload":{"direct_message_events":[{"type":"message_create","id":"1"}],"users":{"1":{"data":{"name":"Ann"}}}}}}`,
		`{"user_event":{"revoke":{}}}`)
}

// Whatever comes, the parser answers with events that have what the contract asks for, or with ErrMalformed.
func FuzzWebhook(f *testing.F) {
	f.Add(documentedEvent(annID, shopID, `"text":"hi"`))
	f.Add(documentedEvent(shopID, annID, `"text":"","attachment":{"media":{"type":"video","video_info":{"variants":[{"url":"x"}]}}}`))
	f.Add(`{"data":{"filter":{"user_id":"4337869213"},"event_type":"dm.read","payload":{"direct_message_mark_read_events":[{"sender_id":"1","last_read_event_id":"9999999999999999999"}]}}}`)
	f.Add(`{"user_event":{}}`)
	f.Add(`{"for_user_id":"4337869213","direct_message_events":[[[[`)
	a := offline()
	f.Fuzz(func(t *testing.T, body string) {
		r := delivery(body, signature(vectorSecret, []byte(body)))
		d, err := a.Webhook(t.Context(), hookChannel, r)
		accounts, failed := a.Accounts(t.Context(), hookChannel, r)
		require.Equal(t, err, failed)
		if err != nil {
			require.ErrorIs(t, err, channels.ErrMalformed)
			return
		}
		require.Len(t, accounts, 1)
		require.NotZero(t, len(d.Events)+len(d.Ignored), "nothing vanishes")
		checkEvents(t, d)
	})
}

func checkEvents(t *testing.T, d channels.Delivery) {
	for _, e := range d.Events {
		require.NotEmpty(t, e.Key)
		require.Regexp(t, userID, e.User.ID)
		require.False(t, e.At.IsZero())
		_, err := e.At.MarshalJSON()
		require.NoError(t, err)
		if e.Kind == channels.Receipt {
			require.NotNil(t, e.Receipt)
			continue
		}
		require.Regexp(t, userID, e.MessageID)
		require.Equal(t, e.Kind == channels.Echo, e.Echo != nil)
		require.True(t, e.Text != "" || len(e.Attachments) > 0)
	}
}
