package telegramtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waggle/channels/double"
	"waggle/channels/telegram/telegramtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "111:AAsecret"

// caller speaks raw HTTP to the double: no client of ours comes between.
type caller struct {
	t    *testing.T
	s    *telegramtest.Server
	http *http.Client
}

func start(t *testing.T, opts ...telegramtest.Option) (caller, *telegramtest.Bot) {
	t.Helper()
	s := telegramtest.New(opts...)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(s.Close)
	t.Cleanup(client.CloseIdleConnections)
	return caller{t: t, s: s, http: client}, s.AddBot(token, "shop_bot")
}

type answer struct {
	status     int
	retryAfter string
	raw        string
	OK         bool            `json:"ok"`
	Code       int             `json:"error_code"`
	Desc       string          `json:"description"`
	Result     json.RawMessage `json:"result"`
	Parameters map[string]any  `json:"parameters"`
}

func (c caller) do(r *http.Request) answer {
	c.t.Helper()
	res, err := c.http.Do(r)
	require.NoError(c.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	a := answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After"), raw: string(raw)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		require.NoError(c.t, json.Unmarshal(raw, &a))
	}
	return a
}

// call posts JSON.
func (c caller) call(method, body string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.s.URL+"/bot"+token+"/"+method, strings.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/json")
	return c.do(r)
}

func (c caller) get(path string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.s.URL+path, nil)
	require.NoError(c.t, err)
	return c.do(r)
}

func TestEnvelopeAndTokens(t *testing.T) {
	c, bot := start(t)
	for name, row := range map[string]struct {
		path   string
		status int
		desc   string
	}{
		"§1 no /bot":                    {"/hello", 404, "Not Found"},
		"§1 no method":                  {"/bot" + token, 404, "Not Found"},
		"§1 unknown token":              {"/bot222:AA/getMe", 401, "Unauthorized"},
		"§1 no colon":                   {"/bot111/getMe", 401, "Unauthorized: invalid token specified"},
		"§1 starts with 0":              {"/bot0111:AA/getMe", 401, "Unauthorized: invalid token specified"},
		"§1 longer than 80":             {"/bot111:" + strings.Repeat("A", 80) + "/getMe", 401, "Unauthorized: invalid token specified"},
		"§1 negative id":                {"/bot-5:AA/getMe", 401, "Unauthorized: invalid token specified"},
		"§1 no number":                  {"/botabc:AA/getMe", 421, "Misdirected Request: unallowed token specified"},
		"§1 unknown method":             {"/bot" + token + "/getNothing", 404, "Not Found: method not found"},
		"§2 file without getFile":       {"/file/bot" + token + "/photos/file_0.jpg", 404, "Not Found"},
		"§2 file with another's token":  {"/file/bot222:AA/photos/file_0.jpg", 401, "Unauthorized"},
		"§2 sendMessage without chat":   {"/bot" + token + "/sendMessage?text=hi", 400, "Bad Request: chat_id is empty"},
		"§2 getFile without id":         {"/bot" + token + "/getFile", 400, "Bad Request: file_id not specified"},
		"§1 text that is no UTF-8":      {"/bot" + token + "/sendMessage?chat_id=1&text=%ff", 400, "Bad Request: strings must be encoded in UTF-8"},
		"§2 secret with wrong letters":  {"/bot" + token + "/setWebhook?url=http://127.0.0.1/x&secret_token=a+b", 400, "Bad Request: secret token contains unallowed characters"},
		"§2 webhook that is no address": {"/bot" + token + "/setWebhook?url=nonsense", 400, "Bad Request: invalid webhook URL specified"},
	} {
		t.Run(name, func(t *testing.T) {
			bot.ResetLimits()
			a := c.get(row.path)
			assert.Equal(t, row.status, a.status)
			assert.Equal(t, row.status, a.Code, "HTTP status and error_code are one")
			assert.False(t, a.OK)
			assert.Equal(t, row.desc, a.Desc)
		})
	}

	a := c.get("/bot" + token + "/GETME")
	require.True(t, a.OK, "§1: method names are case-insensitive")
	assert.Contains(t, string(a.Result), `"is_bot":true`)
	assert.Contains(t, string(a.Result), `"username":"shop_bot"`)

	bot.ReplaceToken("111:BBnew")
	assert.Equal(t, 401, c.get("/bot"+token+"/getMe").status)
	assert.Equal(t, 200, c.get("/bot111:BBnew/getMe").status)
}

