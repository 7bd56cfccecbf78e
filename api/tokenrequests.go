package api

import (
	"context"
	"errors"
	"strings"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// RequestToken makes a secret key for whoever asks (S0.6 to S0.10).
func (s *Server) RequestToken(ctx context.Context, r gen.RequestTokenRequestObject) (gen.RequestTokenResponseObject, error) {
	owner, err := keyOwner(*r.Body)
	if err != nil {
		return nil, err
	}
	token, key, err := s.Store.RequestKey(ctx, owner)
	if errors.Is(err, store.ErrConflict) {
		return nil, conflict("token-already-requested",
			"A key was already requested for this e-mail; its validity does not change."+s.renewal()).because(err)
	}
	if err != nil {
		return nil, err
	}
	return gen.RequestToken201JSONResponse{
		SecretKey: token, ExpiresAt: key.ExpiresAt.Time, RenewalContact: s.Options.VendorContact,
	}, nil
}

// keyOwner checks the form's fields and brings them into the form they are kept in.
func keyOwner(in gen.TokenRequest) (store.KeyOwner, error) {
	owner := store.KeyOwner{Company: strings.TrimSpace(in.CompanyName), Phone: chat.Phone(in.PhoneNumber), Email: chat.Email(in.Email)}
	var at []gen.FieldError
	if owner.Company == "" {
		at = append(at, field("company_name", "must not be empty"))
	}
	if owner.Phone == "" {
		at = append(at, field("phone_number", "must be a phone number of at least 7 digits"))
	}
	if owner.Email == "" {
		at = append(at, field("email", "must be one e-mail address, such as name@example.com"))
	}
	if len(at) > 0 {
		return store.KeyOwner{}, invalid(at...)
	}
	return owner, nil
}
