package api

import (
	"context"
	"fmt"
	"time"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/crm"
	"waggle/jobs"
	"waggle/store"
)

// configurationName is the left panel's read-only Name (S0.38).
const configurationName = "Beesender"

// loginDeprecated is the Deprecation header of the login way: since the first version (RFC 9745).
var loginDeprecated = fmt.Sprintf("@%d", time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC).Unix())

// GetConfiguration shows the left panel.
func (s *Server) GetConfiguration(ctx context.Context, _ gen.GetConfigurationRequestObject) (gen.GetConfigurationResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	out, err := s.configurationOut(ctx, e)
	if err != nil {
		return nil, err
	}
	return gen.GetConfiguration200JSONResponse(out), nil
}

// PatchConfiguration saves the left panel. Login and password are stored unchecked; Synchronize checks them (b35).
func (s *Server) PatchConfiguration(ctx context.Context, r gen.PatchConfigurationRequestObject) (gen.PatchConfigurationResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	login, publicURL, wrong := s.readLeftPanel(*r.Body)
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	raised, moved := false, false
	e, started, err := s.Store.SaveConfiguration(ctx, c.Environment, login, func(e *store.Environment) error {
		if r.Body.PublicURL.IsSpecified() {
			moved = publicURL != e.PublicURL
			e.PublicURL = publicURL
		}
		var wrong []gen.FieldError
		raised, wrong = saveTimes(e, *r.Body)
		if len(wrong) > 0 {
			return invalid(wrong...)
		}
		return nil
	})
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	s.processesChanged(ctx, started, nil)
	s.Jobs.Hints.Publish(jobs.Event{Type: "configuration", Environment: c.Environment})
	out, err := s.configurationOut(ctx, e)
	if err != nil {
		return nil, err
	}
	if raised {
		out.Warnings = append(out.Warnings, raisedWarning("close_chats_minutes"))
	}
	if moved {
		names, err := s.Store.WebhookChannels(ctx, c.Environment)
		if err != nil {
			return nil, storeProblem(err, "channels")
		}
		if len(names) > 0 {
			out.Warnings = append(out.Warnings, reconnectWarning(names))
		}
	}
	answer := gen.PatchConfiguration200JSONResponse{Body: out}
	if login != nil {
		answer.Headers.Deprecation = &loginDeprecated
	}
	return answer, nil
}

// readLeftPanel checks what does not depend on what is stored: login and password come together (S0.53).
func (s *Server) readLeftPanel(in gen.ConfigurationPatch) (login *store.NewLogin, publicURL string, wrong []gen.FieldError) {
	switch {
	case in.Login != nil && in.Password == nil:
		wrong = append(wrong, field("password", "fill in Password too: login and password are changed together"))
	case in.Login == nil && in.Password != nil:
		wrong = append(wrong, field("login", "fill in Login too: login and password are changed together"))
	case in.Login != nil:
		login = &store.NewLogin{Login: *in.Login, Password: *in.Password}
		wrong = append(wrong, filled(*login)...)
	}
	if address, set := given(in.PublicURL); set {
		var err error
		if publicURL, err = chat.PublicAddress(address, s.Options.allowHTTP()); err != nil {
			wrong = append(wrong, field("public_url", err.Error()))
		}
	}
	return login, publicURL, wrong
}

// filled names the empty ones of a login and its password.
func filled(l store.NewLogin) (wrong []gen.FieldError) {
	if l.Login == "" {
		wrong = append(wrong, field("login", "fill in the login of a user with system administrator rights"))
	}
	if l.Password == "" {
		wrong = append(wrong, field("password", "fill in the user's password"))
	}
	return wrong
}

