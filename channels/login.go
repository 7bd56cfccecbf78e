package channels

import (
	"context"
	"slices"
	"strings"
)

// Logins is an adapter whose channels can also be made by logging in at the messenger, whose window gives out the accounts'
// credentials.
type Logins interface {
	// LoginURL is the messenger's login window. callback is our address it returns to; state comes back with it.
	LoginURL(s LoginSettings, callback, state string) (string, error)
	// Login takes what the window returned with and asks what that opens. Errors are *Error.
	Login(ctx context.Context, s LoginSettings, callback string, query func(name string) string) (LoginResult, error)
}

// LoginSettings are what must be populated before anybody can log in (S3.30).
type LoginSettings struct {
	URL          string // where the messenger's login window is: https://www.facebook.com/v25.0
	ClientID     string // the app's id
	ClientSecret string // the app's secret
}

// The codes of LoginSettings in Creatio.
const (
	CodeLoginURL          = "IdentityServerUrl"
	CodeLoginClientID     = "IdentityServerClientId"
	CodeLoginClientSecret = "IdentityServerClientSecret"
)

// Missing are the codes of the settings that are not populated.
func (s LoginSettings) Missing() (codes []string) {
	for _, setting := range []struct{ code, value string }{
		{CodeLoginURL, s.URL}, {CodeLoginClientID, s.ClientID}, {CodeLoginClientSecret, s.ClientSecret},
	} {
		if strings.TrimSpace(setting.value) == "" {
			codes = append(codes, setting.code)
		}
	}
	return codes
}

// LoginResult is what a login opened.
type LoginResult struct {
	Permissions []Permission
	Accounts    []LoginAccount
}

// Permission is one that channels need.
type Permission struct {
	Name    string
	Granted bool
	Why     string // what does not work without it: a sentence
}

// LoginAccount is an account that can become a channel.
type LoginAccount struct {
	Account
	Barred string            // why it cannot, a sentence; empty: it can
	Fields map[string]string // the channel's, secrets in clear
}

// Missing are the permissions that were not given.
func (r LoginResult) Missing() []Permission {
	return slices.DeleteFunc(slices.Clone(r.Permissions), func(p Permission) bool { return p.Granted })
}

// Choose picks accounts by their ids, each once, and says of each id that can become no channel why, by its place among the ids.
func (r LoginResult) Choose(ids []string) (chosen []LoginAccount, wrong map[int]string) {
	wrong = map[int]string{}
	for n, id := range ids {
		i := slices.IndexFunc(r.Accounts, func(a LoginAccount) bool { return a.ID == id })
		switch {
		case slices.Contains(ids[:n], id):
		case i < 0:
			wrong[n] = "this is no account that the login opened; personal profiles cannot be connected"
		case r.Accounts[i].Barred != "":
			wrong[n] = r.Accounts[i].Barred
		default:
			chosen = append(chosen, r.Accounts[i])
		}
	}
	return chosen, wrong
}
