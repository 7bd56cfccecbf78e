// Package messenger connects pages of Facebook through the Messenger Platform. The facts of its wire are in
// wire/messenger.md; what could not be read in Meta's own documents is marked UNVERIFIED there.
//
// A channel is one page. The webhook belongs to the app, and one app may serve many pages: a delivery is split by page
// (Accounts) and each channel takes what is its page's. A customer is known by his page-scoped id, which is another one on
// each page.
package messenger

import (
	"net/http"
	"regexp"

	"waggle/channels"
)

// DefaultAPI is the Graph API with the version we were built to; an older version keeps working for about two years.
const DefaultAPI = "https://graph.facebook.com/v25.0"

// The fields of a channel. The login fills them in; an administrator with a page token of his own enters them.
const (
	FieldPage        = "PageId"
	FieldToken       = "PageAccessToken"
	FieldApp         = "AppId"
	FieldAppSecret   = "AppSecret"
	FieldVerifyToken = "VerifyToken"
)

// PageInbox is the app by whose name people answer on the page itself (wire/messenger.md §5).
const PageInbox = "263902037430900"

const (
	idPattern   = `^[0-9]{1,30}$`
	textLimit   = 2000       // characters, §4; UTF-16 code units are never fewer
	fileLimit   = 25_000_000 // bytes, §4: "25 MB", read in the narrower way
	windowHours = 24         // §4
)

// Adapter is the kind "messenger" for one Graph API.
type Adapter struct {
	api   client
	files *http.Client
}

// The contracts Adapter keeps.
var (
	_ channels.Adapter    = (*Adapter)(nil)
	_ channels.Group      = (*Adapter)(nil)
	_ channels.Threads    = (*Adapter)(nil)
	_ channels.Profiles   = (*Adapter)(nil)
	_ channels.FileOpener = (*Adapter)(nil)
	_ channels.Logins     = (*Adapter)(nil)
	_ channels.Checker    = (*Adapter)(nil)
)

// New returns the adapter for the Graph API at api (DefaultAPI, or MESSENGER_API_URL). The client should be the guarded
// one.
func New(h *http.Client, api string) *Adapter {
	a := &Adapter{api: newClient(h, api)}
	a.files = a.fileClient(h)
	return a
}

// Describe tells what the kind can do. A page may only answer, for a day; a bot may share the conversation. Facebook tells of
// delivery, of reading, and of everything the page sends.
func (a *Adapter) Describe() channels.Description {
	return channels.Description{
		Kind: "messenger",
		Name: "Facebook Messenger",
		Help: help,
		Fields: []channels.Field{
			{Name: FieldPage, Label: "Page ID", Required: true, Pattern: idPattern, Help: "The page's number; About → Page transparency shows it."},
			{Name: FieldToken, Label: "Page access token", Required: true, Secret: true, Pattern: `^[A-Za-z0-9_.|-]{1,1000}$`,
				Help: "An access token of the page, not of a person, given out for the app below."},
			{Name: FieldApp, Label: "App ID", Required: true, Pattern: idPattern, Help: "The number of the Meta app that serves the page."},
			{Name: FieldAppSecret, Label: "App secret", Required: true, Secret: true, Pattern: `^[A-Za-z0-9_-]{1,200}$`,
				Help: "App settings → Basic → App secret. Facebook signs its deliveries with it."},
			{Name: FieldVerifyToken, Label: "Verify token", Required: true, Secret: true, Tell: true, Pattern: `^[\x21-\x7e]{16,200}$`,
				Help: "A password of your own, at least 16 characters, the same for all pages of the app. You enter it once beside the webhook's address at Meta."},
		},
		Receive: []channels.Receive{channels.Webhook},
		Capabilities: channels.Capabilities{
			TextLimit: textLimit, Attachments: true, FileLimit: fileLimit, Edits: true, Receipts: true, Reads: true, Echoes: true, Bots: true, WindowHours: windowHours,
		},
		HookHelp: "Once for the app, at developers.facebook.com: Messenger → Webhooks → Edit callback URL. Enter this address and the verify token, " +
			"and choose the fields messages, message_edits, message_echoes, message_deliveries, message_reads, messaging_postbacks, messaging_handovers " +
			"and standby. Other pages of the same app need no address of their own.",
	}
}

// help is the set-up of the page and, for a bot, of its receivers, with the captions of Facebook's windows (S3.32–S3.40,
// S3.58, S3.59, c9, c10).
const help = `Public pages of Facebook; you can only connect public pages, not personal profiles.

Log in with Facebook, select the pages and permit the app to manage them, so that it can send and receive messages on their behalf; if you restrict it, chats may not work properly. A channel is made for each page, with the page's name. Set it to Active and select its queue: only then its messages are processed. Before the first login the system settings “Identity server Url” (IdentityServerUrl), “Identity server client id” (IdentityServerClientId) and “Identity server client secret” (IdentityServerClientSecret) must be populated; if they are not, contact support.

Instead of logging in you can enter an access token of the page, given out for an app of your own with the permissions pages_messaging and pages_manage_metadata.

A chatbot of another app may answer first. This requires a Facebook Page, a working Facebook Messenger channel, and a bot platform that supports the Handover Protocol (today: Conversation Routing) and is integrated with the page. On the page open Settings → Advanced Messaging, block Connected Apps, and configure the Messenger receiver: Primary Receiver for Handover Protocol – your bot platform (today: the default app); Secondary Receiver for Handover Protocol – this app. While the bot holds a conversation it is shown with no agent, and nothing is written to it.`

// page is the channel's page: the account it was verified as, or the one it is to be.
func page(ch channels.Channel) string {
	if ch.AccountID != "" {
		return ch.AccountID
	}
	return ch.Fields[FieldPage]
}

var idShape = regexp.MustCompile(idPattern)

// call prepares a call for the channel's page. What is no id never becomes part of an address.
func (a *Adapter) call(ch channels.Channel, verb, edge string) (call, *channels.Error) {
	id := page(ch)
	switch {
	case !idShape.MatchString(id):
		return call{}, &channels.Error{Outcome: channels.Refused, Field: FieldPage, Reason: "a page's id is a number"}
	case ch.Fields[FieldToken] == "":
		return call{}, &channels.Error{Outcome: channels.Refused, Field: FieldToken, Reason: "the page's access token is missing; log in with Facebook, or enter one"}
	case ch.Fields[FieldAppSecret] == "":
		return call{}, &channels.Error{Outcome: channels.Refused, Field: FieldAppSecret, Reason: "the app secret is missing"}
	}
	return call{verb: verb, path: "/" + id + edge, token: ch.Fields[FieldToken], secret: ch.Fields[FieldAppSecret]}, nil
}
