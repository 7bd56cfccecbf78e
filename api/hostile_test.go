package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
)

// A hostile client: what no well-behaved HTTP library sends.

// wire is one raw connection to the façade.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, address string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(readTimeout+15*time.Second)))
	return &wire{t, conn, bufio.NewReader(conn)}
}

// send writes; a server that has had enough may have closed.
func (w *wire) send(text string) error {
	_, err := io.WriteString(w.conn, text)
	return err
}

// status is the next answer's; 0: the connection was closed without one.
func (w *wire) status() int {
	w.t.Helper()
	r, err := http.ReadResponse(w.in, nil)
	if err != nil {
		var timeout net.Error
		require.False(w.t, isTimeout(err, &timeout), "the server neither answers nor closes")
		return 0
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func isTimeout(err error, as *net.Error) bool {
	n, ok := err.(net.Error) //nolint:errorlint // the connection's own error
	*as = n
	return ok && n.Timeout()
}

// Whoever is slow is cut off, with his headers, his body or his silence.
func TestSlowClientsLoseTheirConnection(t *testing.T) {
	h := newAPI(t)
	h.App.Server().ReadTimeout = 300 * time.Millisecond
	address := h.serve()
	for name, start := range map[string]string{
		"headers": "POST /api/v1/token-requests HTTP/1.1\r\nHost: x\r\nX-Filler: ",
		"body":    "POST /api/v1/token-requests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
		"chunks":  "POST /hooks/custom/" + uuid.NewString() + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"silence": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, address)
			began := time.Now()
			go func() { // a byte now and then keeps nobody in
				drip := time.NewTicker(50 * time.Millisecond)
				defer drip.Stop()
				for err := w.send(start); err == nil && start != ""; {
					<-drip.C
					if name == "chunks" {
						err = w.send("1\r\na\r\n")
					} else {
						err = w.send("a")
					}
				}
			}()
			require.Contains(t, []int{0, 408}, w.status())
			require.Less(t, time.Since(began), 10*time.Second)
		})
	}
}

// What announces or sends too much is refused before it is read.
func TestEndlessRequestsAreRefused(t *testing.T) {
	h := newAPI(t)
	address := h.serve()
	const post = "POST /api/v1/token-requests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, tc := range map[string]struct {
		start, more string
		want        []int
	}{
		"2 GB announced":      {post + "Content-Length: 2147483648\r\n\r\n", "", []int{408}},
		"2 GB begun":          {post + "Content-Length: 2147483648\r\n\r\n{\"company", "", []int{413}},
		"2^63 announced":      {post + "Content-Length: 9223372036854775808\r\n\r\n", "", []int{400, 413}},
		"less than nothing":   {post + "Content-Length: -1\r\n\r\n", "", []int{400}},
		"two lengths":         {post + "Content-Length: 3\r\nContent-Length: 2\r\n\r\n{}", "", []int{400}},
		"two equal lengths":   {post + "Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}", "", []int{400}},
		"chunks without end":  {post + "Transfer-Encoding: chunked\r\n\r\n", "10000\r\n" + strings.Repeat("a", 0x10000) + "\r\n", []int{0, 400, 413}},
		"a chunk of 2^63":     {post + "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", "", []int{400, 413}},
		"headers without end": {"GET /docs HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n", []int{0, 431}},
		"one endless header":  {"GET /docs HTTP/1.1\r\nX-A: ", strings.Repeat("a", 1000), []int{0, 431}},
		"an endless address":  {"GET /docs", strings.Repeat("/a", 1000), []int{0, 431}},
		"length and chunks":   {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", []int{400}},
		"a form with files": {"POST /api/v1/token-requests HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 60\r\n\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n", "", []int{415}},
		"no HTTP":   {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "", []int{0, 400}},
		"NUL":       {"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", "", []int{400, 404}},
		"HTTP/9.9":  {"GET /docs HTTP/9.9\r\nHost: x\r\n\r\n", "", []int{0, 200, 400, 505}},
		"folded":    {"GET /docs HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n", "", []int{200, 400}},
		"no header": {"GET /api/v1/wizard HTTP/1.1\r\n\r\n", "", []int{400, 401}},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, address)
			require.NoError(t, w.send(tc.start))
			sent := 0
			for tc.more != "" && w.send(tc.more) == nil {
				sent += len(tc.more)
				require.Less(t, sent, 64<<20, "the server goes on reading")
			}
			require.Contains(t, tc.want, w.status())
		})
	}
	h.raw("GET", "/healthz", "", nil).status(200)
}

