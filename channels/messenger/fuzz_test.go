package messenger

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/channelstest"
)

func FuzzWebhook(f *testing.F) {
	f.Add(delivered("messaging", said(`"mid":"m_1","text":"hi","reply_to":{"mid":"m_0"}`)))
	f.Add(delivered("standby", said(`"mid":"m_1","attachments":[{"type":"image","payload":{"url":"https://a.fbcdn.net/..\\x.png","sticker_id":1}}]`)))
	f.Add(delivered("messaging", said(`"mid":"m_1","attachments":[{"type":"location","payload":{"coordinates":{"lat":1e308,"long":-0}}}]`)))
	f.Add(delivered("messaging", said(`"mid":"m_1","is_echo":true,"app_id":1,"metadata":"x"`)))
	f.Add(delivered("messaging", from(`"delivery":{"mids":["m_1"],"watermark":9223372036854775807}`), from(`"read":{"watermark":-1}`)))
	f.Add(delivered("messaging", from(`"message_edit":{"mid":"m_1","num_edit":1}`), from(`"postback":{}`), from(`"app_roles":{}`)))
	f.Add(delivered("messaging", from(`"pass_thread_control":{"new_owner_app_id":null}`), from(`"take_thread_control":{}`), from(`"request_thread_control":{}`)))
	f.Add(`{"object":"page","entry":[[[[`)
	a := New(http.DefaultClient, DefaultAPI)
	f.Fuzz(func(t *testing.T, body string) {
		r := request(sealed(body))
		cost := costOf(func() { _, _ = a.Webhook(t.Context(), hookedChannel, r) })
		require.LessOrEqual(t, cost, uint64(10*len(body)+32<<10), "allocated too much")
		d, err := a.Webhook(t.Context(), hookedChannel, r)
		if err != nil {
			require.ErrorIs(t, err, channels.ErrMalformed)
			require.Empty(t, d)
			return
		}
		for _, e := range d.Events {
			require.NotEmpty(t, e.Key)
			require.NotEmpty(t, e.User.ID)
			require.True(t, utf8.ValidString(e.Key+e.User.ID+e.MessageID+e.Text))
			require.Less(t, e.At.Year(), 10000)
			require.Equal(t, e.Kind == channels.Edit, e.MessageKey != "")
			require.Equal(t, e.Kind == channels.Receipt, e.Receipt != nil)
			require.Equal(t, e.Kind == channels.Echo, e.Echo != nil)
			require.Equal(t, e.Kind == channels.Control, e.Control != nil)
			if e.Kind == channels.Message {
				require.True(t, e.Text != "" || len(e.Attachments) > 0)
			}
			for _, at := range e.Attachments {
				require.NotContains(t, at.Name, "/")
			}
		}
		again, err := a.Webhook(t.Context(), hookedChannel, r)
		require.NoError(t, err)
		require.Equal(t, d, again)
		_, err = a.Accounts(t.Context(), hookedChannel, r)
		require.NoError(t, err)
	})
}

