package api

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/channels/custom"
	"waggle/channels/custom/customtest"
	"waggle/channels/messenger"
	"waggle/channels/telegram"
	"waggle/channels/telegram/telegramtest"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

const confirmationCode = `a "secret" code 🐝`

// messengers is a façade that listens, with the doubles of a company's messenger and of Telegram.
type messengers struct {
	*harness
	URL      string
	key      string
	custom   *customtest.Messenger
	telegram *telegramtest.Server
}

func newMessengers(t *testing.T, with ...func(*Server)) *messengers {
	t.Helper()
	m := &messengers{custom: customtest.New(confirmationCode), telegram: telegramtest.New()}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(m.custom.Close)
	t.Cleanup(m.telegram.Close)
	client := &http.Client{Transport: transport}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.URL = "http://" + listener.Addr().String()
	m.harness = newAPI(t, append([]func(*Server){func(s *Server) {
		s.Options.PublicURL, s.Jobs.PublicURL = m.URL, m.URL
		kinds := channels.NewRegistry(custom.New(client, time.Now), telegram.New(client, m.telegram.URL))
		s.Channels, s.Jobs.Channels = kinds, kinds
		s.Jobs.Intake = jobs.NewIntake(s.Jobs)
		t.Cleanup(s.Jobs.Intake.Close)
	}}, with...)...)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = m.App.Listener(listener)
	}()
	t.Cleanup(func() {
		_ = m.App.ShutdownWithTimeout(5 * time.Second)
		<-served
	})
	m.key = m.secretKey()
	return m
}

func (m *messengers) customChannel(changes ...func(map[string]any)) map[string]any {
	body := map[string]any{"kind": "custom", "name": "Support service", "fields": map[string]string{
		custom.FieldWebhook: m.custom.WebhookURL(), custom.FieldCode: confirmationCode, custom.FieldPublicURL: "https://crm.example.com",
	}}
	for _, change := range changes {
		change(body)
	}
	return body
}

func without(name string) func(map[string]any) {
	return func(body map[string]any) { delete(body["fields"].(map[string]string), name) }
}

func withField(name, value string) func(map[string]any) {
	return func(body map[string]any) { body["fields"].(map[string]string)[name] = value }
}

func withProperty(name string, value any) func(map[string]any) {
	return func(body map[string]any) { body[name] = value }
}

func telegramChannel(token string, changes ...func(map[string]any)) map[string]any {
	body := map[string]any{"kind": "telegram", "name": "Bot", "fields": map[string]string{telegram.FieldToken: token}}
	for _, change := range changes {
		change(body)
	}
	return body
}

// b20: where only the customer can begin, the switch cannot be on.
func TestAgentsMayStartOnlyWhereTheKindCan_b20(t *testing.T) {
	wrong := new(Server).channelFaults(messenger.New(http.DefaultClient, "").Describe(), nil, nil, nil, true)
	require.Len(t, wrong, 1)
	require.Equal(t, "agents_may_start", wrong[0].Field)
	require.Empty(t, new(Server).channelFaults(telegram.New(http.DefaultClient, "").Describe(), nil, nil, nil, true))
}

func (m *messengers) add(body map[string]any) (ch gen.Channel) {
	m.t.Helper()
	m.call("POST", "/channels", m.key, body).status(201).into(&ch)
	return ch
}

func (m *messengers) channel(id uuid.UUID) (ch gen.Channel) {
	m.t.Helper()
	m.call("GET", "/channels/"+id.String(), m.key, nil).status(200).into(&ch)
	return ch
}

// chats are the environment's chats, oldest first.
func (m *messengers) chats() []store.ChatView {
	m.t.Helper()
	chats, err := m.Server.Store.ListChats(context.Background(), m.environment(m.key), store.ChatFilter{Viewer: store.Viewer{All: true}, Limit: 200})
	require.NoError(m.t, err)
	slices.Reverse(chats)
	return chats
}

// texts are the texts of all messages of the environment, chat by chat.
func (m *messengers) texts() []string {
	m.t.Helper()
	texts := []string{}
	for _, c := range m.chats() {
		entries, err := m.Server.Store.Timeline(context.Background(), c.EnvironmentID, c.ID, 0, 1000)
		require.NoError(m.t, err)
		for _, e := range entries {
			if e.Kind == chat.EntryMessage {
				texts = append(texts, e.Text)
			}
		}
	}
	return texts
}

