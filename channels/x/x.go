// Package x connects accounts of X (Twitter) by their Direct Messages. The facts of its wire are in wire/x.md.
//
// The account and the customers are known by their X user ids. Messages between two are dialogues; conversations of more
// are counted and ignored. What X calls XChat is encrypted from end to end and does not reach this API.
package x

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"waggle/channels"
)

// DefaultAPI is X's own API.
const DefaultAPI = "https://api.x.com"

// The five fields of an X channel, by the product's names (S4.19–S4.23, b44).
const (
	FieldAccessToken    = "AccessToken"
	FieldAccessSecret   = "AccessSecret"
	FieldConsumerKey    = "ConsumerKey"
	FieldConsumerSecret = "ConsumerSecret"
	FieldBearerToken    = "BearerToken"
)

const keyPattern = `^[!-~]{1,500}$` // keys are pasted: no space and no line break comes along

// mediaHosts are where X keeps the files of messages, beside the API's own host (§5.4).
var mediaHosts = []string{"ton.twitter.com", "pbs.twimg.com", "video.twimg.com"}

// Adapter is the kind "x" for one API.
type Adapter struct {
	api    client
	wait   func(context.Context, time.Duration) error
	passes passes
}

// The contracts Adapter keeps.
var (
	_ channels.Adapter    = (*Adapter)(nil)
	_ channels.Group      = (*Adapter)(nil)
	_ channels.Mover      = (*Adapter)(nil)
	_ channels.Rereader   = (*Adapter)(nil)
	_ channels.FileOpener = (*Adapter)(nil)
	_ channels.Checker    = (*Adapter)(nil)
)

// New returns the adapter for the API at api (DefaultAPI, or X_API_URL). The client should be the guarded one.
func New(h *http.Client, api string) *Adapter {
	return &Adapter{api: newClient(h, api), wait: wait}
}

// credentials are a channel's five values.
type credentials struct {
	accessToken, accessSecret, consumerKey, consumerSecret, bearer string
}

// user calls as the account, app as the developer's app.
func (c credentials) user() signer  { return signer{credentials: c} }
func (c credentials) asApp() signer { return signer{credentials: c, app: true} }

var keyShape = regexp.MustCompile(keyPattern)

// credentialsOf reads a channel's fields. What cannot be a key never becomes part of a request.
func credentialsOf(ch channels.Channel) (credentials, error) {
	for _, f := range []string{FieldAccessToken, FieldAccessSecret, FieldConsumerKey, FieldConsumerSecret, FieldBearerToken} {
		if !keyShape.MatchString(ch.Fields[f]) {
			return credentials{}, &channels.Error{Outcome: channels.Refused, Field: f, Reason: f + " is missing, or is not a key of X; copy it again from the app's Keys & Tokens"}
		}
	}
	return credentials{
		ch.Fields[FieldAccessToken], ch.Fields[FieldAccessSecret], ch.Fields[FieldConsumerKey], ch.Fields[FieldConsumerSecret], ch.Fields[FieldBearerToken],
	}, nil
}

var userID = regexp.MustCompile(`^[0-9]{1,19}$`) // wire/x.md §2

// Verify asks X whose keys these are (users/me) and then whether the bearer is one. It changes nothing and may be repeated.
// Whether the token may use Direct Messages shows only at the first send.
func (a *Adapter) Verify(ctx context.Context, ch channels.Channel) (channels.Account, error) {
	c, err := credentialsOf(ch)
	if err != nil {
		return channels.Account{}, err
	}
	var me struct {
		Data struct {
			ID       string `json:"id"`
			Username string `json:"username"`
		} `json:"data"`
	}
	if fail := a.api.call(ctx, request{verb: http.MethodGet, path: "/2/users/me", as: c.user(), result: &me}); fail != nil {
		e := a.setupError(fail, false)
		if swapped := regexp.MustCompile(`^[0-9]+-`); e.Field == FieldAccessToken && !swapped.MatchString(c.accessToken) && swapped.MatchString(c.accessSecret) {
			e.Reason = "AccessToken and AccessSecret seem to be swapped: the Access Token is the one that begins with a number and a hyphen"
		}
		return channels.Account{}, e
	}
	if !userID.MatchString(me.Data.ID) || me.Data.Username == "" {
		return channels.Account{}, &channels.Error{Outcome: channels.Refused, Field: FieldAccessToken, Reason: "X names no account for these keys"}
	}
	if _, fail := a.hooks(ctx, c); fail != nil && (ch.Receive != channels.Polling || fail.status != http.StatusForbidden) {
		// Where the app may have no webhook, its bearer is accepted all the same; polling does without.
		return channels.Account{}, a.setupError(fail, true)
	}
	return channels.Account{ID: me.Data.ID, Name: "@" + me.Data.Username}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// underOurs tells whether an address is the webhook of a channel of this installation: it differs from ours in its last part.
func underOurs(address string, ch channels.Channel) bool {
	folder := ch.HookURL[:strings.LastIndex(ch.HookURL, "/")+1]
	return folder != "" && strings.HasPrefix(address, folder) && !strings.Contains(address[len(folder):], "/")
}
