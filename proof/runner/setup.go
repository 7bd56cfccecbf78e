package runner

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/channels/custom"
	"waggle/channels/messenger"
	"waggle/channels/telegram"
	"waggle/channels/x"
	"waggle/crm/creatio/creatiotest"
)

func ptr[T any](v T) *T { return &v }

// SetUp walks the wizard, switches chats on, reads the agents from the CRM, makes a queue and connects every messenger: all of
// it by REST, as the CRM's pages do.
func (in *Installation) SetUp(ctx context.Context) (*Town, error) {
	secret, err := in.command(ctx, "keys", "issue", "--company", "Honey Shop")
	if err != nil {
		return nil, err
	}
	t := &Town{in: in, API: client.New("http://" + in.Front.Addr).As(secret), agents: map[uuid.UUID]client.Client{}}
	for _, step := range []func(context.Context) error{t.wizard, t.synchronize, t.signIn, t.connect} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// wizard walks the wizard with the secret key, switches chats on and returns the façade for the API key.
func wizard(ctx context.Context, api client.Client, crm *creatiotest.Server) (client.Client, error) {
	var w gen.Wizard
	err := api.Call(ctx, http.MethodPut, "/api/v1/wizard/credentials", gen.WizardCredentialsInput{
		CRMURL: crm.URL() + "/0", SecretKey: &api.Token, GenerateAPIKey: ptr(true),
		OAuth: &gen.OAuthInput{IdentityURL: crm.IdentityURL(), ClientID: oauthClient, ClientSecret: oauthSecret},
	}, &w)
	if err != nil {
		return api, err
	}
	if w.Credentials.GeneratedAPIKey == nil {
		return api, fmt.Errorf("step 1 of the wizard gave no API key")
	}
	api = api.As(*w.Credentials.GeneratedAPIKey)
	err = api.Call(ctx, http.MethodPut, "/api/v1/wizard/waiting-periods", gen.WaitingPeriodsInput{
		Client: &gen.ClientWaitingPeriodInput{Enabled: ptr(true), Minutes: ptr(10)},
		Agent:  &gen.AgentWaitingPeriodInput{Enabled: ptr(true), Minutes: ptr(3)},
	}, nil)
	if err != nil {
		return api, err
	}
	if err := api.Call(ctx, http.MethodPost, "/api/v1/wizard/finish", gen.WizardFinishInput{}, nil); err != nil {
		return api, err
	}
	return api, api.Call(ctx, http.MethodPatch, "/api/v1/settings", gen.SettingsPatch{
		ChatsEnabled: ptr(true), SimultaneousChats: nullable.NewNullableWithValue(0),
	}, nil)
}

func (t *Town) wizard(ctx context.Context) (err error) {
	t.API, err = wizard(ctx, t.API, t.in.CRM)
	return err
}

func (t *Town) synchronize(ctx context.Context) error {
	for _, name := range t.in.options.Agents {
		t.in.CRM.AddUser(name, name+"!1", false)
	}
	var job gen.Job
	if err := t.API.Call(ctx, http.MethodPost, "/api/v1/configuration/synchronize", nil, &job); err != nil {
		return err
	}
	return client.Until(ctx, "Synchronize is done", func() (bool, error) {
		err := t.API.Call(ctx, http.MethodGet, "/api/v1/jobs/"+job.ID.String(), nil, &job)
		if err == nil && (job.Status == gen.JobStatusFailed || job.Status == gen.JobStatusCanceled) {
			err = fmt.Errorf("it ended as %s", job.Status)
		}
		return job.Status == gen.JobStatusSucceeded, err
	})
}

// signIn asks for the agents' sessions, as the CRM's server does, and sets them active.
func (t *Town) signIn(ctx context.Context) error {
	var list gen.AgentList
	if err := t.API.Call(ctx, http.MethodGet, "/api/v1/agents", nil, &list); err != nil {
		return err
	}
	for _, name := range t.in.options.Agents {
		i := len(t.staff)
		for _, a := range list.Items {
			if a.Name == name {
				t.staff = append(t.staff, a.ID)
			}
		}
		if len(t.staff) == i {
			return fmt.Errorf("synchronize did not bring the agent %s", name)
		}
		id := t.staff[i]
		var s gen.Session
		if err := t.API.Call(ctx, http.MethodPost, "/api/v1/sessions", gen.SessionInput{Role: gen.RoleAgent, AgentID: &id}, &s); err != nil {
			return err
		}
		t.agents[id] = t.API.As(s.Token)
		err := t.agents[id].Call(ctx, http.MethodPatch, "/api/v1/agents/"+id.String()+"/status", gen.AgentStatusInput{Status: gen.AgentStatusActive}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Town) connect(ctx context.Context) error {
	var q gen.Queue
	err := t.API.Call(ctx, http.MethodPost, "/api/v1/queues", gen.QueueInput{
		Name: "1st-line support", RoutingRule: ptr(gen.RoutingRuleToAnAvailableAgent), AgentIds: t.staff,
	}, &q)
	if err != nil {
		return err
	}
	inputs := []gen.ChannelInput{
		{Kind: "telegram", Name: "Telegram bot", QueueID: &q.ID, Fields: map[string]string{telegram.FieldToken: botToken}},
		{Kind: "custom", Name: "Support service", QueueID: &q.ID, Fields: map[string]string{
			custom.FieldWebhook: t.in.Messenger.WebhookURL(), custom.FieldCode: messengerCode, custom.FieldPublicURL: t.in.CRM.URL(),
		}},
		{Kind: "x", Name: "X account", QueueID: &q.ID, Fields: map[string]string{
			x.FieldAccessToken: xToken, x.FieldAccessSecret: xTokenSecret, x.FieldConsumerKey: xKey, x.FieldConsumerSecret: xKeySecret, x.FieldBearerToken: xBearer,
		}},
		{Kind: "messenger", Name: "Facebook page", QueueID: &q.ID, Fields: map[string]string{
			messenger.FieldPage: t.in.Page.ID, messenger.FieldToken: t.in.Page.Token(t.in.MetaApp), messenger.FieldApp: metaApp,
			messenger.FieldAppSecret: metaSecret, messenger.FieldVerifyToken: metaVerify,
		}},
	}
	for _, c := range inputs {
		ch, err := connected(ctx, t.API, c)
		if err != nil {
			return err
		}
		t.in.hooks[c.Kind] = ch.Hook.URL
	}
	return t.in.MetaApp.SetWebhook(t.in.hooks["messenger"], metaVerify)
}

// connected makes a channel, which must be active at once.
func connected(ctx context.Context, api client.Client, c gen.ChannelInput) (ch gen.Channel, err error) {
	if err := api.Call(ctx, http.MethodPost, "/api/v1/channels", c, &ch); err != nil {
		return ch, err
	}
	if ch.State != gen.ChannelStateActive {
		return ch, fmt.Errorf("the channel %s is %s", c.Name, ch.State)
	}
	return ch, nil
}