func TestSendLimits(t *testing.T) {
	c, bot := start(t)
	ann := bot.Customer(5, "Ann")
	bot.Customer(6, "Bob")
	gone := bot.Customer(7, "Gone")
	gone.Start()
	gone.Deactivate()
	blocker := bot.Customer(8, "Eve")
	blocker.Start()
	blocker.Block()
	ann.Start()
	text := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for name, row := range map[string]struct {
		body   string
		status int
		desc   string
	}{
		"§1 unknown chat":                {`{"chat_id":99,"text":"x"}`, 400, "Bad Request: chat not found"},
		"§1 empty text":                  {`{"chat_id":5,"text":"  "}`, 400, "Bad Request: message text is empty"},
		"§1 too long":                    {`{"chat_id":5,"text":` + text(strings.Repeat("a", 4097)) + `}`, 400, "Bad Request: message is too long"},
		"§3 UTF-16 counts, too long":     {`{"chat_id":5,"text":` + text(strings.Repeat("😀", 2049)) + `}`, 400, "Bad Request: message is too long"},
		"§2 4096 fit":                    {`{"chat_id":5,"text":` + text(strings.Repeat("a", 4096)) + `}`, 200, ""},
		"§2 after entity parsing":        {`{"chat_id":5,"parse_mode":"HTML","text":` + text("<b>"+strings.Repeat("&amp;", 4096)+"</b>") + `}`, 200, ""},
		"§2 markup that does not close":  {`{"chat_id":5,"parse_mode":"HTML","text":"<b>x"}`, 400, "Bad Request: can't parse entities: can't find end tag"},
		"§2 MarkdownV2 unescaped":        {`{"chat_id":5,"parse_mode":"MarkdownV2","text":"a.b"}`, 400, `Bad Request: can't parse entities: character '.' is reserved and must be escaped with the preceding '\'`},
		"§2 unknown parse_mode":          {`{"chat_id":5,"parse_mode":"bbcode","text":"x"}`, 400, "Bad Request: unsupported parse_mode"},
		"§1 never pressed Start":         {`{"chat_id":6,"text":"x"}`, 403, "Forbidden: bot can't initiate conversation with a user"},
		"§1 deactivated":                 {`{"chat_id":7,"text":"x"}`, 403, "Forbidden: user is deactivated"},
		"§1 blocked":                     {`{"chat_id":8,"text":"x"}`, 403, "Forbidden: bot was blocked by the user"},
		"§2 reply to nothing":            {`{"chat_id":5,"text":"x","reply_parameters":{"message_id":999}}`, 400, "Bad Request: message to be replied not found"},
		"§2 reply to nothing is allowed": {`{"chat_id":5,"text":"x","reply_parameters":{"message_id":999,"allow_sending_without_reply":true}}`, 200, ""},
		"§1 broken JSON":                 {`{"chat_id":5`, 400, "Bad Request: can't parse the request body"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.call("sendMessage", row.body)
			assert.Equal(t, row.status, a.status)
			assert.Equal(t, row.desc, a.Desc)
		})
	}

	before := len(ann.Inbox())
	a := c.call("sendMessage", `{"chat_id":"5","text":"yes","reply_parameters":{"message_id":1}}`)
	require.True(t, a.OK)
	got, err := ann.WaitFor(t.Context(), before+1)
	require.NoError(t, err)
	last := got[len(got)-1]
	assert.Equal(t, "yes", last.Text)
	assert.EqualValues(t, 1, last.ReplyTo)
	assert.Contains(t, a.raw, `"reply_to_message":{`)
}

// Each chat counts its own message_ids (§8.7).
func TestMessageIDsPerChat(t *testing.T) {
	c, bot := start(t)
	ann, bob := bot.Customer(5, "Ann"), bot.Customer(6, "Bob")
	assert.EqualValues(t, 1, ann.Write("a"))
	assert.EqualValues(t, 1, bob.Write("b"))
	require.True(t, c.call("sendMessage", `{"chat_id":5,"text":"x"}`).OK)
	assert.EqualValues(t, 2, ann.Inbox()[0].MessageID)
	assert.EqualValues(t, 3, ann.Write("c"))
	assert.EqualValues(t, 2, bob.Write("d"))
}

