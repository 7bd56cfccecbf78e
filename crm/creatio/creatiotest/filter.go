package creatiotest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// predicate answers whether a row passes a $filter.
type predicate func(Row) bool

var tokens = regexp.MustCompile(`^\s*(?:('(?:[^']|'')*')|([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})|(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))|(-?\d+)|([A-Za-z_][A-Za-z0-9_/]*)|([(),]))`)

type tokenKind int

const (
	tokString tokenKind = iota + 1
	tokGUID
	tokDate
	tokNumber
	tokWord
	tokMark
)

type token struct {
	kind tokenKind
	text string
}

// filterParser reads the part of OData's $filter language that Creatio's
// clients need: eq ne gt ge lt le, and, or, not, parentheses, contains,
// startswith, endswith.
type filterParser struct {
	db     *database
	schema *schema
	tokens []token
}

// parseFilter compiles a $filter on s. GUID literals are unquoted, strings are
// quoted with ' doubled, lookups are addressed by navigation path
// (wire/creatio.md §3, "Rules proven").
func (db *database) parseFilter(s *schema, filter string) (predicate, error) {
	p := &filterParser{db: db, schema: s}
	rest := filter
	for strings.TrimSpace(rest) != "" {
		m := tokens.FindStringSubmatch(rest)
		if m == nil {
			return nil, syntaxError(filter)
		}
		for kind := tokString; kind <= tokMark; kind++ {
			if m[kind] != "" {
				p.tokens = append(p.tokens, token{kind, m[kind]})
			}
		}
		rest = rest[len(m[0]):]
	}
	pred, err := p.or()
	if err != nil {
		return nil, err
	}
	if len(p.tokens) > 0 {
		return nil, syntaxError(filter)
	}
	return pred, nil
}

func syntaxError(filter string) error {
	return badRequest("The query specified in the URI is not valid. Syntax error in '" + filter + "'.")
}

func (p *filterParser) next() token {
	if len(p.tokens) == 0 {
		return token{}
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *filterParser) takeWord(word string) bool {
	if len(p.tokens) > 0 && p.tokens[0] == (token{tokWord, word}) {
		p.next()
		return true
	}
	return false
}

func (p *filterParser) expectMark(mark string) error {
	if t := p.next(); t != (token{tokMark, mark}) {
		return syntaxError(mark + " expected, found " + t.text)
	}
	return nil
}

func (p *filterParser) or() (predicate, error) {
	left, err := p.and()
	for err == nil && p.takeWord("or") {
		var right predicate
		l := left
		right, err = p.and()
		left = func(r Row) bool { return l(r) || right(r) }
	}
	return left, err
}

func (p *filterParser) and() (predicate, error) {
	left, err := p.term()
	for err == nil && p.takeWord("and") {
		var right predicate
		l := left
		right, err = p.term()
		left = func(r Row) bool { return l(r) && right(r) }
	}
	return left, err
}

func (p *filterParser) term() (predicate, error) {
	if p.takeWord("not") {
		inner, err := p.term()
		return func(r Row) bool { return !inner(r) }, err
	}
	t := p.next()
	switch {
	case t == token{tokMark, "("}:
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.expectMark(")")
	case t.kind != tokWord:
		return nil, syntaxError(t.text)
	case textFunctions[t.text] != nil:
		return p.function(textFunctions[t.text])
	}
	return p.comparison(t.text)
}

var textFunctions = map[string]func(s, part string) bool{
	"contains": strings.Contains, "startswith": strings.HasPrefix, "endswith": strings.HasSuffix,
}

func (p *filterParser) function(match func(s, part string) bool) (predicate, error) {
	if err := p.expectMark("("); err != nil {
		return nil, err
	}
	get, col, err := p.db.path(p.schema, p.next().text)
	if err != nil {
		return nil, err
	}
	if err := p.expectMark(","); err != nil {
		return nil, err
	}
	literal := p.next()
	if literal.kind != tokString || col.typ != typeText {
		return nil, badRequest("No function signature for a text function matches the specified arguments.")
	}
	part := unquote(literal.text)
	return func(r Row) bool {
		s, _ := get(r).(string)
		return match(s, part)
	}, p.expectMark(")")
}

func (p *filterParser) comparison(path string) (predicate, error) {
	get, col, err := p.db.path(p.schema, path)
	if err != nil {
		return nil, err
	}
	op := p.next().text
	accept, known := comparisons[op]
	if !known {
		return nil, syntaxError(op)
	}
	want, err := literalFor(col, p.next())
	if err != nil {
		return nil, err
	}
	return func(r Row) bool { return accept(compare(get(r), want)) }, nil
}

var comparisons = map[string]func(int) bool{
	"eq": func(c int) bool { return c == 0 }, "ne": func(c int) bool { return c != 0 },
	"gt": func(c int) bool { return c > 0 }, "ge": func(c int) bool { return c >= 0 },
	"lt": func(c int) bool { return c < 0 }, "le": func(c int) bool { return c <= 0 },
}

func unquote(s string) string {
	return strings.ReplaceAll(s[1:len(s)-1], "''", "'")
}

// literalFor checks that a literal fits the column: a quoted GUID is a string
// and does not compare with a GUID column (wire/creatio.md §3).
func literalFor(col column, t token) (any, error) {
	switch {
	case t == token{tokWord, "null"}:
		return emptyValue(col.typ), nil
	case (col.typ == typeGUID || col.typ == typeLookup) && t.kind == tokGUID:
		return strings.ToLower(t.text), nil
	case col.typ == typeText && t.kind == tokString:
		return unquote(t.text), nil
	case col.typ == typeInt && t.kind == tokNumber:
		var n int64
		_, err := fmt.Sscan(t.text, &n)
		return n, err
	case col.typ == typeBool && (t.text == "true" || t.text == "false"):
		return t.text == "true", nil
	case col.typ == typeDate && t.kind == tokDate:
		at, err := time.Parse(time.RFC3339Nano, t.text)
		return at.UTC(), err
	}
	return nil, badRequest("A binary operator with incompatible types was detected on column '" + col.name + "'.")
}

// path resolves Column, Lookup/Column, Lookup/Lookup/Column. <Lookup>Id is not a
// path: "Column by path ContactId not found in schema X" (wire/creatio.md §3).
func (db *database) path(s *schema, path string) (func(Row) any, column, error) {
	head, rest, nested := strings.Cut(path, "/")
	col, ok := s.byName(head)
	if !ok || nested && col.typ != typeLookup || !nested && col.typ == typeLookup {
		return nil, column{}, serverError("Column by path " + path + " not found in schema " + s.name)
	}
	if !nested {
		return func(r Row) any { return r.value(col) }, col, nil
	}
	if rest == "Id" {
		return func(r Row) any { return r.value(col) }, column{name: path, typ: typeGUID}, nil
	}
	target, ok := db.schemas[col.ref]
	if !ok {
		return nil, column{}, serverError("Column by path " + path + " not found in schema " + s.name)
	}
	get, last, err := db.path(target, rest)
	if err != nil {
		return nil, column{}, err
	}
	return func(r Row) any {
		row, _ := db.find(col.ref, r.value(col).(string))
		return get(row)
	}, last, nil
}
