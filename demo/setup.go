package demo

import (
	"context"
	"fmt"
	"net/http"
	"waggle/api/client"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/channels/custom"
	"waggle/channels/telegram"
)

// agent is a CRM user who works through a session.
type agent struct {
	name string
	id   uuid.UUID
	api  client.Client
}

type queueRef struct{ id uuid.UUID }

func ptr[T any](v T) *T { return &v }

// setUp walks the wizard and connects everything, by REST alone, as the CRM's pages do.
func (t *town) setUp(ctx context.Context) error {
	steps := []func(context.Context) error{t.walkWizard, t.switchOn, t.synchronize, t.makeQueue, t.connectChannels}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *town) walkWizard(ctx context.Context) error {
	setup := t.server.As(t.secretKey)
	var w gen.Wizard
	err := setup.Call(ctx, http.MethodPut, "/api/v1/wizard/credentials", gen.WizardCredentialsInput{
		CRMURL: t.crm.URL() + "/0", SecretKey: &t.secretKey, GenerateAPIKey: ptr(true),
		OAuth: &gen.OAuthInput{IdentityURL: t.crm.IdentityURL(), ClientID: oauthClient, ClientSecret: oauthSecret},
	}, &w)
	if err != nil {
		return err
	}
	if w.Credentials.GeneratedAPIKey == nil {
		return fmt.Errorf("step 1 of the wizard gave no API key")
	}
	t.apiKey = *w.Credentials.GeneratedAPIKey
	t.server = t.server.As(t.apiKey)
	t.say("Administrator", "wizard step 1: secret key, API key and the CRM's address %s/0", t.crm.URL())
	err = t.server.Call(ctx, http.MethodPut, "/api/v1/wizard/waiting-periods", gen.WaitingPeriodsInput{
		Client: &gen.ClientWaitingPeriodInput{Enabled: ptr(true), Minutes: ptr(10)},
		Agent:  &gen.AgentWaitingPeriodInput{Enabled: ptr(true), Minutes: ptr(3)},
	}, nil)
	if err != nil {
		return err
	}
	t.say("Administrator", "wizard step 2: chats close after 10 silent minutes of the client, move after 3 of the agent")
	var done gen.WizardFinish
	if err := t.server.Call(ctx, http.MethodPost, "/api/v1/wizard/finish", gen.WizardFinishInput{}, &done); err != nil {
		return err
	}
	t.say("Administrator", "wizard step 3: %s", done.Message)
	return nil
}

func (t *town) switchOn(ctx context.Context) error {
	t.say("Administrator", "switches chats on")
	return t.server.Call(ctx, http.MethodPatch, "/api/v1/settings", gen.SettingsPatch{ChatsEnabled: ptr(true)}, nil)
}

// synchronize reads the CRM's users into agents.
func (t *town) synchronize(ctx context.Context) error {
	for _, name := range []string{"Ben", "Carla"} {
		t.crm.AddUser(name, name+"!1", false)
	}
	var job gen.Job
	if err := t.server.Call(ctx, http.MethodPost, "/api/v1/configuration/synchronize", nil, &job); err != nil {
		return err
	}
	err := client.Until(ctx, "Synchronize is done", func() (bool, error) {
		err := t.server.Call(ctx, http.MethodGet, "/api/v1/jobs/"+job.ID.String(), nil, &job)
		if err == nil && (job.Status == gen.JobStatusFailed || job.Status == gen.JobStatusCanceled) {
			err = fmt.Errorf("it ended as %s", job.Status)
		}
		return job.Status == gen.JobStatusSucceeded, err
	})
	if err != nil {
		return err
	}
	var list gen.AgentList
	if err := t.server.Call(ctx, http.MethodGet, "/api/v1/agents", nil, &list); err != nil {
		return err
	}
	for _, a := range list.Items {
		t.agents[a.Name] = &agent{name: a.Name, id: a.ID}
	}
	for _, name := range []string{"Ben", "Carla"} {
		if t.agents[name] == nil {
			return fmt.Errorf("synchronize did not bring agent %s", name)
		}
		if err := t.signIn(ctx, name); err != nil {
			return err
		}
	}
	t.say("Administrator", "Synchronize: the CRM's users are agents now")
	return nil
}

// signIn asks for an agent's session, as the CRM's server does, and sets him active.
func (t *town) signIn(ctx context.Context, name string) error {
	a := t.agents[name]
	var s gen.Session
	if err := t.server.Call(ctx, http.MethodPost, "/api/v1/sessions", gen.SessionInput{Role: gen.RoleAgent, AgentID: &a.id}, &s); err != nil {
		return err
	}
	a.api = t.server.As(s.Token)
	return t.setStatus(ctx, name, gen.AgentStatusActive)
}

func (t *town) setStatus(ctx context.Context, name string, status gen.AgentStatus) error {
	a := t.agents[name]
	t.say(name, "is %s", status)
	return a.api.Call(ctx, http.MethodPatch, "/api/v1/agents/"+a.id.String()+"/status", gen.AgentStatusInput{Status: status}, nil)
}

func (t *town) makeQueue(ctx context.Context) error {
	var q gen.Queue
	err := t.server.Call(ctx, http.MethodPost, "/api/v1/queues", gen.QueueInput{
		Name: "1st-line support", RoutingRule: ptr(gen.RoutingRuleToAnAvailableAgent),
		AgentIds: []uuid.UUID{t.agents["Ben"].id, t.agents["Carla"].id},
	}, &q)
	t.queue.id = q.ID
	t.say("Administrator", "makes the queue 1st-line support for Ben and Carla")
	return err
}

func (t *town) connectChannels(ctx context.Context) error {
	inputs := []gen.ChannelInput{
		{Kind: "telegram", Name: "Telegram bot", QueueID: &t.queue.id, Fields: map[string]string{telegram.FieldToken: botToken}},
		{Kind: "custom", Name: "Support service", QueueID: &t.queue.id, Fields: map[string]string{
			custom.FieldWebhook: t.messenger.WebhookURL(), custom.FieldCode: messengerCode, custom.FieldPublicURL: t.crm.URL(),
		}},
	}
	for _, in := range inputs {
		var ch gen.Channel
		if err := t.server.Call(ctx, http.MethodPost, "/api/v1/channels", in, &ch); err != nil {
			return err
		}
		t.say("Administrator", "connects the channel %s: %s", ch.Name, ch.State)
	}
	return nil
}
