// Package channels is the contract between Waggle and the messengers: what a kind of channel tells about itself, how it
// receives and how it sends. Every kind lives in a folder of its own below this one and is registered by one line in app.
package channels

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"

	"waggle/chat"
)

// Receive says how messages of a channel reach Waggle.
type Receive string

// The two ways to receive. Webhook needs a public URL of this installation.
const (
	Webhook Receive = "webhook"
	Polling Receive = "polling"
)

// Field is one value an administrator enters for a channel. It is the one source for validation, masking and the form.
type Field struct {
	Name     string // key in the channel's fields, in camel case
	Label    string // caption of the form, spelled as the product documents print it
	Required bool
	Secret   bool   // stored encrypted, never shown again
	Tell     bool   // made up by a login: told to who logged in, and to nobody else, as he enters it at the messenger
	URL      bool   // must be an absolute http(s) URL
	Pattern  string // optional RE2 the value must match
	Default  string // what the form is prefilled with; "{public_url}" and "{crm_url}" stand for the installation's and the CRM's address
	Help     string
}

// Capabilities says what a kind can carry.
type Capabilities struct {
	TextLimit     int         // longest text of one send, in UTF-16 code units
	CaptionLimit  int         // longest caption of a file, in UTF-16 code units; 0: files carry no caption
	Attachments   bool        // agents may send files
	Edits         bool        // the customer's edits are reported
	Receipts      bool        // delivery is reported later; without it an accepted send counts as delivered
	Reads         bool        // reading is reported
	Echoes        bool        // what the account sends is reported back: the proof of a send whose outcome is unknown
	StartDialogue bool        // an agent may write first
	Idempotent    bool        // a part that is sent again under the same Key arrives once
	Bots          bool        // a bot of another app may hold a conversation (Threads)
	WindowHours   int         // how long after the user's last message he may be written to; 0: always
	Budget        chat.Budget // what the messenger is known to take of one account; zero: not known
	FileLimit     int64       // largest file an agent may send, in bytes; 0 with Attachments: as large as Waggle takes
}

// Window is WindowHours as a duration.
func (c Capabilities) Window() time.Duration { return time.Duration(c.WindowHours) * time.Hour }

// Description is what a kind tells about itself (GET /channel-kinds).
type Description struct {
	Kind         string
	Name         string
	Help         string
	Fields       []Field
	Receive      []Receive // the first one is the default
	Capabilities Capabilities
	AdminsOnly   bool   // only administrators, not chat administrators, may set it up (S2.7)
	HookHeader   string // the header by which the messenger proves itself, where an administrator must enter it there
	HookHelp     string // what an administrator enters at the messenger (S2.21); empty: Connect does it all
}

// Channel is one connected account as an adapter sees it.
type Channel struct {
	ID         uuid.UUID
	AccountID  string            // the account's own id on the messenger; empty until verified
	Fields     map[string]string // all fields, secrets in clear
	Receive    Receive
	HookURL    string    // the full public address of this channel's webhook; empty without a public URL, and for Send
	HookSecret string    // made by Waggle for this channel, [A-Za-z0-9_-]{43}
	Since      time.Time // when it was connected, or later: what was written before is not wanted (b39), or is stored
}

// Account is the messenger's account behind a channel's credentials.
type Account struct {
	ID   string // unique in the kind: bot id, page id, webhook URL
	Name string // what people know it by: "@shop_bot"
}

// ConnectOptions are an administrator's choices when a channel is switched on.
type ConnectOptions struct {
	TakeOver    bool // replace a webhook that points at somebody else (S3.47)
	DropPending bool // drop what the messenger kept while the channel was disconnected (S2.27, b39)
}

// Adapter is one kind of channel. Its methods are safe for concurrent use and keep every call to the outside inside ctx's
// deadline. Errors of Verify, Connect, Disconnect, Send and Poll are *Error.
type Adapter interface {
	Describe() Description
	// Verify asks the messenger whose credentials these are. It changes nothing there.
	Verify(ctx context.Context, ch Channel) (Account, error)
	// Connect starts receiving on the messenger's side. Repeating it is harmless.
	Connect(ctx context.Context, ch Channel, o ConnectOptions) error
	// Disconnect stops receiving on the messenger's side.
	Disconnect(ctx context.Context, ch Channel) error
	// Webhook authenticates and then parses one request. ErrUnauthorized, ErrChallenge and ErrMalformed are its only errors.
	Webhook(ctx context.Context, ch Channel, r Request) (Delivery, error)
	// Send sends one part once and never repeats it by itself.
	Send(ctx context.Context, ch Channel, p Part) (Sent, error)
}

