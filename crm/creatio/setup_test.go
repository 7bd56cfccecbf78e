package creatio_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/crm"
	"waggle/crm/creatio"
	"waggle/crm/creatio/creatiotest"
)

const password = "correct horse battery staple"

// bench is an adapter in front of a site.
type bench struct {
	t       *testing.T
	ctx     context.Context
	site    *creatiotest.Server
	adapter *creatio.Adapter
	conn    crm.Connection
	admin   creatiotest.User
}

func setup(t *testing.T, auth crm.Auth, options creatiotest.Options) *bench {
	t.Helper()
	options.ClientID, options.ClientSecret, options.APIKey = "waggle", "client secret", "api key"
	site := creatiotest.New(options)
	t.Cleanup(site.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	now := options.Now
	if now == nil {
		now = time.Now
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	b := &bench{t: t, ctx: ctx, site: site, adapter: creatio.New(client, now), admin: site.AddUser("Supervisor", password, true)}
	b.conn = crm.Connection{Environment: uuid.New(), URL: site.URL(), Prefix: "?", Auth: auth}
	switch auth {
	case crm.OAuth:
		b.conn.IdentityURL, b.conn.ClientID, b.conn.ClientSecret = site.IdentityURL(), "waggle", "client secret"
	case crm.APIKey:
		b.conn.APIKey = "api key"
	default:
		b.conn.Login, b.conn.Password = "Supervisor", password
	}
	return b
}

// everyWay runs a test, called name, for each way of authorization on each
// flavour of site.
func everyWay(t *testing.T, name string, test func(*testing.T, *bench)) {
	t.Helper()
	for _, auth := range []crm.Auth{crm.Login, crm.OAuth, crm.APIKey} {
		for _, framework := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, %s, framework %v", name, auth, framework), func(t *testing.T) {
				t.Parallel()
				test(t, setup(t, auth, creatiotest.Options{Framework: framework}))
			})
		}
	}
}

func (b *bench) push(p crm.Push) (crm.Result, error) {
	b.t.Helper()
	return b.adapter.Push(b.ctx, b.conn, p)
}

// mustPush pushes and demands that every record is proven.
func (b *bench) mustPush(p crm.Push) {
	b.t.Helper()
	result, err := b.push(p)
	require.NoError(b.t, err)
	for _, id := range ids(p) {
		require.True(b.t, result[id].Proven, "%s: %s", id, result[id].Reason)
	}
}

func ids(p crm.Push) []uuid.UUID {
	var all []uuid.UUID
	for _, r := range p.Channels {
		all = append(all, r.ID)
	}
	for _, r := range p.Queues {
		all = append(all, r.ID)
	}
	for _, r := range p.Contacts {
		all = append(all, r.ID)
	}
	for _, r := range p.Identities {
		all = append(all, r.ID)
	}
	for _, r := range p.Chats {
		all = append(all, r.ID)
	}
	for _, r := range p.Messages {
		all = append(all, r.ID)
	}
	return all
}

var opened = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newPush is one chat with everything it needs and n messages.
func newPush(n int) crm.Push {
	channel, queue := crm.Channel{ID: uuid.New(), Name: "Bot", Kind: "telegram", Active: true}, crm.Queue{ID: uuid.New(), Name: "1st-line support", TimeoutMinutes: 10}
	channel.QueueID = queue.ID
	contact := crm.Contact{ID: uuid.New(), Own: true, Name: "Ann O'Hara", Phone: "+12025550123"}
	chat := crm.Chat{ID: uuid.New(), Name: "Chat-7", Status: crm.Waiting, ContactID: contact.ID, ChannelID: channel.ID, QueueID: queue.ID, Preview: "message 1", LastIncoming: true, Unprocessed: n, StartedAt: opened}
	p := crm.Push{Channels: []crm.Channel{channel}, Queues: []crm.Queue{queue}, Contacts: []crm.Contact{contact},
		Identities: []crm.Identity{{ID: uuid.New(), ContactID: contact.ID, ChannelID: channel.ID, ExternalID: "42"}}, Chats: []crm.Chat{chat}}
	for i := range n {
		p.Messages = append(p.Messages, crm.Message{ID: uuid.New(), ChatID: chat.ID, ChannelID: channel.ID, Incoming: i%2 == 0,
			Text: fmt.Sprintf("message %d", i+1), Sender: "42", Recipient: "bot", CreatedAt: opened.Add(time.Duration(i) * time.Millisecond)})
	}
	return p
}

// texts are the messages' texts in the order the site got them.
func (b *bench) texts() []string {
	var texts []string
	for _, m := range b.site.Messages("") {
		texts = append(texts, m["Message"].(string))
	}
	return texts
}

func wantedTexts(p crm.Push) []string {
	var texts []string
	for _, m := range p.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}

// requireOnce demands that the site holds each record of p once, messages in
// order.
func (b *bench) requireOnce(p crm.Push) {
	b.t.Helper()
	require.Equal(b.t, wantedTexts(p), b.texts())
	require.Len(b.t, b.site.Chats(), len(p.Chats))
	require.Len(b.t, b.site.Rows("ContactIdentity"), len(p.Identities))
	require.Len(b.t, b.site.Rows("Channel"), len(p.Channels))
	require.Empty(b.t, b.site.Doubled("ChatMessages", "OmniChatId", "Message"))
}
