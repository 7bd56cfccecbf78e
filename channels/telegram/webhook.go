package telegram

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

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
		return channels.Delivery{}, channels.Because(channels.ErrUnauthorized, secretHeader+" is not the secret_token of setWebhook")
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
	if err := channels.Decode(body, &u); err != nil {
		return idOf(body), err
	}
	switch {
	case u.ID <= 0:
		return 0, errNoUpdate
	case u.EditedMessage.message != nil:
		e, ignored, err := u.EditedMessage.event(true)
		return u.ID, put(d, e, ignored, err)
	case u.Message.message != nil:
		e, ignored, err := u.Message.event(false)
		return u.ID, put(d, e, ignored, err)
	case u.MyChatMember != nil:
		e, ignored := u.MyChatMember.event()
		return u.ID, put(d, e, ignored, nil)
	case u.Callback != nil:
		d.Answer = answerTo(u.Callback)
		e, ignored, err := u.Callback.event()
		return u.ID, put(d, e, ignored, err)
	}
	kind, err := otherKind(body)
	if err == nil {
		ignore(d, label(kind))
	}
	return u.ID, err
}

// put adds one update to the delivery, as an event or as one ignored.
func put(d *channels.Delivery, e channels.Event, ignored string, err error) error {
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

// answerTo ends the clock on a pressed button. Telegram takes the call in the answer to its webhook (wire/telegram.md §4), so that
// it costs nothing and comes after the commit. Failure policy: none; the clock ends by itself.
func answerTo(c *callback) []byte {
	answer, _ := json.Marshal(map[string]string{"method": "answerCallbackQuery", "callback_query_id": c.ID}) // strings are always JSON
	return answer
}

// idOf reads the id of an Update whose content cannot be read.
func idOf(body []byte) int64 {
	var u struct {
		ID int64 `json:"update_id"`
	}
	_ = channels.Decode(body, &u) // what was read by then counts
	return u.ID
}

// otherKind names the field of an Update that has none of those we read.
func otherKind(body []byte) (string, error) {
	var kind field
	if err := channels.Decode(body, &kind); err != nil && kind == "" {
		return "", err
	}
	if slices.Contains(allowedUpdates, string(kind)) { // it is null
		return "", errNoUpdate
	}
	return string(kind), nil
}

// field is the name of an Update's first field beside its id.
type field string

// errFound ends the reading of what is not read further.
var errFound = errors.New("found")

// UnmarshalJSONFrom reads no further than to the field.
func (f *field) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return channels.Members(d, func(name string) error {
		if name != "update_id" {
			*f = field(name)
			return errFound
		}
		return d.SkipValue()
	})
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
