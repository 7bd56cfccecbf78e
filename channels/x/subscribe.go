package x

import (
	"context"
	"net/http"
	"slices"

	"waggle/channels"
)

// activities are the events of the X Activity API that concern us (wire/x.md §5.5).
var activities = []string{"dm.received", "dm.sent", "dm.read"}

// subscription is one of the X Activity API.
type subscription struct {
	ID        string `json:"subscription_id"`
	EventType string `json:"event_type"`
	WebhookID string `json:"webhook_id"`
	Filter    struct {
		UserID string `json:"user_id"`
	} `json:"filter"`
}

// subscribe has the account's messages delivered to the webhook: by the Account Activity API, and where the app has not got
// that, as it is on its way out, by its successor, the X Activity API.
func (a *Adapter) subscribe(ctx context.Context, c credentials, ch channels.Channel, hookID string) error {
	fail := a.api.call(ctx, request{verb: http.MethodPost, path: subscriptionsPath(hookID) + "/all", as: c.user()})
	switch {
	case fail == nil, fail.says("DuplicateSubscriptionFailed"):
		return nil
	case fail.says("SubscriptionLimitExceeded"):
		return &channels.Error{Outcome: channels.Refused, Reason: "X permits an app three accounts, and this app has them already: use another app for this account", Err: fail}
	case fail.unavailable():
		return a.subscribeActivity(ctx, c, ch, hookID)
	}
	return a.setupError(fail, false)
}

func (a *Adapter) subscribeActivity(ctx context.Context, c credentials, ch channels.Channel, hookID string) error {
	all, fail := a.subscriptions(ctx, c)
	if fail != nil {
		return a.setupError(fail, true)
	}
	for _, event := range activities {
		at := slices.IndexFunc(all, func(s subscription) bool { return s.Filter.UserID == ch.AccountID && s.EventType == event })
		r := request{verb: http.MethodPost, path: "/2/activity/subscriptions", as: c.user()}.payload(map[string]any{
			"event_type": event, "filter": map[string]string{"user_id": ch.AccountID}, "tag": "Waggle", "webhook_id": hookID,
		})
		if at >= 0 {
			if all[at].WebhookID == hookID {
				continue
			}
			r = request{verb: http.MethodPut, path: "/2/activity/subscriptions/" + all[at].ID, as: c.asApp()}.
				payload(map[string]string{"tag": "Waggle", "webhook_id": hookID})
		}
		if fail := a.api.call(ctx, r); fail != nil {
			return a.setupError(fail, at >= 0)
		}
	}
	return nil
}

// unsubscribe ends what subscribe began, whichever way that was.
func (a *Adapter) unsubscribe(ctx context.Context, c credentials, ch channels.Channel, hookID string) *failure {
	if !userID.MatchString(ch.AccountID) {
		return nil // never verified, so never subscribed
	}
	fail := a.api.call(ctx, request{verb: http.MethodDelete, path: subscriptionsPath(hookID) + "/" + ch.AccountID + "/all", as: c.asApp()})
	if fail != nil && !fail.unavailable() {
		return fail
	}
	all, fail := a.subscriptions(ctx, c)
	if fail != nil {
		if fail.unavailable() {
			return nil
		}
		return fail
	}
	for _, s := range all {
		if s.Filter.UserID != ch.AccountID || !slices.Contains(activities, s.EventType) || s.WebhookID != "" && s.WebhookID != hookID {
			continue
		}
		fail := a.api.call(ctx, request{verb: http.MethodDelete, path: "/2/activity/subscriptions/" + s.ID, as: c.asApp()})
		if fail != nil && fail.status != http.StatusNotFound {
			return fail
		}
	}
	return nil
}

// used tells whether anybody's messages still come by a webhook. Failure policy: what cannot be asked counts as used; a
// webhook left over does no harm, one deleted too much loses messages.
func (a *Adapter) used(ctx context.Context, c credentials, hookID string) bool {
	var list struct {
		Data *struct {
			Subscriptions []struct{} `json:"subscriptions"`
		} `json:"data"`
	}
	fail := a.api.call(ctx, request{verb: http.MethodGet, path: subscriptionsPath(hookID) + "/all/list", as: c.asApp(), result: &list})
	if fail != nil && !fail.unavailable() || fail == nil && (list.Data == nil || len(list.Data.Subscriptions) > 0) {
		return true
	}
	all, fail := a.subscriptions(ctx, c)
	if fail != nil {
		return !fail.unavailable()
	}
	return slices.ContainsFunc(all, func(s subscription) bool { return s.WebhookID == "" || s.WebhookID == hookID })
}

func (a *Adapter) subscriptions(ctx context.Context, c credentials) ([]subscription, *failure) {
	var list struct {
		Data []subscription `json:"data"`
	}
	fail := a.api.call(ctx, request{verb: http.MethodGet, path: "/2/activity/subscriptions", as: c.asApp(), result: &list})
	list.Data = slices.DeleteFunc(list.Data, func(s subscription) bool { return !userID.MatchString(s.ID) })
	return list.Data, fail
}

func subscriptionsPath(hookID string) string {
	return "/2/account_activity/webhooks/" + hookID + "/subscriptions"
}
