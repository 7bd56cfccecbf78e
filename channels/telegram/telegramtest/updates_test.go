package telegramtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels/telegram/telegramtest"
)

// clock is a clock a test moves. After fires at once for waits it is told to skip.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan time.Time]time.Time
	waits   chan time.Duration
}

func newClock() *clock {
	return &clock{now: time.Unix(1780000000, 0), waiting: map[chan time.Time]time.Time{}, waits: make(chan time.Duration, 100)}
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.waiting[ch] = c.now.Add(d)
	c.waits <- d
	return ch
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, due := range c.waiting {
		if !due.After(c.now) {
			ch <- c.now
			delete(c.waiting, ch)
		}
	}
}

type received struct {
	ID      int64 `json:"update_id"`
	Message *struct {
		Text string `json:"text"`
	} `json:"message"`
	Edited *struct {
		Text     string `json:"text"`
		EditDate int64  `json:"edit_date"`
	} `json:"edited_message"`
	Member json.RawMessage `json:"my_chat_member"`
}

// hook is a webhook receiver whose answers a test decides.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	header []http.Header
	answer func(n int) (status int, retryAfter int)
}

func newHook(t *testing.T, answer func(n int) (int, int)) *hook {
	h := &hook{answer: answer}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var u received
		_ = json.Unmarshal(body, &u)
		h.mu.Lock()
		h.got = append(h.got, u)
		h.header = append(h.header, r.Header.Clone())
		n := len(h.got)
		h.mu.Unlock()
		status, retry := h.answer(n)
		if retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(retry))
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) texts() (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.got {
		switch {
		case u.Message != nil:
			found = append(found, u.Message.Text)
		case u.Edited != nil:
			found = append(found, "edit:"+u.Edited.Text)
		default:
			found = append(found, "other")
		}
	}
	return found
}

func taken(int) (int, int) { return 200, 0 }

func TestWebhookState(t *testing.T) {
	clock := newClock()
	c, bot := start(t, telegramtest.WithClock(clock))
	set := func(body string) answer { clock.Advance(time.Second); return c.call("setWebhook", body) }

	assert.JSONEq(t, `{"url":"","has_custom_certificate":false,"pending_update_count":0}`, string(c.call("getWebhookInfo", ``).Result))
	assert.Equal(t, "Webhook was set", set(`{"url":"http://127.0.0.1:1/a","secret_token":"s1","allowed_updates":["message"]}`).Desc)
	assert.Equal(t, "Webhook is already set", set(`{"url":"http://127.0.0.1:1/a","secret_token":"s1"}`).Desc)
	assert.Equal(t, []string{"message"}, bot.Webhook().AllowedUpdates, "§2: omitted keeps the setting")
	assert.Equal(t, "Webhook was set", set(`{"url":"http://127.0.0.1:1/a","secret_token":"s2"}`).Desc, "§2: the secret is compared")
	assert.JSONEq(t, `{"url":"http://127.0.0.1:1/a","has_custom_certificate":false,"pending_update_count":0,"max_connections":40,"allowed_updates":["message"]}`,
		string(c.call("getWebhookInfo", ``).Result))
	set(`{"url":"http://127.0.0.1:1/a","secret_token":"s2","allowed_updates":[]}`)
	assert.Nil(t, bot.Webhook().AllowedUpdates, "§2: [] is the default set")

	flood := c.call("setWebhook", `{"url":"http://127.0.0.1:1/a"}`)
	assert.Equal(t, 429, flood.status, "§1: more than once a second")
	assert.Equal(t, "1", flood.retryAfter)

	assert.Equal(t, "Webhook was deleted", c.call("deleteWebhook", `{}`).Desc)
	assert.Equal(t, "Webhook is already deleted", c.call("setWebhook", `{"url":""}`).Desc)
}

func TestCloudRules(t *testing.T) {
	clock := newClock()
	c, _ := start(t, telegramtest.WithCloudRules(), telegramtest.WithClock(clock))
	for target, desc := range map[string]string{
		"http://bot.example/x":       "Bad Request: bad webhook: An HTTPS URL must be provided for webhook",
		"https://bot.example:9000/x": "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
		"https://127.0.0.1/x":        "Bad Request: bad webhook: IP address 127.0.0.1 is reserved",
	} {
		clock.Advance(time.Second)
		assert.Equal(t, desc, c.call("setWebhook", `{"url":"`+target+`"}`).Desc, target)
	}
}

