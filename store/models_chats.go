package store

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

// Chat is one dialogue with the facts the rules read. Its columns are explained in the schema.
type Chat struct {
	bun.BaseModel `bun:"table:chats,alias:c"`

	ID                uuid.UUID        `bun:",pk"`
	EnvironmentID     uuid.UUID        `bun:",notnull"`
	Number            int64            `bun:",notnull"`
	ChannelID         uuid.UUID        `bun:",notnull"`
	QueueID           uuid.UUID        `bun:",nullzero"`
	IdentityID        uuid.UUID        `bun:",notnull"`
	UserID            string           `bun:",notnull"`
	ContactID         uuid.UUID        `bun:",notnull"`
	Weight            int              `bun:",notnull"`
	OpenedAt          Time             `bun:",notnull"`
	HeldReason        string           `bun:",nullzero"`
	AgentID           uuid.UUID        `bun:",nullzero"`
	AssignedAt        Time             `bun:""`
	AcceptedAt        Time             `bun:""`
	AssignmentVersion int64            `bun:",notnull"`
	OnHold            bool             `bun:",notnull"`
	ClosedAt          Time             `bun:""`
	CloseReason       string           `bun:",notnull"`
	ClosedBy          uuid.UUID        `bun:",nullzero"`
	Reopened          int              `bun:",notnull"`
	LastSeq           int64            `bun:",notnull"`
	LastDirection     chat.Direction   `bun:",notnull"`
	LastMessageAt     Time             `bun:""`
	LastMessageDay    Time             `bun:""` // dayOf LastMessageAt
	UnansweredSince   Time             `bun:""`
	AnsweredFrom      Time             `bun:""`
	FirstReplyAt      Time             `bun:""`
	ClosingSince      Time             `bun:""`
	AgentDueSince     Time             `bun:""`
	LookAt            int64            `bun:",notnull"`
	TransferWhy       string           `bun:",notnull"`
	ThreadOwner       chat.ThreadOwner `bun:",notnull"`
	ThreadApp         string           `bun:",notnull"`
	ThreadSince       Time             `bun:""`
	BotDueSince       Time             `bun:""`
	ThreadWish        chat.ThreadWish  `bun:",notnull"`
	ThreadDueAt       Time             `bun:""`
	ThreadTries       int              `bun:",notnull"`
	CRMSeq            int64            `bun:"crm_seq,notnull"`
	CRMVersion        int64            `bun:"crm_version,notnull"`
	CRMDueAt          Time             `bun:"crm_due_at"`
	CRMOwner          string           `bun:"crm_owner,notnull"`
	CRMUntil          Time             `bun:"crm_until"`
	CRMFence          int64            `bun:"crm_fence,notnull"`
	CRMFailures       int              `bun:"crm_failures,notnull"`
	CRMError          string           `bun:"crm_error,notnull"`
	CRMPushed         string           `bun:"crm_pushed,notnull"`
	OutSeq            int64            `bun:",notnull"`
	OutVersion        int64            `bun:",notnull"`
	OutRefused        int64            `bun:",notnull"`
	OutDueAt          Time             `bun:""`
	OutOwner          string           `bun:",notnull"`
	OutUntil          Time             `bun:""`
	OutFence          int64            `bun:",notnull"`
}

// Status derives what people call the chat's state from its facts.
func (c *Chat) Status() chat.Status {
	switch {
	case !c.ClosedAt.IsZero():
		return chat.Closed
	case c.HeldReason != "":
		return chat.Held
	case c.Elsewhere():
		return chat.BotProcessing
	case c.OnHold:
		return chat.OnHold
	case c.AgentID == uuid.Nil:
		return chat.Waiting
	case c.AcceptedAt.IsZero():
		return chat.Assigned
	default:
		return chat.InProgress
	}
}

// Thread is who holds the chat's conversation, as the chat knows it.
func (c *Chat) Thread() chat.Thread { return chat.Thread{Owner: c.ThreadOwner, App: c.ThreadApp} }

// Elsewhere reports whether another app holds the chat's conversation.
func (c *Chat) Elsewhere() bool { return c.Thread().Elsewhere() }

// Entry is one numbered thing that happened in a chat. A message keeps its first text; edits are entries of their own.
type Entry struct {
	bun.BaseModel `bun:"table:timeline,alias:t"`

	ID            uuid.UUID             `bun:",pk"`
	EnvironmentID uuid.UUID             `bun:",notnull"`
	ChatID        uuid.UUID             `bun:",notnull"`
	Seq           int64                 `bun:",notnull"`
	Kind          chat.EntryKind        `bun:",notnull"`
	At            Time                  `bun:",notnull"`
	Direction     chat.Direction        `bun:",notnull"`
	Author        chat.Author           `bun:",notnull"`
	AgentID       uuid.UUID             `bun:",nullzero"`
	Text          string                `bun:",notnull"`
	TargetID      uuid.UUID             `bun:",nullzero"`
	ReplyTo       uuid.UUID             `bun:",nullzero"`
	Attachments   []channels.Attachment `bun:",nullzero,type:jsonb"`
	Data          json.RawMessage       `bun:",nullzero,type:jsonb"`
	State         chat.MessageState     `bun:",notnull"`
	Error         string                `bun:",notnull"`
	ChannelID     uuid.UUID             `bun:",nullzero"`
	AccountID     string                `bun:",nullzero"`
	EventKey      string                `bun:",nullzero"`
	ExternalID    string                `bun:",nullzero"`
	ProviderAt    Time                  `bun:""`
	CRMError      string                `bun:"crm_error,notnull"`
}

// ThreadRow is who holds a conversation of a channel, by the messenger's latest word. Its columns are explained in the schema.
type ThreadRow struct {
	bun.BaseModel `bun:"table:threads,alias:th"`

	ChannelID     uuid.UUID        `bun:",pk"`
	ExternalID    string           `bun:",pk"`
	EnvironmentID uuid.UUID        `bun:",notnull"`
	Owner         chat.ThreadOwner `bun:",notnull"`
	App           string           `bun:",notnull"`
	At            Time             `bun:",notnull"`
}

// Part is one planned send of an outgoing message. Its ID is the part's key towards the messenger.
type Part struct {
	bun.BaseModel `bun:"table:parts,alias:pt"`

	ID            uuid.UUID      `bun:",pk"`
	EnvironmentID uuid.UUID      `bun:",notnull"`
	ChatID        uuid.UUID      `bun:",notnull"`
	MessageID     uuid.UUID      `bun:",notnull"`
	N             int            `bun:",notnull"`
	Text          string         `bun:",notnull"`  // of a file: its caption
	FileID        uuid.UUID      `bun:",nullzero"` // the file it carries
	ReplyTo       string         `bun:",notnull"`
	State         chat.PartState `bun:",notnull"`
	Attempts      int            `bun:",notnull"`
	AttemptedAt   Time           `bun:""`
	SentAt        Time           `bun:""`
	ExternalID    string         `bun:",nullzero"`
	Error         string         `bun:",notnull"`
}
