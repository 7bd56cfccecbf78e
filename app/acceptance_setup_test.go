package app_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/custom"
	"waggle/channels/custom/customtest"
	"waggle/crm/creatio/creatiotest"
	"waggle/store"
	"waggle/store/storetest"
)

// What the doubles and the people of the tests are called.
const (
	crmAdmin         = "Supervisor"
	crmPassword      = "Supervisor!1"
	oauthClient      = "waggle"
	oauthSecret      = "the-client's-secret"
	confirmationCode = "our code: 🐝"
	vendor           = "keys@vendor.example"
)

type body = map[string]any

// place is one whole installation with a messenger and a CRM, seen from outside.
type place struct {
	socket    *os.File // see listener
	t         *testing.T
	config    app.Config
	app       *app.App
	messenger *customtest.Messenger
	crm       *creatiotest.Server
	secretKey string
	api       client.Client // as the CRM's server: with the key in force
	queue     uuid.UUID
	channel   uuid.UUID
	agents    map[string]*agent
}

// agent is a CRM user who serves chats.
type agent struct {
	id  uuid.UUID
	crm creatiotest.User
}

// everywhere proves something on SQLite and, where TEST_DATABASE_URL is set, on PostgreSQL.
func everywhere(t *testing.T, prove func(t *testing.T, p *place), with ...func(*app.Config)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); prove(t, newPlace(t, with...)) })
	if storetest.HasPostgres() {
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			onPostgres := func(c *app.Config) { c.DatabaseURL = storetest.PostgresURL(t) }
			prove(t, newPlace(t, append([]func(*app.Config){onPostgres}, with...)...))
		})
	}
}

// newPlace starts the doubles and Waggle, with a secret key of the operator's.
func newPlace(t *testing.T, with ...func(*app.Config)) *place {
	t.Helper()
	p := &place{t: t, agents: map[string]*agent{}}
	p.config = app.Config{
		DataDir: t.TempDir(), AllowHosts: []string{"127.0.0.1"}, Vendor: vendor, MovableClock: true, Connections: 6,
		Tick: 100 * time.Millisecond, Sweep: 200 * time.Millisecond, Drain: 5 * time.Second, LogLevel: "off",
	}
	for _, f := range with {
		f(&p.config)
	}
	p.messenger = customtest.New(confirmationCode)
	t.Cleanup(p.messenger.Close)
	p.crm = creatiotest.New(creatiotest.Options{Framework: true, ClientID: oauthClient, ClientSecret: oauthSecret})
	t.Cleanup(p.crm.Close)
	p.crm.AddUser(crmAdmin, crmPassword, true)
	p.start()
	t.Cleanup(func() { p.app.Stop() })
	p.secretKey = p.issueKey()
	p.api = client.New(p.config.PublicURL).As(p.secretKey)
	return p
}

// start starts Waggle, at the same address each time.
func (p *place) start() {
	p.t.Helper()
	l := p.listener()
	p.config.Listener, p.config.PublicURL = l, "http://"+l.Addr().String()
	p.run(p.config)
}

func (p *place) run(c app.Config) {
	p.t.Helper()
	a, err := app.Build(p.t.Context(), c, app.Parts{API: true, Worker: true})
	require.NoError(p.t, err)
	p.app = a
	require.NoError(p.t, p.app.Start(p.t.Context()))
}

// listener listens at the place's own address. The socket is kept open from one start to the next, so that nobody else can
// take the port meanwhile.
func (p *place) listener() net.Listener {
	p.t.Helper()
	if p.socket == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(p.t, err)
		p.socket, err = l.(*net.TCPListener).File()
		require.NoError(p.t, err)
		require.NoError(p.t, l.Close())
		p.t.Cleanup(func() { _ = p.socket.Close() })
	}
	l, err := net.FileListener(p.socket)
	require.NoError(p.t, err)
	return l
}

// keys does what the operator does with waggle keys.
func (p *place) keys(do func(ctx context.Context, s *store.Store) error) {
	p.t.Helper()
	s, err := app.OpenStore(p.t.Context(), p.config)
	require.NoError(p.t, err)
	defer func() { _ = s.Close() }()
	require.NoError(p.t, do(p.t.Context(), s))
}

func (p *place) issueKey() (key string) {
	p.t.Helper()
	p.keys(func(ctx context.Context, s *store.Store) (err error) {
		key, _, err = s.IssueKey(ctx, store.KeyOwner{Company: "Honey Shop"}, 0)
		return err
	})
	return key
}

// does requires a call to succeed and reads its answer into out.
func (p *place) does(c client.Client, method, path string, in, out any) {
	p.t.Helper()
	require.NoError(p.t, c.Call(p.t.Context(), method, "/api/v1"+path, in, out))
}

