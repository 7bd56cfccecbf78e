package telegram

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waggle/channels"
)

const (
	pollWait = 20 * time.Second // how long Telegram holds a poll that finds nothing (≤ 50 s, wire/telegram.md §2)
	pollRoom = 5 * time.Second  // what the answer needs on its way before the deadline
	// pressWait is the time all pressed buttons of a page have to be answered in: it is a courtesy.
	pressWait = 2 * time.Second
	// pollBreath is the least time between polls that find nothing. A server that only resembles Telegram's may not hold them.
	pollBreath = 500 * time.Millisecond
)

// Poll fetches what came after offset (getUpdates). The next offset confirms it, so a crash in between brings it again. An
// update that cannot be read is counted as malformed and passed, for it would block all later ones.
func (a *Adapter) Poll(ctx context.Context, ch channels.Channel, offset string) (d channels.Delivery, next string, err error) {
	token, err := tokenOf(ch)
	if err != nil {
		return d, offset, err
	}
	params := map[string]any{"timeout": int(pollTimeout(ctx) / time.Second), "allowed_updates": allowedUpdates}
	if n, err := strconv.ParseInt(offset, 10, 64); err == nil {
		params["offset"] = n
	}
	var page, presses []json.RawMessage
	asked := time.Now()
	if fail := a.api.call(ctx, token, "getUpdates", params, &page); fail != nil {
		return d, offset, pollError(fail)
	}
	if rest := pollBreath - time.Since(asked); len(page) == 0 && rest > 0 {
		_ = a.pause(ctx, rest) // its end is the caller's to see
	}
	for _, raw := range page {
		id, err := readUpdate(raw, &d)
		if err != nil {
			ignore(&d, "malformed")
		}
		if id > 0 && id < math.MaxInt64 { // a negative offset drops what waits
			offset = strconv.FormatInt(id+1, 10)
		}
		if d.Answer != nil {
			presses = append(presses, d.Answer)
			d.Answer = nil
		}
	}
	a.answerPresses(ctx, token, presses)
	return d, offset, nil
}

// answerPresses ends the clocks on pressed buttons. Failure policy: as with answerTo, none.
func (a *Adapter) answerPresses(ctx context.Context, token string, presses []json.RawMessage) {
	ctx, cancel := context.WithTimeout(ctx, pressWait)
	defer cancel()
	for _, press := range presses {
		if fail := a.api.call(ctx, token, "answerCallbackQuery", press, nil); fail != nil && fail.status != http.StatusBadRequest { // 400: this one is too old
			return
		}
	}
}

// pollTimeout leaves the answer time to arrive before ctx ends.
func pollTimeout(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return pollWait
	}
	return max(0, min(pollWait, time.Until(deadline)-pollRoom))
}

// pollError tells a bot that somebody has given a webhook (an administrator must act) from a second poller, which is gone
// once the other worker has noticed.
func pollError(f *failure) *channels.Error {
	if f.api && f.status == http.StatusConflict && strings.Contains(f.words, "webhook is active") {
		return &channels.Error{Outcome: channels.Foreign, Reason: "somebody has set a webhook for this bot; connect the channel again to take it over", Err: f}
	}
	return setupError(f)
}
