package api

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/store"
)

// filed is a messenger that takes files of 4 MB, or none.
type filed struct {
	channels.Adapter
	none bool
}

func (f filed) Describe() channels.Description {
	d := f.Adapter.Describe()
	d.Capabilities.Attachments, d.Capabilities.FileLimit = !f.none, 4<<20
	return d
}

// newUploads is a façade over HTTP with a chat on a messenger that takes files of 4 MB.
func newUploads(t *testing.T) (*withMedia, uuid.UUID) {
	m := newMedia(t)
	kinds := m.Server.Channels
	kinds["telegram"] = filed{Adapter: kinds["telegram"]}
	m.ann.Write("hello")
	require.NoError(t, m.bot.WaitDelivered(t.Context()))
	return m, m.chats()[0].ID
}

// uploads sends a body to the upload's address over a real connection.
func (m *withMedia) uploads(chat uuid.UUID, name, content string, change ...func(*http.Request)) *http.Response {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.URL+base+"/chats/"+chat.String()+"/files?name="+name, strings.NewReader(content))
	require.NoError(m.t, err)
	r.Header.Set("Authorization", "Bearer "+m.key)
	for _, f := range change {
		f(r)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(m.t, err)
	m.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestUploads(t *testing.T) {
	m, chat := newUploads(t)
	long := picture + strings.Repeat("x", 3<<20)
	for _, chunked := range []bool{false, true} {
		res := m.uploads(chat, "photo.png", long, func(r *http.Request) {
			if chunked {
				r.ContentLength, r.Body = -1, struct{ *bufferedBody }{&bufferedBody{bytes.NewReader([]byte(long))}}
			}
		})
		require.Equal(t, http.StatusCreated, res.StatusCode)
		a := &answer{t: t, Body: readAll(t, res)}
		var f gen.UploadedFile
		a.into(&f)
		require.Equal(t, gen.UploadedFile{ID: f.ID, Name: "photo.png", Kind: "photo", Mime: "image/png", Size: int64(len(long))}, f)

		var sent gen.Message
		path := "/chats/" + chat.String() + "/messages"
		m.call("POST", path, m.key, body{"files": []uuid.UUID{f.ID}}).status(201).into(&sent)
		require.Equal(t, gen.AttachmentStateStored, *sent.Attachments[0].State)
		require.Equal(t, long, string(m.raw("GET", *sent.Attachments[0].Link, "", nil).status(200).Body))
		require.Equal(t, []string{"files"}, m.call("POST", path, m.key, body{"files": []uuid.UUID{f.ID}, "text": "again"}).faults(), "a file is sent once")
	}
	require.Equal(t, []string{"text"}, m.call("POST", "/chats/"+chat.String()+"/messages", m.key, body{}).faults())
}

type bufferedBody struct{ *bytes.Reader }

func (bufferedBody) Close() error { return nil }

func TestUploadsRefused(t *testing.T) {
	m, chat := newUploads(t)
	foreign := m.secretKey()
	m.call("PATCH", "/settings", foreign, body{"chats_enabled": true}).status(200)
	for name, c := range map[string]struct {
		chat    uuid.UUID
		name    string
		content string
		key     string
		status  int
	}{
		"a page":            {chat, "a.html", "<html><script>", m.key, 422},
		"a program as .jpg": {chat, "a.jpg", "MZ\x90\x00\x03", m.key, 422},
		"empty":             {chat, "a.txt", "", m.key, 422},
		"no name":           {chat, "", "hello", m.key, 422},
		"too large":         {chat, "a.txt", strings.Repeat("x", 4<<20+1), m.key, 413},
		"no key":            {chat, "a.txt", "hello", "nobody", 401},
		"a foreign key":     {chat, "a.txt", "hello", foreign, 404},
		"no such chat":      {uuid.New(), "a.txt", "hello", m.key, 404},
	} {
		t.Run(name, func(t *testing.T) {
			res := m.uploads(c.chat, c.name, c.content, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.key) })
			require.Equal(t, c.status, res.StatusCode)
			require.Contains(t, res.Header.Get("Content-Type"), "problem+json")
			require.True(t, res.Close, "what is left of the body is no request")
		})
	}
	m.Server.Channels["telegram"] = filed{m.Server.Channels["telegram"], true}
	require.Equal(t, http.StatusConflict, m.uploads(chat, "a.txt", "hello").StatusCode, "the messenger takes none")
}

// The bound on what is uploaded and not sent says what to do.
func TestTooManyUnsentFiles(t *testing.T) {
	m, chat := newUploads(t)
	f := store.StoredFile{EnvironmentID: m.environment(m.key), ChatID: chat, ChannelID: chat, Name: "a", Size: store.MaxUnsent}
	require.NoError(t, m.Server.Store.AddFile(t.Context(), &f))
	res := m.uploads(chat, "a.txt", "hello")
	require.Equal(t, http.StatusConflict, res.StatusCode)
	require.Contains(t, string(readAll(t, res)), "1024 MB of files wait to be sent, and more are not kept. Send what was uploaded")
}

// Bad input of issue 4: a 2 GB Content-Length is answered without reading.
func TestAnUploadOf2GB(t *testing.T) {
	m, chat := newUploads(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(m.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s/chats/%s/files?name=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\nabc", base, chat, m.key, 2<<30)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	var head [16]byte
	_, err = conn.Read(head[:])
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 413", string(head[:12]))
}

func TestUploadsThatNobodySends(t *testing.T) {
	m, chat := newUploads(t)
	var f gen.UploadedFile
	(&answer{t: t, Body: readAll(t, m.uploads(chat, "a.txt", "hello"))}).into(&f)
	env := m.environment(m.key)
	key := env.String() + "/" + f.ID.String()
	m.fetch()
	r, err := m.Server.Jobs.Media.Open(context.Background(), key, 0)
	require.NoError(t, err, "for a day it is there")
	require.NoError(t, r.Close())
}

func readAll(t *testing.T, res *http.Response) []byte {
	var b bytes.Buffer
	_, err := b.ReadFrom(res.Body)
	require.NoError(t, err)
	return b.Bytes()
}
