package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/channels/custom"
	"waggle/channels/custom/customtest"
	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// tenant is an environment that has one or more of everything, and callers of every role.
type tenant struct {
	*storetest.Scene
	mark    string               // stands in every name and text of it
	ids     map[string]uuid.UUID // by the first word of the path, and by what bodies and queries call them
	callers map[string]string    // bearers: key, chat_administrator, agent
}

// tenants is a façade with two of them, which watches the SQL of every call.
type tenants struct {
	*messengers
	ours, theirs *tenant
	files        string // where customers' files are, but for those that are gone

	mu         sync.Mutex
	statements []string
}

func newTenants(t *testing.T, with ...func(*Server)) *tenants {
	t.Helper()
	files := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			rw.WriteHeader(http.StatusGone)
			return
		}
		_, _ = io.WriteString(rw, picture)
	}))
	t.Cleanup(files.Close)
	w := &tenants{files: files.URL}
	w.messengers = newMessengers(t, append(with, withCRM(&fakeCRM{}), func(s *Server) {
		s.Channels["toy"] = &toyWithLogin{}
		s.Store = storetest.Watched(t, w.see)
		s.Jobs.Store = s.Store
	})...)
	w.ours, w.theirs = w.tenant("Our"), w.tenant("Their")
	return w
}

func (w *tenants) see(statement string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statements = append(w.statements, statement)
}

// seen are the statements since it was last called.
func (w *tenants) seen() (statements []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	statements, w.statements = w.statements, nil
	return statements
}

// tenant makes an environment in which each operation finds something: two of what is listed, one open chat with an
// attachment and one whose reply failed.
func (w *tenants) tenant(mark string) *tenant {
	w.t.Helper()
	ctx := context.Background()
	sc := storetest.NewScene(w.t, w.Server.Store)
	name := func(what string) string { return mark + " " + what }
	n := &tenant{Scene: sc, mark: mark, ids: map[string]uuid.UUID{}, callers: map[string]string{"key": sc.Key}}

	var group gen.AgentGroup
	for _, what := range []string{"group two", "group one"} {
		w.call("POST", "/agent-groups", sc.Key, map[string]any{"name": name(what)}).status(201).into(&group)
	}
	sc.Agent(name("Bob"))
	agent := sc.Agent(name("Ann"))
	sc.Queue(chat.ToAllAgents, 0, agent)
	queue := sc.Queue(chat.ToAllAgents, 0, agent)
	sc.Channel(queue, 1)
	messenger := customtest.New(confirmationCode)
	w.t.Cleanup(messenger.Close)
	var own gen.Channel
	w.call("POST", "/channels", sc.Key, w.customChannel(withField(custom.FieldWebhook, messenger.WebhookURL()),
		withProperty("name", name("channel")), withProperty("queue_id", queue), withProperty("agents_may_start", true))).status(201).into(&own)
	channel := own.ID
	write := func(user, text string) (uuid.UUID, uuid.UUID) {
		out := sc.Receive(ctx, []store.Inbound{{EnvironmentID: sc.Env, ChannelID: channel, AccountID: own.Account.ID, Event: channels.Event{
			Kind: channels.Message, Key: user + ":" + text, MessageID: text, Text: name(text) + planted, User: channels.User{ID: user, Name: name(user) + planted},
			Attachments: []channels.Attachment{
				{Kind: "photo", Name: "a.png", Size: 3, Ref: w.files + "/a.png?" + planted}, {Kind: "photo", Name: "gone.png", Size: 3, Ref: w.files + "/gone?" + planted},
			},
		}}})
		require.NoError(w.t, out[0].Err)
		entries, err := sc.Timeline(ctx, sc.Env, out[0].ChatID, 0, 100)
		require.NoError(w.t, err)
		return out[0].ChatID, entries[len(entries)-1].ID
	}
	failing, _ := write("Carl", "first")
	unsent := sc.Replies(failing, agent)
	sc.Settle(chat.PartFailed)
	failures, _, err := sc.Failures(ctx, sc.Env, store.FailureOpen, store.FailureFilter{}, store.Page{Limit: 10})
	require.NoError(w.t, err)
	require.NotEmpty(w.t, failures)
	open, message := write("Dora", "second")
	_, err = w.Server.Jobs.Fetch(ctx, sc.Env)
	require.NoError(w.t, err)
	view, err := sc.Chat(ctx, sc.Env, open)
	require.NoError(w.t, err)
	processes := sc.Start(func(e *store.Environment) {
		minutes := 5
		e.CloseOn, e.CloseMinutes, e.TransferOn, e.TransferMinutes = true, &minutes, true, &minutes
	})
	job, _, err := sc.StartJob(ctx, sc.Env, "synchronize")
	require.NoError(w.t, err)

	file := &store.StoredFile{EnvironmentID: sc.Env, ChatID: open, ChannelID: channel, Name: "bill.pdf"}
	require.NoError(w.t, w.Server.Jobs.Upload(ctx, file, strings.NewReader("%PDF-1.7"), -1, 100))

	n.ids = map[string]uuid.UUID{
		"files": file.ID, "agents": agent, "queues": queue, "agent-groups": group.ID, "channels": channel, "chats": open, "contacts": view.ContactID,
		"processes": processes[0].ID, "jobs": job.ID, "failures": failures[0].ID, "media": message,
	}
	n.ids["login_id"] = w.logIn(n)
	for other, same := range map[string]string{
		"agent_id": "agents", "agent_ids": "agents", "queue_id": "queues", "group_id": "agent-groups", "channel_id": "channels",
		"channel_ids": "channels", "contact_id": "contacts", "message_id": "media", "entry_id": "media", "reply_to": "media",
	} {
		n.ids[other] = n.ids[same]
	}
	n.callers["chat_administrator"] = w.session(sc.Key, chat.ChatAdministrator, uuid.Nil)
	n.callers["agent"] = w.session(sc.Key, chat.AgentRole, agent)
	n.ids["chat_id"], n.ids["unsent"] = failing, unsent // chat_id names what is filtered
	w.call("POST", n.pathOf("/chats/{id}/accept"), n.callers["agent"], nil).status(200)
	n.callers["administrator"] = w.session(sc.Key, chat.Administrator, agent)
	return n
}

