package telegramtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"waggle/channels/double"
)

// Bot is one bot of the double and what Telegram keeps about it.
type Bot struct {
	// ID is the bot's user id, the number before the colon of its token.
	ID       int64
	Username string

	// By API method ("sendMessage"); "send" stands for every send method.
	*double.Faults

	s     *Server
	token string

	// Everything below is guarded by s.Mu.
	chats   map[int64]*chat
	files   map[string]*file
	slow    time.Duration
	presses map[string]*press
	albums  int
	nextID  int64 // the next update_id
	pending []*update
	allowed []string // nil: the default set

	hook           *webhook
	hookAllowedAt  time.Time // §1: setWebhook more than once a second is 429
	retry          chan struct{}
	failures       []Failure
	gone410        time.Time // since when the hook answers 410 only
	lastErrorAt    time.Time
	lastError      string
	duplicates     int
	order          double.Order
	effects        Effects
	poller         *poller
	pollOffset     int64
	pollStarted    time.Time
	lastConflictAt time.Time
}

// AddBot registers a bot. The token has the shape "<bot user id>:<secret>"; AddBot panics on any other, so that a
// typo in a test shows at once.
func (s *Server) AddBot(token, username string) *Bot {
	id, _, ok := strings.Cut(token, ":")
	n, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil || n <= 0 {
		panic("telegramtest: a token looks like 123456:secret")
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	b := &Bot{
		ID: n, Username: username, Faults: double.NewFaults(&s.Base), s: s, token: token, nextID: 700000001,
		chats: map[int64]*chat{}, files: map[string]*file{}, presses: map[string]*press{},
		retry: make(chan struct{}),
	}
	s.bots[token] = b
	return b
}

// ReplaceToken is what BotFather's /revoke does: the old token answers 401 from now on, the bot, its chats and its
// webhook stay.
func (b *Bot) ReplaceToken(token string) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	delete(b.s.bots, b.token)
	b.token = token
	b.s.bots[token] = b
}

// Revoke kills the token without a new one.
func (b *Bot) Revoke() {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	delete(b.s.bots, b.token)
}

type handler func(*Bot, *query) (result any, description string, fail *apiError)

// methods are those that a webhook's answer cannot carry (§4); the others are calls.
var methods = map[string]handler{
	"getme":          (*Bot).getMe,
	"setwebhook":     (*Bot).setWebhook,
	"deletewebhook":  (*Bot).deleteWebhook,
	"getwebhookinfo": (*Bot).getWebhookInfo,
	"getupdates":     (*Bot).getUpdates,
	"getfile":        (*Bot).getFile,
}

// calls are the methods that come by a call or in the answer to a webhook.
var calls = map[string]handler{
	"answercallbackquery": (*Bot).answerCallbackQuery,
	"sendmessage":         (*Bot).sendMessage,
	"sendphoto":           (*Bot).sendMedia,
	"senddocument":        (*Bot).sendMedia,
	"sendvoice":           (*Bot).sendMedia,
	"sendvideo":           (*Bot).sendMedia,
	"sendaudio":           (*Bot).sendMedia,
}

// answer runs one call, with the fault a test asked for in between.
func (b *Bot) answer(w http.ResponseWriter, q *query) {
	handle := methods[q.method]
	if handle == nil {
		handle = calls[q.method]
	}
	if handle == nil {
		writeError(w, &apiError{Code: 404, Description: "Not Found: method not found"}) // §1
		return
	}
	var groups []string
	if strings.HasPrefix(q.method, "send") {
		groups = []string{"send"}
	}
	fault, faulty := b.Take(q.method, groups...)
	if faulty && !fault.Accepts() {
		b.s.Spoil(w, q.ctx, fault)
		return
	}
	if !b.linger(q.ctx, q.method) {
		panic(http.ErrAbortHandler)
	}
	result, description, fail := handle(b, q)
	switch {
	case !b.linger(q.ctx, q.method):
		panic(http.ErrAbortHandler)
	case fail != nil:
		writeError(w, fail)
	case faulty:
		b.s.Spoil(w, q.ctx, fault)
	default:
		writeResult(w, result, description)
	}
}

// getMe is §2: the bot as a User with the getMe-only booleans.
func (b *Bot) getMe(*query) (any, string, *apiError) {
	me := b.user()
	for _, flag := range []string{
		"can_read_all_group_messages", "supports_inline_queries", "can_connect_to_business", "has_main_web_app",
	} {
		me[flag] = false
	}
	me["can_join_groups"] = true
	return me, "", nil
}

func (b *Bot) user() object {
	return object{"id": b.ID, "is_bot": true, "first_name": b.Username, "username": b.Username}
}

// ResetLimits forgets that setWebhook was called just now.
func (b *Bot) ResetLimits() {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	b.hookAllowedAt = time.Time{}
}
