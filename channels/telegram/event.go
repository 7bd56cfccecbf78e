package telegram

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"waggle/channels"
)

// event turns a message into an event, or names why it is ignored. It fails if the message has no id or chat.
func (m *message) event(edited bool) (e channels.Event, ignored string, err error) {
	switch {
	case m.ID == 0 || m.Chat.ID == 0:
		return e, "", errNoUpdate
	case m.Chat.Type != "private":
		return e, label(m.Chat.Type), nil
	case m.From != nil && m.From.IsBot:
		return e, "bot", nil
	case edited && m.Location != nil:
		return e, "live_location", nil // the position of a live location changes every few seconds
	}
	text, attachments := m.content()
	if text == "" && len(attachments) == 0 {
		return e, "service", nil
	}
	e = channels.Event{
		Kind: channels.Message, Key: m.key(), User: m.user(), MessageID: strconv.FormatInt(m.ID, 10),
		Text: text, Attachments: attachments, At: time.Unix(m.Date, 0).UTC(),
	}
	if m.ReplyTo != nil && m.ReplyTo.ID != 0 {
		e.ReplyTo = strconv.FormatInt(m.ReplyTo.ID, 10)
	}
	if edited {
		e.Kind, e.Key, e.MessageKey, e.At = channels.Edit, m.editKey(), m.key(), time.Unix(m.EditDate, 0).UTC()
	}
	return e, "", nil
}

// key is unique inside the bot: a message_id alone is unique inside one chat only (wire/telegram.md §3).
func (m *message) key() string {
	return "m:" + strconv.FormatInt(m.Chat.ID, 10) + ":" + strconv.FormatInt(m.ID, 10)
}

// editKey tells edits of one message apart. Two may fall into one second, so what was written counts as well as when.
func (m *message) editKey() string {
	h := sha256.New()
	_, _ = io.WriteString(h, m.Text+"\x00"+m.Caption)
	for _, f := range m.files() {
		_, _ = io.WriteString(h, "\x00"+f.UniqueID)
	}
	return fmt.Sprintf("e:%d:%d:%d:%s", m.Chat.ID, m.ID, m.EditDate, hex.EncodeToString(h.Sum(nil)[:12]))
}

// user is the customer. In a private chat his id is the chat's.
func (m *message) user() channels.User {
	u := channels.User{ID: strconv.FormatInt(m.Chat.ID, 10), Name: fullName(m.Chat.FirstName, m.Chat.LastName), Username: m.Chat.Username}
	if m.From != nil && m.From.ID == m.Chat.ID {
		u.Name, u.Username, u.Language = fullName(m.From.FirstName, m.From.LastName), m.From.Username, m.From.Language
	}
	// Telegram vouches only for a contact the user shares of himself; a forwarded one was shared by somebody, some time.
	if m.Contact != nil && m.Contact.UserID == m.Chat.ID && m.Forward == nil {
		u.Phone = m.Contact.Phone
	}
	return u
}

func fullName(first, last string) string { return strings.TrimSpace(first + " " + last) }
