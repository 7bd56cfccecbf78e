package api

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/telegram/telegramtest"
	"waggle/chat"
	"waggle/jobs"
)

const picture = "\x89PNG\r\n\x1a\n and the rest of it"

// withMedia is a façade with a chat of Ann's, who writes to a bot.
type withMedia struct {
	*messengers
	bot *telegramtest.Bot
	ann *telegramtest.Customer
}

func newMedia(t *testing.T) *withMedia {
	m := newMessengers(t)
	bot := m.telegram.AddBot("222:second", "shop_bot")
	m.add(telegramChannel("222:second"))
	m.call("PATCH", "/settings", m.key, body{"chats_enabled": true}).status(200)
	return &withMedia{m, bot, bot.Customer(7, "Ann")}
}

// messages are all of Ann's, after what she wrote has arrived.
func (m *withMedia) messages() []gen.Message {
	m.t.Helper()
	var list gen.MessageList
	m.call("GET", "/chats/"+m.chats()[0].ID.String()+"/messages", m.key, nil).status(200).into(&list)
	return list.Items
}

func (m *withMedia) fetch() {
	m.t.Helper()
	_, err := m.Server.Jobs.Fetch(context.Background(), m.environment(m.key))
	require.NoError(m.t, err)
}

func mediaPath(message uuid.UUID, n int) string { return jobs.MediaPath(message, n)[len(base):] }

func TestMedia_S4_8(t *testing.T) {
	m := newMedia(t)
	m.ann.SendPhoto([]byte(picture), "look")
	m.ann.SendDocument("../..\\evil\".html", "text/html", []byte("<script>alert(1)</script>"))
	require.NoError(t, m.bot.WaitDelivered(t.Context()))
	photo, page := m.messages()[0], m.messages()[1]

	a := m.call("GET", mediaPath(photo.ID, 0), m.key, nil)
	a.problem(409)
	require.Equal(t, "3", a.Header.Get("Retry-After"), "it is being fetched")
	require.Equal(t, gen.AttachmentStateWaiting, *photo.Attachments[0].State)
	require.Nil(t, photo.Attachments[0].Link)
	m.fetch()
	photo = m.messages()[0]
	require.Equal(t, gen.AttachmentStateStored, *photo.Attachments[0].State)
	require.Equal(t, "image/png", *photo.Attachments[0].Mime, "whatever the messenger said")
	require.EqualValues(t, len(picture), *photo.Attachments[0].Size)

	a = m.call("GET", mediaPath(photo.ID, 0), m.key, nil).status(200)
	require.Equal(t, picture, string(a.Body))
	require.Equal(t, "image/png", a.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "inline; filename=photo.jpg", a.Header.Get("Content-Disposition"))
	require.Contains(t, a.Header.Get("Content-Security-Policy"), "sandbox")

	a = m.call("GET", mediaPath(page.ID, 0), m.key, nil).status(200)
	require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"), "what could carry a script is bytes")
	require.Equal(t, `attachment; filename=evil.html`, a.Header.Get("Content-Disposition"))

	m.call("GET", mediaPath(photo.ID, 0), "", nil).problem(401)
	m.call("GET", mediaPath(photo.ID, 0), m.secretKey(), nil).problem(404)
	m.call("GET", mediaPath(photo.ID, 1), m.key, nil).problem(404)
	m.call("GET", mediaPath(uuid.New(), 0), m.key, nil).problem(404)
	m.call("GET", "/media/nonsense/0", m.key, nil).problem(404)
	m.call("GET", mediaPath(photo.ID, 0)+"?token="+m.key, "", nil).status(200)
	agent := m.addAgent("Bob")
	m.call("GET", mediaPath(photo.ID, 0), m.session(m.key, chat.AgentRole, agent.ID), nil).problem(404)

	m.telegram.Close()
	m.call("GET", mediaPath(photo.ID, 0), m.key, nil).status(200)
}

func TestMediaInRanges(t *testing.T) {
	m := newMedia(t)
	m.ann.SendPhoto([]byte(picture), "")
	require.NoError(t, m.bot.WaitDelivered(t.Context()))
	m.fetch()
	path := mediaPath(m.messages()[0].ID, 0)
	for asked, want := range map[string]string{
		"bytes=1-3": picture[1:4], "bytes=20-": picture[20:], "bytes=-4": picture[len(picture)-4:], "bytes=0-9999": picture,
	} {
		a := m.call("GET", path, m.key, nil, "Range", asked).status(206)
		require.Equal(t, want, string(a.Body), asked)
		require.Contains(t, a.Header.Get("Content-Range"), fmt.Sprintf("/%d", len(picture)))
	}
	for _, asked := range []string{"bytes=999-", "bytes=3-1", "lines=1-2", "bytes=1-2,4-5", "bytes=", "bytes=-0"} {
		a := m.call("GET", path, m.key, nil, "Range", asked)
		a.problem(416)
		require.Equal(t, fmt.Sprintf("bytes */%d", len(picture)), a.Header.Get("Content-Range"), asked)
	}
}

