package store

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Environment is one CRM installation: the tenant. Zero numbers of the nullable columns are pointers, so that "not set"
// differs from 0.
type Environment struct {
	bun.BaseModel `bun:"table:environments,alias:e"`

	ID                   uuid.UUID       `bun:",pk"`
	CreatedAt            Time            `bun:",notnull"`
	CRMKind              string          `bun:"crm_kind,notnull"`
	CRMURL               string          `bun:"crm_url,nullzero"`
	CRMPrefix            string          `bun:"crm_prefix,notnull"`
	PublicURL            string          `bun:"public_url,notnull"`
	Auth                 string          `bun:",notnull"`
	Login                string          `bun:",notnull"`
	IdentityURL          string          `bun:",notnull"`
	ClientID             string          `bun:",notnull"`
	Secrets              []byte          `bun:",nullzero"`
	APIKeyHash           []byte          `bun:"api_key_hash,nullzero"`
	APIKeyHint           string          `bun:"api_key_hint,notnull"`
	OldAPIKeyHash        []byte          `bun:"old_api_key_hash,nullzero"`
	OldAPIKeyUntil       Time            `bun:"old_api_key_until"`
	WizardStep           int             `bun:",notnull"`
	WizardRevision       int             `bun:",notnull"`
	ConfiguredAt         Time            `bun:""`
	CloseOn              bool            `bun:",notnull"`
	CloseMinutes         *int            `bun:""`
	TransferOn           bool            `bun:",notnull"`
	TransferMinutes      *int            `bun:""`
	ChatsEnabled         bool            `bun:",notnull"`
	ChatsEnabledAt       Time            `bun:""`
	Display              string          `bun:",notnull"`
	SimultaneousChats    *int            `bun:""`
	AcceptTimeoutMinutes *int            `bun:""`
	BotTimeoutMinutes    *int            `bun:""`
	SiteURL              string          `bun:"site_url,notnull"`
	LoginURL             string          `bun:"login_url,notnull"`
	LoginClientID        string          `bun:"login_client_id,notnull"`
	CRMSettings          json.RawMessage `bun:"crm_settings,nullzero,type:jsonb"`
	CRMSettingsAt        Time            `bun:"crm_settings_at"`
	CRMVersion           string          `bun:"crm_version,notnull"`
	CRMState             string          `bun:"crm_state,notnull"`
	CRMError             string          `bun:"crm_error,notnull"`
	CRMSince             Time            `bun:"crm_since"`
	CRMFailures          int             `bun:"crm_failures,notnull"`
	CRMRetryAt           Time            `bun:"crm_retry_at"`
	SyncNeeded           bool            `bun:",notnull"`
}

// The states of an environment's connection to its CRM.
const (
	CRMUnchecked   = "unchecked"   // not yet connected, or saved and not yet synchronized (b35)
	CRMOK          = "ok"          // the last push or check succeeded
	CRMUnavailable = "unavailable" // CRMRetryAt says when it is probed
	CRMRefused     = "refused"     // the credentials are refused: no probe, the administrator must act
)

// SecretKey is a token of the vendor that opens one environment. The key itself is never kept, only its hash.
type SecretKey struct {
	bun.BaseModel `bun:"table:secret_keys,alias:k"`

	ID            uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
	Hash          []byte    `bun:",notnull"`
	Hint          string    `bun:",notnull"`
	Source        string    `bun:",notnull"` // operator, request
	Company       string    `bun:",notnull"`
	Phone         string    `bun:",notnull"`
	Email         string    `bun:",notnull"`
	IssuedAt      Time      `bun:",notnull"`
	ExpiresAt     Time      `bun:""`
	RevokedAt     Time      `bun:""`
}

// Session is a short-lived token of a browser, with its user's rights.
type Session struct {
	bun.BaseModel `bun:"table:sessions,alias:s"`

	ID            uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
	Hash          []byte    `bun:",notnull"`
	Role          chat.Role `bun:",notnull"`
	AgentID       uuid.UUID `bun:",nullzero"`
	CRMUserID     string    `bun:"crm_user_id,notnull"`
	IssuedAt      Time      `bun:",notnull"`
	ExpiresAt     Time      `bun:",notnull"`
	RevokedAt     Time      `bun:""`
}

// Process is one running or cancelled schedule of a background process for one environment.
type Process struct {
	bun.BaseModel `bun:"table:processes,alias:p"`

	ID            uuid.UUID        `bun:",pk"`
	EnvironmentID uuid.UUID        `bun:",notnull"`
	Name          chat.ProcessName `bun:",notnull"`
	State         string           `bun:",notnull"` // running, canceled
	Revision      int              `bun:",notnull"`
	StartedAt     Time             `bun:",notnull"`
	CanceledAt    Time             `bun:""`
	LastRunAt     Time             `bun:""`
	NextRunAt     Time             `bun:""`
	Runs          int64            `bun:",notnull"`
	Affected      int64            `bun:",notnull"`
	LastError     string           `bun:",notnull"`
}

// The states of a Process.
const (
	ProcessRunning  = "running"
	ProcessCanceled = "canceled"
)

// Job is a longer piece of work with progress: Synchronize.
type Job struct {
	bun.BaseModel `bun:"table:jobs,alias:j"`

	ID            uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
	Kind          string    `bun:",notnull"`
	State         string    `bun:",notnull"`
	Phase         string    `bun:",notnull"`
	Position      string    `bun:",notnull"`
	Done          int64     `bun:",notnull"`
	Total         int64     `bun:",notnull"`
	Failed        int64     `bun:",notnull"`
	Error         string    `bun:",notnull"`
	CreatedAt     Time      `bun:",notnull"`
	StartedAt     Time      `bun:""`
	FinishedAt    Time      `bun:""`
	Owner         string    `bun:",notnull"`
	UntilAt       Time      `bun:""`
	Fence         int64     `bun:",notnull"`
}

// The states of a Job, and its one kind.
const (
	JobPending  = "pending"
	JobRunning  = "running"
	JobDone     = "done"
	JobFailed   = "failed"
	JobCanceled = "canceled"

	JobSynchronize = "synchronize"
)
