package x

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/guard"
)

// hook is a webhook of the app (wire/x.md §5.1).
type hook struct {
	ID    string `json:"id"`
	URL   string `json:"url"`
	Valid *bool  `json:"valid"` // whether X delivers there; nil: it does not say
}

// Connect has X deliver the account's messages to us: the app's webhook is made or used again, then the account subscribed to
// it. For polling the account's subscription is taken away. Repeating it is harmless.
func (a *Adapter) Connect(ctx context.Context, ch channels.Channel, o channels.ConnectOptions) error {
	c, err := credentialsOf(ch)
	if err != nil {
		return err
	}
	if ch.Receive == channels.Polling {
		return a.leave(ctx, c, ch, true)
	}
	if ch.HookURL == "" {
		return &channels.Error{Outcome: channels.Refused, Field: "receive", Reason: "X can deliver messages only to a public address; " +
			"set this installation's public URL (PUBLIC_URL) or choose polling"}
	}
	id, err := a.hookFor(ctx, c, ch, o.TakeOver)
	if err != nil {
		return err
	}
	return a.subscribe(ctx, c, ch, id)
}

// Disconnect ends the account's subscription. The app's webhook is deleted only if it is this channel's and nobody else's
// messages come by it.
func (a *Adapter) Disconnect(ctx context.Context, ch channels.Channel) error {
	c, err := credentialsOf(ch)
	if err != nil {
		return err
	}
	return a.leave(ctx, c, ch, ch.Receive == channels.Polling)
}

// Leave ends the account's subscription at the app was's keys belong to, and the webhook there if it is this channel's and nobody
// else's messages come by it. Nothing is ended at the app that now's keys belong to: X gives an app other keys on demand, but its
// webhooks stay the same.
func (a *Adapter) Leave(ctx context.Context, was, now channels.Channel) (shared bool, err error) {
	c, err := credentialsOf(was)
	if err != nil {
		return false, err
	}
	left, fail := a.hooks(ctx, c)
	if fail != nil {
		return false, a.setupError(fail, true)
	}
	if now.ID != uuid.Nil {
		stays, err := credentialsOf(now)
		if err != nil || stays.bearer == c.bearer {
			return false, err
		}
		kept, fail := a.hooks(ctx, stays)
		if fail != nil && !(now.Receive == channels.Polling && fail.unavailable()) {
			return false, a.setupError(fail, true)
		}
		left = slices.DeleteFunc(left, func(h hook) bool { return slices.ContainsFunc(kept, func(k hook) bool { return k.ID == h.ID }) })
	}
	return a.quit(ctx, c, was, left)
}

// leave is Disconnect. Who polls may have an app without webhooks: then there is nothing to leave.
func (a *Adapter) leave(ctx context.Context, c credentials, ch channels.Channel, polling bool) error {
	hooks, fail := a.hooks(ctx, c)
	if fail != nil {
		if polling && fail.unavailable() {
			return nil
		}
		return a.setupError(fail, true)
	}
	_, err := a.quit(ctx, c, ch, hooks)
	return err
}

// quit ends the account's subscriptions to those of an app's webhooks that lead to us, and deletes the channel's own unless it is
// shared: others' messages come by it.
func (a *Adapter) quit(ctx context.Context, c credentials, ch channels.Channel, hooks []hook) (shared bool, err error) {
	for _, h := range hooks {
		if !ours(h.URL, ch) && !underOurs(h.URL, ch) {
			continue
		}
		if fail := a.unsubscribe(ctx, c, ch, h.ID); fail != nil {
			return shared, a.setupError(fail, true)
		}
		if !ours(h.URL, ch) {
			continue
		}
		if a.used(ctx, c, h.ID) {
			shared = true
			continue
		}
		if fail := a.deleteHook(ctx, c, h.ID); fail != nil && fail.status != http.StatusNotFound {
			return shared, a.setupError(fail, true)
		}
	}
	return shared, nil
}

