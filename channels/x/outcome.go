package x

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"waggle/channels"
	"waggle/guard"
)

const (
	waitDefault = time.Minute      // after a 429 that names no time; X's shortest window is 15 minutes for 15 calls
	waitLongest = 25 * time.Hour   // X's longest limit is of 24 hours
	creditPause = 15 * time.Minute // between two probes of a polling account without credits
)

const (
	keysRefused = "X does not accept these keys: check AccessToken, AccessSecret, ConsumerKey and ConsumerSecret against the app's Keys & Tokens in " +
		"X's Developer Console, and this server's clock"
	appRefused   = "X does not accept the BearerToken: enter the Bearer Token of the same app from its Keys & Tokens in X's Developer Console"
	noPermission = "the app may not use Direct Messages: select “Read and write and Direct message” under App permissions in X's Developer Console, " +
		"then press Regenerate at the Access Token and enter the new AccessToken and AccessSecret here (the old ones keep the old permission)"
	noCredits = "the X developer account has no credits left, or has reached its spending limit: top it up in X's Developer Console, then redrive " +
		"what was not sent; incoming messages still arrive by webhook"
	noCreditsPolling = "the X developer account has no credits left, or has reached its spending limit: top it up in X's Developer Console; " +
		"polling rests until then and tries again by itself"
	noCreditsSetup = "the keys are accepted, but the X developer account has no credits left, or has reached its spending limit: top it up in X's Developer " +
		"Console and try again"
	notReachable = "X cannot be reached"
)

// sendError says what a failed send means. X has no idempotency key (wire/x.md §2), so whatever may have reached it is
// unknown and never repeated.
func (a *Adapter) sendError(f *failure) *channels.Error {
	e := a.common(f)
	switch {
	case e != nil:
	case f.status == http.StatusForbidden && (f.problem == "unsupported-authentication" || f.problem == "client-forbidden"):
		e = &channels.Error{Outcome: channels.Broken, Reason: "X does not let this app send Direct Messages: " + f.text}
	case f.unwanted():
		e = &channels.Error{Outcome: channels.Permanent, Blocked: true, Reason: "X does not deliver messages to this person: he takes none from this account, has blocked it, " +
			"or must follow it first (" + f.text + ")"}
	case f.api && f.status >= 400 && f.status < 500:
		e = &channels.Error{Outcome: channels.Permanent, Reason: "X refused the message: " + f.text}
	default: // 5xx, a proxy's page, a broken connection, a timeout
		e = &channels.Error{Outcome: channels.Unknown, Reason: "X gave no clear answer; the message may or may not have arrived"}
	}
	e.Err = f
	return e
}

// uploadError says what a failed upload means: nothing was sent yet, so it may be repeated.
func (a *Adapter) uploadError(f *failure) *channels.Error {
	e := a.common(f)
	switch {
	case e != nil:
	case f.api && f.status >= 400 && f.status < 500:
		e = &channels.Error{Outcome: channels.Permanent, Reason: "X refused the file: " + f.text}
	case errors.Is(f.err, context.DeadlineExceeded):
		// Not for another try: it would take as long again, for ever.
		e = &channels.Error{Outcome: channels.Permanent, Reason: "X did not take the file in time; nothing was sent: try again, or a smaller file"}
	default:
		e = &channels.Error{Outcome: channels.RetryAt, Reason: "X did not take the file yet"}
	}
	e.Err = f
	return e
}

// setupError says what a failed call means that asks or sets something and may safely be repeated; app says that the bearer
// was used.
func (a *Adapter) setupError(f *failure, app bool) *channels.Error {
	refused := func(field, reason string) *channels.Error {
		return &channels.Error{Outcome: channels.Refused, Field: field, Reason: reason, Err: f}
	}
	e := a.common(f)
	switch {
	case f.credits():
		return refused("", noCreditsSetup)
	case app && f.api && (f.status == http.StatusUnauthorized || f.status == http.StatusForbidden):
		return refused(FieldBearerToken, appRefused+" ("+f.text+")")
	case f.api && f.status == http.StatusUnauthorized:
		return refused(FieldAccessToken, keysRefused+" ("+f.text+")")
	case e != nil:
		if e.Outcome == channels.Broken {
			e.Outcome = channels.Refused
		}
	case f.api && f.status >= 400 && f.status < 500:
		return refused("", "X refused: "+f.text)
	default:
		e = &channels.Error{Outcome: channels.RetryAt, Reason: "X gave no clear answer"}
	}
	e.Err = f
	return e
}

// common maps what means the same for every call of the account, or returns nil.
func (a *Adapter) common(f *failure) *channels.Error {
	switch {
	case f.credits():
		return &channels.Error{Outcome: channels.Broken, Reason: noCredits}
	case f.status == http.StatusTooManyRequests:
		// The budgets are the account's and the app's, never one chat's.
		return &channels.Error{Outcome: channels.RetryAt, At: a.until(f.reset), WholeChannel: true, Reason: "X's limit is used up; it goes on when X permits"}
	case f.api && f.status == http.StatusUnauthorized:
		return &channels.Error{Outcome: channels.Broken, Reason: keysRefused}
	case f.permission():
		return &channels.Error{Outcome: channels.Broken, Reason: noPermission}
	case errors.Is(f.err, guard.ErrBlocked):
		return &channels.Error{Outcome: channels.Broken, Reason: "the address of the X API may not be called; its operator can permit it in ALLOW_HOSTS"}
	case f.unsent:
		return &channels.Error{Outcome: channels.RetryAt, Reason: notReachable}
	}
	return nil
}

// until bounds the end of a limit.
func (a *Adapter) until(reset time.Time) time.Time {
	now := a.api.now()
	switch {
	case reset.IsZero():
		return now.Add(waitDefault)
	case reset.Before(now.Add(time.Second)):
		return now.Add(time.Second)
	case reset.After(now.Add(waitLongest)):
		return now.Add(waitLongest)
	}
	return reset
}

// The 403 of a person who takes no messages of the account: the old codes (§6), and the words of either API. Another 403 says
// nothing about him. The last words are v2's, seen in many accounts of its answers.
var (
	unwantedCodes = []int{349, 150}
	unwantedWords = []string{
		"You cannot send messages to this user", "You cannot send messages to users who are not following you", "You do not have permission to DM one or more participants",
	}
)

func (f *failure) unwanted() bool {
	return f.api && f.status == http.StatusForbidden &&
		(slices.ContainsFunc(unwantedCodes, func(code int) bool { return slices.Contains(f.codes, code) }) || slices.ContainsFunc(unwantedWords, f.says))
}

// credits is 402 in each of its shapes (§6): shape A has no status in its body, but the type.
func (f *failure) credits() bool {
	return f.status == http.StatusPaymentRequired || f.problem == "credits" || f.problem == "credits-depleted"
}

// permission is the 403 of a token without the right to Direct Messages, as v2 and as the old code 93 say it (§0, §6).
func (f *failure) permission() bool {
	return f.status == http.StatusForbidden && (f.problem == "oauth1-permissions" || slices.Contains(f.codes, 93))
}
