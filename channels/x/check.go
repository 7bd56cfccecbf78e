package x

import (
	"context"
	"net/http"
	"slices"
	"time"

	"waggle/channels"
	"waggle/guard"
)

// patience is how long an address that does not answer may go on being valid: X tolerates that for 28 hours, and then asks once more,
// hourly (wire/x.md §5.2). Deliveries fail all that time.
const patience = 30 * time.Hour

// Check asks X whether the app's webhook still leads here, is valid, and has the account's messages (wire/x.md §5.1, §5.4, §5.5).
func (a *Adapter) Check(ctx context.Context, ch channels.Channel) (channels.Checkup, error) {
	c, err := credentialsOf(ch)
	if err != nil {
		return channels.Checkup{}, err
	}
	hooks, fail := a.hooks(ctx, c)
	if fail != nil {
		return channels.Checkup{}, a.setupError(fail, true)
	}
	at := slices.IndexFunc(hooks, func(h hook) bool { return h.URL == ch.HookURL || underOurs(h.URL, ch) })
	switch {
	case at < 0 && len(hooks) > 0:
		return channels.Checkup{Wrong: "The app delivers its messages to " + guard.HostOf(hooks[0].URL) + " instead of here. Connect the channel again to take it over."}, nil
	case at < 0:
		return channels.Checkup{Wrong: "The app's webhook has been removed, so that X delivers nothing. Connect the channel again."}, nil
	case hooks[at].Valid != nil && !*hooks[at].Valid:
		return channels.Checkup{Late: patience, Wrong: "X has stopped delivering, because this installation's address did not answer its check as it should. " +
			"See that the public address reaches this installation and that ConsumerSecret is the app's, then connect the channel again."}, nil
	}
	subscribed, fail := a.subscribed(ctx, c, ch, hooks[at].ID)
	if fail != nil {
		return channels.Checkup{}, a.setupError(fail, false)
	}
	if !subscribed {
		return channels.Checkup{Wrong: "The account's messages are no longer delivered: its subscription has ended. Connect the channel again."}, nil
	}
	return channels.Checkup{}, nil
}

// subscribed tells whether the account's messages come by a webhook, whichever way that was begun.
func (a *Adapter) subscribed(ctx context.Context, c credentials, ch channels.Channel, hookID string) (bool, *failure) {
	var answer struct {
		Data struct {
			Subscribed bool `json:"subscribed"`
		} `json:"data"`
	}
	fail := a.api.call(ctx, request{verb: http.MethodGet, path: subscriptionsPath(hookID) + "/all", as: c.user(), result: &answer})
	if fail != nil && !fail.unavailable() {
		return false, fail
	}
	if fail == nil && answer.Data.Subscribed {
		return true, nil
	}
	all, fail := a.subscriptions(ctx, c)
	if fail != nil && !fail.unavailable() {
		return false, fail
	}
	return slices.ContainsFunc(all, func(s subscription) bool {
		return s.Filter.UserID == ch.AccountID && s.EventType == activities[0] && (s.WebhookID == "" || s.WebhookID == hookID)
	}), nil
}
