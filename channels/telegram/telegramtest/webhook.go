package telegramtest

import (
	"context"
	"net"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// webhook is one setting of setWebhook. Setting another one cancels it and what it has in flight.
type webhook struct {
	url, secret    string
	maxConnections int
	ctx            context.Context
	cancel         context.CancelFunc
	slots          chan struct{}   // ≤ maxConnections deliveries at once (§4)
	busy           map[string]bool // queues with a delivery or a retry under way
}

// WebhookState is what getWebhookInfo would say, with the secret and the refusals beside it.
type WebhookState struct {
	URL, Secret    string
	AllowedUpdates []string // nil: the default set
	Pending        int
	LastError      string
}

// Webhook tells the bot's webhook state.
func (b *Bot) Webhook() WebhookState {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.expire()
	state := WebhookState{AllowedUpdates: slices.Clone(b.allowed), Pending: len(b.pending), LastError: b.lastError}
	if b.hook != nil {
		state.URL, state.Secret = b.hook.url, b.hook.secret
	}
	return state
}

// setWebhook is §2 setWebhook.
func (b *Bot) setWebhook(q *query) (any, string, *apiError) {
	target := q.args["url"]
	if target == "" {
		return b.deleteWebhook(q)
	}
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	now := b.s.Clock.Now()
	if now.Before(b.hookAllowedAt) {
		return nil, "", tooMany(1) // §1: more than once a second
	}
	b.hookAllowedAt = now.Add(time.Second)
	if fail := checkSecret(q.args["secret_token"]); fail != nil {
		return nil, "", fail
	}
	if fail := b.s.checkURL(target); fail != nil {
		return nil, "", fail
	}
	next := &webhook{url: target, secret: q.args["secret_token"], maxConnections: int(q.int("max_connections", 40)), busy: map[string]bool{}}
	if next.maxConnections < 1 || next.maxConnections > 100 {
		next.maxConnections = 40
	}
	b.setAllowed(q)
	if b.same(next) && !q.bool("drop_pending_updates") {
		return true, "Webhook is already set", nil
	}
	b.replaceHook(next, q.bool("drop_pending_updates"))
	return true, "Webhook was set", nil
}

// deleteWebhook is §2 deleteWebhook: pending updates stay for getUpdates unless they are to be dropped.
func (b *Bot) deleteWebhook(q *query) (any, string, *apiError) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	if b.hook == nil && !q.bool("drop_pending_updates") {
		return true, "Webhook is already deleted", nil
	}
	b.replaceHook(nil, q.bool("drop_pending_updates"))
	return true, "Webhook was deleted", nil
}

// getWebhookInfo is §2 WebhookInfo: pending_update_count always, allowed_updates only if not the default set.
func (b *Bot) getWebhookInfo(*query) (any, string, *apiError) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.expire()
	info := object{"url": "", "has_custom_certificate": false, "pending_update_count": len(b.pending)}
	if b.hook != nil {
		info["url"] = b.hook.url
		info["max_connections"] = b.hook.maxConnections
		if b.lastError != "" {
			info["last_error_date"] = b.lastErrorAt.Unix()
			info["last_error_message"] = b.lastError
		}
	}
	if b.allowed != nil {
		info["allowed_updates"] = b.allowed
	}
	return info, "", nil
}

// same is the "already set" shortcut of §2: url, max_connections and secret_token are compared.
func (b *Bot) same(next *webhook) bool {
	return b.hook != nil && b.hook.url == next.url && b.hook.secret == next.secret && b.hook.maxConnections == next.maxConnections
}

// replaceHook switches deliveries over. The caller holds the lock.
func (b *Bot) replaceHook(next *webhook, drop bool) {
	if b.hook != nil {
		b.hook.cancel()
	}
	if drop {
		b.pending = nil
	}
	b.hook, b.lastError, b.gone410 = next, "", time.Time{}
	if next != nil {
		b.abortPoll(conflict("terminated by setWebhook request"))
		next.ctx, next.cancel = context.WithCancel(b.s.Context)
		next.slots = make(chan struct{}, next.maxConnections)
		b.deliver()
	}
	b.s.Announce()
}

var secretCharacters = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

func checkSecret(secret string) *apiError {
	if len(secret) > 256 {
		return badRequest("secret token is too long")
	}
	if !secretCharacters.MatchString(secret) {
		return badRequest("secret token contains unallowed characters")
	}
	return nil
}

func (s *Server) checkURL(target string) *apiError {
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return badRequest("invalid webhook URL specified")
	}
	if !s.cloud {
		return nil
	}
	if u.Scheme != "https" {
		return badRequest("bad webhook: An HTTPS URL must be provided for webhook")
	}
	if !slices.Contains([]string{"", "80", "88", "443", "8443"}, u.Port()) {
		return badRequest("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()) {
		return badRequest("bad webhook: IP address " + ip.String() + " is reserved")
	}
	return nil
}
