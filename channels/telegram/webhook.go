package telegram

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
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
	var d channels.Delivery
	if _, err := readUpdate(r.Body, &d); err != nil {
		return channels.Delivery{}, channels.ErrMalformed
	}
	return d, nil
}

var errNoUpdate = errors.New("not an Update")

// readUpdate adds one Update to the delivery, as an event or as one ignored. It returns the update's id also where only its
// content cannot be read, and 0 where not even the id can.
func readUpdate(body []byte, d *channels.Delivery) (id int64, err error) {
	var u update
	// A field of the wrong type leaves the others read.
	if err := json.Unmarshal(body, &u); err != nil {
		return u.ID, err
	}
	switch {
	case u.ID <= 0:
		return 0, errNoUpdate
	case u.EditedMessage != nil:
		return u.ID, u.EditedMessage.into(d, true)
	case u.Message != nil:
		return u.ID, u.Message.into(d, false)
	case u.MyChatMember != nil:
		ignore(d, u.MyChatMember.what())
		return u.ID, nil
	}
	kind, err := otherKind(body)
	if err == nil {
		ignore(d, label(kind))
	}
	return u.ID, err
}

// otherKind names the field of an Update that has none of those we read.
func otherKind(body []byte) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", err
	}
	delete(fields, "update_id")
	names := slices.Sorted(maps.Keys(fields))
	if len(names) == 0 {
		return "", nil
	}
	if slices.Contains(allowedUpdates, names[0]) { // it is null
		return "", errNoUpdate
	}
	return names[0], nil
}

// into adds the message to the delivery.
func (m *message) into(d *channels.Delivery, edited bool) error {
	e, ignored, err := m.event(edited)
	switch {
	case err != nil:
		return err
	case ignored != "":
		ignore(d, ignored)
	default:
		d.Events = append(d.Events, e)
	}
	return nil
}

// what names a change of the bot's standing in a chat for the count of ignored updates.
func (c *memberChange) what() string {
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
