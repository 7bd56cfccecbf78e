package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"waggle/api/gen"
	"waggle/crm"
	"waggle/store"
)

// keyEndsSoon is how long before its end a secret key is warned about.
const keyEndsSoon = 3 * 24 * time.Hour

// warnings is what an administrator should look at.
func (s *Server) warnings(e store.Environment, key *gen.MaskedSecret, now time.Time) []gen.Warning {
	out := []gen.Warning{}
	if crm.Auth(e.Auth) == crm.Login {
		out = append(out, loginWarning())
	}
	if e.SyncNeeded {
		out = append(out, warning("synchronize_needed", "", "Login and Password were saved and not yet checked. Select Actions and click Synchronize."))
	}
	if key != nil && key.ExpiresAt != nil {
		switch left := key.ExpiresAt.Sub(now); {
		case left <= 0:
			out = append(out, warning("secret_key_expired", "secret_key", "The Secret key has expired. New chats are stored and held until it is renewed."+s.renewal()))
		case left < keyEndsSoon:
			out = append(out, warning("secret_key_expires_soon", "secret_key", "The Secret key expires soon. New chats will be held then."+s.renewal()))
		}
	}
	if !e.ChatsEnabled {
		out = append(out, warning("chats_off", "", chatsOffNotice))
	}
	return out
}

func warning(code, field, text string) gen.Warning {
	return gen.Warning{Code: code, Field: orNull(field), Text: text}
}

// chatsOffNotice says how chats are switched on (S1.10, b24).
const chatsOffNotice = `Chats are switched off: messages are stored, but not routed, closed or shown in the CRM. ` +
	`To switch them on: PATCH /api/v1/settings {"chats_enabled": true}`

func raisedWarning(field string) gen.Warning {
	return warning("raised_to_minimum", field, "The time was raised to 5 minutes, the minimum interval.")
}

// reconnectWarning says that messengers still deliver to the former public address.
func reconnectWarning(names []string) gen.Warning {
	return warning("reconnect_channels", "public_url",
		"The messengers of these channels still deliver to the former address; connect each channel again: "+strings.Join(names, ", ")+".")
}

func loginWarning() gen.Warning {
	return warning("login_deprecated", "login",
		"Authorization by login and password is deprecated and will be gone in future versions. We recommend an API key: it provides enhanced security.")
}

// secretKeyOut is the environment's secret key, masked, with its end and whom to write to; null where it has none.
func (s *Server) secretKeyOut(ctx context.Context, e store.Environment) (*gen.MaskedSecret, error) {
	k, err := s.Store.CurrentKey(ctx, e.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &gen.MaskedSecret{Masked: mask(k.Hint), ExpiresAt: k.ExpiresAt.Ptr(), RenewalContact: orNull(s.Options.VendorContact)}, nil
}

// apiKeyOut is the environment's API key, masked; null where it has none.
func apiKeyOut(e store.Environment) *gen.MaskedSecret {
	if e.APIKeyHash == nil {
		return nil
	}
	return &gen.MaskedSecret{Masked: mask(e.APIKeyHint)}
}

func mask(hint string) string { return "••••••" + hint }
