package telegram

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"

	"waggle/channels"
)

const (
	secretHeader = "X-Telegram-Bot-Api-Secret-Token" // wire/telegram.md §4
	bodyLimit    = 1 << 20                           // bytes of one Update; a text of 4096 with a reply is far below
)

// Webhook takes one Update. The secret is all that proves Telegram (§4: there is no signature), so it is compared before
// a byte of the body is read. An Update that cannot be read is malformed: answered 400, Telegram repeats it for a day and
// names it in getWebhookInfo.
func (a *Adapter) Webhook(_ context.Context, ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	given := r.Header(secretHeader)
	if ch.HookSecret == "" || subtle.ConstantTimeCompare([]byte(given), []byte(ch.HookSecret)) != 1 {
		return channels.Delivery{}, channels.ErrUnauthorized
	}
	if r.Method != http.MethodPost || len(r.Body) > bodyLimit {
		return channels.Delivery{}, channels.ErrMalformed
	}
	u, err := parseUpdate(r.Body)
	if err != nil {
		return channels.Delivery{}, channels.ErrMalformed
	}
	var d channels.Delivery
	if err := u.into(&d); err != nil {
		return channels.Delivery{}, channels.ErrMalformed
	}
	return d, nil
}

var errNoUpdate = errors.New("not an Update")

// parseUpdate finds the update's id and its one other field.
func parseUpdate(body []byte) (update, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return update{}, errNoUpdate
	}
	var u update
	if raw, ok := fields["update_id"]; !ok || json.Unmarshal(raw, &u.ID) != nil || string(raw) == "null" {
		return update{}, errNoUpdate
	}
	delete(fields, "update_id")
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.SortFunc(names, byUse)
	if len(names) > 0 {
		u.Kind, u.Fields = names[0], fields[names[0]]
	}
	return u, nil
}

// byUse puts the kinds we read first, should an Update ever have more than its one.
func byUse(x, y string) int {
	known := func(name string) int {
		if slices.Contains(allowedUpdates, name) {
			return 0
		}
		return 1
	}
	if d := known(x) - known(y); d != 0 {
		return d
	}
	if x < y {
		return -1
	}
	return 1
}

// into adds the update to the delivery, as an event or as one ignored.
func (u update) into(d *channels.Delivery) error {
	switch u.Kind {
	case "message", "edited_message":
		var m message
		if err := json.Unmarshal(u.Fields, &m); err != nil {
			return err
		}
		e, ignored, err := m.event(u.Kind == "edited_message")
		if err != nil {
			return err
		}
		if ignored != "" {
			ignore(d, ignored)
			return nil
		}
		d.Events = append(d.Events, e)
	case "my_chat_member":
		var c memberChange
		if err := json.Unmarshal(u.Fields, &c); err != nil {
			return err
		}
		ignore(d, c.what())
	default:
		ignore(d, label(u.Kind))
	}
	return nil
}

// what names a change of the bot's standing in a chat for the count of ignored updates.
func (c memberChange) what() string {
	switch {
	case c.Chat.Type != "private":
		return label(c.Chat.Type)
	case c.New.Status == "kicked":
		return "blocked"
	}
	return "unblocked"
}

func ignore(d *channels.Delivery, kind string) {
	if d.Ignored == nil {
		d.Ignored = map[string]int{}
	}
	d.Ignored[kind]++
}

var plainWord = regexp.MustCompile(`^[a-z_]{1,40}$`)

// label is a name from outside made fit for a counter.
func label(name string) string {
	if plainWord.MatchString(name) {
		return name
	}
	return "other"
}
