package telegram

import (
	"context"
	"time"

	"waggle/channels"
	"waggle/guard"
)

// webhookInfo is what we read of a WebhookInfo (wire/telegram.md §2). The last error stays there after it is mended.
type webhookInfo struct {
	URL         string `json:"url"` // empty: none is set
	Pending     int    `json:"pending_update_count"`
	LastError   string `json:"last_error_message"`
	LastErrorAt int64  `json:"last_error_date"`
}

// Check asks Telegram how its deliveries to us go (getWebhookInfo).
func (a *Adapter) Check(ctx context.Context, ch channels.Channel) (channels.Checkup, error) {
	token, err := tokenOf(ch)
	if err != nil {
		return channels.Checkup{}, err
	}
	info, known, fail := a.webhookInfo(ctx, token)
	if fail != nil {
		return channels.Checkup{}, setupError(fail)
	}
	if !known {
		return channels.Checkup{}, &channels.Error{Outcome: channels.RetryAt, Reason: "the Bot API server of this installation does not tell how it delivers"}
	}
	c := channels.Checkup{Wrong: wrongHook(info.URL, ch), Pending: max(info.Pending, 0)}
	if info.LastErrorAt > 0 {
		c.LastError, c.LastErrorAt = guard.Quoted(info.LastError, token, ch.HookSecret), time.Unix(info.LastErrorAt, 0).UTC()
	}
	return c, nil
}

// wrongHook says why a webhook keeps messages from arriving; empty where it does not.
func wrongHook(hook string, ch channels.Channel) string {
	switch {
	case ch.Receive == channels.Polling && hook == "", ch.Receive != channels.Polling && hook == ch.HookURL:
		return ""
	case ch.Receive == channels.Polling:
		return "Somebody has set a webhook for this bot, to " + guard.HostOf(hook) + ", so that nothing can be fetched. Connect the channel again to take the bot over."
	case hook == "":
		return "Somebody has removed the bot's webhook, so that Telegram delivers nothing. Connect the channel again."
	case ours(hook, ch):
		return "Telegram delivers to an earlier address of this installation, at " + guard.HostOf(hook) + ". Connect the channel again."
	}
	return "Telegram delivers this bot's messages to " + guard.HostOf(hook) + " instead of here. Connect the channel again to take the bot over."
}

// webhookInfo asks for the bot's webhook. A server that only resembles Telegram's may not have getWebhookInfo: then nothing is
// known, and nothing is held against the channel. Telegram's own has it, whatever a proxy's page says.
func (a *Adapter) webhookInfo(ctx context.Context, token string) (info webhookInfo, known bool, fail *failure) {
	fail = a.api.call(ctx, token, "getWebhookInfo", struct{}{}, &info)
	if fail != nil && !fail.official && fail.noMethod() {
		return webhookInfo{}, false, nil
	}
	return info, fail == nil, fail
}