// saveTimes puts the checkboxes and their minutes into e, what was not sent staying as it is.
func saveTimes(e *store.Environment, in gen.ConfigurationPatch) (raised bool, wrong []gen.FieldError) {
	client := chat.Period{On: e.CloseOn, Minutes: e.CloseMinutes}
	agent := chat.Period{On: e.TransferOn, Minutes: e.TransferMinutes}
	if in.CloseChatsWithoutMessages != nil {
		client.On = *in.CloseChatsWithoutMessages
	}
	if in.TransferChatsWithoutAgentAnswer != nil {
		agent.On = *in.TransferChatsWithoutAgentAnswer
	}
	setNullable(&client.Minutes, in.CloseChatsMinutes)
	setNullable(&agent.Minutes, in.ChangeAgentMinutes)
	client, raised, err := chat.ClientPeriod(client)
	if err != nil {
		wrong = append(wrong, field("close_chats_minutes", err.Error()))
	}
	if err := chat.AgentPeriod(agent); err != nil {
		wrong = append(wrong, field("change_agent_minutes", err.Error()))
	}
	e.CloseOn, e.CloseMinutes = client.On, client.Minutes
	e.TransferOn, e.TransferMinutes = agent.On, agent.Minutes
	return raised, wrong
}

// GenerateAPIKey makes a new API key and shows it once (S0.11). The old one stops at once unless an overlap is asked for (b33).
func (s *Server) GenerateAPIKey(ctx context.Context, r gen.GenerateAPIKeyRequestObject) (gen.GenerateAPIKeyResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	overlap := 0
	if r.Body != nil {
		overlap = valueOr(r.Body.OverlapMinutes, 0)
	}
	key, oldUntil, err := s.Store.ReplaceAPIKey(ctx, c.Environment, overlap)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	s.Jobs.Hints.Publish(jobs.Event{Type: "configuration", Environment: c.Environment})
	return gen.GenerateAPIKey201JSONResponse{APIKey: key.Clear, CreatedAt: now, OldKeyStopsAt: oldUntil.Ptr()}, nil
}

func (s *Server) configurationOut(ctx context.Context, e store.Environment) (gen.Configuration, error) {
	key, err := s.secretKeyOut(ctx, e)
	if err != nil {
		return gen.Configuration{}, err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return gen.Configuration{}, err
	}
	return gen.Configuration{
		Name: configurationName, CRMURL: orNull(addressOut(e)), CRMKind: gen.CRMKind(e.CRMKind), PublicURL: s.publicURL(e),
		Authorization: authorizationOut(e), Login: orNull(e.Login), SecretKey: key, APIKey: apiKeyOut(e), OAuthClientID: orNull(e.ClientID),
		CloseChatsWithoutMessages: e.CloseOn, CloseChatsMinutes: e.CloseMinutes,
		TransferChatsWithoutAgentAnswer: e.TransferOn, ChangeAgentMinutes: e.TransferMinutes,
		TransferConditions: chat.TransferConditions,
		ConfiguredAt:       e.ConfiguredAt.Ptr(), SynchronizeNeeded: e.SyncNeeded, CRMAccess: crmAccessOut(e),
		Warnings: s.warnings(e, key, now),
	}, nil
}

// crmAccessOut says whether pushing works, and if not, why and what to do.
func crmAccessOut(e store.Environment) gen.CRMAccess {
	out := gen.CRMAccess{Ok: e.CRMState == store.CRMOK, Since: e.CRMSince.Ptr(), RetryAt: e.CRMRetryAt.Ptr(), Reason: orNull(e.CRMError)}
	if out.Reason != nil || out.Ok {
		return out
	}
	why := "The access to the CRM was not checked yet. Run Synchronize."
	if e.Auth == "" {
		why = "The CRM is not connected yet. Fill in Step 1 of the wizard."
	}
	out.Reason = &why
	return out
}

// publicURL is where messengers reach us: the environment's own address, else the installation's.
func (s *Server) publicURL(e store.Environment) *string {
	if e.PublicURL != "" {
		return &e.PublicURL
	}
	return orNull(s.Options.PublicURL)
}

// authorizationOut is the way in force. An OAuth client accompanies the API key way.
func authorizationOut(e store.Environment) *gen.Authorization {
	way := gen.AuthorizationAPIKey
	switch crm.Auth(e.Auth) {
	case "":
		return nil
	case crm.Login:
		way = gen.AuthorizationLogin
	}
	return &way
}
