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
	case m.Chat.Type != privateChat:
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
		Kind: channels.Message, Key: m.key(), User: m.user(), MessageID: number(m.ID), Text: text, Attachments: attachments, At: moment(m.Date),
	}
	if m.Album != "" {
		e.Album = "a:" + number(m.Chat.ID) + ":" + m.Album
	}
	if m.ReplyTo != nil && m.ReplyTo.ID != 0 {
		e.ReplyTo = number(m.ReplyTo.ID)
	}
	if edited {
		e.Kind, e.Key, e.MessageKey, e.At = channels.Edit, m.editKey(text), m.key(), moment(m.EditDate)
	}
	return e, "", nil
}

// key is unique inside the bot: a message_id alone is unique inside one chat only (wire/telegram.md §3). It comes first, since a
// bot whose private chats count together has growing keys that way (see channels.Event.Key).
func (m *message) key() string { return "m:" + number(m.ID) + ":" + number(m.Chat.ID) }

// editKey tells edits of one message apart. Two may fall into one second, so what was written counts as well as when.
func (m *message) editKey(text string) string {
	h := sha256.New()
	_, _ = io.WriteString(h, m.Text+"\x00"+m.Caption+"\x00"+text)
	for _, f := range m.files() {
		_, _ = io.WriteString(h, "\x00"+f.UniqueID)
	}
	return fmt.Sprintf("e:%d:%d:%d:%s", m.ID, m.Chat.ID, m.EditDate, hex.EncodeToString(h.Sum(nil)[:12]))
}

// user is the customer.
func (m *message) user() channels.User {
	u := customer(m.Chat, m.From)
	// Telegram vouches only for a contact the user shares of himself; a forwarded one was shared by somebody, some time.
	if m.Contact != nil && m.Contact.UserID == m.Chat.ID && m.Forward == nil {
		u.Phone = m.Contact.Phone
	}
	return u
}

// customer is who a private chat is with. His id is the chat's.
func customer(c chat, from *user) channels.User {
	u := channels.User{ID: number(c.ID), Name: fullName(c.FirstName, c.LastName), Username: c.Username}
	if from != nil && from.ID == c.ID {
		u.Name, u.Username, u.Language = fullName(from.FirstName, from.LastName), from.Username, from.Language
	}
	return u
}

// event turns a change of the bot's standing into an event: in a private chat the customer blocked or unblocked it (§3).
func (c *memberChange) event() (e channels.Event, ignored string) {
	e = channels.Event{User: customer(c.Chat, c.From), At: moment(c.Date), Key: fmt.Sprintf("s:%d:%d:%s", c.Chat.ID, c.Date, c.New.Status)}
	switch {
	case c.Chat.Type != privateChat:
		return e, label(c.Chat.Type)
	case c.Chat.ID == 0:
		return e, "my_chat_member"
	case c.New.Status == "kicked":
		e.Kind = channels.Block
	case c.New.Status == "member":
		e.Kind = channels.Unblock
	default:
		return e, "my_chat_member"
	}
	return e, ""
}

// event is a pressed button: what it says is what the customer says, in answer to the message it stands under. A press is known
// by its own id, as it is no message; Telegram does not say when it was.
func (c *callback) event() (e channels.Event, ignored string, err error) {
	switch {
	case c.ID == "":
		return e, "", errNoUpdate
	case c.Message == nil || c.Message.Chat.ID == 0: // under a message of an inline query, in a chat we do not see
		return e, "callback_query", nil
	case c.Message.Chat.Type != privateChat:
		return e, label(c.Message.Chat.Type), nil
	}
	text := c.Message.Markup.Keyboard[c.Data]
	if text == "" {
		text = c.Data
	}
	if text == "" {
		return e, "callback_query", nil // it starts a game
	}
	e = channels.Event{
		Kind: channels.Message, Key: "c:" + c.ID, MessageID: "c:" + c.ID, User: customer(c.Message.Chat, c.From), Text: text,
	}
	if c.Message.ID != 0 {
		e.ReplyTo = number(c.Message.ID)
	}
	return e, "", nil
}

const privateChat = "private" // the type of a chat with one person

func number(id int64) string { return strconv.FormatInt(id, 10) }

// moment reads a time of the wire; years that cannot be written end in 9999.
func moment(seconds int64) time.Time {
	const latest = 253402300799
	return time.Unix(min(max(seconds, 0), latest), 0).UTC()
}

func fullName(first, last string) string { return strings.TrimSpace(first + " " + last) }
