package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/channels/messenger"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/x"
	"waggle/channels/x/xtest"
	"waggle/store"
)

const verifyToken = "meatyhamhock-and-more"

// pages are the channels of pages that share one app's webhook, which is the first one's.
type pages struct {
	*messengers
	facebook *messengertest.Server
	app      *messengertest.App
}

func newPages(t *testing.T) *pages {
	t.Helper()
	p := &pages{facebook: messengertest.New()}
	t.Cleanup(p.facebook.Close)
	p.app = p.facebook.AddApp("1517", "the-secret-of-the-app")
	p.messengers = newMessengers(t, func(s *Server) {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		kinds := channels.NewRegistry(messenger.New(&http.Client{Transport: transport}, p.facebook.URL))
		s.Channels, s.Jobs.Channels = kinds, kinds
	})
	return p
}

// connect makes a page's channel, for the environment of key.
func (p *pages) connect(key string, page *messengertest.Page, app *messengertest.App) (ch gen.Channel) {
	p.t.Helper()
	p.call("POST", "/channels", key, map[string]any{"kind": "messenger", "name": page.Name, "fields": map[string]string{
		messenger.FieldPage: page.ID, messenger.FieldToken: page.Token(app), messenger.FieldApp: app.ID, messenger.FieldAppSecret: app.Secret,
		messenger.FieldVerifyToken: verifyToken,
	}}).status(201).into(&ch)
	return ch
}

func (p *pages) soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	return ctx
}

// write lets a customer of each page write one message, all of which come in one delivery.
func (p *pages) write(all ...*messengertest.Page) {
	p.t.Helper()
	p.app.Hold()
	for _, page := range all {
		page.Customer("9"+page.ID, "Ann", "Lee").Write("to " + page.Name)
	}
	p.app.Flush()
}

func TestOneWebhookForAllPagesOfAnApp(t *testing.T) {
	p := newPages(t)
	elsewhere := p.facebook.AddApp("1518", "the-secret-of-another")
	shop, cafe := p.facebook.AddPage("1", "Shop"), p.facebook.AddPage("2", "Cafe")
	nobodys, foreign, other := p.facebook.AddPage("3", "Nobody's"), p.facebook.AddPage("4", "Another tenant's"), p.facebook.AddPage("5", "Another app's")
	first, second := p.connect(p.key, shop, p.app), p.connect(p.key, cafe, p.app)
	theirs := p.secretKey()
	p.connect(theirs, foreign, p.app)
	p.connect(p.key, other, elsewhere)
	for _, page := range []*messengertest.Page{nobodys, other} {
		page.Subscribe(p.app, "messages")
	}
	require.NoError(t, p.app.SetWebhook(first.Hook.URL, verifyToken), "the challenge comes back as it is")
	hook := strings.TrimPrefix(first.Hook.URL, p.URL)
	a := p.raw("GET", hook+"?hub.mode=subscribe&hub.challenge=1158&hub.verify_token="+verifyToken, "", nil).status(http.StatusOK)
	require.Equal(t, "text/plain; charset=utf-8", a.Header.Get("Content-Type"))
	require.Equal(t, "1158", string(a.Body))
	p.raw("GET", hook+"?hub.mode=subscribe&hub.challenge=1158&hub.verify_token=wrong", "", nil).problem(http.StatusForbidden)
	p.raw("GET", hook+"?hub.mode=unsubscribe&hub.challenge=1158&hub.verify_token="+verifyToken, "", nil).problem(http.StatusForbidden)
	p.raw("GET", "/hooks/messenger/"+uuid.NewString()+"?hub.mode=subscribe&hub.challenge=1158&hub.verify_token="+verifyToken, "", nil).problem(http.StatusNotFound)
	p.raw("POST", hook, "", "{}").problem(http.StatusUnauthorized)

	p.app.DuplicateNext(1)
	p.write(shop, cafe, nobodys, foreign, other)
	require.NoError(t, p.app.WaitDelivered(p.soon()))
	require.ElementsMatch(t, []string{"to Shop", "to Cafe"}, p.texts(), "each page's once, and nobody else's")
	byChannel := map[string]int{}
	for _, c := range p.chats() {
		byChannel[c.ChannelID.String()]++
	}
	require.Equal(t, map[string]int{first.ID.String(): 1, second.ID.String(): 1}, byChannel, "S3.26: each page's channel has its own")

	p.write(cafe) // by the first one's address, and nothing for that one
	require.NoError(t, p.app.WaitDelivered(p.soon()))
	require.Len(t, p.texts(), 3)
	var list gen.ChatList
	p.call("GET", "/chats", theirs, nil).status(http.StatusOK).into(&list)
	require.Empty(t, list.Items, "one tenant's webhook delivers to no other's channel")
	p.Server.Jobs.Intake.Close() // writes the counters
	require.EqualValues(t, 2*3, p.channel(first.ID).Ignored, "three pages that are none of this app's channels here, twice")
	require.Zero(t, p.channel(second.ID).Ignored)
	require.Contains(t, string(p.raw("GET", "/metrics", "", nil).Body), `waggle_received_total{kind="messenger",outcome="ignored"} 6`)
}

