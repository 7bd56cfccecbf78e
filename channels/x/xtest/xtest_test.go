package xtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*Server
	t     *testing.T
	app   *App
	shop  *Account
	nonce int
}

func setUp(t *testing.T) *fixture {
	f := &fixture{Server: New(WithAnyHook()), t: t}
	t.Cleanup(f.Close)
	f.app = f.AddApp("ck", "cs", "bearer")
	f.shop = f.app.AddAccount("10", "shop", "10-token", "secret")
	return f
}

// do makes one call; authorization is a whole header, or "user" and "app" for right ones.
func (f *fixture) do(method, path, body, authorization string) (int, string, http.Header) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.URL+path, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Header.Set("Content-Type", "application/json")
	switch authorization {
	case "user":
		authorization = f.header(method, path, map[string]string{})
	case "app":
		authorization = "Bearer bearer"
	}
	r.Header.Set("Authorization", authorization)
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	require.NoError(f.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(f.t, err)
	return res.StatusCode, string(raw), res.Header
}

func (f *fixture) header(method, path string, changes map[string]string) string {
	f.nonce++
	oauth := map[string]string{
		"oauth_consumer_key": "ck", "oauth_nonce": fmt.Sprint("n", f.nonce), "oauth_signature_method": "HMAC-SHA1",
		"oauth_timestamp": strconv.FormatInt(time.Now().Unix(), 10), "oauth_token": "10-token", "oauth_version": "1.0",
	}
	for k, v := range changes {
		oauth[k] = v
	}
	where, query, _ := strings.Cut(path, "?")
	signed, err := Signature(method, f.URL+where, query, "", oauth, "cs", "secret")
	require.NoError(f.t, err)
	if oauth["oauth_signature"] == "" {
		oauth["oauth_signature"] = signed
	}
	var parts []string
	for k, v := range oauth {
		parts = append(parts, k+`="`+percent(v)+`"`)
	}
	return "OAuth " + strings.Join(parts, ", ")
}

// wire/x.md §1: the full algorithm, and nothing that only looks like it.
func TestSignatures(t *testing.T) {
	f := setUp(t)
	status, body, _ := f.do("GET", "/2/users/me", "", "user")
	assert.Equal(t, 200, status, body)
	status, _, _ = f.do("GET", "/2/dm_events?dm_event.fields=a,b&max_results=5", "", "user")
	assert.Equal(t, 200, status, "the query is signed")
	for name, header := range map[string]string{
		"none":                      "",
		"another signature":         f.header("GET", "/2/users/me", map[string]string{"oauth_signature": "AAAA"}),
		"another path":              f.header("GET", "/2/dm_events", nil),
		"another method":            f.header("POST", "/2/users/me", nil),
		"another query":             f.header("GET", "/2/users/me?a=1", nil),
		"an old timestamp":          f.header("GET", "/2/users/me", map[string]string{"oauth_timestamp": "1318622958"}),
		"an unknown token":          f.header("GET", "/2/users/me", map[string]string{"oauth_token": "11-token"}),
		"another app":               f.header("GET", "/2/users/me", map[string]string{"oauth_consumer_key": "x"}),
		"another version":           f.header("GET", "/2/users/me", map[string]string{"oauth_version": "2.0"}),
		"another method of signing": f.header("GET", "/2/users/me", map[string]string{"oauth_signature_method": "PLAINTEXT"}),
		"a plus":                    strings.ReplaceAll(f.header("GET", "/2/users/me", nil), "%2B", "+") + ", a=\"+\"",
		"no quotes":                 "OAuth a=b",
		"half an escape":            `OAuth a="%2"`,
		"a name twice":              f.header("GET", "/2/users/me", nil) + `, oauth_version="1.0"`,
	} {
		status, body, _ := f.do("GET", "/2/users/me", "", header)
		assert.Equal(t, 401, status, name)
		assert.JSONEq(t, `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`, body)
	}
	once := f.header("GET", "/2/users/me", nil)
	status, _, _ = f.do("GET", "/2/users/me", "", once)
	assert.Equal(t, 200, status)
	status, _, _ = f.do("GET", "/2/users/me", "", once)
	assert.Equal(t, 401, status, "a nonce counts once")
}

