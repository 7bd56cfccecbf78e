package runner

import (
	"fmt"
	"net/url"
	"strings"

	"waggle/channels/telegram/telegramtest"
)

// Hook is where a messenger's deliveries go, past the load balancer, and what they must carry.
type Hook struct {
	Path   string
	Header map[string]string
	Sign   func(body []byte) (name, value string) // nil: bodies are not signed
}

// BotHook is the webhook of a Telegram bot.
func (in *Installation) BotHook(bot *telegramtest.Bot) (Hook, error) {
	set := bot.Webhook()
	h, err := hookAt(set.URL)
	h.Header = map[string]string{"X-Telegram-Bot-Api-Secret-Token": set.Secret}
	return h, err
}

// HookOf is the webhook of SetUp's channel of a kind.
func (in *Installation) HookOf(kind string) (Hook, error) {
	if kind == "telegram" {
		return in.BotHook(in.Bot)
	}
	h, err := hookAt(in.hooks[kind])
	switch kind {
	case "custom":
		h.Header = map[string]string{"X-Confirmation-Code": strings.ReplaceAll(url.QueryEscape(messengerCode), "+", "%20")}
	case "x":
		h.Sign = func(body []byte) (string, string) { return "X-Twitter-Webhooks-Signature", in.XApp.Sign(body) }
	case "messenger":
		h.Sign = func(body []byte) (string, string) {
			return "X-Hub-Signature-256", in.MetaApp.Sign(body)["X-Hub-Signature-256"]
		}
	}
	return h, err
}

func hookAt(address string) (Hook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Path == "" {
		return Hook{}, fmt.Errorf("%q is no address of a webhook", address)
	}
	return Hook{Path: u.Path}, nil
}

// AccountOf is the company's own id on the messenger of a kind.
func (in *Installation) AccountOf(kind string) string {
	switch kind {
	case "x":
		return in.XAccount.ID
	case "messenger":
		return in.Page.ID
	default:
		return ""
	}
}
