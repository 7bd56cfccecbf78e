// Package telegram connects Telegram bots. The facts of its wire are in wire/telegram.md.
//
// A bot's private chats are dialogues; what happens in groups and channels is counted and ignored. The customer is
// known by his Telegram user id, which in a private chat is the chat's id.
package telegram

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

// DefaultAPI is Telegram's own Bot API server; others can be self-hosted.
const DefaultAPI = "https://api.telegram.org"

// FieldToken is the one field of a Telegram channel (S3.44).
const FieldToken = "Token"

const tokenPattern = `^[1-9][0-9]{0,16}:[A-Za-z0-9_-]{1,62}$` // wire/telegram.md §1: ≤ 80 characters, id < 2^54

// allowedUpdates are the kinds asked for. Telegram keeps a former setting if none are named (§2), so they always are.
var allowedUpdates = []string{"message", "edited_message", "my_chat_member", "callback_query"}

// Adapter is the kind "telegram" for one Bot API server.
type Adapter struct {
	api   client
	pause func(context.Context, time.Duration) error
}

// The contracts Adapter keeps.
var (
	_ channels.Adapter    = (*Adapter)(nil)
	_ channels.Poller     = (*Adapter)(nil)
	_ channels.FileOpener = (*Adapter)(nil)
	_ channels.Checker    = (*Adapter)(nil)
)

// New returns the adapter for the Bot API server at api (DefaultAPI, or TELEGRAM_API_URL). The client should be the
// guarded one.
func New(h *http.Client, api string) *Adapter {
	return &Adapter{api: newClient(h, api), pause: pause}
}

// Describe tells what the kind can do. Telegram reports no receipts, and a bot may only answer.
func (a *Adapter) Describe() channels.Description {
	return channels.Description{
		Kind: "telegram",
		Name: "Telegram",
		Help: "A Telegram bot. Create one with @BotFather and enter its token. Make sure that the bot is only used on a single resource; if you are " +
			"not sure whether it is integrated with any other websites or applications, let @BotFather generate a new token first. " +
			"Telegram delivers to the public address of this installation; where there is none choose polling.",
		Fields: []channels.Field{{
			Name: FieldToken, Label: "Token", Required: true, Secret: true, Pattern: tokenPattern,
			Help: "The token for your chatbot. It is generated on the Telegram side: @BotFather shows it, like 123456789:AAE…",
		}},
		Receive: []channels.Receive{channels.Webhook, channels.Polling},
		Capabilities: channels.Capabilities{
			TextLimit: 4096, CaptionLimit: 1024, Edits: true, Attachments: true, FileLimit: uploadLimit,
			StartDialogue: true, // with people who have written to the bot; Telegram refuses others (403, wire/telegram.md §1), and so does the core
		},
	}
}

// Verify asks Telegram whose token this is (getMe). It changes nothing and may be repeated after any failure.
func (a *Adapter) Verify(ctx context.Context, ch channels.Channel) (channels.Account, error) {
	token, err := tokenOf(ch)
	if err != nil {
		return channels.Account{}, err
	}
	var me struct {
		ID       int64  `json:"id"`
		IsBot    *bool  `json:"is_bot"` // other servers than Telegram's own may leave it out
		Name     string `json:"first_name"`
		Username string `json:"username"`
	}
	if fail := a.api.call(ctx, token, "getMe", struct{}{}, &me); fail != nil {
		return channels.Account{}, setupError(fail)
	}
	if me.ID == 0 || (me.IsBot != nil && !*me.IsBot) {
		return channels.Account{}, &channels.Error{Outcome: channels.Refused, Field: FieldToken, Reason: "the token does not belong to a Telegram bot"}
	}
	account := channels.Account{ID: botOf(token), Name: me.Name}
	if me.Username != "" {
		account.Name = "@" + me.Username
	}
	return account, nil
}

// Connect points the bot at us, or for polling takes its webhook away. A webhook of somebody else is left alone unless
// o.TakeOver (S3.47).
func (a *Adapter) Connect(ctx context.Context, ch channels.Channel, o channels.ConnectOptions) error {
	token, err := tokenOf(ch)
	if err != nil {
		return err
	}
	if ch.Receive != channels.Polling && ch.HookURL == "" {
		return &channels.Error{Outcome: channels.Refused, Field: "receive", Reason: "Telegram can deliver messages only to a public address; " +
			"set this installation's public URL (PUBLIC_URL) or choose polling"}
	}
	if !o.TakeOver {
		info, _, fail := a.webhookInfo(ctx, token)
		if fail != nil {
			return setupError(fail)
		}
		if info.URL != "" && !ours(info.URL, ch) {
			return &channels.Error{Outcome: channels.Foreign, Reason: "the bot already delivers its messages to " + guard.HostOf(info.URL) +
				"; a bot can be used in one place only: take it over, or use another bot"}
		}
	}
	if ch.Receive == channels.Polling {
		return a.unhook(ctx, token, o.DropPending)
	}
	return a.setHook(ctx, token, ch, o.DropPending)
}

// Disconnect stops deliveries. What Telegram collects from now on is dropped when the channel is connected again (b39). A
// webhook that somebody else has set meanwhile stays.
func (a *Adapter) Disconnect(ctx context.Context, ch channels.Channel) error {
	token, err := tokenOf(ch)
	if err != nil {
		return err
	}
	info, known, fail := a.webhookInfo(ctx, token)
	if fail != nil {
		return setupError(fail)
	}
	if known && (info.URL == "" || !ours(info.URL, ch)) {
		return nil
	}
	return a.unhook(ctx, token, false)
}

func (a *Adapter) unhook(ctx context.Context, token string, drop bool) error {
	if fail := a.api.call(ctx, token, "deleteWebhook", map[string]bool{"drop_pending_updates": drop}, nil); fail != nil {
		return setupError(fail)
	}
	return nil
}

// setHook sets the webhook. Telegram takes one setWebhook a second (§1): an administrator who connects, disconnects and
// connects again is not told about that, he waits the second.
func (a *Adapter) setHook(ctx context.Context, token string, ch channels.Channel, drop bool) error {
	const patience = 3 * time.Second
	params := map[string]any{
		"url": ch.HookURL, "secret_token": ch.HookSecret, "allowed_updates": allowedUpdates, "drop_pending_updates": drop,
	}
	fail := a.api.call(ctx, token, "setWebhook", params, nil)
	if fail != nil && fail.status == http.StatusTooManyRequests && fail.retryAfter <= patience {
		if err := a.pause(ctx, fail.retryAfter); err != nil {
			return setupError(fail)
		}
		fail = a.api.call(ctx, token, "setWebhook", params, nil)
	}
	if fail != nil {
		return setupError(fail)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ours tells whether a webhook leads to this channel. Its id in the path is enough: our public URL may have changed.
func ours(hook string, ch channels.Channel) bool {
	if hook == ch.HookURL {
		return true
	}
	u, err := url.Parse(hook)
	return err == nil && strings.Contains(u.Path, ch.ID.String())
}
