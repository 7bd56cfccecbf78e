package telegram

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"waggle/channels"
)

const (
	uploadLimit = 50 << 20 // bytes of a file a bot may send (wire/telegram.md §2)
	photoLimit  = 10 << 20 // bytes of one that Telegram takes as a photo
)

// Send sends one part. The customer must have written first. Texts go without parse_mode: what an agent types is shown as he typed
// it, whatever signs are in it. Links keep the preview that Telegram shows of everybody's.
func (a *Adapter) Send(ctx context.Context, ch channels.Channel, p channels.Part) (channels.Sent, error) {
	token, err := tokenOf(ch)
	if err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.Broken, Reason: tokenRefused}
	}
	chat, err := strconv.ParseInt(p.UserID, 10, 64)
	if err != nil {
		return channels.Sent{}, &channels.Error{Outcome: channels.Permanent, Reason: "the customer's id is none of Telegram's"}
	}
	var sent struct {
		ID int64 `json:"message_id"`
	}
	var fail *failure
	switch {
	case p.File == nil:
		fail = a.api.call(ctx, token, "sendMessage", newMessage(chat, p), &sent, p.Text)
	case p.File.Size > uploadLimit:
		return channels.Sent{}, &channels.Error{Outcome: channels.Permanent, Reason: tooLarge}
	default:
		fail = a.sendFile(ctx, token, chat, p, &sent)
	}
	if fail != nil {
		return channels.Sent{}, sendError(fail)
	}
	if sent.ID == 0 {
		return channels.Sent{}, sendError(&failure{status: http.StatusOK})
	}
	return channels.Sent{MessageID: number(sent.ID)}, nil
}

// sendFile sends a file as what it is. A picture that Telegram takes for none is certainly not sent, and goes as a document.
func (a *Adapter) sendFile(ctx context.Context, token string, chat int64, p channels.Part, sent any) *failure {
	kind := shownAs(*p.File)
	fail := a.api.upload(ctx, token, newForm(chat, kind, p), sent, p.Text)
	if fail != nil && kind == "photo" && fail.api && fail.status == http.StatusBadRequest && noPhoto(fail.words) {
		fail = a.api.upload(ctx, token, newForm(chat, "document", p), sent, p.Text)
	}
	return fail
}

// shownAs is the kind a file is sent as. What Telegram would not show as the kind it has goes as a document (§2).
func shownAs(u channels.Upload) string {
	mime, _, _ := strings.Cut(strings.ToLower(u.MIME), ";")
	fits := map[string][]string{
		"photo": {"image/jpeg", "image/png"},
		"voice": {"audio/ogg", "audio/opus", "audio/mpeg", "audio/mp4", "audio/x-m4a"},
		"audio": {"audio/mpeg", "audio/mp4", "audio/x-m4a"},
		"video": {"video/mp4"},
	}
	for _, m := range fits[u.Kind] {
		if m == strings.TrimSpace(mime) && (u.Kind != "photo" || u.Size <= photoLimit) {
			return u.Kind
		}
	}
	return "document"
}

// noPhoto tells Telegram's refusals of a picture as a photo: width and height together over 10000, a ratio over 20, broken.
func noPhoto(description string) bool {
	for _, why := range []string{"PHOTO_INVALID_DIMENSIONS", "IMAGE_PROCESS_FAILED", "PHOTO_SAVE_FILE_INVALID", "PHOTO_EXT_INVALID"} {
		if strings.Contains(description, why) {
			return true
		}
	}
	return false
}

type outMessage struct {
	ChatID int64            `json:"chat_id"`
	Text   string           `json:"text"`
	Reply  *replyParameters `json:"reply_parameters,omitempty"`
}

type replyParameters struct {
	MessageID int64 `json:"message_id"`
	Allow     bool  `json:"allow_sending_without_reply"` // the customer may have deleted what we answer
}

func newMessage(chat int64, p channels.Part) outMessage {
	return outMessage{ChatID: chat, Text: p.Text, Reply: newReply(p)}
}

// newReply names the message a part answers; nil: none that Telegram knows.
func newReply(p channels.Part) *replyParameters {
	id, err := strconv.ParseInt(p.ReplyTo, 10, 64)
	if err != nil {
		return nil
	}
	return &replyParameters{MessageID: id, Allow: true}
}
