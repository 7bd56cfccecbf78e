package messenger

import (
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
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