// §0, §6: the bearer never reads or writes messages; app-level calls take nothing else.
func TestBearer(t *testing.T) {
	f := setUp(t)
	for _, path := range []string{"/2/dm_events", "/2/users/me"} {
		status, body, _ := f.do("GET", path, "", "app")
		assert.Equal(t, 403, status)
		assert.Contains(t, body, "Application-Only is forbidden for this endpoint.  Supported")
	}
	for header, want := range map[string]int{"app": 200, "Bearer other": 401, "user": 401, "": 401} {
		status, _, _ := f.do("GET", "/2/webhooks", "", header)
		assert.Equal(t, want, status, header)
	}
}

// §2: strict about what a message may be.
func TestSendIsStrict(t *testing.T) {
	f := setUp(t)
	f.shop.Customer("7", "Ann", "ann")
	for body, want := range map[string]int{
		`{"text":"hi"}`: 201, `{}`: 400, `{"text":""}`: 400, `{"text":"hi","more":1}`: 400, `{"attachments":[{"media_id":"1"}]}`: 400,
		`{"attachments":[{"media_id":"1"},{"media_id":"2"}]}`: 400, `{"text":"` + strings.Repeat("x", 10_001) + `"}`: 400, `[]`: 400,
	} {
		status, _, _ := f.do("POST", "/2/dm_conversations/with/7/messages", body, "user")
		assert.Equal(t, want, status, body[:min(len(body), 60)])
	}
	_, body, _ := f.do("POST", "/2/dm_conversations/with/7/messages", `{"text":"hi"}`, "user")
	assert.Contains(t, body, `"dm_conversation_id":"7-10"`, "by number, not as text")
	status, _, _ := f.do("POST", "/2/dm_conversations/with/8/messages", `{"text":"hi"}`, "user")
	assert.Equal(t, 403, status, "a stranger")
	f.shop.Regenerate("10-token", "secret", false)
	status, body, _ = f.do("POST", "/2/dm_conversations/with/7/messages", `{"text":"hi"}`, "user")
	assert.Equal(t, 403, status)
	assert.Contains(t, body, "oauth1-permissions")
}

// §3: budgets with their headers; §6, §7: credits in both shapes.
func TestLimits(t *testing.T) {
	f := setUp(t)
	for i := range 15 {
		status, _, h := f.do("GET", "/2/dm_events", "", "user")
		require.Equal(t, 200, status)
		assert.Equal(t, strconv.Itoa(14-i), h.Get("x-rate-limit-remaining"))
	}
	status, _, h := f.do("GET", "/2/dm_events", "", "user")
	assert.Equal(t, 429, status)
	reset, err := strconv.ParseInt(h.Get("x-rate-limit-reset"), 10, 64)
	require.NoError(t, err)
	assert.InDelta(t, time.Now().Add(15*time.Minute).Unix(), reset, 5)
	f.shop.ResetLimits()
	for _, body := range []string{NoCreditsOld, NoCreditsNew} {
		f.app.SpendCredits(body)
		status, answer, _ := f.do("GET", "/2/dm_events", "", "user")
		assert.Equal(t, 402, status)
		assert.JSONEq(t, body, answer)
		status, _, _ = f.do("GET", "/2/webhooks", "", "app")
		assert.Equal(t, 200, status, "that costs nothing")
	}
	f.app.TopUp()
	status, _, _ = f.do("GET", "/2/dm_events", "", "user")
	assert.Equal(t, 200, status)
}

// §3: newest first, by default without a sender, in pages.
func TestEvents(t *testing.T) {
	f := setUp(t)
	ann := f.shop.Customer("7", "Ann", "ann")
	_, body, _ := f.do("GET", "/2/dm_events", "", "user")
	assert.JSONEq(t, `{"meta":{"result_count":0}}`, body)
	first, second := ann.Write("1"), ann.Write("2")
	_, body, _ = f.do("GET", "/2/dm_events?max_results=1", "", "user")
	assert.JSONEq(t, `{"data":[{"id":"`+second+`","event_type":"MessageCreate","text":"2"}],"includes":{},"meta":{"result_count":1,"next_token":"T`+first+`"}}`, body)
	_, body, _ = f.do("GET", "/2/dm_events?max_results=1&pagination_token=T"+first+"&dm_event.fields=sender_id", "", "user")
	assert.JSONEq(t, `{"data":[{"id":"`+first+`","event_type":"MessageCreate","text":"1","sender_id":"7"}],"includes":{},"meta":{"result_count":1}}`, body)
	for _, query := range []string{"max_results=101", "max_results=0", "since_id=1", "pagination_token=x"} {
		status, _, _ := f.do("GET", "/2/dm_events?"+query, "", "user")
		assert.Equal(t, 400, status, query)
	}
}

