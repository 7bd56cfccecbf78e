package storetest

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/migrations"
)

// Scope finds statements that could reach beyond an environment.
type Scope struct {
	t       testing.TB
	tables  map[string]bool // that hold rows of tenants
	allowed map[*regexp.Regexp]string
	used    map[*regexp.Regexp]bool
	seen    map[string]bool
	found   map[string]string
}

// shared are the tables without a tenant.
var shared = map[string]string{
	"clock": "one row: the installation's clock", "leaders": "which process schedules", "receivers": "which processes take deliveries", "counters": "one row: the next chat's number",
}

var (
	tableMade = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\);`)
	ofTenant  = regexp.MustCompile(`(?m)^\s+environment_id\s+uuid NOT NULL`)
)

// NewScope reads the schema: every table is a tenant's or listed as shared. allowed are the forms of statements that need no
// environment, as Check shows them, and why.
func NewScope(t testing.TB, allowed map[string]string) *Scope {
	t.Helper()
	s := &Scope{
		t: t, tables: map[string]bool{"environments": true}, allowed: map[*regexp.Regexp]string{}, used: map[*regexp.Regexp]bool{},
		seen: map[string]bool{}, found: map[string]string{},
	}
	for form, why := range allowed {
		s.allowed[regexp.MustCompile(form)] = why
	}
	files, err := fs.Glob(migrations.Common, "common/*.sql")
	require.NoError(t, err)
	for _, f := range files {
		text, err := migrations.Common.ReadFile(f)
		require.NoError(t, err)
		for _, m := range tableMade.FindAllStringSubmatch(string(text), -1) {
			switch {
			case ofTenant.MatchString(m[2]):
				s.tables[m[1]] = true
			case m[1] != "environments":
				require.Contains(t, shared, m[1], "a table without environment_id")
			}
		}
	}
	require.Greater(t, len(s.tables), 15)
	return s
}

// Check takes the statements that what was done for an environment has run.
func (s *Scope) Check(environment uuid.UUID, what string, statements []string) {
	for _, q := range statements {
		q = bare(q, environment)
		all := queries(q)
		if !s.touches(all) {
			continue
		}
		s.seen[q] = true
		if !s.names(all) && !s.mayReach(q) {
			s.found[q] = what
		}
	}
}

// Report requires that every statement named its environment or is allowed not to.
func (s *Scope) Report() {
	s.t.Helper()
	for q, what := range s.found {
		assert.Fail(s.t, "a statement without its environment", "%s: %s", what, q)
	}
}

// Saw requires that there were so many different statements, and that nothing is allowed that nobody runs.
func (s *Scope) Saw(atLeast int) {
	s.t.Helper()
	require.GreaterOrEqual(s.t, len(s.seen), atLeast, "statements that were seen")
	for form, why := range s.allowed {
		require.True(s.t, s.used[form], "nobody runs %s (%s)", form, why)
	}
}

func (s *Scope) mayReach(q string) bool {
	for form := range s.allowed {
		if form.MatchString(q) {
			s.used[form] = true
			return true
		}
	}
	return false
}

var (
	literals = regexp.MustCompile(`'(?:[^']|'')*'`)
	numbers  = regexp.MustCompile(`\b\d+\b`)
	lists    = regexp.MustCompile(`\?(?:, \?)+`)
	columns  = regexp.MustCompile(`"\w+"\."\w+"(?:, "\w+"\."\w+")+`)
	spaces   = regexp.MustCompile(`\s+`)
)

// bare is a statement without its values but for the environment, which is OURS, and without long lists of columns.
func bare(q string, environment uuid.UUID) string {
	q = literals.ReplaceAllStringFunc(q, func(value string) string {
		if strings.Contains(value, environment.String()) {
			return "OURS"
		}
		return "?"
	})
	q = columns.ReplaceAllString(q, "…")
	return strings.TrimSpace(lists.ReplaceAllString(spaces.ReplaceAllString(numbers.ReplaceAllString(q, "?"), " "), "?"))
}

// query is one query of a statement, without those in it; the parts of a union are queries of their own.
type query struct {
	text  strings.Builder
	inner []*query
}

var beginsQuery = regexp.MustCompile(`^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b`)

// queries takes a statement apart.
func queries(q string) []*query {
	var top query
	type level struct {
		of, in *query // whose union it is part of, and what it belongs to
		nested bool
	}
	begin := func(in *query) *query {
		part := &query{}
		in.inner = append(in.inner, part)
		return part
	}
	now := level{of: begin(&top), in: &top, nested: true}
	var outer []level
	for i := range len(q) {
		switch {
		case q[i] == '(':
			outer = append(outer, now)
			if now.nested = beginsQuery.MatchString(q[i+1:]); now.nested {
				now.in = now.of
				now.of = begin(now.in)
				continue
			}
		case q[i] == ')' && len(outer) > 0:
			nested := now.nested
			was := now.of
			now, outer = outer[len(outer)-1], outer[:len(outer)-1]
			if !nested {
				now.of = was
			}
			now.of.text.WriteString(" ")
		case strings.HasPrefix(q[i:], "UNION "):
			now.of = begin(now.in)
		}
		now.of.text.WriteByte(q[i])
	}
	return top.inner
}

var tableUsed = regexp.MustCompile(`(?i)\b(?:from|join|into|update)\s+"?(\w+)"?`)

// uses reports whether a query itself is on a table of tenants.
func (s *Scope) uses(q *query) bool {
	for _, m := range tableUsed.FindAllStringSubmatch(q.text.String(), -1) {
		if s.tables[strings.ToLower(m[1])] {
			return true
		}
	}
	return false
}

func (s *Scope) touches(all []*query) bool {
	for _, q := range all {
		if s.uses(q) || s.touches(q.inner) {
			return true
		}
	}
	return false
}

// names reports whether every outermost query on a table of tenants is bound to the environment. What is within such a one only
// says which of its rows are meant.
func (s *Scope) names(all []*query) bool {
	for _, q := range all {
		if s.uses(q) && !bound(q.text.String()) || !s.uses(q) && !s.names(q.inner) {
			return false
		}
	}
	return true
}

var (
	condition = regexp.MustCompile(`\benvironment_id"?\s*\)? = OURS`)
	itsRow    = regexp.MustCompile(`\bid"? = OURS`)
	ofEnv     = regexp.MustCompile(`(?i)\b(?:from|update)\s+"?environments\b`)
)

// bound reports whether a query is bound to the environment: by a condition, its own row, or a row's new environment_id.
func bound(q string) bool {
	return condition.MatchString(q) || ofEnv.MatchString(q) && itsRow.MatchString(q) || strings.HasPrefix(q, "INSERT") && strings.Contains(q, "OURS")
}
