package api

import (
	"context"
	"strings"

	"github.com/oapi-codegen/nullable"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// GetSettings shows the chat settings to everybody who works with chats.
func (s *Server) GetSettings(ctx context.Context, _ gen.GetSettingsRequestObject) (gen.GetSettingsResponseObject, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	out, err := s.settingsOut(e)
	return gen.GetSettings200JSONResponse(out), err
}

// PatchSettings saves the chat settings; they take effect at once.
func (s *Server) PatchSettings(ctx context.Context, r gen.PatchSettingsRequestObject) (gen.PatchSettingsResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	in := *r.Body
	siteURL, wrong := s.readSettings(in)
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	e, err := s.Store.SaveSettings(ctx, c.Environment, func(e *store.Environment) error {
		if in.ChatsEnabled != nil {
			e.ChatsEnabled = *in.ChatsEnabled
		}
		if in.Display != nil {
			e.Display = string(*in.Display)
		}
		setNullable(&e.SimultaneousChats, in.SimultaneousChats)
		setNullable(&e.AcceptTimeoutMinutes, in.OperatorAcceptChatTimeout)
		setNullable(&e.BotTimeoutMinutes, in.BotTimeoutMinutes)
		if in.SiteURL.IsSpecified() {
			e.SiteURL = siteURL
		}
		e.LoginURL = strings.TrimSpace(valueOr(in.IdentityServerURL, e.LoginURL))
		e.LoginClientID = strings.TrimSpace(valueOr(in.IdentityServerClientID, e.LoginClientID))
		if secret := in.IdentityServerClientSecret; secret != nil && *secret != maskedField {
			return s.Store.SetLoginSecret(e, strings.TrimSpace(*secret))
		}
		return nil
	})
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	for _, at := range []jobs.LookAt{jobs.LookRoute, jobs.LookCRM} {
		s.Jobs.Hints.Look(jobs.Look{At: at, Environment: c.Environment})
	}
	s.Jobs.Hints.Publish(jobs.Event{Type: "configuration", Environment: c.Environment})
	out, err := s.settingsOut(e)
	return gen.PatchSettings200JSONResponse(out), err
}

// readSettings checks what the contract's schema does not; siteURL is the normalised one, empty for null.
func (s *Server) readSettings(in gen.SettingsPatch) (siteURL string, wrong []gen.FieldError) {
	if address := strings.TrimSpace(valueOr(in.IdentityServerURL, "")); address != "" {
		if err := s.Options.checkURL(address); err != nil {
			wrong = append(wrong, field("identity_server_url", err.Error()))
		}
	}
	if address, set := given(in.SiteURL); set {
		root, prefix, err := chat.CRMAddress(address, s.Options.allowHTTP())
		if err != nil {
			wrong = append(wrong, field("site_url", err.Error()))
		}
		siteURL = root + prefix
	}
	return siteURL, wrong
}

func (s *Server) settingsOut(e store.Environment) (gen.Settings, error) {
	secrets, err := s.Store.Secrets(e)
	if err != nil {
		return gen.Settings{}, err
	}
	secret := gen.LoginSetting{Code: channels.CodeLoginClientSecret}
	if secrets.LoginClientSecret != "" {
		secret.Value = orNull(maskedField)
	}
	fromCRM := e.FromCRM()
	return gen.Settings{
		IdentityServerURL:          gen.LoginSetting{Code: channels.CodeLoginURL, Value: orNull(e.LoginURL)},
		IdentityServerClientID:     gen.LoginSetting{Code: channels.CodeLoginClientID, Value: orNull(e.LoginClientID)},
		IdentityServerClientSecret: secret,

		ChatsEnabled: e.ChatsEnabled, Display: gen.Display(e.Display),
		SimultaneousChats:         integerOut(chat.SimultaneousChats(e.SimultaneousChats, fromCRM)),
		OperatorAcceptChatTimeout: integerOut(chat.AcceptTimeout(e.AcceptTimeoutMinutes, fromCRM)),
		BotTimeoutMinutes:         e.BotTimeout(),
		SiteURL:                   siteURLOut(e, fromCRM[chat.CodeSiteURL]),
	}, nil
}

// loginSettingNames are the names of the settings that a login needs, by their codes.
var loginSettingNames = map[string]string{
	channels.CodeLoginURL: "identity_server_url", channels.CodeLoginClientID: "identity_server_client_id", channels.CodeLoginClientSecret: "identity_server_client_secret",
}

func integerOut(s chat.Setting) gen.IntegerSetting {
	return gen.IntegerSetting{Code: s.Code, Value: s.Value, Source: gen.SettingSource(s.Source), CRMValue: s.CRM}
}

// siteURLOut is the Website URL: set here, else the CRM's, else the address the wizard got.
func siteURLOut(e store.Environment, fromCRM string) gen.StringSetting {
	out := gen.StringSetting{Code: chat.CodeSiteURL, CRMValue: orNull(fromCRM)}
	switch {
	case e.SiteURL != "":
		out.Value, out.Source = &e.SiteURL, gen.SettingSourceHere
	case fromCRM != "":
		out.Value, out.Source = &fromCRM, gen.SettingSourceCRM
	default:
		out.Value, out.Source = orNull(addressOut(e)), gen.SettingSourceDefault
	}
	return out
}

// addressOut is the CRM's address with /0 where the site is known to have it; empty before Step 1.
func addressOut(e store.Environment) string {
	if e.CRMPrefix == "/0" {
		return e.CRMURL + e.CRMPrefix
	}
	return e.CRMURL
}

// given is the value of a property that was sent and is not null.
func given[T any](n nullable.Nullable[T]) (T, bool) {
	v, err := n.Get()
	return v, err == nil
}

// setNullable takes over a property that was sent; null clears.
func setNullable[T any](into **T, n nullable.Nullable[T]) {
	if !n.IsSpecified() {
		return
	}
	*into = nil
	if v, ok := given(n); ok {
		*into = &v
	}
}