// Whatever answers a call, the Graph API or what stands before it, is success or a failure that jobs know what to do with. TOKEN,
// SECRET and PROOF in a body are the page's token, the app secret and the proof of it, which nobody is shown.
func FuzzAnswers(f *testing.F) {
	for code, message := range map[string]string{
		`190,"error_subcode":1234567`: "Invalid OAuth access token.", `1,"error_subcode":99`: "unknown error", `2`: "An unexpected error has occurred. Please retry your request later.",
		`1200`: "Temporary send message failure. Please try again later.", `4`: "Application request limit reached", `10,"error_subcode":2018278`: "This message is sent outside of allowed window.",
		`10,"error_subcode":2018300`: "another app", `10`: "no permission", `100`: "Invalid appsecret_proof PROOF", `100,"error_subcode":2018001`: "No matching user found", `100,"error_subcode":33`: "Unsupported",
		`200`: "(#200) This person isn't receiving messages", `551,"error_subcode":1545041`: "This person isn't available right now.", `613`: "Calls to this API have exceeded the rate limit.",
		`-9223372036854775808`: "TOKEN and SECRET", `101`: "Error validating client secret.",
	} {
		f.Add(400, "", `{"error":{"message":"`+message+`","type":"OAuthException","code":`+code+`,"fbtrace_id":"BLBz/WZt8dN"}}`)
	}
	f.Add(200, "", `{"id":"1","name":"Corner Shop","first_name":"Ann","message_id":"m_1","access_token":"TOKEN","success":true,"data":{"is_valid":true,"app_id":1517776481860111,"type":"PAGE","scopes":[]}}`)
	f.Add(200, "", `{"success":false,"access_token":"x","data":[{"id":"1","name":"Corner Shop","tasks":["MESSAGING"]}],"paging":{"next":"x","cursors":{"after":"y"}}}`)
	f.Add(200, "", `{"error":{"code":0,"message":"TOKEN"}}`)
	f.Add(200, "", `{"data":{"is_valid":false}}`)
	f.Add(400, "", `{"error":{"code":7,"message":"https://graph.facebook.com/?access_token=EAApage%7Ctoken"}}`)
	f.Add(429, "17", `slow down`)
	f.Add(429, "9223372036854775807", ``)
	f.Add(429, "-1", ``)
	f.Add(503, "5", `<html>`)
	f.Add(0, "", ``)
	f.Add(-1, "", `malformed HTTP response "TOKEN SECRET PROOF"`)
	const token = "EAApage|token"
	ch := hookedChannel
	ch.HookURL, ch.Fields = "https://waggle.example/hooks/messenger/1", maps.Clone(ch.Fields)
	ch.Fields[FieldToken] = token
	login := channels.LoginSettings{URL: "https://facebook.example", ClientID: ourApp, ClientSecret: appSecret}
	secrets := []string{appSecret, token, "EAApage%7Ctoken", proof(appSecret, token)} // the first goes along with every call
	plain := strings.NewReplacer("TOKEN", token, "SECRET", appSecret, "PROOF", proof(appSecret, token))
	f.Fuzz(func(t *testing.T, status int, retry, body string) {
		body = plain.Replace(body)
		answering := func(body string) *Adapter {
			return New(&http.Client{Transport: channelstest.Answer{Status: status, Header: http.Header{"Retry-After": {retry}}, Body: body}}, DefaultAPI)
		}
		send := func(a *Adapter, attempt int) (channels.Sent, error) {
			return a.Send(t.Context(), ch, channels.Part{Key: "part-1", UserID: "2", Text: "hi", Attempt: attempt})
		}
		began, a := time.Now(), answering(body)
		meant := func(err error, secrets ...string) {
			channelstest.Meant(t, err, time.Now, 24*time.Hour, secrets...)
			if e := channels.AsError(err); err != nil && !e.At.IsZero() {
				require.True(t, e.At.After(began), "a limit is waited for")
			}
		}
		for _, attempt := range []int{1, fewTries} {
			sent, err := send(a, attempt)
			meant(err, secrets...)
			require.Equal(t, err == nil, sent.MessageID != "")
			if err != nil && status >= 0 && !json.Valid([]byte(body)) {
				_, empty := send(answering(""), attempt)
				require.EqualError(t, err, empty.Error(), "a page is not quoted")
			}
		}
		_, err := a.Verify(t.Context(), ch)
		meant(err, secrets...)
		_, err = a.Check(t.Context(), ch)
		meant(err, secrets[:3]...)
		user, err := a.Profile(t.Context(), ch, "2")
		meant(err, secrets...)
		require.Equal(t, user.ID != "", user.Name != "")
		meant(a.Connect(t.Context(), ch, channels.ConnectOptions{}), secrets...)
		meant(a.Take(t.Context(), ch, "2"), secrets...)
		found, err := a.Login(t.Context(), login, "https://waggle.example/login", func(name string) string { return map[string]string{"code": "TheCode"}[name] })
		meant(err, appSecret)
		if err == nil {
			require.Len(t, found.Permissions, len(asked))
		}
	})
}

