package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/crm"
	"waggle/jobs"
	"waggle/store"
)

// checkTimeout bounds the check of credentials at the CRM. It ends before the request's own deadline, so that a slow CRM is
// told as such.
const checkTimeout = 15 * time.Second

// PutWizardCredentials stores Step 1. A login is checked at the CRM first, and nothing is stored unless the CRM accepts it.
func (s *Server) PutWizardCredentials(ctx context.Context, r gen.PutWizardCredentialsRequestObject) (gen.PutWizardCredentialsResponseObject, error) {
	c, err := administrator(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	in, wrong := s.readCredentials(e, *r.Body)
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	if err := s.Store.CheckBinding(ctx, e.ID, in.SecretKey, in.CRMURL); err != nil {
		return nil, s.wizardProblem(err)
	}
	if err := s.checkAtCRM(ctx, e, &in); err != nil {
		return nil, err
	}
	e, made, err := s.Store.PutCredentials(ctx, e.ID, in)
	if err != nil {
		return nil, s.wizardProblem(err)
	}
	s.Jobs.Hints.Look(jobs.Look{At: jobs.LookCRM, Environment: e.ID})
	s.Jobs.Hints.Publish(jobs.Event{Type: "configuration", Environment: e.ID})
	out, err := s.wizardOut(ctx, e)
	if err != nil {
		return nil, err
	}
	out.Credentials.GeneratedAPIKey = orNull(made.Clear)
	answer := gen.PutWizardCredentials200JSONResponse{Body: out}
	if in.Auth == string(crm.Login) {
		answer.Headers.Deprecation = &loginDeprecated
	}
	return answer, nil
}

// readCredentials checks the form. What depends on what is stored is decided by the store.
func (s *Server) readCredentials(e store.Environment, in gen.WizardCredentialsInput) (c store.Credentials, wrong []gen.FieldError) {
	c = store.Credentials{CRMKind: e.CRMKind}
	if in.CRMKind != nil {
		c.CRMKind = string(*in.CRMKind)
	}
	if s.CRMs[c.CRMKind] == nil {
		wrong = append(wrong, field("crm_kind", "is not a CRM that can be connected"))
	}
	var err error
	if c.CRMURL, c.CRMPrefix, err = chat.CRMAddress(in.CRMURL, s.Options.allowHTTP()); err != nil {
		wrong = append(wrong, field("crm_url", err.Error()))
	}
	if c.CRMPrefix == "" { // left out: what is known of this site, or to be found out
		c.CRMPrefix = "?"
		if c.CRMURL == e.CRMURL {
			c.CRMPrefix = e.CRMPrefix
		}
	}
	if in.PublicURL != nil {
		address, err := chat.PublicAddress(*in.PublicURL, s.Options.allowHTTP())
		if err != nil {
			wrong = append(wrong, field("public_url", err.Error()))
		}
		c.PublicURL = &address
	}
	if in.SecretKey != nil {
		if c.SecretKey = strings.TrimSpace(*in.SecretKey); c.SecretKey == "" {
			wrong = append(wrong, field("secret_key", "fill in the Secret key"))
		}
	}
	return c, append(wrong, readAuthorization(e, in, &c)...)
}

// readAuthorization reads the way that counts: the one named, else the API key if there is any sign of it, else the login.
func readAuthorization(e store.Environment, in gen.WizardCredentialsInput, c *store.Credentials) (wrong []gen.FieldError) {
	generate := valueOr(in.GenerateAPIKey, false)
	login := in.Login != nil || in.Password != nil
	way := gen.AuthorizationAPIKey
	switch {
	case in.Authorization != nil:
		way = *in.Authorization
	case in.APIKey == nil && !generate && in.OAuth == nil && login:
		way = gen.AuthorizationLogin
	}
	if way == gen.AuthorizationLogin {
		l := store.NewLogin{Login: valueOr(in.Login, ""), Password: valueOr(in.Password, "")}
		c.Auth, c.Login, c.Password = string(crm.Login), l.Login, l.Password
		return filled(l)
	}
	c.Auth, c.NewAPIKey, c.APIKey = string(crm.APIKey), generate, valueOr(in.APIKey, "")
	if in.OAuth == nil && e.Auth == string(crm.OAuth) { // its secret is never shown, so that it cannot be sent again
		c.Auth, c.IdentityURL, c.ClientID = e.Auth, e.IdentityURL, e.ClientID
	}
	if in.OAuth != nil {
		c.Auth = string(crm.OAuth)
		c.ClientID, c.ClientSecret = in.OAuth.ClientID, in.OAuth.ClientSecret
		identity, err := chat.PublicAddress(in.OAuth.IdentityURL, true) // may be plain http:// inside a company's network; the guarded client decides
		if err != nil {
			wrong = append(wrong, field("oauth.identity_url", err.Error()))
		}
		c.IdentityURL = identity
	}
	return wrong
}

// checkAtCRM signs in with a new login or OAuth client and notes what the CRM shows of the site. An API key cannot be checked:
// the CRM's package learns it from the administrator after this. Failure policy: whatever keeps the CRM from answering is a 502
// and nothing is stored; a refusal is a 422 of the fields it is about.
func (s *Server) checkAtCRM(ctx context.Context, e store.Environment, in *store.Credentials) error {
	if in.Password == "" && in.ClientSecret == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	site, err := s.CRMs[in.CRMKind].Check(ctx, crm.Connection{
		Environment: e.ID, URL: in.CRMURL, Prefix: in.CRMPrefix, Auth: crm.Auth(in.Auth), Login: in.Login, Password: in.Password,
		IdentityURL: in.IdentityURL, ClientID: in.ClientID, ClientSecret: in.ClientSecret,
	})
	if err != nil {
		return refusedByCRM(*in, crm.AsError(err))
	}
	if !site.Administrator {
		return invalid(field("login", "is not the login of a user with system administrator rights"))
	}
	in.CRMPrefix, in.CRMVersion, in.Checked = site.Prefix, site.Version, true
	return nil
}

func refusedByCRM(in store.Credentials, err *crm.Error) error {
	switch {
	case err.Cause != crm.Refused:
		return fail(http.StatusBadGateway, "crm-unavailable",
			"The CRM could not be asked, so nothing was stored: "+err.Reason+". Check the CRM address and try again.").because(err)
	case in.Auth == string(crm.OAuth):
		reason := "is not accepted by the CRM: " + err.Reason
		return invalid(field("oauth.client_id", reason), field("oauth.client_secret", reason)).because(err)
	default:
		reason := "is not accepted by the CRM: " + err.Reason
		return invalid(field("login", reason), field("password", reason)).because(err)
	}
}