func TestCustomChannelForm(t *testing.T) {
	m := newMessengers(t)
	for name, c := range map[string]struct {
		body  map[string]any
		fault string
	}{
		"S2.12 name missing":               {m.customChannel(func(b map[string]any) { delete(b, "name") }), "name"},
		"S2.12 name blank":                 {m.customChannel(withProperty("name", " ")), "name"},
		"S2.13 webhook missing":            {m.customChannel(without(custom.FieldWebhook)), "fields." + custom.FieldWebhook},
		"S2.13 webhook not a URL":          {m.customChannel(withField(custom.FieldWebhook, "my messenger")), "fields." + custom.FieldWebhook},
		"S2.15 code missing":               {m.customChannel(without(custom.FieldCode)), "fields." + custom.FieldCode},
		"S2.15 code empty":                 {m.customChannel(withField(custom.FieldCode, "")), "fields." + custom.FieldCode},
		"S2.17 code too long":              {m.customChannel(withField(custom.FieldCode, strings.Repeat("x", 501))), "fields." + custom.FieldCode},
		"S2.18 public URL empty":           {m.customChannel(withField(custom.FieldPublicURL, "")), "fields." + custom.FieldPublicURL},
		"a field the kind has not":         {m.customChannel(withField("Token", "x")), "fields.Token"},
		"S4.24 a negative weight":          {m.customChannel(withProperty("weight", -1)), "weight"},
		"S4.25 a URL that is a script":     {m.customChannel(withProperty("url", "javascript:alert(1)")), "url"},
		"a URL of the inside":              {m.customChannel(withProperty("url", "http://192.168.0.1/")), "url"},
		"a webhook that is a file":         {m.customChannel(withField(custom.FieldWebhook, "file:///etc/passwd")), "fields." + custom.FieldWebhook},
		"a webhook inside, not yet active": {m.customChannel(withField(custom.FieldWebhook, "https://169.254.169.254/"), withProperty("active", false)), "fields." + custom.FieldWebhook},
		"a company's address that is none": {m.customChannel(withField(custom.FieldPublicURL, "javascript:alert(1)")), "fields." + custom.FieldPublicURL},
		"a queue that is not there":        {m.customChannel(withProperty("queue_id", uuid.New())), "queue_id"},
		"a kind that is not there":         {m.customChannel(withProperty("kind", "pigeon")), "kind"},
		"S3.42 a way the kind cannot":      {m.customChannel(withProperty("receive", "polling")), "receive"},
		"S3.44 not the shape of a token":   {telegramChannel("token"), "fields.Token"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, m.call("POST", "/channels", m.key, c.body).faults(), c.fault)
		})
	}
	require.Empty(t, m.list(), "nothing was stored")
}

func (m *messengers) list(query ...string) []gen.Channel {
	m.t.Helper()
	var all gen.ChannelList
	m.call("GET", "/channels"+strings.Join(query, ""), m.key, nil).status(200).into(&all)
	return all.Items
}

func TestCustomChannel(t *testing.T) {
	m := newMessengers(t)
	queue := m.queue("1st-line support")
	ch := m.add(m.customChannel(withProperty("queue_id", queue.ID)))

	require.Equal(t, gen.ChannelStateActive, ch.State, "S2.1")
	require.True(t, ch.Active)
	require.True(t, ch.Health.Receiving.Ok && ch.Health.Sending.Ok)
	require.Equal(t, "Support service", ch.Name, "S2.12")
	require.Equal(t, 1, ch.Weight, "b18, S4.24: the documented default")
	require.Equal(t, maskedField, ch.Fields[custom.FieldCode], "S2.16: never shown again")
	require.Equal(t, "https://crm.example.com", ch.Fields[custom.FieldPublicURL], "S2.18")
	require.Equal(t, m.URL+"/hooks/custom/"+ch.ID.String(), ch.Hook.URL, "S2.19, S2.21")
	require.Equal(t, "X-Confirmation-Code", *ch.Hook.Header, "S2.21")
	require.NotEmpty(t, ch.Hook.Instructions, "S2.21")
	require.Equal(t, ch.Hook.URL, m.custom.Hook(), "S2.14")
	require.NotContains(t, string(m.call("GET", "/channels/"+ch.ID.String(), m.key, nil).Body), "secret", "S4.11")

	m.call("PATCH", "/channels/"+ch.ID.String(), m.key, map[string]any{"name": "Service 🐝"}).status(200)
	require.Equal(t, "Service 🐝", m.channel(ch.ID).Name, "S2.24")

	_, err := m.custom.Customer(customtest.Profile{ID: "7", Name: "Ann"}).Write(context.Background(), "hello")
	require.NoError(t, err)
	require.Len(t, m.chats(), 1, "S2.4")
	require.Equal(t, hasChats, *m.call("DELETE", "/channels/"+ch.ID.String(), m.key, nil).problem(409).Detail, "S2.25, S3.28")
	require.Equal(t, gen.ChannelStateActive, m.channel(ch.ID).State, "S3.28: it still works")
	require.Empty(t, m.custom.Wrong())
}