// costOf is how many bytes f allocates: the least of some runs, as others in this process allocate too.
func costOf(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// Bodies made to cost much: each at most ten times itself, beside what a full batch of the smallest events costs.
func TestAllocation(t *testing.T) {
	const batch = 2 << 20
	entries := `{"object":"page","entry":[`
	for range 1000 {
		entries += `{"id":"1","messaging":[{"read":{}},{"read":{}},{"read":{}},{"read":{}},{"read":{}},{"read":{}},{"read":{}},{"read":{}}]},`
	}
	fill := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	for name, body := range map[string]string{
		"entries of nothing":           `{"object":"page","entry":[` + fill(`{}`, 1_000_000) + `]}`,
		"events of nothing":            delivered("messaging", fill(`{}`, 1_000_000)),
		"numbers":                      `{"object":"page","entry":[` + fill(`7`, 1_500_000) + `]}`,
		"attachments":                  delivered("messaging", said(`"mid":"m","attachments":[`+fill(`{}`, 1_000_000)+`]`)),
		"mids":                         delivered("messaging", from(`"delivery":{"watermark":1,"mids":[`+fill(`""`, 1_000_000)+`]}`)),
		"one long text":                delivered("messaging", said(`"mid":"m","text":"`+strings.Repeat("x", 3<<20)+`"`)),
		"one long escaped text":        delivered("messaging", said(`"mid":"m","text":"`+strings.Repeat(`\u4e16`, 500_000)+`"`)),
		"more events than a batch has": entries + `{}]}`,
		"a thousand messages":          delivered("messaging", fill(said(`"mid":"m","text":"x"`), 1000)),
		"very deep":                    `{"object":"page","entry":[{"id":` + strings.Repeat(`[`, 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			a, r := New(http.DefaultClient, DefaultAPI), request(sealed(body))
			cost := costOf(func() { _, _ = a.Webhook(t.Context(), hookedChannel, r) })
			assert.LessOrEqual(t, cost, uint64(10*len(body)+batch), "%d bytes", len(body))
			cost = costOf(func() { _, _ = a.Accounts(t.Context(), hookedChannel, r) })
			assert.LessOrEqual(t, cost, uint64(10*len(body)+batch), "accounts of %d bytes", len(body))
		})
	}
}

// Issue 4, the same for whatever may come again and again in a delivery, in one event, and in one attachment: of whole ones there are
// at most a thousand, and what they take is told above.
func TestAllocationOfCrowds(t *testing.T) {
	a := New(http.DefaultClient, DefaultAPI)
	reading := func(body string) func() error {
		r := request(sealed(body))
		return func() error {
			_, err := a.Webhook(t.Context(), hookedChannel, r)
			return err
		}
	}
	channelstest.Crowds(t, reading, `{"object":"page","entry":[]}`, delivered("messaging"), delivered("standby"))
	channelstest.Crowds(t, func(event string) func() error { return reading(delivered("messaging", event)) },
		said(`"mid":"m_1","text":"hi","reply_to":{"mid":"m_0"},"attachments":[]`), said(`"mid":"m_1","is_echo":true,"app_id":1,"metadata":"x"`),
		from(`"delivery":{"mids":["m_1"],"watermark":1}`),
		from(`"read":{"watermark":1},"message_edit":{"mid":"m_1","num_edit":1},"postback":{"mid":"m"}`),
		from(`"pass_thread_control":{"new_owner_app_id":null},"take_thread_control":{},"request_thread_control":{},"reaction":{},"app_roles":{}`))
	channelstest.Crowds(t, func(attachment string) func() error {
		return reading(delivered("messaging", said(`"mid":"m_1","attachments":[`+attachment+`]`)))
	},
		`{"type":"image","title":"t","url":"u","payload":{"url":"u","sticker_id":1}}`, `{"type":"location","payload":{"coordinates":{"lat":1}}}`)
}
