package telegram

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

// floodDefault is how long we wait after a 429 that names no time.
const floodDefault = 5 * time.Second

const tooLarge = "the file is larger than Telegram takes from a bot (50 MB; a photo 10 MB)"

const tokenRefused = "Telegram does not accept this bot token; take the bot's current token from @BotFather and enter it here"

// unreachable are the refusals that will be repeated until the customer writes again (wire/telegram.md §1).
var unreachable = []string{"bot was blocked by the user", "user is deactivated"}

// hopeless are the refusals that concern one customer only (wire/telegram.md §1), in words for the agent.
var hopeless = []struct{ description, reason string }{
	{"bot was blocked by the user", "the customer has blocked the bot"},
	{"user is deactivated", "the customer's Telegram account no longer exists"},
	{"can't initiate conversation", "the customer has not started the bot, and Telegram lets a bot only answer"},
	{"chat not found", "Telegram does not know this customer; the chat may belong to another bot"},
	{"was upgraded to a supergroup", "the chat has moved to a supergroup, which Waggle does not serve"},
	{"message is too long", "the text is longer than Telegram permits"},
	{"message text is empty", "the text is empty"},
	{"message caption is too long", "the text beside the file is longer than Telegram permits"},
	{"file is too big", tooLarge},
	{"file must be non-empty", "the file is empty"},
	{"failed to get http url content", "Telegram could not read the file"},
	{"voice_messages_forbidden", "the customer does not take voice messages"},
}

// sendError says what a failed sendMessage means. Telegram has no idempotency key (§5), so whatever may have reached it
// is unknown and never repeated.
func sendError(f *failure) *channels.Error {
	e := common(f)
	switch {
	case e != nil:
	case f.api && f.noMethod():
		e = &channels.Error{Outcome: channels.Permanent, Reason: missing(f)}
	case f.api && badToken(f.status):
		e = &channels.Error{Outcome: channels.Broken, Reason: tokenRefused}
	case f.api && f.status == http.StatusConflict:
		e = &channels.Error{Outcome: channels.RetryAt, Reason: "Telegram is busy with another request of this bot"}
	case f.status == http.StatusRequestEntityTooLarge: // a proxy may say so instead of the Bot API
		e = &channels.Error{Outcome: channels.Permanent, Reason: tooLarge}
	case f.api && f.status >= 400 && f.status < 500:
		e = &channels.Error{Outcome: channels.Permanent, Reason: refusal(f), Blocked: blocked(f.words)}
	default: // 5xx, a proxy's page, a broken connection, a timeout
		e = &channels.Error{Outcome: channels.Unknown, Reason: "Telegram gave no clear answer; the message may or may not have arrived"}
	}
	e.Err = f
	return e
}

// setupError says what a failed call means that asks or sets something and may safely be repeated (Verify, Connect,
// Disconnect, Poll, files).
func setupError(f *failure) *channels.Error {
	e := common(f)
	switch {
	case e != nil:
		if e.Outcome == channels.Broken {
			e.Outcome = channels.Refused
		}
	case f.api && f.noMethod(), f.noMethod() && !f.official:
		e = &channels.Error{Outcome: channels.Refused, Reason: missing(f)}
	case f.api && badToken(f.status):
		e = &channels.Error{Outcome: channels.Refused, Field: FieldToken, Reason: tokenRefused + " (" + f.description + ")"}
	case f.api && f.status == http.StatusConflict:
		e = &channels.Error{Outcome: channels.RetryAt, Reason: "another program uses this bot at the same time (" + f.description + ")"}
	case f.api && f.status >= 400 && f.status < 500:
		e = &channels.Error{Outcome: channels.Refused, Reason: "Telegram refused: " + f.description}
	default:
		e = &channels.Error{Outcome: channels.RetryAt, Reason: "Telegram gave no clear answer" + f.said()}
	}
	e.Err = f
	return e
}

// common maps what means the same for every call, or returns nil.
func common(f *failure) *channels.Error {
	switch {
	case f.status == http.StatusTooManyRequests:
		wait := f.retryAfter
		if wait == 0 {
			wait = floodDefault
		}
		// Telegram does not say whether the chat or the bot was too fast; obeying it for the bot is always right.
		return &channels.Error{Outcome: channels.RetryAt, At: time.Now().Add(wait), WholeChannel: true, Reason: "Telegram asks to slow down"}
	case errors.Is(f.err, guard.ErrBlocked):
		return &channels.Error{Outcome: channels.Broken, Reason: "the address of the Telegram API may not be called; its operator can permit it in ALLOW_HOSTS"}
	case f.unread:
		return &channels.Error{Outcome: channels.RetryAt, Reason: "the file could not be read, and was not sent"}
	case f.unsent:
		return &channels.Error{Outcome: channels.RetryAt, Reason: "Telegram cannot be reached"}
	}
	return nil
}

// missing names what the Bot API server does not have. Telegram's own has all that is called.
func missing(f *failure) string {
	return "the Bot API server of this installation does not have the method " + f.method + f.said() +
		"; its operator sets the server's address in TELEGRAM_API_URL"
}

// badToken is 401, 404 for a token of the wrong shape and 421 (§1): the methods we call all exist, so a 404 is the token.
func badToken(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusNotFound || status == http.StatusMisdirectedRequest
}

func blocked(description string) bool {
	return slices.ContainsFunc(unreachable, func(why string) bool { return strings.Contains(strings.ToLower(description), why) })
}

func refusal(f *failure) string {
	for _, h := range hopeless {
		if strings.Contains(strings.ToLower(f.words), h.description) {
			return h.reason
		}
	}
	return "Telegram refused the message: " + f.description
}
