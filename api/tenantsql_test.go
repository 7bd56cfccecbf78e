package api

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// scope finds statements that could reach beyond an environment.
type scope struct {
	t      *testing.T
	tables map[string]bool // that hold rows of tenants
	seen   int
	found  map[string]string
}

// shared are the tables without a tenant.
var shared = map[string]string{
	"clock": "one row: the installation's clock", "leaders": "which process schedules", "receivers": "which processes take deliveries", "counters": "one row: the next chat's number",
}

// unscoped are the statements that need no environment, and why.
var unscoped = map[string]string{
	`^SELECT found\.\*, coalesce\(e\.crm_url`:                                                                          "a bearer is looked up by its hash: it says which environment",
	`^SELECT c\.id AS chat_id, c\.environment_id, c\.agent_id`:                                                         "to whom an event of chats this call changed may go; each row names its environment",
	`FROM "channels" AS "ch" WHERE \(ch\.kind = '[^']*'\) AND \(ch\.account_id = '[^']*'\) AND \(ch\.id <> '[^']*'\)$`: "an account is in one channel of the installation; that it is elsewhere is all that is told",
	`FROM "secret_keys" AS "k" WHERE \(revoked_at IS NULL\) AND \(hash = `:                                             "Step 1's Secret key is looked up by its hash: who has it may bind it",
	`FROM "environments" AS "e" WHERE \(id = '[^']*'\) AND \(crm_url IS NULL\) AND \(api_key_hash IS NULL\)\)$`:        "whether that key is bound to nothing yet",
	`FROM "environments" AS "e" WHERE \(crm_url = '[^']*' OR substr\(`:                                                 "whether an origin is any CRM's, before it is known who calls",
	`FROM "environments" AS "e" WHERE \(crm_url = '[^']*'\) AND \(id <> '[^']*'\)\)$`:                                  "a CRM's address is one environment's; that it is taken is all that is told",
}

var (
	tableMade = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\);`)
	tableUsed = regexp.MustCompile(`(?i)\b(?:from|join|into|update)\s+"?(\w+)"?`)
	spaces    = regexp.MustCompile(`\s+`)
)

// newScope reads the schema: every table is a tenant's or listed as shared.
func newScope(t *testing.T) *scope {
	t.Helper()
	s := &scope{t: t, tables: map[string]bool{"environments": true}, found: map[string]string{}}
	files, err := filepath.Glob("../migrations/common/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range tableMade.FindAllStringSubmatch(string(text), -1) {
			switch {
			case regexp.MustCompile(`(?m)^\s+environment_id\s+uuid NOT NULL`).MatchString(m[2]):
				s.tables[m[1]] = true
			case m[1] != "environments":
				require.Contains(t, shared, m[1], "a table without environment_id")
			}
		}
	}
	require.Greater(t, len(s.tables), 15)
	return s
}

// check takes the statements that a call of this environment ran.
func (s *scope) check(environment uuid.UUID, operation string, statements []string) {
	for _, q := range statements {
		q = spaces.ReplaceAllString(q, " ")
		if s.ofTenants(q) {
			s.seen++
			if !names(q, environment) && !allowed(q) {
				s.found[shape(q)] = operation
			}
		}
	}
}

func (s *scope) ofTenants(q string) bool {
	for _, m := range tableUsed.FindAllStringSubmatch(q, -1) {
		if s.tables[strings.ToLower(m[1])] {
			return true
		}
	}
	return false
}

// names reports whether a statement is bound to an environment: its row, a row's new environment_id, or a condition.
func names(q string, environment uuid.UUID) bool {
	id := regexp.QuoteMeta("'" + environment.String() + "'")
	if strings.HasPrefix(q, "INSERT") && regexp.MustCompile(id).MatchString(q) {
		return true
	}
	if regexp.MustCompile(`\benvironment_id"?\)? = ` + id).MatchString(q) {
		return true
	}
	return strings.Contains(q, `"environments"`) && regexp.MustCompile(`\bid"? = `+id).MatchString(q)
}

func allowed(q string) bool {
	for form := range unscoped {
		if regexp.MustCompile(form).MatchString(q) {
			return true
		}
	}
	return false
}

// shape is a statement without its values.
func shape(q string) string {
	return regexp.MustCompile(`'[^']*'|\b\d+\b`).ReplaceAllString(q, "?")
}

func (s *scope) report() {
	s.t.Helper()
	require.Empty(s.t, s.found, "statements without their environment, and an operation that runs each")
}