func TestDeliveryHeadersOrderAndKinds(t *testing.T) {
	c, bot := start(t)
	h := newHook(t, taken)
	require.True(t, c.call("setWebhook", `{"url":"`+h.URL+`","secret_token":"s-1","allowed_updates":["message","edited_message"]}`).OK)
	ann := bot.Customer(5, "Ann")
	first := ann.Write("one")
	ann.Edit(first, "uno")
	ann.Write("two")
	ann.Block()
	require.Zero(t, bot.Push("inline_query", map[string]any{"id": "1"}), "§2: not in allowed_updates")
	require.NoError(t, bot.WaitDelivered(t.Context()))
	assert.Equal(t, []string{"one", "edit:uno", "two"}, h.texts(), "§4: one queue for message and edited_message")
	assert.Equal(t, "s-1", h.header[0].Get("X-Telegram-Bot-Api-Secret-Token"))
	assert.Equal(t, "application/json", h.header[0].Get("Content-Type"))
}

// §4: 0, 2, 4, 8 … s; a failing update blocks its chat only; Retry-After replaces the wait.
func TestDeliveryRetries(t *testing.T) {
	c, bot := start(t)
	h := newHook(t, func(n int) (int, int) {
		switch n {
		case 1, 2, 3:
			return 500, 0
		case 4:
			return 302, 0
		case 5:
			return 503, 33
		}
		return 204, 0
	})
	require.True(t, c.call("setWebhook", `{"url":"`+h.URL+`"}`).OK)
	ann := bot.Customer(5, "Ann")
	ann.Write("one")
	require.NoError(t, bot.WaitForFailures(t.Context(), 2))
	ann.Write("two")
	for n := 3; n <= 5; n++ {
		bot.RetryNow()
		require.NoError(t, bot.WaitForFailures(t.Context(), n))
	}
	assert.Equal(t, 2, bot.Webhook().Pending)
	assert.Equal(t, "Wrong response from the webhook: 503 Service Unavailable", bot.Webhook().LastError)
	bot.Customer(6, "Bob").Write("other chat")
	require.NoError(t, bot.WaitForPending(t.Context(), 2), "§4: another chat is not blocked")
	bot.RetryNow()
	require.NoError(t, bot.WaitDelivered(t.Context()))
	assert.Equal(t, []string{"one", "one", "one", "one", "one", "other chat", "one", "two"}, h.texts())
	var delays []time.Duration
	for _, f := range bot.Failures() {
		delays = append(delays, f.Delay)
	}
	assert.Equal(t, []time.Duration{0, 2 * time.Second, 4 * time.Second, 8 * time.Second, 33 * time.Second}, delays)
}

func TestRetryIsCappedAndExpires(t *testing.T) {
	clock := newClock()
	c, bot := start(t, telegramtest.WithClock(clock))
	h := newHook(t, func(int) (int, int) { return 500, 0 })
	require.True(t, c.call("setWebhook", `{"url":"`+h.URL+`"}`).OK)
	bot.Customer(5, "Ann").Write("one")
	for n := 1; n <= 10; n++ {
		require.NoError(t, bot.WaitForFailures(t.Context(), n))
		bot.RetryNow()
	}
	last := bot.Failures()[9].Delay
	assert.GreaterOrEqual(t, last, time.Minute)
	assert.LessOrEqual(t, last, 2*time.Minute)
	clock.Advance(24 * time.Hour)
	require.NoError(t, bot.WaitDelivered(t.Context()), "§4: expired after 24 h")
}

func TestGoneRemovesTheWebhook(t *testing.T) {
	clock := newClock()
	c, bot := start(t, telegramtest.WithClock(clock))
	h := newHook(t, func(int) (int, int) { return 410, 0 })
	require.True(t, c.call("setWebhook", `{"url":"`+h.URL+`"}`).OK)
	bot.Customer(5, "Ann").Write("one")
	require.NoError(t, bot.WaitForFailures(t.Context(), 2))
	clock.Advance(23 * time.Hour)
	require.NoError(t, bot.WaitForFailures(t.Context(), 3))
	assert.Empty(t, bot.Webhook().URL, "§4: 410 for 23 h")
}