// queue adds a queue.
func (m *messengers) queue(name string) (q gen.Queue) {
	m.t.Helper()
	m.call("POST", "/queues", m.key, map[string]any{"name": name}).status(201).into(&q)
	return q
}

func TestConfirmationCodeOfAnyFormat_S2_17(t *testing.T) {
	m := newMessengers(t)
	for _, code := range []string{"x", " ", `"quotes' and spaces "`, "эмодзи 🐝", strings.Repeat("y", 500), "line\nbreak", "%41"} {
		m.custom.SetCode(code)
		ch := m.add(m.customChannel(withField(custom.FieldCode, code)))
		before := len(m.chats())
		_, err := m.custom.Customer(customtest.Profile{ID: "7 " + code[:1]}).Write(context.Background(), "hello")
		require.NoError(t, err)
		require.Len(t, m.chats(), before+1, code)
		require.Equal(t, gen.ChannelStateActive, ch.State)
		// Another messenger for the next code: one account is in one channel.
		m.custom = customtest.New(confirmationCode)
		t.Cleanup(m.custom.Close)
	}
}

func TestHookProvesItsSender_S2_16(t *testing.T) {
	m := newMessengers(t)
	ch := m.add(m.customChannel())
	body := `{"type":"message","id":"1","user":{"id":"7"},"text":"hello","at":"2026-01-01T00:00:00Z"}`
	hook := "/hooks/custom/" + ch.ID.String()
	m.raw("POST", hook, "", body).problem(401)
	require.Contains(t, *m.raw("POST", hook, "", body, "X-Confirmation-Code", "wrong").problem(401).Detail, "X-Confirmation-Code", "what is missing is named")
	require.Empty(t, m.chats())
	right := "a%20%22secret%22%20code%20%F0%9F%90%9D"
	m.raw("POST", hook, "", body, "X-Confirmation-Code", right).status(200)
	require.Len(t, m.chats(), 1)
	m.raw("POST", hook, "", body, "X-Confirmation-Code", right).status(200)
	m.raw("POST", hook, "", "{", "X-Confirmation-Code", right).problem(400)
	without := strings.Replace(body, `"user":{"id":"7"},`, "", 1)
	require.Contains(t, *m.raw("POST", hook, "", without, "X-Confirmation-Code", right).problem(400).Detail, "user.id", "and what is wrong")
	m.raw("POST", hook, "", "{").problem(401)
	m.raw("POST", "/hooks/custom/"+uuid.NewString(), "", body).problem(404)
	m.raw("POST", "/hooks/telegram/"+ch.ID.String(), "", body).problem(404)
	m.raw("POST", "/hooks/pigeon/"+ch.ID.String(), "", body).problem(404)
	require.Len(t, m.chats(), 1)
}

func TestHookAsksAgainWhenNothingCanBeStored(t *testing.T) {
	m := newMessengers(t)
	ch := m.add(m.customChannel())
	m.Server.Jobs.Intake.Close()
	a := m.raw("POST", "/hooks/custom/"+ch.ID.String(), "", `{"type":"message","id":"1","user":{"id":"7"},"text":"hello","at":"2026-01-01T00:00:00Z"}`,
		"X-Confirmation-Code", "a%20%22secret%22%20code%20%F0%9F%90%9D")
	a.problem(503)
	require.NotEmpty(t, a.Header.Get("Retry-After"))
}