// However an address is spelt, it opens nothing that its plain form does not, and leads nowhere else.
func TestSpellingsOfAddressesOpenNothing(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	agent := h.session(key, chat.AgentRole, h.agent(h.environment(key), "user-1"))
	address := h.serve()
	for _, target := range []string{
		"//api/v1/configuration", "/api//v1/configuration", "/api/v1//configuration", "/api/v1/./configuration", "/api/v1/chats/../configuration",
		"/api/v1/chats/%2e%2e/configuration", "/api/v1/chats/..%2fconfiguration", "/api/v1/%63onfiguration", "/api/v1/configuration;x=1",
		"/api/v1/configuration/", "/api/v1/configuration//", "/api/v1/configuration%00", "/api/v1/configuration%2f", "/API/V1/CONFIGURATION",
		"/api/v1/token-requests/../configuration", "/docs/../api/v1/configuration", "/hooks/../api/v1/configuration", `/api/v1\configuration`,
		"/api/v1/events/../configuration?token=" + agent, "/api/v1/media/../configuration?token=" + agent, "http://evil.example/api/v1/configuration",
		"//evil.example/%2f..", `/\evil.example`, "/https://evil.example", "/%0d%0aLocation:%20https://evil.example", "*", "/api/v1/configuration?%00", "/api/v1/configuration#x",
	} {
		for _, method := range []string{"GET", "HEAD", "PATCH", "TRACE", "CONNECT", "OPTIONS", "get", "PROPFIND"} {
			for _, bearer := range []string{"", "Authorization: Bearer " + agent + "\r\n"} {
				w := dial(t, address)
				what := fmt.Sprintf("%s %s %t", method, target, bearer != "")
				require.NoError(t, w.send(method+" "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-HTTP-Method-Override: GET\r\n"+bearer+"\r\n"), what)
				answer, err := io.ReadAll(w.in)
				require.NoError(t, err, what)
				line, _, _ := strings.Cut(string(answer), "\r\n")
				assert.Regexp(t, `^HTTP/1\.1 4\d\d |^HTTP/1\.1 501 `, line, what)
				assert.NotContains(t, string(answer), "\r\nLocation:", what)
				assert.NotContains(t, string(answer), `"crm_url"`, what)
				_ = w.conn.Close()
			}
		}
	}
}

// A header sent twice makes nobody somebody else.
func TestDoubledHeadersAreOneCaller(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	administrator, agent := h.session(key, chat.Administrator, uuid.Nil), h.session(key, chat.AgentRole, h.agent(h.environment(key), "user-1"))
	address := h.serve()
	ask := func(first, second string) int {
		w := dial(t, address)
		require.NoError(t, w.send("GET /api/v1/configuration HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+first+"\r\nAuthorization: Bearer "+second+"\r\n\r\n"))
		return w.status()
	}
	require.Equal(t, ask(agent, agent), ask(agent, administrator), "one of them counts, for the rights as for the answer")
	require.Equal(t, 401, ask("wst_wrong", administrator))
	require.Equal(t, 403, ask(agent, administrator))
	for _, override := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"} {
		h.call("POST", "/sessions/current", administrator, nil, override, "DELETE").status(405)
		h.call("GET", "/wizard", administrator, nil, override, "DELETE").status(200)
	}
}

// JSON that is read differently by different readers, or costs more to read than to send, is refused or means one thing.
func TestHostileJSON(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	huge := strings.Repeat("9", maxBody-100)
	for name, body := range map[string]string{
		"deep arrays":       strings.Repeat("[", maxBody),
		"deep objects":      strings.Repeat(`{"a":`, maxBody/5),
		"deep and closed":   strings.Repeat("[", maxBody/2) + strings.Repeat("]", maxBody/2),
		"a huge number":     `{"role":"agent","ttl_minutes":` + huge + `}`,
		"a huge exponent":   `{"role":"agent","ttl_minutes":1e` + huge + `}`,
		"not a number":      `{"role":"agent","ttl_minutes":NaN}`,
		"another case":      `{"role":"agent","Role":"administrator"}`,
		"broken UTF-8":      "{\"role\":\"\xff\"}",
		"half a surrogate":  `{"role":"\ud800"}`,
		"NUL":               `{"role":"administrator\u0000"}`,
		"two values":        `{"role":"agent"}{"role":"administrator"}`,
		"a comment":         `{"role":"administrator"/**/}`,
		"__proto__":         `{"role":"administrator","__proto__":{}}`,
		"a byte order mark": "\ufeff" + `{"role":"administrator"}`,
		"UTF-16":            "{\x00}\x00",
		"many keys":         `{"role":"agent"` + strings.Repeat(`,"a":1`, maxBody/7) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			a := h.call("POST", "/sessions", key, body)
			require.Contains(t, []int{400, 413, 422}, a.Status, string(a.Body[:min(len(a.Body), 300)]))
			require.Less(t, len(a.Body), 10_000, "the answer is not what was sent")
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
	t.Run("a key twice means the last, to the check as to the handler", func(t *testing.T) {
		var s gen.Session
		h.call("POST", "/sessions", key, `{"role":"nonsense","role":"chat_administrator"}`).status(201).into(&s)
		require.Equal(t, gen.RoleChatAdministrator, s.Role)
		h.call("POST", "/sessions", key, `{"role":"chat_administrator","role":"nonsense"}`).problem(422)
	})
}

// HEAD is GET without a body, also where the body has no end.
func TestHeadOfAnEventStreamEnds(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	token, env := h.session(key, chat.Administrator, uuid.Nil), h.environment(key)
	w := dial(t, h.serve())
	require.NoError(t, w.send("HEAD /api/v1/events?token="+token+" HTTP/1.1\r\nHost: x\r\n\r\n"))
	line, err := w.in.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "HTTP/1.1 ")
	_ = w.conn.Close()
	require.Eventually(t, func() bool {
		h.Server.streams.mu.Lock()
		defer h.Server.streams.mu.Unlock()
		return h.Server.streams.held[env] == 0
	}, time.Minute, 5*time.Millisecond, "and holds nothing afterwards")
}

// No answer tells by its age or version whether something has changed, to whom may not see it.
func TestConditionalRequestsAreNoOracle(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	for _, path := range []string{"/wizard", "/chats", "/channels/" + uuid.NewString()} {
		plain := h.call("GET", path, key, nil)
		conditional := h.call("GET", path, key, nil, "If-None-Match", "*", "If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT", "Range", "bytes=0-1")
		require.Equal(t, plain.Status, conditional.Status, path)
		require.Empty(t, plain.Header.Get("Etag")+plain.Header.Get("Last-Modified"), path)
	}
}
