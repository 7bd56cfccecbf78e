package messengertest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waggle/channels/messenger/messengertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock only moves when told to, except that nobody waits by it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time                       { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) After(time.Duration) <-chan time.Time { return make(chan time.Time) }
func (c *clock) advance(d time.Duration)              { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

type world struct {
	*messengertest.Server
	t     *testing.T
	http  *http.Client
	clock *clock
	app   *messengertest.App
	page  *messengertest.Page
	token string
}

func setUp(t *testing.T) world {
	t.Helper()
	c := &clock{now: time.UnixMilli(1780000000000)}
	s := messengertest.New(messengertest.WithClock(c))
	transport := &http.Transport{}
	t.Cleanup(s.Close)
	t.Cleanup(transport.CloseIdleConnections)
	w := world{Server: s, t: t, clock: c, app: s.AddApp("11", "secret"), page: s.AddPage("1", "Shop"), http: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.token = w.page.Token(w.app)
	return w
}

// call makes a call with the token as access_token and returns its status and answer.
func (w world) call(verb, path string, params url.Values, body string) (int, map[string]any) {
	w.t.Helper()
	if params == nil {
		params = url.Values{}
	}
	if !params.Has("access_token") {
		params.Set("access_token", w.token)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), verb, w.URL+"/v25.0"+path+"?"+params.Encode(), strings.NewReader(body))
	require.NoError(w.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return w.do(r)
}

func (w world) do(r *http.Request) (int, map[string]any) {
	w.t.Helper()
	res, err := w.http.Do(r)
	require.NoError(w.t, err)
	defer res.Body.Close()
	var answer map[string]any
	require.NoError(w.t, json.NewDecoder(res.Body).Decode(&answer))
	return res.StatusCode, answer
}

// code requires a refusal with status 400 and returns its code and subcode.
func (w world) refused(status int, answer map[string]any) [2]float64 {
	w.t.Helper()
	assert.Equal(w.t, http.StatusBadRequest, status)
	e, ok := answer["error"].(map[string]any)
	require.True(w.t, ok, "%v", answer)
	assert.NotEmpty(w.t, e["message"])
	assert.NotEmpty(w.t, e["fbtrace_id"])
	sub, _ := e["error_subcode"].(float64)
	return [2]float64{e["code"].(float64), sub}
}

func text(words string) string {
	body, _ := json.Marshal(map[string]any{"recipient": map[string]string{"id": "2"}, "messaging_type": "RESPONSE", "message": map[string]string{"text": words}})
	return string(body)
}

func TestSendRules(t *testing.T) {
	w := setUp(t)
	ann := w.page.Customer("2", "Ann", "Lee")
	send := func(body string) [2]float64 {
		status, a := w.call(http.MethodPost, "/me/messages", nil, body)
		return w.refused(status, a)
	}
	assert.Equal(t, [2]float64{10, 2018278}, send(text("hi")), "he never wrote")
	ann.Write("hello")
	status, answer := w.call(http.MethodPost, "/1/messages", nil, text("hi"))
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "2", answer["recipient_id"])
	assert.Equal(t, ann.Inbox()[0].MID, answer["message_id"])
	assert.Equal(t, [2]float64{100, 0}, send(text(strings.Repeat("x", 2001))))
	status, _ = w.call(http.MethodPost, "/me/messages", nil, text(strings.Repeat("🐝", 2000)))
	assert.Equal(t, http.StatusOK, status, "characters, not bytes")
	assert.Equal(t, [2]float64{100, 0}, send(`{"recipient":{"id":"2"},"message":{}}`))
	assert.Equal(t, [2]float64{100, 0}, send(`{"recipient":{"id":"2"},"message":{"text":"x","attachment":{"type":"file"}}}`))
	assert.Equal(t, [2]float64{100, 0}, send(`{"recipient":{"id":"2"},"messaging_type":"SPAM","message":{"text":"x"}}`))
	assert.Equal(t, [2]float64{100, 2018001}, send(`{"recipient":{"id":"404"},"message":{"text":"x"}}`))
	other := w.AddPage("9", "Other").Customer("3", "Ben", "")
	other.Write("hi")
	assert.Equal(t, [2]float64{100, 2018001}, send(strings.ReplaceAll(text("x"), `"2"`, `"3"`)), "an id is its page's alone")

	w.clock.advance(24*time.Hour + time.Second)
	assert.Equal(t, [2]float64{10, 2018278}, send(text("late")))
	status, _ = w.call(http.MethodPost, "/me/messages", nil, `{"recipient":{"id":"2"},"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT","message":{"text":"x"}}`)
	assert.Equal(t, http.StatusOK, status)
	ann.Block()
	assert.Equal(t, [2]float64{551, 1545041}, send(text("x")))
	w.page.Forbid("pages_messaging")
	assert.Equal(t, [2]float64{230, 0}, send(text("x")))
	w.page.Revoke()
	assert.Equal(t, [2]float64{190, 460}, send(text("x")))
}

func TestTokensAndProof(t *testing.T) {
	w := setUp(t)
	status, answer := w.call(http.MethodGet, "/1", url.Values{"access_token": {"x"}}, "")
	assert.Equal(t, [2]float64{190, 0}, w.refused(status, answer))
	status, answer = w.call(http.MethodGet, "/1", url.Values{"access_token": {""}}, "")
	assert.Equal(t, [2]float64{104, 0}, w.refused(status, answer))
	status, answer = w.call(http.MethodGet, "/404", nil, "")
	assert.Equal(t, [2]float64{100, 33}, w.refused(status, answer))
	status, answer = w.call(http.MethodGet, "/1", url.Values{"fields": {"id,name"}}, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, map[string]any{"id": "1", "name": "Shop"}, answer)
	status, answer = w.call(http.MethodGet, "/1", url.Values{"appsecret_proof": {"00"}}, "")
	assert.Equal(t, [2]float64{100, 0}, w.refused(status, answer))
	w.app.RequireProof()
	status, answer = w.call(http.MethodGet, "/1", nil, "")
	assert.Equal(t, [2]float64{100, 0}, w.refused(status, answer))

	status, answer = w.call(http.MethodGet, "/debug_token", url.Values{"input_token": {w.token}, "access_token": {"11|secret"}}, "")
	assert.Equal(t, http.StatusOK, status)
	data := answer["data"].(map[string]any)
	assert.Equal(t, "PAGE", data["type"])
	assert.Equal(t, "1", data["profile_id"])
	assert.Equal(t, true, data["is_valid"])
	status, answer = w.call(http.MethodGet, "/debug_token", url.Values{"input_token": {w.token}, "access_token": {"11|wrong"}}, "")
	assert.Equal(t, [2]float64{190, 0}, w.refused(status, answer))
}

func TestSubscriptions(t *testing.T) {
	w := setUp(t)
	status, answer := w.call(http.MethodPost, "/1/subscribed_apps", url.Values{"subscribed_fields": {"messages,nonsense"}}, "")
	assert.Equal(t, [2]float64{100, 0}, w.refused(status, answer))
	assert.Nil(t, w.page.Subscribed(w.app))
	status, answer = w.call(http.MethodPost, "/1/subscribed_apps", url.Values{"subscribed_fields": {"messages,standby"}}, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, true, answer["success"])
	_, answer = w.call(http.MethodGet, "/1/subscribed_apps", nil, "")
	assert.Len(t, answer["data"], 1)
	status, _ = w.call(http.MethodDelete, "/1/subscribed_apps", nil, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Nil(t, w.page.Subscribed(w.app))
}

// hook receives what the double posts; it answers as told.
type hook struct {
	mu       sync.Mutex
	statuses []int // of the next answers; 200 after that
	got      chan string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if r.URL.Query().Get("hub.verify_token") != "right" || r.URL.Query().Get("hub.mode") != "subscribe" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
		return
	}
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	status := http.StatusOK
	if len(h.statuses) > 0 {
		status, h.statuses = h.statuses[0], h.statuses[1:]
	}
	h.mu.Unlock()
	w.WriteHeader(status)
	h.got <- string(body)
}

func TestDeliveries(t *testing.T) {
	w := setUp(t)
	h := &hook{got: make(chan string, 10)}
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	require.Error(t, w.app.SetWebhook(front.URL, "wrong"))
	require.NoError(t, w.app.SetWebhook(front.URL, "right"))
	w.page.Subscribe(w.app, "messages", "message_echoes", "standby")
	ann := w.page.Customer("2", "Ann", "Lee")

	mid := ann.Write("é/🐝")
	body := <-h.got
	assert.Equal(t, `{"entry":[{"id":"1","messaging":[{"message":{"mid":"`+mid+`","text":"\u00e9\/\ud83d\udc1d"},`+
		`"recipient":{"id":"1"},"sender":{"id":"2"},"timestamp":1780000000000}],"time":1780000000000}],"object":"page"}`, body)
	require.NoError(t, w.app.WaitDelivered(t.Context()))
	ann.Press("Start", "GO")
	ann.Read()
	require.NoError(t, w.app.WaitDelivered(t.Context()))
	assert.Empty(t, h.got, "what nobody subscribed is not sent")

	h.statuses = []int{500}
	ann.Write("again")
	first := <-h.got
	require.NoError(t, w.app.WaitForFailures(t.Context(), 1))
	w.app.RetryNow()
	assert.Equal(t, first, <-h.got, "what was not answered 200 comes again, byte for byte")
	require.NoError(t, w.app.WaitDelivered(t.Context()))

	w.app.DuplicateNext(1)
	ann.Write("twice")
	first = <-h.got
	assert.Equal(t, first, <-h.got)
	require.NoError(t, w.app.WaitDelivered(t.Context()))
	assert.Equal(t, 1, w.app.Doubled())

	w.app.ReorderNext(2)
	ann.Write("former")
	ann.Write("latter")
	assert.Contains(t, <-h.got, "latter")
	assert.Contains(t, <-h.got, "former")
	require.NoError(t, w.app.WaitDelivered(t.Context()))
	assert.Equal(t, 1, w.app.Reordered())

	w.app.Hold()
	ann.Write("a")
	ann.Write("b")
	w.app.Flush()
	assert.Equal(t, 2, strings.Count(<-h.got, `"time"`), "a batch of entries")

	bot := w.AddApp("22", "bot")
	w.page.Default(bot)
	w.clock.advance(25 * time.Hour)
	ann.Write("hello")
	assert.Contains(t, <-h.got, `"standby"`, "the new conversation is the default app's")
	status, answer := w.call(http.MethodPost, "/me/messages", nil, text("x"))
	assert.Equal(t, [2]float64{10, 2018300}, w.refused(status, answer))
	_, answer = w.call(http.MethodGet, "/me/thread_owner", url.Values{"recipient": {"2"}}, "")
	assert.Equal(t, "22", answer["data"].([]any)[0].(map[string]any)["thread_owner"].(map[string]any)["app_id"])
	require.NoError(t, ann.Answer(bot, "I am a bot"))
	assert.Contains(t, <-h.got, `"app_id":22`)
}

func TestUploads(t *testing.T) {
	w := setUp(t)
	ann := w.page.Customer("2", "Ann", "Lee")
	ann.Write("hi")
	upload := func(fields map[string]string, path string) (int, map[string]any) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		for name, value := range fields {
			require.NoError(t, form.WriteField(name, value))
		}
		part, err := form.CreateFormFile("filedata", "a.pdf")
		require.NoError(t, err)
		_, _ = io.WriteString(part, "content")
		require.NoError(t, form.Close())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+path+"?access_token="+w.token, &body)
		require.NoError(t, err)
		r.Header.Set("Content-Type", form.FormDataContentType())
		return w.do(r)
	}
	status, answer := upload(map[string]string{"message": `{"attachment":{"type":"file","payload":{"is_reusable":true}}}`}, "/me/message_attachments")
	require.Equal(t, http.StatusOK, status)
	id := answer["attachment_id"].(string)
	status, _ = w.call(http.MethodPost, "/me/messages", nil, `{"recipient":{"id":"2"},"message":{"attachment":{"type":"file","payload":{"attachment_id":"`+id+`"}}}}`)
	assert.Equal(t, http.StatusOK, status)
	status, answer = w.call(http.MethodPost, "/me/messages", nil, `{"recipient":{"id":"2"},"message":{"attachment":{"type":"image","payload":{"attachment_id":"`+id+`"}}}}`)
	assert.Equal(t, [2]float64{100, 2018074}, w.refused(status, answer), "a file is no image")
	status, _ = upload(map[string]string{"recipient": `{"id":"2"}`, "message": `{"attachment":{"type":"file","payload":{}}}`}, "/me/messages")
	assert.Equal(t, http.StatusOK, status, "both in one call")
	got := ann.Inbox()
	require.Len(t, got, 2)
	for _, m := range got {
		assert.Equal(t, "content", string(m.File))
		assert.Equal(t, "a.pdf", m.FileName)
	}
	status, answer = upload(map[string]string{"message": `{"attachment":{"type":"hologram"}}`}, "/me/message_attachments")
	assert.Equal(t, [2]float64{100, 0}, w.refused(status, answer))
}