// A link stands for the session it was given to, for one file and not for long.
func TestLinksToMedia(t *testing.T) {
	m := newMedia(t)
	m.ann.SendPhoto([]byte(picture), "one")
	m.ann.SendPhoto([]byte(picture), "two")
	require.NoError(t, m.bot.WaitDelivered(t.Context()))
	m.fetch()
	all := m.messages()
	link := *all[0].Attachments[0].Link
	require.Equal(t, picture, string(m.raw("GET", link, "", nil).status(200).Body), "without any header")

	_, token, _ := strings.Cut(link, "?link=")
	m.call("GET", mediaPath(all[1].ID, 0)+"?link="+token, "", nil).problem(401)
	m.call("GET", mediaPath(all[0].ID, 1)+"?link="+token, "", nil).problem(401)
	m.call("GET", "/chats?link="+token, "", nil).problem(401)
	for _, wrong := range []string{token[1:], token + "A", "x", "%00"} {
		m.call("GET", mediaPath(all[0].ID, 0)+"?link="+wrong, "", nil).problem(401)
	}
	env := m.environment(m.key)
	ended, err := m.Server.Store.MediaLink(env, all[0].ID, 0, time.Now())
	require.NoError(t, err)
	m.call("GET", mediaPath(all[0].ID, 0)+"?link="+ended, "", nil).problem(401)
	foreign, err := m.Server.Store.MediaLink(m.environment(m.secretKey()), all[0].ID, 0, time.Now().Add(time.Minute))
	require.NoError(t, err)
	m.call("GET", mediaPath(all[0].ID, 0)+"?link="+foreign, "", nil).problem(404)
}

func TestMediaThatFailsIsShownAndTriedAgain(t *testing.T) {
	m := newMedia(t)
	m.ann.SendBigDocument("film.mov", "video/quicktime", []byte("x"), 25<<20) // more than a bot may fetch
	require.NoError(t, m.bot.WaitDelivered(t.Context()))
	m.fetch()
	message := m.messages()[0]
	a := message.Attachments[0]
	require.Equal(t, gen.AttachmentStateFailed, *a.State)
	require.Contains(t, *a.Error, "20 MB")
	require.NotContains(t, *m.call("GET", mediaPath(message.ID, 0), m.key, nil).problem(404).Detail, "second")

	retry := mediaPath(message.ID, 0) + "/retry"
	m.call("POST", retry, "", nil).problem(401)
	agent := m.addAgent("Bob")
	m.call("POST", retry, m.session(m.key, chat.AgentRole, agent.ID), nil).problem(404)
	m.call("POST", retry, m.key, nil).status(202).into(&a)
	require.Equal(t, gen.AttachmentStateWaiting, *a.State)
	m.call("POST", retry, m.key, nil).problem(409)
	m.fetch()
	require.Equal(t, gen.AttachmentStateFailed, *m.messages()[0].Attachments[0].State)
}

func TestMediaNames(t *testing.T) {
	for given, want := range map[string]string{
		"photo.jpg": "photo.jpg", "": "attachment", "..": "attachment", "/etc/passwd": "passwd", `C:\boot.ini`: "boot.ini",
		"a\r\nb.txt": "ab.txt", `say "x".txt`: "say x.txt", "договор.pdf": "договор.pdf", "gpj.\u202Eexe": "gpj.exe",
	} {
		require.Equal(t, want, mediaName(given), "%q", given)
	}
}

// Who takes a file a few bytes at a time does not hold it open for ever.
func TestGivingAFileOutEnds(t *testing.T) {
	conn, other := net.Pipe()
	t.Cleanup(func() { _, _ = conn.Close(), other.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	m := &mediaStream{Reader: strings.NewReader(picture), conn: conn, ctx: ctx, cancel: cancel}
	_, err := m.Read(make([]byte, 4))
	require.NoError(t, err)
	cancel()
	_, err = m.Read(make([]byte, 4))
	require.ErrorIs(t, err, context.Canceled)
}