// Another process changes the channel: what this one remembers of it lets nothing in and keeps nobody out for long.
func TestHookGoesByTheChannelAsItIs(t *testing.T) {
	m := newMessengers(t)
	ctx := context.Background()
	ch := m.add(m.customChannel())
	ann := m.custom.Customer(customtest.Profile{ID: "7", Name: "Ann"})
	_, err := ann.Write(ctx, "first")
	require.NoError(t, err)

	row, err := m.Server.Store.Channel(ctx, m.environment(m.key), ch.ID)
	require.NoError(t, err)
	m.custom.SetCode("changed")
	require.NoError(t, m.Server.Jobs.ReplaceCredentials(ctx, row, jobs.ChannelFields{
		Plain: row.Fields, Secret: map[string]string{custom.FieldCode: "changed"},
	}, row.Receive, false))
	known := m.Server.hooks.read[ch.ID]
	known.at = known.at.Add(-hookViewMinAge)
	m.Server.hooks.read[ch.ID] = known
	_, err = ann.Write(ctx, "second")
	require.NoError(t, err)

	row, err = m.Server.Store.Channel(ctx, row.EnvironmentID, ch.ID)
	require.NoError(t, err)
	require.NoError(t, m.Server.Jobs.DisconnectChannel(ctx, row))
	_, err = ann.Write(ctx, "third")
	require.NoError(t, err)
	require.Equal(t, []string{"first", "second"}, m.texts())
}

func TestConnectVerifies_S2_20(t *testing.T) {
	m := newMessengers(t)
	m.custom.SetCode("another")
	require.NotEmpty(t, m.call("POST", "/channels", m.key, m.customChannel()).problem(422).Errors)
	m.custom.RefuseConnections()
	m.call("POST", "/channels", m.key, m.customChannel()).problem(502)
	require.Empty(t, m.list(), "nothing is stored")

	ch := m.add(m.customChannel(withProperty("active", false)))
	require.Equal(t, gen.ChannelStateInactive, ch.State)
	require.Nil(t, ch.Account)
	connect := "/channels/" + ch.ID.String() + "/connect"
	m.call("POST", connect, m.key, nil).problem(502)
	require.Equal(t, gen.ChannelStateInactive, m.channel(ch.ID).State)
	m.custom.Listen()
	m.custom.SetCode(confirmationCode)
	m.call("POST", connect, m.key, nil).status(200)
	require.Equal(t, gen.ChannelStateActive, m.channel(ch.ID).State, "fixed")
}

func TestDisconnectAndConnectAgain(t *testing.T) {
	m := newMessengers(t)
	ctx := context.Background()
	ch := m.add(m.customChannel())
	ann := m.custom.Customer(customtest.Profile{ID: "7", Name: "Ann"})
	_, err := ann.Write(ctx, "first")
	require.NoError(t, err)

	var gone gen.Channel
	m.call("POST", "/channels/"+ch.ID.String()+"/disconnect", m.key, nil).status(200).into(&gone)
	require.Equal(t, gen.ChannelStateDisconnected, gone.State, "S2.22")
	require.False(t, gone.Health.Receiving.Ok)
	require.NotNil(t, gone.Health.Receiving.Reason, "S2.26: since when and why")
	require.NotNil(t, gone.Health.Receiving.Since)
	require.Len(t, m.list(), 1, "S3.29: it stays listed")
	for range 3 {
		_, err := ann.Write(ctx, "lost")
		require.NoError(t, err, "b39: signed webhooks are answered 2xx and dropped")
	}
	m.call("POST", "/channels/"+ch.ID.String()+"/connect", m.key, nil).status(200)
	back := m.channel(ch.ID)
	require.Equal(t, gen.ChannelStateActive, back.State, "S2.23: the same channel")
	_, err = ann.Write(ctx, "second")
	require.NoError(t, err)
	require.NoError(t, m.custom.Retry(ctx))
	require.Len(t, m.chats(), 1, "S2.23: its chat is kept")
	m.Server.Jobs.Intake.Close()
	require.EqualValues(t, 3, m.channel(ch.ID).Dropped, "S2.27: counted")
	require.Equal(t, []string{"first", "second"}, m.texts(), "S2.27: exactly one appears")
}

func TestOneAccountInOneChannel_S2_9(t *testing.T) {
	m := newMessengers(t)
	queue := m.queue("Shop chat")
	m.add(m.customChannel(withProperty("queue_id", queue.ID)))
	detail := *m.call("POST", "/channels", m.key, m.customChannel()).problem(409).Detail
	require.Contains(t, detail, "Shop chat", "it names the live chat that has it")
	require.Equal(t, 1, m.custom.Connects(), "the messenger was not led away")

	foreign := *m.call("POST", "/channels", m.secretKey(), m.customChannel()).problem(409).Detail
	require.NotContains(t, foreign, "Shop chat")
	require.Contains(t, foreign, "connected elsewhere in this installation")

	second := m.add(m.customChannel(withProperty("active", false)))
	require.Contains(t, *m.call("POST", "/channels/"+second.ID.String()+"/connect", m.key, nil).problem(409).Detail, "Shop chat")
	require.Equal(t, 1, m.custom.Connects())
}