func TestDuplicatesAndReordering(t *testing.T) {
	c, bot := start(t)
	h := newHook(t, taken)
	require.True(t, c.call("setWebhook", `{"url":"`+h.URL+`"}`).OK)
	ann := bot.Customer(5, "Ann")
	bot.DuplicateNext(1)
	ann.Write("twice")
	require.NoError(t, bot.WaitDelivered(t.Context()))
	bot.ReorderNext(3)
	ann.Write("1")
	ann.Write("2")
	ann.Write("3")
	require.NoError(t, bot.WaitDelivered(t.Context()))
	assert.Equal(t, []string{"twice", "twice", "3", "2", "1"}, h.texts())
	assert.Equal(t, h.got[0].ID, h.got[1].ID)
	bot.ReorderNext(2)
	ann.Write("4")
	bot.Customer(6, "Ben").Write("5")
	require.NoError(t, bot.WaitDelivered(t.Context()))
	assert.Equal(t, telegramtest.Effects{Doubled: 1, Reordered: 1}, bot.Effects(), "two chats have no order")
}

func TestGetUpdates(t *testing.T) {
	clock := newClock()
	c, bot := start(t, telegramtest.WithClock(clock))
	ann := bot.Customer(5, "Ann")
	for _, text := range []string{"1", "2", "3"} {
		ann.Write(text)
	}
	poll := func(body string) []received {
		clock.Advance(4 * time.Second)
		var found []received
		require.NoError(t, json.Unmarshal(c.call("getUpdates", body).Result, &found))
		return found
	}
	all := poll(`{}`)
	require.Len(t, all, 3)
	assert.Len(t, poll(`{}`), 3, "§2: unconfirmed updates come again")
	assert.Len(t, poll(`{"limit":1}`), 1)
	assert.Len(t, poll(`{"offset":`+strconv.FormatInt(all[1].ID+1, 10)+`}`), 1, "§2: offset confirms what lies below")
	assert.Len(t, poll(`{"offset":-1}`), 1)
	assert.Empty(t, poll(`{"offset":`+strconv.FormatInt(all[2].ID+1, 10)+`}`))

	ann.Write("4")
	require.True(t, c.call("setWebhook", `{"url":"http://127.0.0.1:1/"}`).OK)
	refused := c.call("getUpdates", `{}`)
	assert.Equal(t, 409, refused.status)
	assert.Equal(t, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first", refused.Desc)
	require.True(t, c.call("deleteWebhook", `{}`).OK)
	assert.Len(t, poll(`{}`), 1, "§2: pending updates stay")
	require.True(t, c.call("deleteWebhook", `{"drop_pending_updates":true}`).OK)
	assert.Empty(t, poll(`{"offset":1}`))
}

func TestLongPollWaitsAndTheOlderPollerLoses(t *testing.T) {
	clock := newClock()
	c, bot := start(t, telegramtest.WithClock(clock))
	ann := bot.Customer(5, "Ann")
	polled := make(chan answer, 3)
	poll := func(body string) { go func() { polled <- c.call("getUpdates", body) }() }

	poll(`{"timeout":500,"offset":1}`)
	assert.Equal(t, 50*time.Second, <-clock.waits, "§2: clamped to 50 s")
	poll(`{"timeout":20,"offset":2}`)
	old := <-polled
	assert.Equal(t, 409, old.status)
	assert.Equal(t, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", old.Desc)
	ann.Write("hi")
	assert.Contains(t, string((<-polled).Result), `"hi"`)

	clock.Advance(time.Minute)
	require.True(t, c.call("deleteWebhook", `{"drop_pending_updates":true}`).OK)
	for len(clock.waits) > 0 {
		<-clock.waits
	}
	poll(`{"timeout":10,"offset":3}`)
	<-clock.waits
	clock.Advance(10 * time.Second)
	assert.JSONEq(t, `[]`, string((<-polled).Result), "the wait is over")

	poll(`{"timeout":30,"offset":4}`)
	<-clock.waits
	require.True(t, c.call("setWebhook", `{"url":"http://127.0.0.1:1/"}`).OK)
	assert.Equal(t, "Conflict: terminated by setWebhook request", (<-polled).Desc)
}
