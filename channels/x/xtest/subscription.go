package xtest

import (
	"net/http"
	"slices"
)

// activity is a subscription of the X Activity API (wire/x.md §5.5).
type activity struct {
	id, event, user, tag, hook string
}

func (a *activity) show() object {
	return object{"subscription_id": a.id, "event_type": a.event, "filter": object{"user_id": a.user}, "tag": a.tag, "webhook_id": a.hook}
}

const accountLimit = 3 // §5.4: pay-per-use

// retiredAPI is what an app without the Account Activity API is told.
func (c *call) retiredAPI() *answer {
	if !c.app.retired {
		return nil
	}
	return &answer{status: http.StatusForbidden, body: object{
		"title": "Client Forbidden", "detail": "This endpoint is not available to your app.", "reason": "client-not-enrolled",
		"type": "https://api.twitter.com/2/problems/client-forbidden", "status": 403,
	}}
}

// subscribe is the Account Activity API's, signed as the user.
func (c *call) subscribe() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if refused := c.retiredAPI(); refused != nil {
		return *refused
	}
	h := c.app.hook(c.r.PathValue("hook"))
	users := 0
	for _, other := range c.app.hooks {
		users += len(other.users)
	}
	switch {
	case h == nil:
		return problem("WebhookIdInvalid")
	case slices.Contains(h.users, c.account.ID):
		return problem("DuplicateSubscriptionFailed")
	case users >= accountLimit:
		return problem("SubscriptionLimitExceeded")
	}
	h.users = append(h.users, c.account.ID)
	return ok(object{"data": object{"subscribed": true}})
}

// subscribed is the check whether the caller's account is subscribed (§5.4).
func (c *call) subscribed() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if refused := c.retiredAPI(); refused != nil {
		return *refused
	}
	h := c.app.hook(c.r.PathValue("hook"))
	return ok(object{"data": object{"subscribed": h != nil && slices.Contains(h.users, c.account.ID)}})
}

func (c *call) listSubscriptions() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if refused := c.retiredAPI(); refused != nil {
		return *refused
	}
	h := c.app.hook(c.r.PathValue("hook"))
	if h == nil {
		return notFound()
	}
	list := []object{}
	for _, id := range h.users {
		list = append(list, object{"user_id": id})
	}
	return ok(object{"data": object{"application_id": "1", "webhook_id": h.id, "webhook_url": h.url, "subscriptions": list}})
}

func (c *call) unsubscribe() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if refused := c.retiredAPI(); refused != nil {
		return *refused
	}
	h, user := c.app.hook(c.r.PathValue("hook")), c.r.PathValue("user")
	if h == nil || !slices.Contains(h.users, user) {
		return notFound()
	}
	h.users = slices.DeleteFunc(h.users, func(id string) bool { return id == user })
	return ok(object{"data": object{"subscribed": false}})
}

func (c *call) listActivity() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	list := []object{}
	for _, s := range c.app.activity {
		list = append(list, s.show())
	}
	return ok(object{"data": list, "meta": object{"total_subscriptions": len(list)}})
}

// createActivity takes private events of the caller's own account only.
func (c *call) createActivity() answer {
	var body struct {
		Event  string `json:"event_type"`
		Filter struct {
			User string `json:"user_id"`
		} `json:"filter"`
		Tag  string `json:"tag"`
		Hook string `json:"webhook_id"`
	}
	known := []string{"dm.received", "dm.sent", "dm.read", "dm.indicate_typing"}
	if !c.decode(&body) || !slices.Contains(known, body.Event) {
		return invalid("event_type")
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if body.Filter.User != c.account.ID || c.app.hook(body.Hook) == nil {
		return answer{status: http.StatusForbidden, body: object{"title": "Forbidden", "type": "about:blank", "status": 403, "detail": "not the user's own"}}
	}
	s := &activity{id: c.newID(), event: body.Event, user: body.Filter.User, tag: body.Tag, hook: body.Hook}
	c.app.activity = append(c.app.activity, s)
	return ok(object{"data": []object{s.show()}, "meta": object{"total_subscriptions": len(c.app.activity)}})
}

func (c *call) updateActivity() answer {
	var body struct {
		Tag  string `json:"tag"`
		Hook string `json:"webhook_id"`
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	s := c.app.subscription(c.r.PathValue("subscription"))
	if !c.decode(&body) || s == nil {
		return notFound()
	}
	s.tag, s.hook = body.Tag, body.Hook
	return ok(object{"data": s.show()})
}

func (c *call) deleteActivity() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	s := c.app.subscription(c.r.PathValue("subscription"))
	if s == nil {
		return notFound()
	}
	c.app.activity = slices.DeleteFunc(c.app.activity, func(other *activity) bool { return other == s })
	return ok(object{"data": object{"deleted": true}, "meta": object{"total_subscriptions": len(c.app.activity)}})
}

func (a *App) subscription(id string) *activity {
	for _, s := range a.activity {
		if s.id == id {
			return s
		}
	}
	return nil
}
