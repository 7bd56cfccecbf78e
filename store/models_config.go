package store

import (
	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Queue is a team of agents with a routing rule.
type Queue struct {
	bun.BaseModel `bun:"table:queues,alias:q"`

	ID             uuid.UUID        `bun:",pk"`
	EnvironmentID  uuid.UUID        `bun:",notnull"`
	Name           string           `bun:",notnull"`
	Rule           chat.RoutingRule `bun:",notnull"`
	TimeoutMinutes *int             `bun:""`
	CreatedAt      Time             `bun:",notnull"`
	DeletedAt      Time             `bun:""`
	CRMPushed      string           `bun:"crm_pushed,notnull"`
}

// AgentGroup gives its members their queue position; the lowest takes first.
type AgentGroup struct {
	bun.BaseModel `bun:"table:agent_groups,alias:g"`

	ID            uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
	Name          string    `bun:",notnull"`
	Position      int       `bun:",notnull"`
	CreatedAt     Time      `bun:",notnull"`
}

// Agent is a CRM user who serves chats.
type Agent struct {
	bun.BaseModel `bun:"table:agents,alias:a"`

	ID            uuid.UUID        `bun:",pk"`
	EnvironmentID uuid.UUID        `bun:",notnull"`
	CRMUserID     string           `bun:"crm_user_id,nullzero"`
	Name          string           `bun:",notnull"`
	Nickname      string           `bun:",notnull"`
	Enabled       bool             `bun:",notnull"`
	Status        chat.AgentStatus `bun:",notnull"`
	StatusAt      Time             `bun:",notnull"`
	HeartbeatAt   Time             `bun:""`
	MaxLoad       *int             `bun:""`
	GroupID       uuid.UUID        `bun:",nullzero"`
	LastTakenAt   Time             `bun:""`
	OpenChats     int              `bun:",notnull"` // those on hold not counted; the database keeps it
	OpenWeight    int              `bun:",notnull"` // the sum of their weights
	CreatedAt     Time             `bun:",notnull"`
	DeletedAt     Time             `bun:""`
}

// Channel is one messenger account. Secrets is sealed; Jobs.OpenChannel gives the clear fields.
type Channel struct {
	bun.BaseModel `bun:"table:channels,alias:ch"`

	ID             uuid.UUID         `bun:",pk"`
	EnvironmentID  uuid.UUID         `bun:",notnull"`
	Kind           string            `bun:",notnull"`
	Name           string            `bun:",notnull"`
	State          chat.ChannelState `bun:",notnull"`
	AccountID      string            `bun:",nullzero"`
	AccountName    string            `bun:",notnull"`
	QueueID        uuid.UUID         `bun:",nullzero"`
	Weight         int               `bun:",notnull"`
	URL            string            `bun:"url,notnull"`
	Receive        string            `bun:",notnull"`
	Fields         map[string]string `bun:",notnull,type:jsonb"`
	Secrets        []byte            `bun:",nullzero"`
	AgentsMayStart bool              `bun:",notnull"`
	CreatedAt      Time              `bun:",notnull"`
	ConnectedAt    Time              `bun:""`
	Version        int64             `bun:",notnull"`
	ReceivingOK    bool              `bun:"receiving_ok,notnull"`
	ReceivingSince Time              `bun:""`
	ReceivingWhy   string            `bun:",notnull"`
	SendingOK      bool              `bun:"sending_ok,notnull"`
	SendingSince   Time              `bun:""`
	SendingWhy     string            `bun:",notnull"`
	SendingToldAt  Time              `bun:""`
	SendRetryAt    Time              `bun:""`
	LastInboundAt  Time              `bun:""`
	Dropped        int64             `bun:",notnull"`
	Ignored        int64             `bun:",notnull"`
	PollOffset     string            `bun:",notnull"`
	PollOwner      string            `bun:",notnull"`
	PollUntil      Time              `bun:""`
	RereadFrom     Time              `bun:""`
	RereadAt       Time              `bun:""`
	RereadDone     Time              `bun:""`
	DeliversAt     Time              `bun:""`
	CheckAt        Time              `bun:""`
	CRMPushed      string            `bun:"crm_pushed,notnull"`
}

// QueueAgent makes an agent a member of a queue.
type QueueAgent struct {
	bun.BaseModel `bun:"table:queue_agents,alias:qa"`

	QueueID       uuid.UUID `bun:",pk"`
	AgentID       uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
}

// AgentChannel lets an agent serve a channel.
type AgentChannel struct {
	bun.BaseModel `bun:"table:agent_channels,alias:ac"`

	AgentID       uuid.UUID `bun:",pk"`
	ChannelID     uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
}

// Contact is a person. CRMRef is his contact in the CRM once that is known.
type Contact struct {
	bun.BaseModel `bun:"table:contacts,alias:co"`

	ID            uuid.UUID   `bun:",pk"`
	EnvironmentID uuid.UUID   `bun:",notnull"`
	Name          string      `bun:",notnull"`
	Phone         string      `bun:",notnull"`
	Email         string      `bun:",notnull"`
	CreatedAt     Time        `bun:",notnull"`
	CRMRef        uuid.UUID   `bun:"crm_ref,nullzero"`
	CRMOwn        bool        `bun:"crm_own,notnull"`
	CRMCandidates []uuid.UUID `bun:"crm_candidates,nullzero,type:jsonb"`
	CRMPushed     string      `bun:"crm_pushed,notnull"`
	CRMError      string      `bun:"crm_error,notnull"`
}

// Identity is a person on one channel.
type Identity struct {
	bun.BaseModel `bun:"table:identities,alias:i"`

	ID            uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
	ChannelID     uuid.UUID `bun:",notnull"`
	ExternalID    string    `bun:",notnull"`
	ContactID     uuid.UUID `bun:",notnull"`
	Name          string    `bun:",notnull"`
	Username      string    `bun:",notnull"`
	Language      string    `bun:",notnull"`
	CreatedAt     Time      `bun:",notnull"`
	BlockedAt     Time      `bun:""` // since when he takes no messages of the channel
	// Up to when, by the messenger's clock, all that was sent to him has arrived, and was read.
	DeliveredUntil Time   `bun:""`
	ReadUntil      Time   `bun:""`
	CRMPushed      string `bun:"crm_pushed,notnull"`
	CRMError       string `bun:"crm_error,notnull"`
	ProfileAt      Time   `bun:""`
	ProfileTries   int    `bun:",notnull"`
}
