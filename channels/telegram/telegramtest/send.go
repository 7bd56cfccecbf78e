package telegramtest

import (
	"bytes"
	"encoding/json"
	"image"
	_ "image/gif"  // the formats Telegram takes as a photo
	_ "image/jpeg" // the formats Telegram takes as a photo
	_ "image/png"  // the formats Telegram takes as a photo
	"strconv"
	"strings"
	"unicode/utf16"

	"waggle/channels/double"
)

const (
	textLimit    = 4096     // wire/telegram.md §2 sendMessage, after entity parsing
	captionLimit = 1024     // §2 sendPhoto, after entity parsing
	photoLimit   = 10 << 20 // §2 sendPhoto, by upload
)

// sendMessage is §2 sendMessage.
func (b *Bot) sendMessage(q *query) (any, string, *apiError) {
	text, fail := parseText(q.args["text"], q.args["parse_mode"])
	if fail != nil {
		return nil, "", fail
	}
	if strings.TrimSpace(text) == "" {
		return nil, "", badRequest("message text is empty")
	}
	if units(text) > textLimit {
		return nil, "", badRequest("message is too long")
	}
	return b.send(q, object{"text": text}, Received{Text: text})
}

// sendMedia is §2 sendPhoto, sendDocument, sendVoice, sendVideo and sendAudio, by upload or file_id.
func (b *Bot) sendMedia(q *query) (any, string, *apiError) {
	kind := strings.TrimPrefix(q.method, "send")
	caption, fail := parseText(q.args["caption"], q.args["parse_mode"])
	if fail != nil {
		return nil, "", fail
	}
	if units(caption) > captionLimit {
		return nil, "", badRequest("message caption is too long")
	}
	up, content, fail := b.media(q, kind)
	if fail != nil {
		return nil, "", fail
	}
	message := object{kind: content}
	if kind == "photo" {
		message[kind] = []object{content}
	}
	if caption != "" {
		message["caption"] = caption
	}
	return b.send(q, message, Received{Text: caption, FileName: up.Name, FileMIME: up.MIME, File: up.Data})
}

// media finds the file of a send: an upload under the kind's own name, one it points at by attach://, or a known file_id.
func (b *Bot) media(q *query, kind string) (double.Upload, object, *apiError) {
	value := q.args[kind]
	up, uploaded := q.files[kind]
	if name, ok := strings.CutPrefix(value, "attach://"); ok && !uploaded {
		up, uploaded = q.files[name]
	}
	if uploaded {
		if fail := checkUpload(up, kind); fail != nil {
			return up, nil, fail
		}
		b.s.Mu.Lock()
		defer b.s.Mu.Unlock()
		content := b.keep(kind+"s", "", up.Data, int64(len(up.Data)))
		content["file_name"], content["mime_type"] = up.Name, up.MIME
		return up, content, nil
	}
	if value == "" {
		return up, nil, badRequest("there is no " + kind + " in the request")
	}
	if strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://") {
		return up, nil, badRequest("failed to get HTTP URL content") // the double reaches nothing outside
	}
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	f := b.files[value]
	if f == nil {
		return up, nil, badRequest("wrong file_id or the file is temporarily unavailable")
	}
	return double.Upload{Data: f.data}, object{"file_id": value, "file_unique_id": "AQAD" + value, "file_size": f.size}, nil
}

// checkUpload is §2: a photo is a picture of ≤ 10 MB, width + height ≤ 10000, ratio ≤ 20; other files ≤ 50 MB.
func checkUpload(up double.Upload, kind string) *apiError {
	if len(up.Data) > maxUpload {
		return &apiError{Code: 413, Description: "Request Entity Too Large"}
	}
	if len(up.Data) == 0 {
		return badRequest("file must be non-empty")
	}
	if kind != "photo" {
		return nil
	}
	if len(up.Data) > photoLimit {
		return badRequest("file is too big")
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(up.Data))
	if err != nil {
		return badRequest("IMAGE_PROCESS_FAILED")
	}
	if w, h := size.Width, size.Height; w+h > 10000 || w > 20*h || h > 20*w {
		return badRequest("PHOTO_INVALID_DIMENSIONS")
	}
	return nil
}

// send puts a checked message into the customer's chat.
func (b *Bot) send(q *query, content object, got Received) (any, string, *apiError) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	c, fail := b.reachable(q.args["chat_id"])
	if fail != nil {
		return nil, "", fail
	}
	replyTo, fail := c.replied(q)
	if fail != nil {
		return nil, "", fail
	}
	if replyTo != 0 {
		answered := object{}
		for name, value := range c.messages[replyTo] {
			if name != "reply_to_message" {
				answered[name] = value
			}
		}
		content["reply_to_message"] = answered
	}
	now := b.s.Clock.Now()
	m := c.add(content, b.user(), now)
	got.MessageID, got.Method, got.ReplyTo, got.At = c.lastID, q.method, replyTo, now
	c.inbox = append(c.inbox, got)
	b.s.Announce()
	return m, "", nil
}

// reachable is the 400 and 403 rows of §1 about chats.
func (b *Bot) reachable(chatID string) (*chat, *apiError) {
	if chatID == "" {
		return nil, badRequest("chat_id is empty")
	}
	id, err := strconv.ParseInt(chatID, 10, 64)
	c := b.chats[id]
	switch {
	case err != nil || c == nil:
		return nil, badRequest("chat not found")
	case c.deactivated:
		return nil, forbidden("user is deactivated")
	case c.blocked:
		return nil, forbidden("bot was blocked by the user")
	case !c.started:
		return nil, forbidden("bot can't initiate conversation with a user")
	}
	return c, nil
}

// replied is §2 reply_parameters: a message that is gone is an error unless allow_sending_without_reply.
func (c *chat) replied(q *query) (int64, *apiError) {
	if !q.has("reply_parameters") {
		return 0, nil
	}
	var p struct {
		MessageID json.Number `json:"message_id"`
		Allow     bool        `json:"allow_sending_without_reply"`
	}
	if json.Unmarshal([]byte(q.args["reply_parameters"]), &p) != nil {
		return 0, badRequest("can't parse reply parameters: expected an object")
	}
	id, err := p.MessageID.Int64()
	if err == nil && c.messages[id] != nil {
		return id, nil
	}
	if p.Allow {
		return 0, nil
	}
	return 0, badRequest("message to be replied not found")
}

// units counts UTF-16 code units, in which Telegram counts (§3).
func units(text string) int { return len(utf16.Encode([]rune(text))) }