// hookFor returns the id of the webhook our messages are to come by: this channel's own, that of another of our channels of the
// same app, or a new one.
func (a *Adapter) hookFor(ctx context.Context, c credentials, ch channels.Channel, takeOver bool) (string, error) {
	hooks, fail := a.hooks(ctx, c)
	if fail != nil {
		return "", a.setupError(fail, true)
	}
	var foreign []hook
	for _, h := range hooks {
		switch {
		case h.URL == ch.HookURL, underOurs(h.URL, ch):
			// It may be one X no longer delivers to, and the app's Secret Key may be another since.
			fail := a.revalidate(ctx, c, h.ID)
			if fail == nil {
				return h.ID, nil
			}
			gone := fail.status == http.StatusNotFound
			if !gone && (h.URL == ch.HookURL || !fail.says(crcFailed)) {
				return "", a.hookError(fail)
			}
			// The other channel is gone, or has the app's former Secret Key: nobody's messages come by it.
			fallthrough
		case ours(h.URL, ch): // from a former public address
			if fail := a.deleteHook(ctx, c, h.ID); fail != nil && fail.status != http.StatusNotFound {
				return "", a.setupError(fail, true)
			}
		default:
			foreign = append(foreign, h)
		}
	}
	made, fail := a.createHook(ctx, c, ch)
	if fail != nil && fail.says("WebhookLimitExceeded") && len(foreign) > 0 {
		if !takeOver {
			return "", &channels.Error{Outcome: channels.Foreign, Reason: "the app already delivers its messages to " + guard.HostOf(foreign[0].URL) +
				", and X permits it one address: take it over, or use another app", Err: fail}
		}
		if fail := a.deleteHook(ctx, c, foreign[0].ID); fail != nil {
			return "", a.setupError(fail, true)
		}
		made, fail = a.createHook(ctx, c, ch)
	}
	if fail != nil {
		return "", a.hookError(fail)
	}
	return made, nil
}

const crcFailed = "CrcValidationFailed"

// hookError puts X's reasons for refusing a webhook into words.
func (a *Adapter) hookError(f *failure) error {
	for reason, text := range map[string]string{
		crcFailed: "X called this installation's address to check it and was not satisfied: see that the public URL (PUBLIC_URL) reaches this installation " +
			"from the Internet, and that ConsumerSecret and BearerToken belong to the same app",
		"UrlValidationFailed":  "X does not deliver to this installation's address: the public URL (PUBLIC_URL) must be https://, without a port, and at most 200 characters long",
		"DuplicateUrlFailed":   "this installation's address is already the webhook of another app of X; delete it there, or use that app's keys",
		"WebhookLimitExceeded": "X permits this app no further webhook; delete one in X's Developer Console",
	} {
		if f.says(reason) {
			return &channels.Error{Outcome: channels.Refused, Reason: text, Err: f}
		}
	}
	return a.setupError(f, true)
}

func (a *Adapter) hooks(ctx context.Context, c credentials) ([]hook, *failure) {
	var list struct {
		Data []hook `json:"data"`
	}
	fail := a.api.call(ctx, request{verb: http.MethodGet, path: "/2/webhooks", as: c.asApp(), result: &list})
	list.Data = slices.DeleteFunc(list.Data, func(h hook) bool { return !userID.MatchString(h.ID) })
	return list.Data, fail
}

func (a *Adapter) createHook(ctx context.Context, c credentials, ch channels.Channel) (string, *failure) {
	var made struct {
		Data hook `json:"data"`
		hook      // as the page of this call shows it
	}
	r := request{verb: http.MethodPost, path: "/2/webhooks", as: c.asApp(), result: &made}
	if fail := a.api.call(ctx, r.payload(map[string]string{"url": ch.HookURL})); fail != nil {
		return "", fail
	}
	for _, id := range []string{made.Data.ID, made.ID} {
		if userID.MatchString(id) {
			return id, nil
		}
	}
	return "", &failure{status: http.StatusOK}
}

// revalidate has X challenge a webhook again.
func (a *Adapter) revalidate(ctx context.Context, c credentials, id string) *failure {
	var now struct {
		Data struct {
			Valid *bool `json:"valid"`
		} `json:"data"`
	}
	fail := a.api.call(ctx, request{verb: http.MethodPut, path: "/2/webhooks/" + id, as: c.asApp(), result: &now})
	if fail == nil && now.Data.Valid != nil && !*now.Data.Valid {
		return &failure{status: http.StatusOK, api: true, problem: crcFailed, text: crcFailed}
	}
	return fail
}

func (a *Adapter) deleteHook(ctx context.Context, c credentials, id string) *failure {
	return a.api.call(ctx, request{verb: http.MethodDelete, path: "/2/webhooks/" + id, as: c.asApp()})
}

// ours tells whether a webhook leads to this channel. Its id in the path is enough: our public URL may have changed.
func ours(address string, ch channels.Channel) bool {
	return address == ch.HookURL || strings.HasSuffix(address, "/"+ch.ID.String())
}

// unavailable is a refusal because the app has not got this part of the API.
func (f *failure) unavailable() bool {
	switch f.status {
	case http.StatusNotFound, http.StatusGone:
		return true
	case http.StatusForbidden:
		return !f.permission()
	}
	return false
}
