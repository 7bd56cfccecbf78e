package messenger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"waggle/channels"
)

const (
	signatureHeader = "X-Hub-Signature-256" // wire/messenger.md §2
	bodyLimit       = 4 << 20               // bytes of one delivery; many events come in one
)

// Webhook answers Facebook's challenge (GET, once, when the address is entered there) or takes a delivery: the signature
// over the raw bytes is checked before one of them is parsed, and of the entries those of the channel's page are taken.
//
// One event that cannot be read is counted and left out. Refusing the whole delivery for it would make Facebook repeat
// what is good with it, and in the end unsubscribe the app.
func (a *Adapter) Webhook(_ context.Context, ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	if r.Method == http.MethodGet {
		return challenge(ch, r)
	}
	entries, err := authentic(ch, r)
	if err != nil {
		return channels.Delivery{}, err
	}
	b := batch{page: page(ch), app: ch.Fields[FieldApp]}
	for _, raw := range entries {
		if b.entry(raw); b.events > longestList {
			return channels.Delivery{}, channels.ErrMalformed
		}
	}
	return b.delivery, nil
}

// Accounts tells the pages of a delivery apart. A challenge is for the channel whose address was called.
func (a *Adapter) Accounts(_ context.Context, ch channels.Channel, r channels.Request) (map[string]channels.Request, error) {
	if r.Method == http.MethodGet {
		if _, err := challenge(ch, r); err != nil {
			return nil, err
		}
		return map[string]channels.Request{page(ch): r}, nil
	}
	entries, err := authentic(ch, r)
	if err != nil {
		return nil, err
	}
	byPage := map[string]list{}
	for _, raw := range entries {
		var e struct {
			Page id `json:"id"`
		}
		if channels.Decode(raw, &e) == nil && e.Page != "" {
			byPage[string(e.Page)] = append(byPage[string(e.Page)], raw)
		}
	}
	requests := make(map[string]channels.Request, len(byPage))
	for account, own := range byPage {
		requests[account] = r
		if len(byPage) > 1 {
			requests[account] = only(ch, r, own)
		}
	}
	return requests, nil
}

// only is r with the entries of one page. It is signed with the app's secret like the whole, so that a channel of this page
// with another secret, which is no channel of this app, refuses it.
func only(ch channels.Channel, r channels.Request, entries list) channels.Request {
	body, err := json.Marshal(envelope{Object: "page", Entries: entries})
	if err != nil { // raw JSON that was just parsed always has a form
		return r
	}
	header := r.Header
	r.Body, r.Header = body, func(name string) string {
		if strings.EqualFold(name, signatureHeader) {
			return "sha256=" + hex.EncodeToString(sign(ch, body))
		}
		return header(name)
	}
	return r
}

// envelope is the outside of every delivery.
type envelope struct {
	Object  string `json:"object"`
	Entries list   `json:"entry"`
}

// authentic checks who sent a delivery and then opens it.
func authentic(ch channels.Channel, r channels.Request) (list, error) {
	given, hexed := strings.CutPrefix(r.Header(signatureHeader), "sha256=")
	mac, err := hex.DecodeString(given)
	if err != nil || !hexed || ch.Fields[FieldAppSecret] == "" || !hmac.Equal(mac, sign(ch, r.Body)) {
		return nil, channels.Because(channels.ErrUnauthorized, signatureHeader+" is not the body's, made with the app secret entered here")
	}
	var e envelope
	if r.Method != http.MethodPost || len(r.Body) > bodyLimit || channels.Decode(r.Body, &e) != nil || e.Object != "page" || e.Entries == nil {
		return nil, channels.ErrMalformed
	}
	return e.Entries, nil
}

func sign(ch channels.Channel, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(ch.Fields[FieldAppSecret]))
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// challenge proves to Facebook that the address is ours (§1): it is told back what it asks, in plain text. What does not subscribe
// with our token is refused with 403.
func challenge(ch channels.Channel, r channels.Request) (channels.Delivery, error) {
	token, asked := ch.Fields[FieldVerifyToken], r.Query("hub.challenge")
	given := sha256.Sum256([]byte(r.Query("hub.verify_token")))
	want := sha256.Sum256([]byte(token))
	if token == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 || r.Query("hub.mode") != "subscribe" {
		return channels.Delivery{}, channels.ErrChallenge
	}
	if asked == "" {
		return channels.Delivery{}, channels.ErrMalformed
	}
	return channels.Delivery{Answer: []byte(asked), AnswerType: "text/plain; charset=utf-8"}, nil
}
