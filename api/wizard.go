package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// GetWizard shows where the wizard stands.
func (s *Server) GetWizard(ctx context.Context, _ gen.GetWizardRequestObject) (gen.GetWizardResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	out, err := s.wizardOut(ctx, e)
	if err != nil {
		return nil, err
	}
	return gen.GetWizard200JSONResponse(out), nil
}

// PutWizardWaitingPeriods stores Step 2.
func (s *Server) PutWizardWaitingPeriods(ctx context.Context, r gen.PutWizardWaitingPeriodsRequestObject) (gen.PutWizardWaitingPeriodsResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	client, agent := readPeriods(*r.Body)
	client, raised, clientErr := chat.ClientPeriod(client)
	agentErr := chat.AgentPeriod(agent)
	if wrong := append(atField("client.minutes", clientErr), atField("agent.minutes", agentErr)...); len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	e, err := s.Store.PutWaitingPeriods(ctx, c.Environment, client, agent)
	if err != nil {
		return nil, s.wizardProblem(err)
	}
	s.Jobs.Hints.Publish(jobs.Event{Type: "configuration", Environment: c.Environment})
	out, err := s.wizardOut(ctx, e)
	if err != nil {
		return nil, err
	}
	if raised {
		out.WaitingPeriods.Client.Raised = &raised
		out.Warnings = append(out.Warnings, raisedWarning("client.minutes"))
	}
	return gen.PutWizardWaitingPeriods200JSONResponse(out), nil
}

func readPeriods(in gen.WaitingPeriodsInput) (client, agent chat.Period) {
	if in.Client != nil {
		client = chat.Period{On: valueOr(in.Client.Enabled, false), Minutes: in.Client.Minutes}
	}
	if in.Agent != nil {
		agent = chat.Period{On: valueOr(in.Agent.Enabled, false), Minutes: in.Agent.Minutes}
	}
	return client, agent
}

func atField(name string, err error) []gen.FieldError {
	if err == nil {
		return nil
	}
	return []gen.FieldError{field(name, err.Error())}
}

// FinishWizard answers the prompts and puts the set-up into force. The same run is finished once (b27).
func (s *Server) FinishWizard(ctx context.Context, r gen.FinishWizardRequestObject) (gen.FinishWizardResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	var in gen.WizardFinishInput
	if r.Body != nil {
		in = *r.Body
	}
	i, err := idem(ctx, "finishWizard", r.Params.IdempotencyKey, in)
	if err != nil {
		return nil, err
	}
	f, replayed, err := s.Store.FinishWizard(ctx, c.Environment, int(valueOr(in.Revision, 0)), readAnswers(in), i)
	if err != nil {
		return nil, s.wizardProblem(err)
	}
	if !replayed {
		s.processesChanged(ctx, f.Started, f.Cancelled)
		s.Jobs.Hints.Publish(jobs.Event{Type: "configuration", Environment: c.Environment})
	}
	return gen.FinishWizard200JSONResponse(finishedOut(f)), nil
}

func readAnswers(in gen.WizardFinishInput) chat.Answers {
	answers := chat.Answers{}
	if in.SaveAfk != nil {
		answers[chat.SaveAfkChats] = *in.SaveAfk == gen.YesNoYes
	}
	if in.CloseOld != nil {
		answers[chat.CloseOldChats] = *in.CloseOld == gen.YesNoYes
	}
	return answers
}

func finishedOut(f store.Finished) gen.WizardFinish {
	out := gen.WizardFinish{
		Message: chat.DoneMessage, Revision: int64(f.Revision),
		Started: processesOut(f.Started), Cancelled: processesOut(f.Cancelled),
		Links: gen.WizardLinks{Channels: base + "/channels", Agents: base + "/agents"},
	}
	if !f.ChatsEnabled {
		out.Notice = orNull(chatsOffNotice)
	}
	return out
}

// wizardProblem words the wizard's errors for the administrator.
func (s *Server) wizardProblem(err error) error {
	var missing store.MissingStep
	var open *store.Unanswered
	switch {
	case errors.As(err, &missing):
		return missingStep(int(missing))
	case errors.As(err, &open):
		p := conflict("prompts-unanswered", "Running instances were found. Answer each of the prompts with yes (cancel them) or no, and finish again.")
		p.Prompts = promptsOut(open.Prompts)
		return p
	default:
		return s.bindingProblem(err)
	}
}

