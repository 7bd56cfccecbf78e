package x

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	decode "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"waggle/channels"
)

const (
	signatureHeader = "X-Twitter-Webhooks-Signature" // wire/x.md §5.3
	bodyLimit       = 1 << 20                        // bytes of one delivery; a text of 10,000 with its users is far below
	challengeLimit  = 1000                           // bytes of a crc_token
)

// Webhook answers X's challenge (CRC) and takes one delivery, of the Account Activity API or of the X Activity API. Proof is
// the ConsumerSecret's signature; it is checked before a byte of the body is read. What is for another account of the same
// app is counted and left alone: see Accounts.
func (a *Adapter) Webhook(_ context.Context, ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	if r.Method == http.MethodGet {
		return challenge(ch, r.Query("crc_token"))
	}
	e, err := open(ch, r)
	if err != nil {
		return channels.Delivery{}, err
	}
	var d channels.Delivery
	switch account := e.account(); {
	case account == "": // a revocation names no account of ours
		ignore(&d, "revoked")
	case ch.AccountID != "" && account != ch.AccountID:
		ignore(&d, "other_account")
	default:
		e.into(&d, account)
	}
	return d, nil
}

// Accounts says for which account of the app a delivery is: X sends all of them to the app's one address. A challenge is
// for the channel that was asked.
func (a *Adapter) Accounts(_ context.Context, ch channels.Channel, r channels.Request) (map[string]channels.Request, error) {
	if r.Method == http.MethodGet {
		if _, err := challenge(ch, r.Query("crc_token")); err != nil {
			return nil, err
		}
		return map[string]channels.Request{ch.AccountID: r}, nil
	}
	e, err := open(ch, r)
	if err != nil {
		return nil, err
	}
	account := e.account()
	if account == "" {
		account = ch.AccountID
	}
	return map[string]channels.Request{account: r}, nil
}

// challenge answers X's check that the address is ours (§5.2). What is signed here is signed like a delivery, and everybody
// may ask: so nothing is signed that could be the body of one.
func challenge(ch channels.Channel, token string) (channels.Delivery, error) {
	secret := ch.Fields[FieldConsumerSecret]
	switch {
	case secret == "":
		return channels.Delivery{}, channels.ErrUnauthorized
	case token == "" || len(token) > challengeLimit || strings.Contains(token, "{"):
		return channels.Delivery{}, channels.ErrMalformed
	}
	answer, _ := json.Marshal(map[string]string{"response_token": signature(secret, []byte(token))})
	return channels.Delivery{Answer: answer}, nil
}

// signature is what X puts into the header and wants for a challenge: base64, not hex.
func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body) // never fails
	return "sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// open authenticates and parses a delivery.
func open(ch channels.Channel, r channels.Request) (envelope, error) {
	secret := ch.Fields[FieldConsumerSecret]
	if secret == "" || !hmac.Equal([]byte(r.Header(signatureHeader)), []byte(signature(secret, r.Body))) {
		return envelope{}, channels.Because(channels.ErrUnauthorized, signatureHeader+" is not the body's, made with the Secret Key entered here")
	}
	var e envelope
	if r.Method != http.MethodPost || len(r.Body) > bodyLimit || !utf8.Valid(r.Body) || channels.Decode(r.Body, &e) != nil {
		return envelope{}, channels.ErrMalformed
	}
	if e.account() == "" && !bool(e.Revoked) {
		return envelope{}, channels.ErrMalformed
	}
	return e, nil
}

// envelope is one delivery: the Account Activity API's with for_user_id (§5.4), or the X Activity API's with data (§5.5).
type envelope struct {
	ForUserID string  `json:"for_user_id"`
	Revoked   present `json:"user_event"`
	activity
	Data struct {
		EventType string `json:"event_type"`
		Filter    struct {
			UserID string `json:"user_id"`
		} `json:"filter"`
		Payload activity `json:"payload"`
	} `json:"data"`
}

// activity is what happened; of what concerns no Direct Message nothing is read.
type activity struct {
	Messages list[messageEvent] `json:"direct_message_events"`
	Reads    list[readEvent]    `json:"direct_message_mark_read_events"`
	Typing   present            `json:"direct_message_indicate_typing_events"`
	Users    json.RawMessage    `json:"users"`
	Apps     json.RawMessage    `json:"apps"`
}

func (e envelope) account() string {
	for _, id := range []string{e.ForUserID, e.Data.Filter.UserID} {
		if userID.MatchString(id) {
			return id
		}
	}
	return ""
}

// into adds to the delivery what the envelope holds, as events or as what is ignored.
func (e envelope) into(d *channels.Delivery, account string) {
	what := e.activity
	if e.ForUserID == "" {
		what = e.Data.Payload
	}
	what.into(d, account)
	if len(d.Events) > 0 || len(d.Ignored) > 0 {
		return
	}
	switch {
	case bool(what.Typing):
		ignore(d, "typing")
	case strings.HasPrefix(e.Data.EventType, "chat."):
		ignore(d, "encrypted_chat") // cannot be read by anybody but the two
	default:
		ignore(d, "other") // posts, follows, …
	}
}

// list is an array that stays small: X names one event in a delivery and at most 100 in a page, and a crowd of empty ones
// would take far more memory than it came in.
type list[T any] []T

const listLimit = 100

var errList = errors.New("a list that X does not send")

// UnmarshalJSONFrom reads the list's elements one by one; a second list under the same name is an error.
func (l *list[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if *l != nil {
		return errList
	}
	if d.PeekKind() == '[' {
		*l = list[T]{}
	}
	return channels.Each(d, func(one *T) error {
		if len(*l) == listLimit {
			return errList
		}
		*l = append(*l, *one)
		return nil
	})
}

// present tells that something was there; what it was is not read.
type present bool

// UnmarshalJSON keeps nothing.
func (p *present) UnmarshalJSON([]byte) error {
	*p = true
	return nil
}

// picked are the entries of an object that are wanted, among its first ones: X names those who take part and no crowd.
type picked[T any] struct {
	wanted map[string]bool
	found  map[string]T
}

// pick reads the entries of an object that are wanted. A broken object has those before it breaks.
func pick[T any](object json.RawMessage, wanted map[string]bool) map[string]T {
	p := picked[T]{wanted, map[string]T{}}
	_ = channels.Decode(object, &p)
	return p.found
}

// UnmarshalJSONFrom reads no further than where a crowd begins.
func (p *picked[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	n := 0
	return channels.Members(d, func(name string) error {
		if n++; n > listLimit {
			return errList
		}
		if !p.wanted[name] {
			return d.SkipValue()
		}
		var one T
		if err := decode.UnmarshalDecode(d, &one); err != nil {
			return err
		}
		p.found[name] = one
		return nil
	})
}

func ignore(d *channels.Delivery, kind string) {
	if d.Ignored == nil {
		d.Ignored = map[string]int{}
	}
	d.Ignored[kind]++
}
