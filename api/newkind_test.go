package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
)

// toy is a kind of messenger that nothing else in Waggle knows: its folder is this file, its line in app the registry below.
type toy struct {
	mu        sync.Mutex
	connected string
	sent      []channels.Part
}

func (*toy) Describe() channels.Description {
	return channels.Description{
		Kind: "toy", Name: "Toy phone", Help: "Two cups and a string.", Receive: []channels.Receive{channels.Webhook},
		Fields: []channels.Field{
			{Name: "Cup", Label: "Cup", Required: true, Help: "Which cup."},
			{Name: "String", Label: "String", Required: true, Secret: true, Pattern: "^[a-z]+$"},
		},
		Capabilities: channels.Capabilities{TextLimit: 100, WindowHours: 1, FileLimit: 7, Attachments: true, Bots: true},
		HookHeader:   "X-String", HookHelp: "Pull the string.",
	}
}

func (*toy) Verify(_ context.Context, ch channels.Channel) (channels.Account, error) {
	if ch.Fields["String"] == "cut" {
		return channels.Account{}, &channels.Error{Outcome: channels.Refused, Field: "String", Reason: "the string is cut"}
	}
	return channels.Account{ID: ch.Fields["Cup"], Name: "cup " + ch.Fields["Cup"]}, nil
}

func (k *toy) Connect(_ context.Context, ch channels.Channel, _ channels.ConnectOptions) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.connected = ch.HookURL
	return nil
}

func (*toy) Disconnect(context.Context, channels.Channel) error { return nil }

func (*toy) Webhook(_ context.Context, ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	if r.Header("X-String") != ch.Fields["String"] {
		return channels.Delivery{}, channels.ErrUnauthorized
	}
	var said struct{ ID, From, Text string }
	if json.Unmarshal(r.Body, &said) != nil {
		return channels.Delivery{}, channels.ErrMalformed
	}
	return channels.Delivery{Events: []channels.Event{{
		Kind: channels.Message, Key: said.ID, MessageID: said.ID, User: channels.User{ID: said.From, Name: said.From}, Text: said.Text, At: time.Now(),
	}}}, nil
}

func (k *toy) Send(_ context.Context, _ channels.Channel, p channels.Part) (channels.Sent, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent = append(k.sent, p)
	return channels.Sent{MessageID: p.Key}, nil
}

// toyWithLogin is a toy whose channels are also made by logging in; its window opens a cup named after who holds it.
type toyWithLogin struct{ toy }

func (*toyWithLogin) LoginURL(_ channels.LoginSettings, callback, state string) (string, error) {
	return callback + "?state=" + state, nil
}

func (*toyWithLogin) Login(_ context.Context, s channels.LoginSettings, _ string, _ func(string) string) (channels.LoginResult, error) {
	return channels.LoginResult{Accounts: []channels.LoginAccount{{
		Account: channels.Account{ID: s.ClientID, Name: s.ClientID}, Fields: map[string]string{"Cup": s.ClientID, "String": "long"},
	}}}, nil
}