func TestSeveralMessengersOfOneLiveChat_S2_8_S2_11_S3_6(t *testing.T) {
	m := newMessengers(t)
	queue, other := m.queue("Shop chat"), m.queue("Other")
	m.telegram.AddBot("222:second", "second_bot")
	m.telegram.AddBot("333:third", "third_bot")
	m.add(m.customChannel(withProperty("queue_id", queue.ID), withProperty("name", "A")))
	m.add(telegramChannel("222:second", withProperty("queue_id", queue.ID), withProperty("name", "B")))
	m.add(telegramChannel("333:third", withProperty("queue_id", queue.ID), withProperty("name", "C")))
	names := []string{}
	for _, ch := range m.list("?queue_id=" + queue.ID.String()) {
		names = append(names, ch.Name)
		require.Equal(t, gen.ChannelStateActive, ch.State)
	}
	require.Equal(t, []string{"A", "B", "C"}, names, "S2.8, S2.11: exactly its messengers, and all work; S3.6: three channels, one of two queues")
	require.Empty(t, m.list("?queue_id="+other.ID.String()))
}

func TestWhoSetsUpChannels_S2_7_S3_1_S3_3(t *testing.T) {
	m := newMessengers(t)
	m.telegram.AddBot("222:second", "second_bot")
	agent := m.addAgent("Ann")
	asAgent, asChatAdministrator := m.session(m.key, chat.AgentRole, agent.ID), m.session(m.key, chat.ChatAdministrator, uuid.Nil)

	m.call("POST", "/channels", asChatAdministrator, m.customChannel()).problem(403)
	m.call("POST", "/channels", asAgent, m.customChannel()).problem(403)
	m.call("POST", "/channels", asAgent, telegramChannel("222:second")).problem(403)
	m.call("GET", "/channels", asAgent, nil).problem(403)
	m.call("POST", "/channels", asChatAdministrator, telegramChannel("222:second")).status(201)
	m.call("GET", "/channels", asChatAdministrator, nil).status(200)

	ch := m.add(m.customChannel())
	m.call("PATCH", "/channels/"+ch.ID.String(), asChatAdministrator, map[string]any{"name": "x"}).problem(403)
	m.call("POST", "/channels/"+ch.ID.String()+"/disconnect", asChatAdministrator, nil).problem(403)
	m.call("DELETE", "/channels/"+ch.ID.String(), asChatAdministrator, nil).problem(403)
	m.call("DELETE", "/channels/"+ch.ID.String(), m.secretKey(), nil).problem(404)
}

// addAgent adds an agent.
func (m *messengers) addAgent(name string) (a gen.Agent) {
	m.t.Helper()
	m.call("POST", "/agents", m.key, map[string]any{"name": name}).status(201).into(&a)
	return a
}

func TestAddingTwiceWithOneKeyIsOnce(t *testing.T) {
	m := newMessengers(t)
	var first, second gen.Channel
	m.call("POST", "/channels", m.key, m.customChannel(), "Idempotency-Key", "k").status(201).into(&first)
	m.call("POST", "/channels", m.key, m.customChannel(), "Idempotency-Key", "k").status(201).into(&second)
	require.Equal(t, first.ID, second.ID)
	require.Equal(t, 1, m.custom.Connects())

	bot := m.telegram.AddBot("222:second", "second_bot")
	bot.FailNext("setWebhook", telegramtest.ServerError())
	m.call("POST", "/channels", m.key, telegramChannel("222:second"), "Idempotency-Key", "k2").problem(502)
	require.Len(t, m.list(), 1, "what could not be connected is not stored")
	m.call("POST", "/channels", m.key, telegramChannel("222:second"), "Idempotency-Key", "k2").status(201)
}

func TestDeleteUnusedChannel_S2_25(t *testing.T) {
	m := newMessengers(t)
	bot := m.telegram.AddBot("222:second", "second_bot")
	ch := m.add(telegramChannel("222:second"))
	require.NotEmpty(t, bot.Webhook().URL)
	m.call("DELETE", "/channels/"+ch.ID.String(), m.key, nil).status(204)
	require.Empty(t, bot.Webhook().URL, "the messenger was told")
	m.call("GET", "/channels/"+ch.ID.String(), m.key, nil).problem(404)
	m.add(telegramChannel("222:second"))
}