// logIn goes through the toy's login window and is the id of the login.
func (w *tenants) logIn(n *tenant) uuid.UUID {
	w.t.Helper()
	w.call("PATCH", "/settings", n.Key, map[string]any{
		"identity_server_url": "https://toy.example", "identity_server_client_id": n.mark + " cup", "identity_server_client_secret": plantedSecret,
	}).status(200)
	var window gen.LoginWindow
	w.call("POST", "/channels/toy/login", n.Key, nil).status(201).into(&window)
	w.raw("GET", strings.TrimPrefix(window.URL, w.URL), "", nil).status(200)
	return window.ID
}

// id is the tenant's id for a parameter or property; every one of the contract must be known here.
func (n *tenant) id(name string) uuid.UUID {
	n.T.Helper()
	require.Contains(n.T, n.ids, name, "the contract has an id that no test knows")
	return n.ids[name]
}

// nobody has ids as the tenant has, of what is nowhere.
func (n *tenant) nobody() *tenant {
	ids := map[string]uuid.UUID{}
	for name := range n.ids {
		ids[name] = uuid.New()
	}
	return &tenant{Scene: n.Scene, mark: n.mark, ids: ids}
}

// pathOf fills an operation's path in.
func (n *tenant) pathOf(path string) string {
	n.T.Helper()
	if before, after, found := strings.Cut(path, "{id}"); found {
		path = before + n.id(strings.Trim(before, "/")).String() + after
	}
	if before, after, found := strings.Cut(path, "{kind}/login"); found {
		path = before + "toy/login" + after
	}
	switch {
	case strings.HasSuffix(path, "/files"):
		path += query("name", "bill.txt")
	case strings.HasSuffix(path, "/retry"): // the file that is gone
		path = strings.Replace(path, "{index}", "1", 1)
	}
	message := n.ids["media"].String()
	return strings.NewReplacer("{login_id}", n.ids["login_id"].String(), "{message_id}", message, "{entry_id}", message, "{index}", "0",
		"{kind}", "custom", "{channel_id}", n.ids["channels"].String()).Replace(path)
}

// bodyOf is a small body the contract takes, with the tenant's own ids in it.
func (w *tenants) bodyOf(n *tenant, op *openapi3.Operation) map[string]any {
	schema := jsonSchema(op.RequestBody)
	if schema == nil {
		return nil
	}
	body := example(schema, 0).(map[string]any)
	for name := range body {
		if v, ok := n.idValue(name, schema.Properties[name]); ok {
			body[name] = v
		}
	}
	switch op.OperationID {
	case "createChannel":
		body["kind"] = "custom"
		body["fields"] = map[string]any{
			custom.FieldWebhook: w.custom.WebhookURL(), custom.FieldCode: confirmationCode, custom.FieldPublicURL: "https://crm.example.com",
		}
	case "createLoginChannels":
		body["accounts"] = []any{n.mark + " cup"}
	case "createSession":
		body["role"] = "agent"
	case "sendMessage":
		body["text"] = "hello"
	}
	return body
}

