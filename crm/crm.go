// Package crm is the contract between Waggle and the CRMs: checking a connection, reading users and settings, and pushing
// chats outwards. Every CRM lives in a folder of its own below this one and is registered by one line in app.
package crm

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Auth names a way of authorization at the CRM.
type Auth string

// The ways of authorization. APIKey sends the environment's API key to a CRM package that takes it; OAuth is the CRM's own
// client where there is no such package; Login is deprecated (S0.17).
const (
	Login  Auth = "login"
	APIKey Auth = "api_key"
	OAuth  Auth = "oauth"
)

// Connection is one environment's way into its CRM. Equal connections share one session.
type Connection struct {
	Environment  uuid.UUID
	URL          string // root of the site, without /0 and without a trailing slash
	Prefix       string // "/0", "" or "?" where it must be found out
	Auth         Auth
	Login        string
	Password     string
	APIKey       string
	IdentityURL  string
	ClientID     string
	ClientSecret string
}

// Adapter is one kind of CRM. Its methods are safe for concurrent use and keep every call inside ctx's deadline. Their
// errors are *Error.
type Adapter interface {
	Kind() string // "creatio"
	// Check signs in and says what the CRM shows of the account. A wrong password is an *Error with Refused.
	Check(ctx context.Context, c Connection) (Site, error)
	// Users returns the active users, chatbots not among them.
	Users(ctx context.Context, c Connection) ([]User, error)
	// Settings returns the CRM's values of the system settings Waggle knows, by the CRM's code; missing ones are left out. It is
	// nil where the CRM shows none at all.
	Settings(ctx context.Context, c Connection) (map[string]string, error)
	// FindContact looks for the CRM contact of an identity: by the identity first, then by phone or e-mail.
	FindContact(ctx context.Context, c Connection, l Lookup) (Found, error)
	// Push brings the CRM's records to what p says: it creates what is missing, corrects what differs and leaves alone what
	// is right, so that any repetition is harmless. Parents come before children. The Result has an Outcome for each record
	// that was proven or refused; one without an Outcome is unknown. The error, if any, says why the push stopped; the
	// Result is valid beside it.
	Push(ctx context.Context, c Connection, p Push) (Result, error)
}

// Site is what Check found out.
type Site struct {
	Prefix        string // "/0" or ""
	Version       string // empty where the CRM does not say
	Administrator bool   // the account belongs to the system administrators; true for APIKey and OAuth, which have no user
}

// User is a CRM user who may become an agent.
type User struct {
	ID   string
	Name string
}

// Lookup is what is known of a person before his contact is found.
type Lookup struct {
	ChannelID  uuid.UUID // the channel's id in the CRM
	ExternalID string    // the person's id on the messenger
	Phone      string    // normalised, vouched for; may be empty
	Email      string    // normalised, vouched for; may be empty
}

// Found is the result of FindContact. Linked is the contact to use; Candidates are several that fit equally well, of which
// none may be taken on a guess.
type Found struct {
	Linked     uuid.UUID // zero: none, or several
	Candidates []uuid.UUID
}

// Push is a set of records in their wanted state. Ids are the ids in the CRM.
type Push struct {
	Channels   []Channel
	Queues     []Queue
	Contacts   []Contact
	Identities []Identity
	Chats      []Chat
	Messages   []Message // in timeline order inside each chat
}

// Channel is a channel's record.
type Channel struct {
	ID      uuid.UUID
	Name    string
	Kind    string
	QueueID uuid.UUID // zero: none
	Active  bool
}

// Queue is a queue's record.
type Queue struct {
	ID             uuid.UUID
	Name           string
	ToAll          bool // the routing rule is "To all agents"
	TimeoutMinutes int  // 0: none
}

// Contact is a person's record. Existing contacts of the CRM are linked, never overwritten: only a contact made by Waggle
// (Own) is created or corrected.
type Contact struct {
	ID    uuid.UUID
	Own   bool
	Name  string
	Phone string
	Email string
}

// Identity links a contact to a person on one channel.
type Identity struct {
	ID         uuid.UUID
	ContactID  uuid.UUID
	ChannelID  uuid.UUID
	ExternalID string
}

// ChatStatus is a chat's state in the CRM.
type ChatStatus string

// The states of a chat in the CRM. Waiting lasts until an agent has accepted.
const (
	Waiting       ChatStatus = "waiting"
	InProgress    ChatStatus = "in_progress"
	Completed     ChatStatus = "completed"
	BotProcessing ChatStatus = "bot_processing"
)

// Chat is a chat's record. Zero times are not set.
type Chat struct {
	ID            uuid.UUID
	Name          string // Chat-<number>
	Status        ChatStatus
	ContactID     uuid.UUID
	ChannelID     uuid.UUID
	QueueID       uuid.UUID // zero: none
	OperatorID    string    // the agent's CRM user id; empty: none
	Preview       string    // beginning of the last message
	LastIncoming  bool      // the last message is the client's
	Unprocessed   int       // client messages since our last one
	StartedAt     time.Time
	AcceptedAt    time.Time
	ClosedAt      time.Time
	CloseReason   string
	FirstReply    time.Duration // 0: not yet answered
	TotalDuration time.Duration // 0: not yet closed
}

// Message is one message's record.
type Message struct {
	ID        uuid.UUID
	ChatID    uuid.UUID
	ChannelID uuid.UUID
	Incoming  bool
	Text      string // final text, links to attachments included
	Sender    string
	Recipient string
	CreatedAt time.Time // strictly increasing inside a chat, millisecond steps
}

// Outcome is what became of one record.
type Outcome struct {
	Proven bool   // the CRM has the record as wanted
	Reason string // why the CRM refuses it for good; without secrets and message texts
}

// Result maps a record's id to what became of it. Identities, chats and so on never share an id.
type Result map[uuid.UUID]Outcome