// Group is an adapter whose messenger delivers for several channels through one webhook, that of the app they share. The
// webhook's address names one of the channels, or the app; what each delivery is for, its accounts say.
type Group interface {
	// Accounts authenticates r for the app whose credentials ch carries and names, for each account in it, the request that
	// this account's own channel should be given. ErrUnauthorized and ErrMalformed are its only errors.
	Accounts(ctx context.Context, ch Channel, r Request) (map[string]Request, error)
}

// Mover is an adapter whose channels may go over from one app of the messenger's to another.
type Mover interface {
	// Leave ends what was's credentials began at the messenger and now's do not need; without an ID in now the channel is no more.
	// shared tells that the deliveries of other accounts come by this channel's webhook, which answers for their app no longer:
	// they are to be connected again. Errors are *Error.
	Leave(ctx context.Context, was, now Channel) (shared bool, err error)
}

// Threads is an adapter whose messenger lets several apps share a conversation, one of them at a time being its owner.
// Errors are *Error.
type Threads interface {
	// Take makes us the owner, Pass another app, Request asks the owner, Release leaves it to nobody.
	Take(ctx context.Context, ch Channel, userID string) error
	Pass(ctx context.Context, ch Channel, userID, app string) error
	Request(ctx context.Context, ch Channel, userID string) error
	Release(ctx context.Context, ch Channel, userID string) error
}

// Profiles is an adapter whose events carry no names: they are asked for apart.
type Profiles interface {
	// Profile returns what the messenger tells about a user; an empty User where it tells nothing.
	Profile(ctx context.Context, ch Channel, userID string) (User, error)
}

// Poller is an adapter that can fetch messages where no webhook can be had.
type Poller interface {
	// Poll waits a bounded while for what came after offset ("" at first). Calling it with the returned offset confirms
	// what was delivered, so it is called only after the delivery is committed.
	Poll(ctx context.Context, ch Channel, offset string) (d Delivery, next string, err error)
}

// Rereader is a Poller whose messenger keeps what its webhook could not deliver, and lets it be fetched beside the webhook too.
type Rereader interface {
	Poller
	// Reread gives, oldest first, a part of what was written after ch.Since and offset, and tells when nothing is left: it is called
	// with the offset it returned, as Poll is, until done. asked is when the reading was asked for: with another one it begins anew,
	// so that what came up to then is in it.
	Reread(ctx context.Context, ch Channel, offset string, asked time.Time) (d Delivery, next string, done bool, err error)
}

// FileOpener is an adapter whose attachments can be fetched from the messenger.
type FileOpener interface {
	// OpenFile streams the file behind an attachment's Ref. The caller closes it.
	OpenFile(ctx context.Context, ch Channel, ref string) (File, error)
}

// Checker is an adapter whose messenger tells how its deliveries to us go.
type Checker interface {
	// Check asks the messenger how it delivers to this channel. It changes nothing and may be repeated. Errors are *Error.
	Check(ctx context.Context, ch Channel) (Checkup, error)
}

// Checkup is how a messenger's deliveries to a channel go, as the messenger sees it. Texts are sentences for the
// administrator, without secrets.
type Checkup struct {
	Wrong       string        // why nothing can arrive until somebody acts: the webhook is gone, or leads elsewhere; empty: it leads to us
	CannotSend  string        // why nothing can be sent until somebody acts: a permission was taken away; empty: not known of any reason
	Late        time.Duration // how long before it said so something may have been Wrong
	Pending     int           // events that wait at the messenger
	LastError   string        // why the latest delivery that failed did; it may have gone well since
	LastErrorAt time.Time     // when that was, by the messenger's clock; zero: none has failed
}

// File is an open attachment.
type File struct {
	io.ReadCloser
	Size int64 // bytes; -1 when unknown
}

// Request is a webhook call, copied out of the web server's buffers.
type Request struct {
	Method string
	Header func(name string) string
	Query  func(name string) string
	Body   []byte
}

// Delivery is what one webhook call or poll brought.
type Delivery struct {
	Events  []Event
	Ignored map[string]int // updates Waggle has no use for, counted by kind ("group", "inline_query")
	// Answer is the body of the 2xx reply where the messenger expects one; nil means an empty JSON object.
	Answer []byte
	// AnswerType is the MIME type of Answer; empty means application/json.
	AnswerType string
}

// EventKind says what an Event reports.
type EventKind string

// The kinds of Event.
const (
	Message EventKind = "message"
	Edit    EventKind = "edit"
	Receipt EventKind = "receipt" // what was sent to the user has arrived or was read; see Event.Receipt
	Echo    EventKind = "echo"    // the messenger shows a message of the account itself; see Event.Echo
	Block   EventKind = "block"   // the user takes no more messages of the account
	Unblock EventKind = "unblock" // he takes them again
	Control EventKind = "control" // another app took, gave or asks for the conversation; see Event.Control
)

