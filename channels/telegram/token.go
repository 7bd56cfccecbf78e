package telegram

import (
	"regexp"
	"strings"

	"waggle/channels"
)

var tokenShape = regexp.MustCompile(tokenPattern)

// tokenOf is the channel's token. One of the wrong shape never becomes part of an address.
func tokenOf(ch channels.Channel) (string, error) {
	token := ch.Fields[FieldToken]
	if !tokenShape.MatchString(token) {
		return "", &channels.Error{Outcome: channels.Refused, Field: FieldToken,
			Reason: "this is not a Telegram bot token; it looks like 123456789:AAE… and is given out by @BotFather"}
	}
	return token, nil
}

// botOf is the bot's user id, which its token begins with (wire/telegram.md §1).
func botOf(token string) string {
	id, _, _ := strings.Cut(token, ":")
	return id
}