func TestWhatOnePageCouldNotStoreComesAgain(t *testing.T) {
	p := newPages(t)
	shop, cafe := p.facebook.AddPage("1", "Shop"), p.facebook.AddPage("2", "Cafe")
	first := p.connect(p.key, shop, p.app)
	p.connect(p.key, cafe, p.app)
	require.NoError(t, p.app.SetWebhook(first.Hook.URL, verifyToken))
	p.Server.Jobs.Intake.Close()
	p.write(cafe)
	require.NoError(t, p.app.WaitForFailures(p.soon(), 1), "the addressed channel's part, which is empty, is no reason for a 2xx")
}

// S4.3: X may not come again with what it was answered 503 for: it is read, for the channels it was for.
func TestWhatXCouldNotDeliverIsRead(t *testing.T) {
	far := xtest.New(xtest.WithAnyHook())
	t.Cleanup(far.Close)
	app := far.AddApp("consumerKeyOfTheApp", "consumerSecretOfTheApp", "bearerOfTheApp")
	m := newMessengers(t, func(s *Server) {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		kinds := channels.NewRegistry(x.New(&http.Client{Transport: transport}, far.URL))
		s.Channels, s.Jobs.Channels = kinds, kinds
	})
	jobs, db := m.Server.Jobs, m.Server.Store
	row := func(ch gen.Channel) *store.Channel {
		row, err := db.Channel(t.Context(), m.environment(m.key), ch.ID)
		require.NoError(t, err)
		return row
	}
	connect := func(id string) (*xtest.Account, gen.Channel) {
		account := app.AddAccount(id, "account"+id, id+"-token", "tokenSecret")
		var ch gen.Channel
		m.call("POST", "/channels", m.key, map[string]any{"kind": "x", "name": id, "fields": map[string]string{
			"AccessToken": id + "-token", "AccessSecret": "tokenSecret", "ConsumerKey": "consumerKeyOfTheApp", "ConsumerSecret": "consumerSecretOfTheApp",
			"BearerToken": "bearerOfTheApp",
		}}).status(201).into(&ch)
		connected := row(ch)
		require.NoError(t, db.EndReread(t.Context(), ch.ID, connected.RereadFrom, connected.RereadAt))
		return account, ch
	}
	_, first := connect("11")
	account, second := connect("22")
	require.NoError(t, jobs.Receiving(t.Context()))
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	before, err := db.Unmoved(soon)
	require.NoError(t, err)

	jobs.Intake.Close()
	account.Customer("5", "Ann", "ann").Write("hello")
	require.NoError(t, app.WaitDelivered(soon), "it gives up")
	require.NoError(t, jobs.Receiving(soon))
	require.WithinDuration(t, before, row(second).RereadFrom.Time, time.Minute)
	require.True(t, row(first).RereadFrom.IsZero(), "the webhook they share is the other's, and nothing was for it")
}