// §5.1, §5.2: only an address that knows the secret becomes a webhook; X itself wants https without a port.
func TestChallenge(t *testing.T) {
	f := setUp(t)
	var answer atomic.Pointer[func(token string) string]
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, (*answer.Load())(r.URL.Query().Get("crc_token")))
	}))
	defer hook.Close()
	right := func(token string) string { return `{"response_token":"` + f.app.Sign([]byte(token)) + `"}` }
	create := func(with func(string) string) (int, string) {
		answer.Store(&with)
		status, body, _ := f.do("POST", "/2/webhooks", `{"url":"`+hook.URL+`"}`, "app")
		return status, body
	}
	for _, wrong := range []func(string) string{
		func(string) string { return "" }, func(string) string { return `{"response_token":"sha256=AAAA"}` },
		func(token string) string { return strings.Replace(right(token), "sha256=", "", 1) },
	} {
		status, body := create(wrong)
		assert.Equal(t, 400, status)
		assert.Contains(t, body, "CrcValidationFailed")
	}
	status, _ := create(right)
	assert.Equal(t, 200, status)
	_, body := create(right)
	assert.Contains(t, body, "DuplicateUrlFailed")
	_, body, _ = f.do("POST", "/2/webhooks", `{"url":"https://waggle.example/other"}`, "app")
	assert.Contains(t, body, "WebhookLimitExceeded")

	strict := New()
	defer strict.Close()
	strict.AddApp("ck", "cs", "bearer")
	f.URL = strict.URL
	for _, address := range []string{"http://waggle.example/x", "https://waggle.example:8443/x", "https://waggle.example/" + strings.Repeat("x", 200), "\x00"} {
		_, body, _ := f.do("POST", "/2/webhooks", `{"url":"`+address+`"}`, "app")
		assert.Contains(t, body, "UrlValidationFailed", address)
	}
}

// A delivery that is not answered 200 is tried again, a few times; on request it comes twice, or after a later one.
func TestDeliveryIsRepeated(t *testing.T) {
	f := setUp(t)
	var posts atomic.Int32
	bodies := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		assert.Equal(t, f.app.Sign(raw), r.Header.Get("x-twitter-webhooks-signature"))
		bodies <- string(raw)
		if posts.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer hook.Close()
	f.app.AddHook(hook.URL)
	status, _, _ := f.do("POST", "/2/account_activity/webhooks/"+f.app.hooks[0].id+"/subscriptions/all", "", "user")
	require.Equal(t, 200, status)
	f.shop.Customer("7", "Ann", "ann").Type()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, f.app.WaitDelivered(ctx))
	assert.EqualValues(t, 2, posts.Load())
	assert.Equal(t, []string{"503 Service Unavailable"}, f.app.Failures())
	f.app.DuplicateNext(1)
	f.shop.Customer("7", "Ann", "ann").Type()
	require.NoError(t, f.app.WaitDelivered(ctx))
	assert.EqualValues(t, 4, posts.Load())
	assert.Equal(t, 1, f.app.Doubled())

	for range 4 {
		<-bodies
	}
	f.app.ReorderNext(2)
	f.shop.Customer("7", "Ann", "ann").Write("former")
	f.shop.Customer("7", "Ann", "ann").Write("latter")
	assert.Contains(t, <-bodies, "latter")
	assert.Contains(t, <-bodies, "former")
	require.NoError(t, f.app.WaitDelivered(ctx))
	assert.Equal(t, 1, f.app.Reordered())
}

func TestFaultsTellWhetherTheyWereMet(t *testing.T) {
	f := setUp(t)
	var met atomic.Int32
	note := func() { met.Add(1) }
	until := time.Now().Add(time.Minute)
	f.FailNext("me", TooManyRequests(until).Noting(note), ServerError().Noting(note))
	require.Zero(t, met.Load())
	status, _, header := f.do("GET", "/2/users/me", "", "user")
	assert.Equal(t, 429, status)
	assert.Equal(t, []string{"0", strconv.FormatInt(until.Unix(), 10)}, []string{header.Get("x-rate-limit-remaining"), header.Get("x-rate-limit-reset")})
	assert.EqualValues(t, 1, met.Load())
	f.Heal()
	status, _, _ = f.do("GET", "/2/users/me", "", "user")
	assert.Equal(t, 200, status)
	assert.EqualValues(t, 1, met.Load(), "what nobody meets is not told")
}
