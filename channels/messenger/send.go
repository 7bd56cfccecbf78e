package messenger

import (
	"context"
	"net/http"

	"waggle/channels"
)

// Send sends one part as a response inside the 24-hour window. The part's key goes along as metadata: the echo gives it
// back, which is the only proof there is after a lost answer (wire/messenger.md §4). ReplyTo is not carried.
func (a *Adapter) Send(ctx context.Context, ch channels.Channel, p channels.Part) (channels.Sent, error) {
	q, bad := a.call(ch, http.MethodPost, "/messages")
	if bad != nil {
		bad.Outcome = channels.Broken
		return channels.Sent{}, bad
	}
	message := outMessage{Text: p.Text, Metadata: p.Key}
	if p.File != nil {
		if p.Text != "" {
			return channels.Sent{}, &channels.Error{Outcome: channels.Permanent, Reason: "Facebook carries a file and a text only as two messages"}
		}
		file, err := a.upload(ctx, ch, *p.File, p.Attempt)
		if err != nil {
			return channels.Sent{}, err
		}
		message.Attachment = file
	}
	q.quiet, q.json = p.Text, outgoing{Recipient: recipient{ID: p.UserID}, Type: "RESPONSE", Message: message}
	var sent struct {
		ID string `json:"message_id"`
	}
	if fail := a.api.do(ctx, q, &sent); fail != nil {
		return channels.Sent{}, sendError(fail, p.Attempt)
	}
	if sent.ID == "" {
		return channels.Sent{}, sendError(&failure{status: http.StatusOK}, p.Attempt)
	}
	return channels.Sent{MessageID: sent.ID}, nil
}

// outgoing is the body of a send.
type outgoing struct {
	Recipient recipient  `json:"recipient"`
	Type      string     `json:"messaging_type"`
	Message   outMessage `json:"message"`
}

type recipient struct {
	ID string `json:"id"`
}

type outMessage struct {
	Text       string         `json:"text,omitempty"`
	Attachment *outAttachment `json:"attachment,omitempty"`
	Metadata   string         `json:"metadata,omitempty"`
}

type outAttachment struct {
	Type    string     `json:"type"` // image, video, audio, file
	Payload outPayload `json:"payload"`
}

type outPayload struct {
	Reusable bool   `json:"is_reusable,omitempty"`
	ID       string `json:"attachment_id,omitempty"`
}