func (p *place) get(path string, out any) {
	p.t.Helper()
	p.does(p.api, http.MethodGet, path, nil, out)
}
func (p *place) put(path string, in, out any) {
	p.t.Helper()
	p.does(p.api, http.MethodPut, path, in, out)
}
func (p *place) post(path string, in, out any) {
	p.t.Helper()
	p.does(p.api, http.MethodPost, path, in, out)
}
func (p *place) patch(path string, in, out any) {
	p.t.Helper()
	p.does(p.api, http.MethodPatch, path, in, out)
}

// refused requires a call to be answered with a problem of this status.
func (p *place) refused(c client.Client, method, path string, in any, status int) (problem gen.Problem) {
	p.t.Helper()
	var failed *client.Error
	err := c.Call(p.t.Context(), method, "/api/v1"+path, in, nil)
	require.ErrorAsf(p.t, err, &failed, "%s %s was to be refused with %d: %v", method, path, status, err)
	require.Equal(p.t, status, failed.Status, failed.Body)
	require.NoError(p.t, json.Unmarshal([]byte(failed.Body), &problem), failed.Body)
	return problem
}

// faults requires a 422 and returns the fields it names.
func (p *place) faults(c client.Client, method, path string, in any) (fields []string) {
	p.t.Helper()
	for _, e := range p.refused(c, method, path, in, http.StatusUnprocessableEntity).Errors {
		fields = append(fields, e.Field)
	}
	return fields
}

// until waits for something to become true.
func (p *place) until(what string, ask func() bool) {
	p.t.Helper()
	require.NoError(p.t, client.Until(p.t.Context(), what, func() (bool, error) { return ask(), nil }))
}

// step1 fills in Step 1 by an API key and an OAuth client of the CRM; from then on the API key is the bearer.
func (p *place) step1() {
	p.t.Helper()
	var w gen.Wizard
	p.put("/wizard/credentials", body{
		"crm_url": p.crm.URL() + "/0", "secret_key": p.secretKey, "generate_api_key": true,
		"oauth": body{"identity_url": p.crm.IdentityURL(), "client_id": oauthClient, "client_secret": oauthSecret},
	}, &w)
	require.NotNil(p.t, w.Credentials.GeneratedAPIKey)
	p.api = p.api.As(*w.Credentials.GeneratedAPIKey)
}

// periods are Step 2's waiting periods in minutes; 0: the checkbox is off.
func periods(client, agent int) body {
	in := body{}
	for name, minutes := range map[string]int{"client": client, "agent": agent} {
		if minutes > 0 {
			in[name] = body{"enabled": true, "minutes": minutes}
		}
	}
	return in
}

// wizard walks the whole wizard.
func (p *place) wizard(client, agent int) {
	p.t.Helper()
	p.step1()
	p.put("/wizard/waiting-periods", periods(client, agent), nil)
	p.post("/wizard/finish", body{}, nil)
}

// staff switches chats on, makes the agents, all active, with a queue "To an available agent", and connects the messenger to
// it. Accept timeouts are put far off.
func (p *place) staff(names ...string) {
	p.t.Helper()
	p.patch("/settings", body{"chats_enabled": true, "operator_accept_chat_timeout": 10000}, nil)
	ids := []uuid.UUID{}
	for _, name := range names {
		ids = append(ids, p.hire(name).id)
	}
	var q gen.Queue
	p.post("/queues", body{"name": "1st line", "routing_rule": gen.RoutingRuleToAnAvailableAgent, "agent_ids": ids}, &q)
	p.queue = q.ID
	p.channel = p.connect(p.messenger, &p.queue).ID
}

// hire makes a CRM user an active agent.
func (p *place) hire(name string) *agent {
	p.t.Helper()
	a := &agent{crm: p.crm.AddUser(name, name+"!1", false)}
	var made gen.Agent
	p.post("/agents", body{"name": name, "crm_user_id": a.crm.ID}, &made)
	a.id, p.agents[name] = made.ID, a
	p.status(name, gen.AgentStatusActive)
	return a
}

// as is the façade for an agent. The session is new each time: moving the clock ends the earlier ones.
func (p *place) as(name string) client.Client {
	p.t.Helper()
	return p.session(body{"role": "agent", "crm_user_id": p.agents[name].crm.ID})
}

// session asks for one as the CRM's server does.
func (p *place) session(in body) client.Client {
	p.t.Helper()
	var s gen.Session
	p.post("/sessions", in, &s)
	return p.api.As(s.Token)
}

func (p *place) status(name string, status gen.AgentStatus) {
	p.t.Helper()
	p.does(p.as(name), http.MethodPatch, "/agents/"+p.agents[name].id.String()+"/status", body{"status": status}, nil)
}

// card changes an agent's card.
func (p *place) card(name string, in body) {
	p.t.Helper()
	p.patch("/agents/"+p.agents[name].id.String(), in, nil)
}