// A new kind needs no change outside its folder and one line in app: its form, its channels, its webhook and its sending are
// there because it is registered.
func TestANewKindIsAFolderAndALine(t *testing.T) {
	k := &toy{}
	h := newAPI(t, func(s *Server) {
		kinds := channels.NewRegistry(k)
		s.Channels, s.Jobs.Channels = kinds, kinds
		s.Jobs.Intake = jobs.NewIntake(s.Jobs)
		t.Cleanup(s.Jobs.Intake.Close)
	})
	key := h.bind(h.secretKey(), "https://crm.example.com")
	h.call("PATCH", "/settings", key, map[string]any{"chats_enabled": true}).status(http.StatusOK)

	var kinds gen.ChannelKindList
	h.call("GET", "/channel-kinds", key, nil).status(http.StatusOK).into(&kinds)
	window, limit := 1, int64(7)
	require.Equal(t, []gen.ChannelKind{{
		Kind: "toy", Title: "Toy phone", Help: "Two cups and a string.", ReceiveModes: []gen.ReceiveMode{"webhook"},
		Fields: []gen.FormField{
			{Name: "Cup", Label: "Cup", Required: true, Help: "Which cup."},
			{Name: "String", Label: "String", Required: true, Secret: true, Pattern: orNull("^[a-z]+$")},
		},
		Capabilities: gen.Capabilities{TextLimit: 100, Attachments: true, AttachmentLimitBytes: &limit, Replies: true, Bots: true, WindowHours: &window},
		HookHeader:   orNull("X-String"), HookHelp: "Pull the string.",
	}}, kinds.Items)

	fields := func(cup, line string) map[string]any {
		return map[string]any{"kind": "toy", "name": "Toy", "fields": map[string]string{"Cup": cup, "String": line}}
	}
	require.Equal(t, []string{"fields.Cup", "fields.String"}, h.call("POST", "/channels", key, fields("", "N0")).faults())
	require.Equal(t, []string{"fields.String"}, h.call("POST", "/channels", key, fields("1", "cut")).faults())
	var ch gen.Channel
	h.call("POST", "/channels", key, fields("1", "long")).status(http.StatusCreated).into(&ch)
	require.Equal(t, gen.ChannelStateActive, ch.State)
	require.Equal(t, "cup 1", ch.Account.Name)
	require.Equal(t, map[string]string{"Cup": "1", "String": maskedField}, ch.Fields)
	hook := "/hooks/toy/" + ch.ID.String()
	require.Equal(t, h.Server.Options.PublicURL+hook, ch.Hook.URL)
	require.Equal(t, ch.Hook.URL, k.connected)
	h.call("POST", "/channels", key, fields("1", "long")).problem(http.StatusConflict)

	said := `{"id": "m1", "from": "ann", "text": "hello?"}`
	h.raw("POST", hook, "", said, "X-String", "short").problem(http.StatusUnauthorized)
	h.raw("POST", hook, "", "{", "X-String", "long").problem(http.StatusBadRequest)
	h.raw("POST", hook, "", said, "X-String", "long").status(http.StatusOK)
	h.raw("POST", hook, "", said, "X-String", "long").status(http.StatusOK)
	var list gen.ChatList
	h.call("GET", "/chats", key, nil).status(http.StatusOK).into(&list)
	require.Len(t, list.Items, 1, "a repeat is one")

	agent := h.agent(h.environment(key), "u1")
	chatPath := "/chats/" + list.Items[0].ID.String()
	h.call("PATCH", "/agents/"+agent.String()+"/status", key, map[string]any{"status": "active"}).status(http.StatusOK)
	h.call("POST", chatPath+"/transfer", key, map[string]any{"agent_id": agent}).status(http.StatusOK)
	h.call("POST", chatPath+"/messages", h.session(key, chat.AgentRole, agent), map[string]any{"text": "hello!"}).status(http.StatusCreated)
	_, err := h.Server.Jobs.Deliver(t.Context())
	require.NoError(t, err)
	require.Len(t, k.sent, 1)
	require.Equal(t, "hello!", k.sent[0].Text)
	require.Equal(t, "ann", k.sent[0].UserID)

	h.call("PATCH", "/channels/"+ch.ID.String(), key, map[string]any{"fields": map[string]string{"String": "new"}}).status(http.StatusOK)
	h.raw("POST", hook, "", said, "X-String", "long").problem(http.StatusUnauthorized)
	h.raw("POST", hook, "", said, "X-String", "new").status(http.StatusOK)
	h.call("POST", "/channels/"+ch.ID.String()+"/disconnect", key, nil).status(http.StatusOK)
	h.call("DELETE", "/channels/"+ch.ID.String(), key, nil).problem(http.StatusConflict)
}

// New credentials count at once in every process, without a restart: another one that has just gone by the old ones reads the
// channel again before it refuses a delivery (S3.48).
func TestNewCredentialsCountInEveryProcess_S3_48(t *testing.T) {
	with := func(s *Server) {
		s.Channels["toy"] = &toy{}
		s.Jobs.Intake = jobs.NewIntake(s.Jobs)
		t.Cleanup(s.Jobs.Intake.Close)
	}
	here := newAPI(t, with)
	there := newAPI(t, func(s *Server) { s.Store, s.Jobs.Store = here.Server.Store, here.Server.Store }, with)
	key := here.secretKey()
	var ch gen.Channel
	here.call("POST", "/channels", key, map[string]any{"kind": "toy", "name": "Toy", "fields": map[string]string{"Cup": "1", "String": "long"}}).status(http.StatusCreated).into(&ch)
	hook, said := "/hooks/toy/"+ch.ID.String(), `{"id": "m1", "from": "ann", "text": "hello?"}`
	there.raw("POST", hook, "", said, "X-String", "long").status(http.StatusOK)
	here.call("PATCH", "/channels/"+ch.ID.String(), key, map[string]any{"fields": map[string]string{"String": "new"}}).status(http.StatusOK)
	require.Eventually(t, func() bool { return there.raw("POST", hook, "", said, "X-String", "new").Status == http.StatusOK },
		2*hookViewMinAge+time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		return there.raw("POST", hook, "", said, "X-String", "long").Status == http.StatusUnauthorized
	},
		2*hookViewAge, 10*time.Millisecond, "and the old ones no longer")
	require.Equal(t, []string{"fields.String"}, here.call("PATCH", "/channels/"+ch.ID.String(), key, map[string]any{"fields": map[string]string{"String": "cut"}}).faults())
	here.call("PATCH", "/channels/"+ch.ID.String(), key, map[string]any{"fields": map[string]string{"Cup": "2"}}).problem(http.StatusConflict)
	here.raw("POST", hook, "", said, "X-String", "new").status(http.StatusOK)
}
