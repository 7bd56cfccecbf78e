package x

import (
	"context"
	"net/http"
	"time"

	"waggle/channels"
)

type outMessage struct {
	Text        string     `json:"text,omitempty"`
	Attachments []outMedia `json:"attachments,omitempty"` // X takes one
}

type outMedia struct {
	ID string `json:"media_id"`
}

// Send sends one part as the account (OAuth 1.0a). A file goes up first and then into the same message as its caption.
func (a *Adapter) Send(ctx context.Context, ch channels.Channel, p channels.Part) (channels.Sent, error) {
	c, err := credentialsOf(ch)
	if err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.Broken, Reason: keysRefused}
	}
	if !userID.MatchString(p.UserID) {
		return channels.Sent{}, &channels.Error{Outcome: channels.Permanent, Reason: "the customer's id is none of X's"}
	}
	m := outMessage{Text: p.Text}
	if p.File != nil {
		id, err := a.upload(ctx, c, p.File)
		if err != nil {
			return channels.Sent{}, err
		}
		m.Attachments = []outMedia{{ID: id}}
	}
	var sent struct {
		Data struct {
			ID string `json:"dm_event_id"`
		} `json:"data"`
	}
	var rest time.Time
	r := request{
		verb: http.MethodPost, path: "/2/dm_conversations/with/" + p.UserID + "/messages", as: c.user(), result: &sent, rest: &rest, quiet: []string{p.Text},
	}.payload(m)
	if fail := a.api.call(ctx, r); fail != nil {
		return channels.Sent{}, a.sendError(fail)
	}
	if sent.Data.ID == "" {
		return channels.Sent{}, a.sendError(&failure{status: http.StatusOK})
	}
	done := channels.Sent{MessageID: sent.Data.ID}
	if userID.MatchString(done.MessageID) {
		done.At = bornAt(done.MessageID)
	}
	if !rest.IsZero() {
		done.Rest = a.until(rest)
	}
	return done, nil
}
