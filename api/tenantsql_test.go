package api

import (
	"testing"

	"github.com/google/uuid"

	"waggle/store/storetest"
)

// scope finds statements of calls that could reach beyond an environment.
type scope struct{ *storetest.Scope }

func newScope(t *testing.T) *scope { return &scope{storetest.NewScope(t, unscoped)} }

// check takes the statements that a call of this environment ran.
func (s *scope) check(environment uuid.UUID, operation string, statements []string) {
	s.Check(environment, operation, statements)
}

func (s *scope) report() { s.Report() }

// unscoped are the statements that need no environment, and why.
var unscoped = map[string]string{
	`^SELECT found\.\*, coalesce\(e\.crm_url`:                                                           "a bearer is looked up by its hash: it says which environment",
	`^SELECT c\.id AS chat_id, c\.environment_id, c\.agent_id`:                                          "to whom an event of chats this call changed may go; each row names its environment",
	`FROM "channels" AS "ch" WHERE \(ch\.kind = \?\) AND \(ch\.account_id = \?\) AND \(ch\.id <> \?\)$`: "an account is in one channel of the installation; that it is elsewhere is all that is told",
	`^SELECT … FROM "channels" AS "ch" WHERE \(ch\.id = \?\) AND \(ch\.kind = \?\)$`:                    "a hook's path names its channel; whose call it is, that channel's own secret proves",
	`FROM "secret_keys" AS "k" WHERE \(revoked_at IS NULL\) AND \(hash = `:                              "Step 1's Secret key is looked up by its hash: who has it may bind it",
	`FROM "environments" AS "e" WHERE \(crm_url = \? OR substr\(`:                                       "whether an origin is any CRM's, before it is known who calls",
	`FROM "environments" AS "e" WHERE \(crm_url = \?\) AND \(id <> OURS\)\)$`:                           "a CRM's address is one environment's; that it is taken is all that is told",
}
