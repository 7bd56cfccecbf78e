package messenger

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

const (
	limitPause = time.Minute // how long we wait after a limit that names no time
	fewTries   = 5           // of a part that meets a passing error again and again
)

// Sentences that several errors share.
const (
	tokenRefused  = "Facebook no longer accepts this page's access token; log in with Facebook again, or enter a new token"
	windowClosed  = "Facebook lets a page write only within 24 hours after the customer's last message; he must write first"
	heldByAnother = "another app holds this conversation; take it over before you write"
	mayHaveGone   = "Facebook gave no clear answer; the message may or may not have arrived"
	unreachable   = "the customer cannot be reached; he may have blocked the page or left Facebook"
	notPermitted  = "the page does not permit the app to write for it (pages_messaging); log in with Facebook again and permit it"
)

// reply is the Graph API's error code and subcode.
type reply struct{ code, subcode int }

const unavailable = 1545041 // a subcode: the person takes no messages, whatever the code

// meaning is what an error says about a part we sent.
type meaning struct {
	outcome channels.Outcome
	reason  string // empty: the Graph API's own words
	whole   bool   // the limit is the app's or the page's
	blocked bool   // the customer takes no messages
	few     bool   // a passing error that does not pass is final
}

// meanings is the error table of wire/messenger.md §4. The subcode's row counts before the one of the code alone.
var meanings = map[reply]meaning{
	{1, 0}:        {outcome: channels.Unknown, reason: mayHaveGone},
	{2, 0}:        {outcome: channels.RetryAt, reason: "Facebook could not send the message; the customer may have blocked the page", few: true},
	{1200, 0}:     {outcome: channels.RetryAt, reason: "Facebook could not send the message for the moment", few: true},
	{4, 0}:        {outcome: channels.RetryAt, reason: "Facebook asks the app to slow down", whole: true},
	{32, 0}:       {outcome: channels.RetryAt, reason: "Facebook asks the page to slow down", whole: true}, // page-level twin of 4
	{613, 0}:      {outcome: channels.RetryAt, reason: "Facebook asks to slow down", whole: true},
	{80001, 0}:    {outcome: channels.RetryAt, reason: "Facebook asks the page to slow down", whole: true}, // 32 for page tokens
	{80006, 0}:    {outcome: channels.RetryAt, reason: "Facebook asks the page to slow down", whole: true}, // the same, of Messenger
	{10, 0}:       {outcome: channels.Broken, reason: notPermitted},
	{10, 2018278}: {outcome: channels.Permanent, reason: windowClosed},
	{10, 2018065}: {outcome: channels.Permanent, reason: windowClosed},
	{10, 2018300}: {outcome: channels.Elsewhere, reason: heldByAnother},
	{100, 0}:      {outcome: channels.Permanent},
	{100, 2018001}: {outcome: channels.Permanent,
		reason: "Facebook does not know this customer; he may have written to another page"},
	{190, 0}: {outcome: channels.Broken, reason: tokenRefused},
	{200, 0}: {outcome: channels.Broken, reason: notPermitted},
	{230, 0}: {outcome: channels.Broken, reason: notPermitted},
	{551, 0}: {outcome: channels.Permanent, reason: unreachable, blocked: true},
}

// meaningOf finds an error's row. What is in no row is final if Facebook calls it our mistake, and unclear otherwise.
func meaningOf(f *failure) meaning {
	if strings.Contains(f.words, "appsecret_proof") { // 100 as well, but it concerns every call
		return meaning{outcome: channels.Broken, reason: "the app secret is not this app's; enter the current one"}
	}
	// Of one customer, though the codes 10 and 200 else concern the whole page: "(#200) This person isn't receiving messages".
	if f.code.subcode == unavailable || strings.Contains(f.words, "This person isn't") {
		return meanings[reply{code: 551}]
	}
	m, ok := meanings[f.code]
	if !ok {
		m, ok = meanings[reply{code: f.code.code}]
	}
	if !ok && f.status < http.StatusInternalServerError {
		m = meaning{outcome: channels.Permanent}
	} else if !ok {
		m = meaning{outcome: channels.Unknown, reason: mayHaveGone}
	}
	return m
}

// sendError says what a failed send means at its attempt. There is no idempotency key (§4), so whatever may have reached
// Facebook is unknown and never repeated.
func sendError(f *failure, attempt int) *channels.Error {
	if e := common(f); e != nil {
		return e
	}
	if !f.api {
		return &channels.Error{Outcome: channels.Unknown, Reason: mayHaveGone, Err: f}
	}
	m := meaningOf(f)
	e := &channels.Error{Outcome: m.outcome, Reason: m.reason, WholeChannel: m.whole, Blocked: m.blocked, Err: f}
	if e.Reason == "" {
		e.Reason = "Facebook refused the message: " + f.message
	}
	if m.few && attempt >= fewTries {
		e.Outcome = channels.Permanent
	}
	if m.whole {
		e.At = time.Now().Add(wait(f))
	}
	return e
}

// repeatable is sendError for a call that may be repeated without harm: what is unclear is tried again.
func repeatable(f *failure) *channels.Error {
	e := sendError(f, 0)
	if e.Outcome == channels.Unknown {
		e.Outcome, e.Reason = channels.RetryAt, "Facebook gave no clear answer"
	}
	return e
}

// setupError says what a failed call means that asks or sets something for an administrator (Verify, Connect, Disconnect,
// login), who is told which field is at fault.
func setupError(f *failure) *channels.Error {
	e := repeatable(f)
	if e.Outcome == channels.RetryAt {
		return e
	}
	e.Outcome, e.Blocked = channels.Refused, false
	switch {
	case !f.api:
	case strings.Contains(f.message, "appsecret_proof"):
		e.Field = FieldAppSecret
	case f.code.code == 190:
		e.Field = FieldToken
	case f.code.code == 10 || f.code.code == 200 || f.code.code == 230:
		e.Field, e.Reason = FieldToken, "the page does not permit this to the app; log in with Facebook again and permit all it asks for ("+f.message+")"
	case f.code.code == 100 && f.code.subcode == 33 || f.code.code == 803:
		e.Field, e.Reason = FieldPage, "Facebook knows no page with this id, or the token may not see it"
	default:
		e.Reason = "Facebook refused: " + f.message
	}
	return e
}

// common maps what means the same for every call, or returns nil.
func common(f *failure) *channels.Error {
	switch {
	case f.status == http.StatusTooManyRequests && !f.api:
		return &channels.Error{Outcome: channels.RetryAt, At: time.Now().Add(wait(f)), WholeChannel: true, Reason: "Facebook asks to slow down", Err: f}
	case errors.Is(f.err, guard.ErrBlocked):
		return &channels.Error{Outcome: channels.Broken, Reason: "the address of the Graph API may not be called; its operator can permit it in ALLOW_HOSTS", Err: f}
	case f.unsent:
		return &channels.Error{Outcome: channels.RetryAt, Reason: "Facebook cannot be reached", Err: f}
	}
	return nil
}

func wait(f *failure) time.Duration {
	if f.retryAfter > 0 {
		return f.retryAfter
	}
	return limitPause
}
