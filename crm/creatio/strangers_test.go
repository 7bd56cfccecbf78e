package creatio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/crm"
	"waggle/crm/creatio"
	"waggle/crm/creatio/creatiotest"
)

// stranger makes a site answer in another way that OData or HTTP allows. It gets what the double answers to a request, and
// what was asked; nil leaves the answer as it is.
type stranger func(r *http.Request, a *http.Response, body []byte) []byte

func (b *bench) as(s stranger) {
	next := &http.Transport{}
	b.t.Cleanup(next.CloseIdleConnections)
	b.adapter = creatio.New(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		a, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if other := s(r, a, body); other != nil {
			body = other
		}
		a.Body, a.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return a, err
	})}, time.Now)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A site may give less at once than it is asked for, and not say so.
func TestUsersOfASmallPage(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	const page, people = 3, 10
	for i := range people - 1 { // and the administrator
		b.site.AddUser(fmt.Sprintf("User %d", i), "pw", false)
	}
	b.as(func(r *http.Request, _ *http.Response, body []byte) []byte {
		if r.URL.Query().Get("$skip") == "" {
			return nil
		}
		var list map[string]any
		if json.Unmarshal(body, &list) != nil {
			return nil
		}
		if rows, _ := list["value"].([]any); len(rows) > page {
			list["value"] = rows[:page]
		}
		short, _ := json.Marshal(list)
		return short
	})
	users, err := b.adapter.Users(b.ctx, b.conn)
	require.NoError(t, err)
	names := map[string]bool{}
	for _, u := range users {
		names[u.Name] = true
	}
	assert.Len(t, names, people, "M.7 every user once: %v", users)
	assert.Len(t, users, people)
}

func TestUsersOfASiteThatSkipsNothing(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	all, err := b.adapter.Users(b.ctx, b.conn)
	require.NoError(t, err)
	var first []byte
	b.as(func(r *http.Request, _ *http.Response, body []byte) []byte {
		if r.URL.Query().Get("$skip") == "" {
			return nil
		}
		if first == nil {
			first = body
		}
		return first
	})
	again, err := b.adapter.Users(b.ctx, b.conn)
	require.NoError(t, err, "the reading ends")
	assert.Equal(t, all, again)
}

// An object that the site does not publish is a plain 404 where no ASP.NET words it.
func TestCheckWhereAnObjectIsNotFound(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{Hidden: []string{"SysAdminUnitInRole"}})
	b.site.AddUser("Ben", "pw", false)
	b.as(func(r *http.Request, a *http.Response, _ []byte) []byte {
		if !strings.Contains(r.URL.Path, "SysAdminUnitInRole") {
			return nil
		}
		a.StatusCode = http.StatusNotFound
		return []byte(`{"error":{"code":"404","message":"Invalid resource path \"SysAdminUnitInRole\""}}`)
	})
	b.conn.Login, b.conn.Password = "Ben", "pw"
	site, err := b.adapter.Check(b.ctx, b.conn)
	require.NoError(t, err)
	assert.False(t, site.Administrator, "S0.14 the role that is shown tells")
}

// DataService is internal, and may be hidden. Users and chats are there all the same.
func TestSettingsOfASiteWithoutDataService(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	b.as(func(r *http.Request, a *http.Response, _ []byte) []byte {
		if !strings.Contains(r.URL.Path, "DataService") {
			return nil
		}
		a.StatusCode = http.StatusNotFound
		return []byte("Cannot POST")
	})
	settings, err := b.adapter.Settings(b.ctx, b.conn)
	require.NoError(t, err)
	assert.Nil(t, settings)
}

// A proxy before the site lets through what Waggle needs and nothing else.
func TestCheckBehindANarrowProxy(t *testing.T) {
	for _, framework := range []bool{false, true} {
		b := setup(t, crm.Login, creatiotest.Options{Framework: framework})
		b.as(func(r *http.Request, a *http.Response, _ []byte) []byte {
			if strings.Contains(r.URL.Path, "HealthCheck") || strings.Contains(r.URL.Path, "/Login/") {
				a.StatusCode = http.StatusNotFound
				return []byte("not found")
			}
			return nil
		})
		site, err := b.adapter.Check(b.ctx, b.conn)
		require.NoError(t, err)
		assert.Equal(t, framework, site.Prefix == "/0", "S3.43 with and without /0")
	}
}