// Event is one thing a customer did.
type Event struct {
	Kind EventKind
	// Key makes a repeat recognisable: unique inside the channel's account, the same for each repetition of one event. Where
	// something in it grows from event to event that comes first: an index that is written in one place stays fast when it no
	// longer fits into memory.
	Key string
	// MessageKey, of an Edit only, is the Key its message had: an edit of a message Waggle never got becomes that message.
	MessageKey string
	// Album: messages of one user with the same Album are one message in several pieces, whatever the order they come in; unique
	// as Key is. An edit of a piece names its album too.
	Album       string
	User        User
	MessageID   string // the message's id on the messenger, unique with the user inside the account; an edit names the message it changes
	ReplyTo     string // MessageID this one answers, if any
	Text        string
	Attachments []Attachment
	At          time.Time // the messenger's time, for display only
	// Standby: another app holds the conversation; the message is to be kept and nobody to be asked to answer it.
	Standby bool

	Receipt *ReceiptNote // of a Receipt
	Echo    *EchoNote    // of an Echo
	Control *ControlNote // of a Control
}

// ReceiptNote says how far what was sent to the user has come.
type ReceiptNote struct {
	Read       bool      // read; otherwise delivered
	MessageIDs []string  // of these messages, where the messenger names them
	Until      time.Time // of all that was sent up to this moment of the messenger's clock, where it gives one
}

// EchoNote is a message the account sent.
type EchoNote struct {
	PartKey string // Part.Key, where the messenger gives it back: the part is certainly sent
	App     string // the messenger's name of the app that wrote, if it says
	Bot     bool   // that app writes by itself, as far as the messenger tells; otherwise it may be a person
}

// ControlNote says who may write to the user from now on.
type ControlNote struct {
	Owner ControlOwner
	App   string // the app that holds the conversation or asks for it, if known
}

// ControlOwner is who holds a conversation.
type ControlOwner string

// The owners of a conversation. Asked leaves it with us: another app asks for it.
const (
	OwnedByUs     ControlOwner = "us"
	OwnedByOther  ControlOwner = "other"
	OwnedByNobody ControlOwner = "nobody"
	Asked         ControlOwner = "asked"
)

// User is the customer as the messenger knows him.
type User struct {
	ID       string
	Name     string
	Username string
	Language string
	// Phone and Email are set only where the kind vouches that they are the user's own (Telegram's shared own contact, a
	// company's own messenger): only such values may link a contact of the CRM.
	Phone string
	Email string
}

// Attachment is what a message carries beside its text: a file, a place or a person.
type Attachment struct {
	Kind string `json:"kind"` // photo, document, voice, video, audio, sticker, location, contact
	Name string `json:"name"`
	MIME string `json:"mime,omitempty"`
	Size int64  `json:"size,omitempty"` // bytes; 0 when unknown
	Ref  string `json:"ref,omitempty"`  // of a file: what OpenFile needs; it never leaves Waggle
	ID   string `json:"id,omitempty"`   // of a file: the same each time the messenger shows it; empty: its Ref is

	Place *Place `json:"place,omitempty"` // of a location
	Phone string `json:"phone,omitempty"` // of a contact
}

// Same reports whether two attachments are one file, shown twice.
func (a Attachment) Same(b Attachment) bool {
	if a.ID != "" || b.ID != "" {
		return a.ID == b.ID
	}
	return a.Ref != "" && a.Ref == b.Ref
}

// Place is a point on the Earth, in degrees (WGS 84).
type Place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Part is one send of an agent's message; a long text is several parts.
type Part struct {
	Key     string // our id of this part, the same in each attempt
	UserID  string // the customer's id on the messenger
	Text    string // with a File its caption, where the kind carries one
	ReplyTo string // MessageID of the message this part answers; only the first part carries it
	Attempt int    // how often this part has been tried, with this time; 0: not known
	File    *Upload
}

// Upload is a file an agent sends.
type Upload struct {
	Kind string // photo, document, voice, video, audio: how the messenger should show it
	Name string
	MIME string
	Size int64 // bytes
	// Open streams the content, from its start at each call. The caller closes it.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Sent is the messenger's word that it took a part.
type Sent struct {
	MessageID string
	At        time.Time // by the messenger's clock, that of receipts; zero where the answer does not tell
	// Rest is when the account may send again, where the messenger says that this send used its limit up; zero: at once.
	Rest time.Time
}
