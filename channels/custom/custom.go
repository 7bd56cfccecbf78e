// Package custom connects a company's own messenger (seed 2). The protocol is ours and stands in PROTOCOL.md.
package custom

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"waggle/channels"
	"waggle/guard"
)

// The names of the fields. Their labels are spelled as seed 2 prints them; its asterisk is Field.Required.
const (
	FieldWebhook   = "Webhook"
	FieldCode      = "ConfirmationCode"
	FieldPublicURL = "PublicURL"
)

// textLimit is PROTOCOL.md §4's longest text, in UTF-16 code units.
const textLimit = 10_000

// Adapter is the kind "custom".
type Adapter struct {
	client *http.Client
	now    func() time.Time
}

// New returns the adapter. client must be a guarded one (package guard): it calls addresses that customers and
// administrators name. now is used to turn Retry-After into a time and for messages that carry none.
func New(client *http.Client, now func() time.Time) *Adapter {
	return &Adapter{client: client, now: now}
}

// Describe returns what seed 2 says about the form, and what PROTOCOL.md can carry.
func (a *Adapter) Describe() channels.Description {
	return channels.Description{
		Kind: "custom",
		Name: "Custom messenger",
		Help: "Your company’s own messenger. It must speak the protocol described in PROTOCOL.md (to be confirmed against " +
			"BRIX’s custom messenger).",
		Fields: []channels.Field{
			{
				Name: FieldWebhook, Label: "Webhook", Required: true, URL: true,
				Help: "Go to the custom messenger’s settings, copy the webhook, and enter it in this field. It is used to send requests from Waggle.",
			},
			{
				Name: FieldCode, Label: "Confirmation code", Required: true, Secret: true, Pattern: `^(?s:.{1,500})$`,
				Help: "Specify the confirmation code that is used to check whether a request comes from a trusted source. The code is set in the messenger’s " +
					"settings in any format you prefer, up to 500 characters.",
			},
			{
				Name: FieldPublicURL, Label: "Company’s public URL", Required: true, URL: true, Default: "{crm_url}",
				Help: "In this field, the full address of your company’s CRM is automatically added.",
			},
		},
		Receive: []channels.Receive{channels.Webhook},
		Capabilities: channels.Capabilities{
			TextLimit:     textLimit,
			CaptionLimit:  textLimit,
			Attachments:   true,
			FileLimit:     fileLimit,
			Edits:         true,
			StartDialogue: true,
			Idempotent:    true,
		},
		AdminsOnly: true,
		HookHeader: codeHeader,
		HookHelp: "Enter this channel’s hook URL and the confirmation code in the messenger’s settings. The messenger sends the " +
			"code, percent-encoded as UTF-8, in the header " + codeHeader + ". The hook URL is also told to it on connecting.",
	}
}

// Verify asks the webhook whether it takes the confirmation code (PROTOCOL.md §3, "check"). The account is the webhook.
func (a *Adapter) Verify(ctx context.Context, ch channels.Channel) (channels.Account, error) {
	id, err := accountID(ch.Fields[FieldWebhook])
	if err != nil {
		return channels.Account{}, &channels.Error{Outcome: channels.Refused, Field: FieldWebhook, Reason: err.Error()}
	}
	name, err := a.greet(ctx, ch, greeting{Type: "check"})
	if err != nil {
		return channels.Account{}, err
	}
	if name == "" {
		u, _ := url.Parse(id) // accountID made it
		name = u.Host
	}
	return channels.Account{ID: id, Name: name}, nil
}

// Connect tells the messenger where to send (PROTOCOL.md §3, "connect"). Nobody else can hold the account, so TakeOver means
// nothing here.
func (a *Adapter) Connect(ctx context.Context, ch channels.Channel, o channels.ConnectOptions) error {
	if ch.HookURL == "" {
		return &channels.Error{Outcome: channels.Refused, Reason: "this installation has no public URL, so the messenger would have nowhere to send its messages"}
	}
	_, err := a.greet(ctx, ch, greeting{Type: "connect", HookURL: ch.HookURL, DropPending: o.DropPending})
	return err
}

// Disconnect does nothing: the protocol needs no farewell, Waggle answers 200 and drops (PROTOCOL.md §7). So a channel can
// also be disconnected while its messenger is away.
func (a *Adapter) Disconnect(context.Context, channels.Channel) error { return nil }

// Send posts one part (PROTOCOL.md §4). Its key makes repeating harmless, so a lost answer is RetryAt and never Unknown.
func (a *Adapter) Send(ctx context.Context, ch channels.Channel, p channels.Part) (channels.Sent, error) {
	var answer struct {
		MessageID string `json:"message_id"`
	}
	e := a.post(ctx, ch, outgoing{
		Type: "message", Channel: ch.ID.String(), ID: p.Key, User: outgoingUser{ID: p.UserID}, Text: p.Text, ReplyTo: p.ReplyTo,
		File: fileOf(p.File),
	}, p.File, &answer)
	if e != nil {
		e.Field = "" // only a refusal names a field
		return channels.Sent{}, e
	}
	if !validID(answer.MessageID) {
		answer.MessageID = p.Key // the messenger then knows the message by our id
	}
	return channels.Sent{MessageID: answer.MessageID}, nil
}

// greet is check and connect. Where a field is at fault, waiting does not help: the settings are refused.
func (a *Adapter) greet(ctx context.Context, ch channels.Channel, g greeting) (name string, err error) {
	var answer struct {
		Name string `json:"name"`
	}
	g.Channel, g.CompanyURL = ch.ID.String(), ch.Fields[FieldPublicURL]
	if e := a.post(ctx, ch, g, nil, &answer); e != nil {
		if e.Field != "" {
			e.Outcome, e.Blocked = channels.Refused, false
		}
		return "", e
	}
	return answer.Name, nil
}

// accountID is the webhook in one spelling, so that one messenger cannot be connected twice (b43, S2.9).
func accountID(webhook string) (string, error) {
	if err := guard.CheckURL(webhook); err != nil {
		return "", fmt.Errorf("the webhook cannot be called: %w", err)
	}
	u, err := url.Parse(webhook)
	if err != nil {
		return "", errors.New("the webhook is not a URL") // CheckURL has parsed it before
	}
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host += ":" + port
	}
	same := url.URL{Scheme: u.Scheme, Host: host, Path: path.Clean("/" + u.Path), RawQuery: u.Query().Encode()}
	return same.String(), nil
}