func TestMediaLimits(t *testing.T) {
	c, bot := start(t)
	ann := bot.Customer(5, "Ann")
	ann.Start()
	picture := func(w, h int) string {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))))
		return b.String()
	}
	for _, row := range []struct {
		name, method, field, data, caption, desc string
	}{
		{"§2 photo", "sendPhoto", "photo", picture(8, 8), "hi", ""},
		{"§2 ratio above 20", "sendPhoto", "photo", picture(210, 10), "", "Bad Request: PHOTO_INVALID_DIMENSIONS"},
		{"§2 no picture", "sendPhoto", "photo", "text", "", "Bad Request: IMAGE_PROCESS_FAILED"},
		{"§2 above 10 MB", "sendPhoto", "photo", strings.Repeat("x", 10<<20+1), "", "Bad Request: file is too big"},
		{"§2 nothing under the right name", "sendPhoto", "document", "x", "", "Bad Request: there is no photo in the request"},
		{"§2 document", "sendDocument", "document", "text", strings.Repeat("c", 1024), ""},
		{"§2 caption above 1024", "sendDocument", "document", "text", strings.Repeat("c", 1025), "Bad Request: message caption is too long"},
		{"§2 document above 50 MB", "sendDocument", "document", strings.Repeat("x", 50<<20+1), "", "Request Entity Too Large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			require.NoError(t, form.WriteField("chat_id", "5"))
			require.NoError(t, form.WriteField("caption", row.caption))
			part, err := form.CreateFormFile(row.field, "f.bin")
			require.NoError(t, err)
			_, err = io.WriteString(part, row.data)
			require.NoError(t, err)
			require.NoError(t, form.Close())
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.s.URL+"/bot"+token+"/"+row.method, &body)
			require.NoError(t, err)
			r.Header.Set("Content-Type", form.FormDataContentType())
			a := c.do(r)
			assert.Equal(t, row.desc, a.Desc)
		})
	}
	require.Len(t, ann.Inbox(), 2)
	assert.Equal(t, "f.bin", ann.Inbox()[1].FileName)
	assert.Equal(t, "Bad Request: wrong file_id or the file is temporarily unavailable", c.call("sendPhoto", `{"chat_id":5,"photo":"AgNothing"}`).Desc)
}

func TestFormEncodedCall(t *testing.T) {
	c, bot := start(t)
	ann := bot.Customer(5, "Ann")
	ann.Start()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.s.URL+"/bot"+token+"/sendMessage",
		strings.NewReader(url.Values{"chat_id": {"5"}, "text": {"by form"}}.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	require.True(t, c.do(r).OK)
	assert.Equal(t, "by form", ann.Inbox()[0].Text)
}

func TestFiles(t *testing.T) {
	clock := newClock()
	c, bot := start(t, telegramtest.WithClock(clock))
	ann := bot.Customer(5, "Ann")
	ann.SendDocument("a.txt", "text/plain", []byte("hello"))
	ann.SendBigDocument("b.iso", "application/x-iso9660-image", []byte("x"), 20<<20+1)
	var ups []struct {
		Message struct {
			Document struct {
				FileID string `json:"file_id"`
			} `json:"document"`
		} `json:"message"`
	}
	require.NoError(t, json.Unmarshal(c.call("getUpdates", `{}`).Result, &ups))
	require.Len(t, ups, 2)

	var f struct {
		Path string `json:"file_path"`
	}
	require.NoError(t, json.Unmarshal(c.call("getFile", `{"file_id":"`+ups[0].Message.Document.FileID+`"}`).Result, &f))
	assert.Equal(t, "hello", c.get("/file/bot"+token+"/"+f.Path).raw)
	assert.Equal(t, 404, c.get("/file/bot"+token+"/../"+f.Path).status)
	assert.Equal(t, "Bad Request: file is too big", c.call("getFile", `{"file_id":"`+ups[1].Message.Document.FileID+`"}`).Desc)
	assert.Equal(t, "Bad Request: wrong file_id or the file is temporarily unavailable", c.call("getFile", `{"file_id":"nope"}`).Desc)
	clock.Advance(time.Hour)
	assert.Equal(t, 404, c.get("/file/bot"+token+"/"+f.Path).status, "§2: the link lives an hour")
}

func TestFaults(t *testing.T) {
	c, bot := start(t)
	ann := bot.Customer(5, "Ann")
	ann.Start()
	bot.FailNext("send", telegramtest.TooManyRequests(17), double.BadGateway(), telegramtest.ServerError(), telegramtest.Migrated(-100))
	send := func() answer { return c.call("sendMessage", `{"chat_id":5,"text":"x"}`) }

	flood := send()
	assert.Equal(t, 429, flood.status)
	assert.Equal(t, "17", flood.retryAfter, "§1: header")
	assert.EqualValues(t, 17, flood.Parameters["retry_after"], "§1: and body")
	assert.Equal(t, "Too Many Requests: retry after 17", flood.Desc)
	gateway := send()
	assert.Equal(t, 502, gateway.status)
	assert.Contains(t, gateway.raw, "<html>")
	assert.Equal(t, "Internal Server Error: restart", send().Desc)
	assert.EqualValues(t, -100, send().Parameters["migrate_to_chat_id"])
	assert.Empty(t, ann.Inbox())

	bot.FailNext("sendMessage", double.AfterAccepting(double.Drop()), double.AfterAccepting(double.Hang()))
	for n := 1; n <= 2; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, c.s.URL+"/bot"+token+"/sendMessage?chat_id=5&text=x", nil)
			res, err := c.http.Do(r)
			if err == nil {
				res.Body.Close()
			}
			failed <- err
		}()
		_, err := ann.WaitFor(t.Context(), n)
		require.NoError(t, err, "accepted and recorded")
		if n == 2 {
			cancel()
		}
		require.Error(t, <-failed, "but never answered")
		cancel()
	}
}