// listens opens the stream of events until its first line.
func (w *tenants) listens(token string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.URL+base+"/events?token="+token, nil)
	require.NoError(w.t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	require.Equal(w.t, http.StatusOK, resp.StatusCode)
	_, err = io.ReadFull(resp.Body, make([]byte, 1))
	require.NoError(w.t, err)
}

// ready arranges what an operation needs besides, so that it succeeds, and is a body for it.
func (w *tenants) ready(n *tenant, op *openapi3.Operation) map[string]any {
	w.t.Helper()
	switch body := w.bodyOf(n, op); op.OperationID {
	case "createSession":
		return map[string]any{"role": "agent", "agent_id": n.ids["agents"]}
	case "transferChat":
		return map[string]any{"queue_id": n.ids["queues"]}
	case "reopenChat", "startChat":
		w.call("POST", n.pathOf("/chats/{id}/close"), n.callers["administrator"], nil).status(200)
		return body
	case "resendMessage":
		n.ids["chats"], n.ids["media"] = n.ids["chat_id"], n.ids["unsent"]
		return body
	case "deleteChannel":
		var unused gen.Channel
		w.call("POST", "/channels", n.Key, map[string]any{"kind": "toy", "name": "Toy", "fields": map[string]string{"Cup": "unused", "String": "long"}}).status(201).into(&unused)
		n.ids["channels"] = unused.ID
		return body
	case "deleteQueue":
		n.ids["queues"] = n.Queue(chat.ToAllAgents, 0)
		return body
	case "putWizardCredentials":
		return map[string]any{"crm_url": "https://step1.example.com", "generate_api_key": true, "secret_key": n.Key}
	case "putWizardWaitingPeriods", "finishWizard", "synchronize":
		n.Key = w.bind(n.Key, "https://"+strings.ToLower(op.OperationID)+".example.com")
		n.callers["key"] = n.Key
		if op.OperationID == "finishWizard" {
			w.call("PUT", "/wizard/waiting-periods", n.Key, map[string]any{}).status(200)
			return map[string]any{"save_afk": "yes", "close_old": "no"}
		}
		return body
	default:
		return body
	}
}

// idValue is the tenant's value for a property that holds an id or a list of them.
func (n *tenant) idValue(name string, p *openapi3.SchemaRef) (any, bool) {
	switch {
	case p.Value.Format == "uuid":
		return n.id(name), true
	case p.Value.Items != nil && p.Value.Items.Value.Format == "uuid":
		return []any{n.id(name)}, true
	}
	return nil, false
}

// each calls check with every operation of the contract that one call with a bearer makes: not with the hooks, the login's window
// and the stream of events.
func (w *tenants) each(check func(method, path string, op *openapi3.Operation)) {
	w.t.Helper()
	spec, err := gen.GetSpec()
	require.NoError(w.t, err)
	eachOperation(spec, func(name string, op *openapi3.Operation) {
		if !raw(op) || op.OperationID == "uploadFile" || op.OperationID == "getMedia" {
			method, path, _ := strings.Cut(name, " ")
			check(method, path, op)
		}
	})
}

// keeps requires an answer to show nothing of the other tenant.
func (w *tenants) keeps(a *answer) *answer {
	w.t.Helper()
	require.NotContains(w.t, string(a.Body), w.theirs.mark+" ", a.what)
	return a
}

// mediaLink is another at each time.
var mediaLink = regexp.MustCompile(`\?link=[^"]*`)

// snapshot is all that the other tenant can list.
func (w *tenants) snapshot(n *tenant) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, list := range []string{"agents", "queues", "agent-groups", "channels", "chats", "contacts", "processes", "jobs", "failures", "settings", "configuration"} {
		out[list] = string(w.call("GET", "/"+list, n.Key, nil).status(200).Body)
	}
	for _, more := range []string{"messages", "timeline"} {
		body := w.call("GET", fmt.Sprintf("/chats/%s/%s", n.ids["chats"], more), n.Key, nil).status(200).Body
		out[more] = mediaLink.ReplaceAllString(string(body), "")
	}
	return out
}

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}
