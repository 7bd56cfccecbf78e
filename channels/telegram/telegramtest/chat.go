package telegramtest

import (
	"context"
	"maps"
	"time"
)

// chat is one private chat of a bot: its own message_id counter (§8.7) and what was said in it.
type chat struct {
	user        object
	started     bool // the customer wrote first; before that the bot may not (§1, 403)
	blocked     bool
	deactivated bool
	lastID      int64
	messages    map[int64]object
	inbox       []Received
}

func (c *chat) info() object {
	info := maps.Clone(c.user)
	delete(info, "is_bot")
	delete(info, "language_code")
	info["type"] = "private"
	return info
}

// add gives a message its id and remembers it.
func (c *chat) add(m object, from object, at time.Time) object {
	c.lastID++
	m["message_id"], m["from"], m["chat"], m["date"] = c.lastID, maps.Clone(from), c.info(), at.Unix()
	c.messages[c.lastID] = m
	return m
}

// Received is one message the bot sent to a customer.
type Received struct {
	MessageID int64
	Method    string // "sendmessage", "sendphoto", …
	Text      string // text or caption, after its markup was parsed
	ReplyTo   int64  // 0: no reply
	FileName  string
	FileMIME  string
	File      []byte
	At        time.Time
}

// Customer is one person with his private chat with the bot.
type Customer struct {
	ID int64
	b  *Bot
	c  *chat
}

// Customer returns the customer with this user id. He is known to Telegram, but to the bot only once he writes.
func (b *Bot) Customer(id int64, firstName string) *Customer {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	c := b.chats[id]
	if c == nil {
		c = &chat{
			user:     object{"id": id, "is_bot": false, "first_name": firstName, "language_code": "en"},
			messages: map[int64]object{},
		}
		b.chats[id] = c
	}
	return &Customer{ID: id, b: b, c: c}
}

// Named sets the customer's last name and username.
func (k *Customer) Named(last, username string) *Customer {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	k.c.user["last_name"], k.c.user["username"] = last, username
	return k
}

// Write sends a text to the bot and returns its message_id.
func (k *Customer) Write(text string) int64 { return k.Send(object{"text": text}) }

// Start presses Start, which is a message "/start".
func (k *Customer) Start() int64 {
	return k.Send(object{"text": "/start", "entities": []object{{"type": "bot_command", "offset": 0, "length": 6}}})
}

// Reply answers a message of the chat.
func (k *Customer) Reply(to int64, text string) int64 {
	k.b.s.Mu.Lock()
	answered := maps.Clone(k.c.messages[to])
	k.b.s.Mu.Unlock()
	delete(answered, "reply_to_message") // §3: without nested reply
	return k.Send(object{"text": text, "reply_to_message": answered})
}

// Send sends a message with any content fields of §3 (location, sticker, contact, …). A customer who had blocked the bot
// unblocks it first, as the apps do.
func (k *Customer) Send(content map[string]any) int64 {
	k.Unblock()
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	k.c.started = true
	m := k.c.add(maps.Clone(content), k.c.user, k.b.s.Clock.Now())
	k.b.push("message", m)
	return k.c.lastID
}

// Edit changes the text of an own message.
func (k *Customer) Edit(messageID int64, text string) { k.edit(messageID, object{"text": text}) }

// Block blocks the bot: it may not write any more and is told so (§3 my_chat_member).
func (k *Customer) Block() { k.member(true) }

// Unblock lets the bot write again. It does nothing if the bot was not blocked.
func (k *Customer) Unblock() { k.member(false) }

func (k *Customer) member(blocked bool) {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	if k.c.blocked == blocked {
		return
	}
	k.c.blocked = blocked
	status := map[bool]object{
		false: {"user": k.b.user(), "status": "member"},
		true:  {"user": k.b.user(), "status": "kicked", "until_date": 0},
	}
	k.b.push("my_chat_member", object{
		"chat": k.c.info(), "from": k.c.user, "date": k.b.s.Clock.Now().Unix(),
		"old_chat_member": status[!blocked], "new_chat_member": status[blocked],
	})
}

// Deactivate deletes the customer's account.
func (k *Customer) Deactivate() {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	k.c.deactivated = true
}

// Inbox lists what the bot sent, in the order Telegram took it.
func (k *Customer) Inbox() []Received {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	return append([]Received(nil), k.c.inbox...)
}

// WaitFor blocks until the customer has n messages of the bot and returns all he has.
func (k *Customer) WaitFor(ctx context.Context, n int) ([]Received, error) {
	err := k.b.s.Wait(ctx, "messages of the bot", func() bool { return len(k.c.inbox) >= n })
	return k.Inbox(), err
}