func TestSlow(t *testing.T) {
	c, bot := start(t)
	ann := bot.Customer(5, "Ann")
	ann.Start()
	bot.Slow(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.s.URL+"/bot"+token+"/sendMessage?chat_id=5&text=x", nil)
	require.NoError(t, err)
	_, err = c.http.Do(r)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, 200, c.call("getMe", "").status, "only what is sent is slow")
	bot.Slow(0)
	assert.Equal(t, 200, c.call("sendMessage", `{"chat_id":5,"text":"y"}`).status)
	require.Len(t, ann.Inbox(), 1, "what its caller gave up is not done")
	bot.Slow(time.Millisecond)
	assert.Equal(t, 200, c.call("sendMessage", `{"chat_id":5,"text":"z"}`).status)
	require.Len(t, ann.Inbox(), 2)
	assert.Equal(t, 3, bot.Effects().Slowed, "before it is done and after; who gave up waited once")
}

// What a customer can send beside texts (§3).
func TestCustomerContents(t *testing.T) {
	c, bot := start(t, telegramtest.WithAddr("127.0.0.1:0"))
	ann := bot.Customer(5, "Ann").Named("Lee", "annlee")
	first := ann.Write("one")
	ann.Reply(ann.Reply(first, "two"), "three")
	ann.SendVoice([]byte("ogg"), 3)
	ann.SendPhoto([]byte("jpeg"), "look")
	go c.get("/bot" + token + "/getMe")
	require.NoError(t, bot.WaitForCalls(t.Context(), "getMe", 1))
	var ups []struct {
		Message struct {
			From  map[string]any             `json:"from"`
			Chat  map[string]any             `json:"chat"`
			Reply map[string]json.RawMessage `json:"reply_to_message"`
			Voice map[string]any             `json:"voice"`
			Photo []map[string]any           `json:"photo"`
		} `json:"message"`
	}
	require.NoError(t, json.Unmarshal(c.call("getUpdates", `{}`).Result, &ups))
	require.Len(t, ups, 5)
	assert.Equal(t, map[string]any{"id": 5.0, "type": "private", "first_name": "Ann", "last_name": "Lee", "username": "annlee"}, ups[0].Message.Chat)
	assert.Equal(t, false, ups[0].Message.From["is_bot"])
	assert.JSONEq(t, `2`, string(ups[2].Message.Reply["message_id"]))
	assert.NotContains(t, ups[2].Message.Reply, "reply_to_message", "no nested reply")
	assert.Equal(t, "audio/ogg", ups[3].Message.Voice["mime_type"])
	assert.Len(t, ups[4].Message.Photo, 2)
}

func TestMarkdown(t *testing.T) {
	c, bot := start(t)
	ann := bot.Customer(5, "Ann")
	ann.Start()
	for _, row := range []struct{ mode, text, shown string }{
		{"MarkdownV2", `*bold* [name](http://x.example) a\.b`, "bold name a.b"},
		{"Markdown", "*bold* [name](http://x.example)", "bold name"},
		{"HTML", "<b>bold</b> &lt;", "bold <"},
	} {
		body, err := json.Marshal(map[string]any{"chat_id": 5, "text": row.text, "parse_mode": row.mode})
		require.NoError(t, err)
		require.True(t, c.call("sendMessage", string(body)).OK, row.mode)
		got := ann.Inbox()
		assert.Equal(t, row.shown, got[len(got)-1].Text)
	}
}
