package telegramtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"waggle/channels/double"
)

// pressLife is how long a press may be answered (§1: "query is too old").
const pressLife = 15 * time.Second

// press is a pressed button that waits for answerCallbackQuery.
type press struct {
	at       time.Time
	answered bool
}

// Buttons puts a message with these captions as buttons into the customer's chat, as a program of the bot's owner would; each
// sends its caption in lower case. It returns the message's id.
func (k *Customer) Buttons(text string, captions ...string) int64 {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	row := []object{}
	for _, c := range captions {
		row = append(row, object{"text": c, "callback_data": strings.ToLower(c)})
	}
	k.c.add(object{"text": text, "reply_markup": object{"inline_keyboard": [][]object{row}}}, k.b.user(), k.b.s.Clock.Now())
	return k.c.lastID
}

// Press presses the button of a message that sends data (§3 callback_query) and returns the press's id.
func (k *Customer) Press(messageID int64, data string) string {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	now := k.b.s.Clock.Now()
	id := fmt.Sprintf("43%d%d", k.ID, len(k.b.presses)+1)
	k.b.presses[id] = &press{at: now}
	message := k.c.messages[messageID]
	if message == nil { // MaybeInaccessibleMessage
		message = object{"message_id": messageID, "chat": k.c.info(), "date": 0}
	}
	k.b.push("callback_query", object{"id": id, "from": k.c.user, "chat_instance": "1", "message": message, "data": data})
	return id
}

// Answered reports whether the bot has answered a press.
func (b *Bot) Answered(press string) bool {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	return b.presses[press] != nil && b.presses[press].answered
}

// WaitAnswered blocks until the bot has answered a press.
func (b *Bot) WaitAnswered(ctx context.Context, press string) error {
	return b.s.Wait(ctx, "an answer to a press", func() bool { return b.presses[press] != nil && b.presses[press].answered })
}

// answerCallbackQuery is §2 answerCallbackQuery.
func (b *Bot) answerCallbackQuery(q *query) (any, string, *apiError) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	p := b.presses[q.args["callback_query_id"]]
	if p == nil || b.s.Clock.Now().Sub(p.at) > pressLife {
		return nil, "", badRequest("query is too old and response timeout expired or query ID is invalid")
	}
	if units(q.args["text"]) > 200 {
		return nil, "", badRequest("MESSAGE_TOO_LONG")
	}
	p.answered = true
	b.s.Announce()
	return true, "", nil
}

// callBack runs the method call that a 2xx answer to a webhook may carry (§4). Nobody learns its result.
func (b *Bot) callBack(body []byte) {
	args, err := double.ReadJSON(bytes.NewReader(body))
	if err != nil {
		return
	}
	q := &query{ctx: b.s.Context, method: strings.ToLower(args["method"]), args: args}
	handle := calls[q.method]
	if handle == nil {
		return
	}
	b.s.Mu.Lock()
	b.Count(q.method)
	b.s.Mu.Unlock()
	_, _, _ = handle(b, q)
}
