package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// LookAt says where a hint points.
type LookAt string

// Where a hint may point.
const (
	LookOut         LookAt = "out"         // lanes to the messengers are due
	LookCRM         LookAt = "crm"         // lanes to the environment's CRM are due
	LookRoute       LookAt = "route"       // chats wait, or someone got room
	LookMedia       LookAt = "media"       // files of the environment are to be fetched
	LookSynchronize LookAt = "synchronize" // a job was started
	LookThreads     LookAt = "threads"     // something is wished about a conversation
)

// Look tells the workers that there is something to do. It never says what: that is a fact in SQL.
type Look struct {
	At          LookAt
	Environment uuid.UUID
}

// Event is a hint to a browser to fetch something again. It carries no content.
type Event struct {
	Type        string    `json:"type"` // chat, message, agent, channel, queue, process, job, configuration, failure, alert, resync
	Environment uuid.UUID `json:"-"`
	ID          uuid.UUID `json:"id,omitzero"`      // of what changed
	ChatID      uuid.UUID `json:"chat_id,omitzero"` // of a message
	AgentID     uuid.UUID `json:"-"`                // only this agent and the administrators need to know; zero: everyone
	QueueID     uuid.UUID `json:"-"`                // only agents of this queue (and administrators) may know; zero: see AgentID
	Detail      string    `json:"detail,omitempty"`
	ExpectedAt  time.Time `json:"expected_at,omitzero"` // when a chat's waiting message should be sent
	SameRoom    bool      `json:"-"`                    // of a chat: nobody has more or less room by it
}

// Hints carries hints between processes. Fail open: a lost hint costs latency until the next sweep, nothing else, so the
// methods return no error, never block for long and are called after the commit.
type Hints interface {
	Look(l Look)
	Publish(e Event)
	// Subscribe gives an environment's events until ctx ends. After any gap the next event is a resync. All who listen get the
	// same one, so that nobody may change it: a stream that lags behind keeps no copies.
	Subscribe(ctx context.Context, environment uuid.UUID) <-chan *Event
}