// What a site answers otherwise than Creatio, and still as OData and HTTP allow.
func TestPushToStrangers(t *testing.T) {
	isBatch := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "$batch") }
	tests := map[string]stranger{
		"texts begin with a byte order mark": func(_ *http.Request, _ *http.Response, body []byte) []byte {
			return append([]byte("\ufeff"), body...)
		},
		"ids of a $batch are numbers": func(r *http.Request, _ *http.Response, body []byte) []byte {
			if !isBatch(r) {
				return nil
			}
			for i := range 100 {
				body = bytes.Replace(body, fmt.Appendf(nil, `"id":"%d"`, i), fmt.Appendf(nil, `"id":%d`, i), 1)
			}
			return body
		},
		"a $batch is answered as multipart": func(r *http.Request, a *http.Response, _ []byte) []byte {
			if !isBatch(r) {
				return nil
			}
			a.Header.Set("Content-Type", "multipart/mixed; boundary=b")
			return []byte("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 201 Created\r\n\r\n\r\n--b--\r\n")
		},
		"a $batch is answered by nothing": func(r *http.Request, _ *http.Response, _ []byte) []byte {
			if !isBatch(r) {
				return nil
			}
			return []byte("{}")
		},
		"a write is answered with the whole record and 200": func(r *http.Request, a *http.Response, _ []byte) []byte {
			if r.Method != http.MethodPatch || a.StatusCode != http.StatusNoContent {
				return nil
			}
			a.StatusCode = http.StatusOK
			return []byte(`{"@odata.context":"$metadata#X/$entity","Id":"x","Message":"hello"}`)
		},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, crm.Login, creatiotest.Options{})
			b.as(s)
			p := newPush(5)
			b.mustPush(p)
			p.Chats[0].Name = "Chat-8"
			b.mustPush(p)
			b.requireOnce(p)
			require.Equal(t, "Chat-8", b.site.Chats()[0]["Name"])
		})
	}
}

// A site with versions of its records changes none without If-Match.
func TestPushWhereAChangeNeedsAVersion(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	p := newPush(2)
	b.mustPush(p)
	next := &http.Transport{}
	t.Cleanup(next.CloseIdleConnections)
	b.adapter = creatio.New(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodPatch || r.Header.Get("If-Match") == "*" {
			return next.RoundTrip(r)
		}
		return &http.Response{StatusCode: http.StatusPreconditionRequired, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader(`{"error":{"code":"428","message":"Precondition Required"}}`))}, nil
	})}, time.Now)
	p.Chats[0].Name = "Chat-8"
	b.mustPush(p)
	require.Equal(t, "Chat-8", b.site.Chats()[0]["Name"])
}

// In a $batch such a site refuses each change; each is made again by itself.
func TestPushOfSeveralWhereChangesNeedAVersion(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	p := newPush(2)
	b.mustPush(p)
	refused := false
	b.as(func(r *http.Request, a *http.Response, body []byte) []byte {
		if !strings.HasSuffix(r.URL.Path, "$batch") || refused {
			return nil
		}
		refused = true
		return []byte(`{"responses":[{"id":"1","status":428,"body":{"error":{"code":"428","message":"Precondition Required"}}}]}`)
	})
	for i := range p.Messages {
		p.Messages[i].Text += ", edited"
	}
	b.mustPush(p)
	b.requireOnce(p)
	require.True(t, refused)
}

// A column that the site does not have is named, for whoever administers it; what was asked by a person's phone is not repeated.
func TestRefusedReadingNamesTheColumn(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	b.as(func(r *http.Request, a *http.Response, _ []byte) []byte {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/odata/OmniChat") && !strings.Contains(r.URL.Path, "/odata/Contact") {
			return nil
		}
		a.StatusCode = http.StatusBadRequest
		return fmt.Appendf(nil, `{"error":{"code":"400","message":"Property QueueId does not exist in %s"}}`, r.URL.RawQuery)
	})
	p := newPush(1)
	p.Contacts, p.Identities = nil, nil
	_, err := b.push(p)
	assert.Contains(t, requireCause(t, crm.Unavailable, err).Reason, "HTTP 400 while reading OmniChat: Property QueueId does not exist")
	_, err = b.adapter.FindContact(b.ctx, b.conn, crm.Lookup{Phone: "+12025550123", Email: "ann@example.com"})
	reason := requireCause(t, crm.Unavailable, err).Error()
	assert.NotContains(t, reason, "2025550123")
	assert.NotContains(t, reason, "ann")
}

// What a gateway or a page says is not the site's word: nothing is concluded from it.
func TestGatewaysAreNotTheSite(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
	}{
		"a gateway's 403":            {http.StatusForbidden, `{"status":403,"error":"Forbidden","path":"/odata"}`},
		"a page that is not there":   {http.StatusNotFound, "<html><body>404 Not Found</body></html>"},
		"an answer without a list":   {http.StatusOK, `{"status":"maintenance"}`},
		"nobody, not even ourselves": {http.StatusOK, `{"value":[]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t, crm.Login, creatiotest.Options{})
			b.as(func(r *http.Request, a *http.Response, _ []byte) []byte {
				if !strings.Contains(r.URL.Path, "/SysAdminUnit") {
					return nil
				}
				a.StatusCode = test.status
				return []byte(test.body)
			})
			_, err := b.adapter.Users(b.ctx, b.conn)
			requireCause(t, crm.Unavailable, err)
		})
	}
}
