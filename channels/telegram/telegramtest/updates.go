package telegramtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// update is one pending Update: already serialised, so that every repeat is byte for byte the same.
type update struct {
	id       int64
	queue    string // updates of one queue are delivered one after the other (§4)
	body     json.RawMessage
	expires  time.Time
	failures int
	delay    time.Duration
	repeats  int // deliveries still owed after a 2xx: what a test asked for
}

// notByDefault are the kinds a bot gets only if it asks for them (§2 setWebhook).
var notByDefault = []string{"chat_member", "message_reaction", "message_reaction_count"}

// Push queues any Update: kind is the name of its one field ("channel_post", "message", …), payload its value.
// It returns the update_id, or 0 if the bot's allowed_updates leave the kind out.
func (b *Bot) Push(kind string, payload map[string]any) int64 {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	return b.push(kind, payload)
}

func (b *Bot) push(kind string, payload object) int64 {
	if !b.wants(kind) {
		return 0
	}
	now := b.s.Clock.Now()
	id := b.nextID
	b.nextID++
	body, err := json.Marshal(object{"update_id": id, kind: payload})
	if err != nil {
		panic(fmt.Sprintf("telegramtest: update is no JSON: %v", err))
	}
	u := &update{id: id, queue: queueOf(kind, payload), body: body, expires: now.Add(24 * time.Hour)}
	if kind == "callback_query" {
		u.expires = now.Add(150 * time.Second) // §4
	}
	b.schedule(u)
	return id
}

func (b *Bot) wants(kind string) bool {
	if b.allowed == nil {
		return !slices.Contains(notByDefault, kind)
	}
	return slices.Contains(b.allowed, kind)
}

// queueOf is §4 "Ordering": message and edited_message of a chat share a queue, everything else has its own.
func queueOf(kind string, payload object) string {
	id := payload["chat"]
	switch c := id.(type) {
	case object:
		id = c["id"]
	case map[string]any:
		id = c["id"]
	}
	switch kind {
	case "message", "edited_message":
		return fmt.Sprint("chat ", id)
	}
	return fmt.Sprint(kind, " ", id)
}

// schedule appends the update, through the reordering a test may have asked for.
func (b *Bot) schedule(u *update) {
	if b.duplicates > 0 {
		b.duplicates--
		u.repeats = 1
	}
	b.order.Pass(u.queue, func() { b.pending = append(b.pending, u) })
	b.s.Announce()
	b.deliver()
}

// DuplicateNext makes the next n updates arrive twice, although the first delivery was answered 2xx.
func (b *Bot) DuplicateNext(n int) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.duplicates = n
}

// ReorderNext holds the next n updates back and delivers them last first; 0 holds none any more.
func (b *Bot) ReorderNext(n int) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.order.Reverse(n)
	b.s.Announce()
	b.deliver()
}

// expire drops what is older than Telegram keeps (§4: 24 h). The caller holds the lock.
func (b *Bot) expire() {
	now := b.s.Clock.Now()
	b.pending = slices.DeleteFunc(b.pending, func(u *update) bool { return !u.expires.After(now) })
}

func (b *Bot) confirm(u *update) {
	b.pending = slices.DeleteFunc(b.pending, func(p *update) bool { return p == u })
}

// setAllowed is §2: omitted keeps the setting, [] is the default set. What cannot be read is omitted.
func (b *Bot) setAllowed(q *query) bool {
	var kinds []string
	if !q.has("allowed_updates") || json.Unmarshal([]byte(q.args["allowed_updates"]), &kinds) != nil {
		return false
	}
	if len(kinds) == 0 {
		kinds = nil
	}
	changed := !slices.Equal(kinds, b.allowed)
	b.allowed = kinds
	return changed
}
