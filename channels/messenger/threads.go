package messenger

import (
	"context"
	"net/http"

	"waggle/channels"
)

// Take makes us the owner of the conversation (wire/messenger.md §5). Facebook may refuse it to an app that is not the
// page's default.
func (a *Adapter) Take(ctx context.Context, ch channels.Channel, userID string) error {
	return a.thread(ctx, ch, "/take_thread_control", threadCall{Recipient: recipient{ID: userID}})
}

// Pass gives the conversation to another app; without one, to the page's own inbox.
func (a *Adapter) Pass(ctx context.Context, ch channels.Channel, userID, app string) error {
	if app == "" {
		app = PageInbox
	}
	return a.thread(ctx, ch, "/pass_thread_control", threadCall{Recipient: recipient{ID: userID}, Target: app})
}

// Request asks the owner for the conversation. His answer comes as an event, if he gives one.
func (a *Adapter) Request(ctx context.Context, ch channels.Channel, userID string) error {
	return a.thread(ctx, ch, "/request_thread_control", threadCall{Recipient: recipient{ID: userID}})
}

// Release leaves the conversation to whoever answers first.
func (a *Adapter) Release(ctx context.Context, ch channels.Channel, userID string) error {
	return a.thread(ctx, ch, "/release_thread_control", threadCall{Recipient: recipient{ID: userID}})
}

type threadCall struct {
	Recipient recipient `json:"recipient"`
	Target    string    `json:"target_app_id,omitempty"`
}

// thread makes one of these calls. Each may be repeated: the owner it leaves is the same.
func (a *Adapter) thread(ctx context.Context, ch channels.Channel, edge string, body threadCall) error {
	q, bad := a.call(ch, http.MethodPost, edge)
	if bad != nil {
		bad.Outcome = channels.Broken
		return bad
	}
	q.json = body
	return a.done(ctx, q, threadError)
}

// threadError: error 10 of these calls is about this conversation, not about the page's permissions (§5).
func threadError(f *failure) *channels.Error {
	e := repeatable(f)
	switch {
	case f.api && f.code.code == 10:
		e.Outcome, e.Reason = channels.Permanent, "another app holds this conversation and Facebook does not let us have it; ask for it instead"
	case f.api && e.Outcome == channels.Permanent && meaningOf(f).reason == "":
		e.Reason = "Facebook refused: " + f.message
	}
	return e
}