// bindingProblem words the errors of binding a secret key to an environment.
func (s *Server) bindingProblem(err error) error {
	switch {
	case errors.Is(err, store.ErrKeyUnknown):
		return invalid(field("secret_key", "is not a Secret key known here; check that it was copied whole"))
	case errors.Is(err, store.ErrKeyExpired):
		return invalid(field("secret_key", "has expired."+s.renewal()))
	case errors.Is(err, store.ErrKeyElsewhere):
		p := conflict("secret-key-in-use", "One secret key (token) can only be used in one environment! "+
			"To get tokens for development/testing environments, contact Beesender technical support"+s.vendor()+".")
		p.Errors = []gen.FieldError{field("secret_key", "is used in another environment")}
		return p
	case errors.Is(err, store.ErrAddressElsewhere):
		p := conflict("crm-address-in-use", "This CRM address is set up with another Secret key. To change the key, send the new one as secret_key "+
			"in a call made with the API Key or the present Secret key of that environment. For help contact Beesender technical support"+s.vendor()+".")
		p.Errors = []gen.FieldError{field("crm_url", "belongs to an environment with another Secret key")}
		return p
	case errors.Is(err, store.ErrAPIKeyUnknown):
		return invalid(field("api_key", "is not the API Key of this environment; set generate_api_key to make one"))
	case errors.Is(err, store.ErrAPIKeyMissing):
		return invalid(field("api_key", "fill in the API Key, or set generate_api_key to make one, or fill in Login and Password"))
	default:
		return storeProblem(err, "environment")
	}
}

// vendor names the operator's contact for tokens (S0.36).
func (s *Server) vendor() string {
	if s.Options.VendorContact == "" {
		return ""
	}
	return ": " + s.Options.VendorContact
}

// missingStep is the 409 of a step taken too early; it names the missing one (S0.18).
func missingStep(step int) *problem {
	call := map[int]string{1: "PUT /api/v1/wizard/credentials", 2: "PUT /api/v1/wizard/waiting-periods"}[step]
	return fail(http.StatusConflict, "missing-step", fmt.Sprintf("Step %d is not filled in yet. Fill it in first: %s.", step, call))
}

func (s *Server) wizardOut(ctx context.Context, e store.Environment) (gen.Wizard, error) {
	running, err := s.Store.RunningCounts(ctx, e.ID)
	if err != nil {
		return gen.Wizard{}, err
	}
	key, err := s.secretKeyOut(ctx, e)
	if err != nil {
		return gen.Wizard{}, err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return gen.Wizard{}, err
	}
	return gen.Wizard{
		Step: e.WizardStep, Revision: int64(e.WizardRevision), FinishedAt: e.ConfiguredAt.Ptr(),
		Authorizations: authorizationWays,
		Credentials: gen.WizardCredentials{
			CRMURL: orNull(addressOut(e)), CRMKind: gen.CRMKind(e.CRMKind), PublicURL: s.publicURL(e), Authorization: authorizationOut(e),
			SecretKey: key, APIKey: apiKeyOut(e), OAuthClientID: orNull(e.ClientID), Login: orNull(e.Login),
		},
		WaitingPeriods: gen.WaitingPeriods{
			Client: gen.WaitingPeriod{Enabled: e.CloseOn, Minutes: e.CloseMinutes},
			Agent:  gen.WaitingPeriod{Enabled: e.TransferOn, Minutes: e.TransferMinutes},
		},
		Prompts: promptsOut(chat.Prompts(running)), Warnings: s.warnings(e, key, now),
	}, nil
}

func promptsOut(prompts []chat.Prompt) []gen.Prompt {
	answerFields := map[chat.ProcessName]gen.PromptAnswerField{
		chat.SaveAfkChats: gen.PromptAnswerFieldSaveAfk, chat.CloseOldChats: gen.PromptAnswerFieldCloseOld,
	}
	out := make([]gen.Prompt, len(prompts))
	for i, p := range prompts {
		out[i] = gen.Prompt{
			Process: gen.ProcessName(p.Process), Text: p.Text, Count: p.Count,
			Answers: []gen.YesNo{gen.YesNoYes, gen.YesNoNo}, AnswerField: answerFields[p.Process],
		}
	}
	return out
}

// authorizationWays are the two forms of Step 1 as data, the recommended one first (S0.12 to S0.17, S0.55).
var authorizationWays = []gen.AuthorizationWay{
	{
		Authorization: gen.AuthorizationAPIKey, Title: "Authorization by API Key", Recommended: true,
		Reason: "Recommended: it provides enhanced security, because no administrator's password is stored.",
		Fields: []gen.FormField{
			secretKeyField,
			{Name: "api_key", Label: "API Key", Required: true, Secret: true, Help: "Click “Generate an API Key”, and the field will be automatically filled."},
		},
	},
	{
		Authorization: gen.AuthorizationLogin, Title: "Authorization by Login and Password", Deprecated: true,
		Reason: "Deprecated: in future versions the option for login and password authentication will no longer be available.",
		Fields: []gen.FormField{
			secretKeyField,
			{Name: "login", Label: "Login", Required: true, Help: "User login with system administrator rights"},
			{Name: "password", Label: "Password", Required: true, Secret: true, Help: "User password with system administrator rights"},
		},
	},
}

var secretKeyField = gen.FormField{
	Name: "secret_key", Label: "Secret key", Required: true, Secret: true,
	Help: "Your personal token that you can get from your manager or Beesender, or by the Token request button.",
}