func (p *place) connect(m *customtest.Messenger, queue *uuid.UUID) (ch gen.Channel) {
	p.t.Helper()
	p.post("/channels", gen.ChannelInput{Kind: "custom", Name: "Own messenger", QueueID: queue, Fields: map[string]string{
		custom.FieldWebhook: m.WebhookURL(), custom.FieldCode: confirmationCode, custom.FieldPublicURL: p.crm.URL(),
	}}, &ch)
	require.Equal(p.t, gen.ChannelStateActive, ch.State)
	return ch
}

// writes lets a customer write and returns his open chat, which holds the message.
func (p *place) writes(customer, text string) (found gen.Chat) {
	p.t.Helper()
	_, err := p.messenger.Customer(customtest.Profile{ID: customer, Name: customer}).Write(p.t.Context(), text)
	require.NoError(p.t, err)
	p.until(customer+"'s message stands in an open chat", func() bool {
		i := slices.IndexFunc(p.chats(), func(c gen.Chat) bool { return c.Contact.Name == customer && c.Status != gen.ChatStatusClosed })
		if i < 0 {
			return false
		}
		found = p.chats()[i]
		texts := p.texts(found.ID)
		return len(texts) > 0 && texts[len(texts)-1] == text
	})
	return found
}

// chats are all that the administrator sees.
func (p *place) chats() []gen.Chat {
	p.t.Helper()
	var list gen.ChatList
	p.get("/chats?limit=100", &list)
	return list.Items
}

func (p *place) chat(id uuid.UUID) (c gen.Chat) {
	p.t.Helper()
	p.get("/chats/"+id.String(), &c)
	return c
}

func (p *place) texts(chat uuid.UUID) (texts []string) {
	p.t.Helper()
	var list gen.MessageList
	p.get("/chats/"+chat.String()+"/messages?limit=100", &list)
	for _, m := range list.Items {
		texts = append(texts, m.Text)
	}
	return texts
}

// given waits until a chat is this agent's.
func (p *place) given(chat uuid.UUID, name string) gen.Chat {
	p.t.Helper()
	p.until("the chat is "+name+"'s", func() bool { return p.holder(chat) == name })
	return p.chat(chat)
}

// holder is the name of a chat's agent; empty if it has none.
func (p *place) holder(chat uuid.UUID) string {
	p.t.Helper()
	if c := p.chat(chat); c.Agent != nil {
		return c.Agent.Name
	}
	return ""
}

// replies lets an agent answer and waits until the customer has it.
func (p *place) replies(name string, chat uuid.UUID, text string) {
	p.t.Helper()
	p.reaches(name, chat, text, gen.MessageStateDelivered)
}

// reaches lets an agent answer and waits until that has come so far.
func (p *place) reaches(name string, chat uuid.UUID, text string, state gen.MessageState) (m gen.Message) {
	p.t.Helper()
	p.does(p.as(name), http.MethodPost, "/chats/"+chat.String()+"/messages", body{"text": text}, &m)
	p.comes(chat, m.ID, state)
	return m
}

// comes waits until a message is in this state.
func (p *place) comes(chat, message uuid.UUID, state gen.MessageState) {
	p.t.Helper()
	p.until("the message is "+string(state), func() bool {
		var list gen.MessageList
		p.get("/chats/"+chat.String()+"/messages?limit=100", &list)
		i := slices.IndexFunc(list.Items, func(x gen.Message) bool { return x.ID == message })
		return i >= 0 && list.Items[i].State == state
	})
}

// closed waits until a chat is closed.
func (p *place) closed(chat uuid.UUID) gen.Chat {
	p.t.Helper()
	p.until("the chat is closed", func() bool { return p.chat(chat).Status == gen.ChatStatusClosed })
	return p.chat(chat)
}

// stays requires what holds now to hold still after every rule has run again.
func (p *place) stays(what string, holds func() bool) {
	p.t.Helper()
	p.ticks()
	require.True(p.t, holds(), what)
}

// advance moves the business clock and returns its new time.
func (p *place) advance(by time.Duration) time.Time {
	p.t.Helper()
	var out struct{ Now time.Time }
	require.NoError(p.t, p.api.Call(p.t.Context(), http.MethodPost, "/demo/clock", body{"advance": by.String()}, &out))
	return out.Now
}

// crmRow waits until the CRM's record of a chat is as wanted.
func (p *place) crmRow(chat uuid.UUID, what string, wanted func(creatiotest.Row) bool) creatiotest.Row {
	p.t.Helper()
	p.until("in the CRM "+what, func() bool {
		row := p.crm.Row("OmniChat", chat.String())
		return row != nil && wanted(row)
	})
	return p.crm.Row("OmniChat", chat.String())
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}
