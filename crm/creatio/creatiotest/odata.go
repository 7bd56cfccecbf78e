package creatiotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxPage = 20000

// result is the answer to one OData operation, alone or inside a $batch.
type result struct {
	status int
	body   any // nil: empty
}

func failure(err error) result {
	e := asODataError(err)
	return result{e.status, e.body}
}

var entityPath = regexp.MustCompile(`^([A-Za-z0-9_]+)(?:\(([^)]*)\))?$`)

var bareGUID = regexp.MustCompile(`^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// Op is one OData operation on an object.
type Op struct {
	Method string
	Object string
	Key    string // empty for list and insert
	Query  url.Values
	Body   map[string]any
}

// parseOp reads a path below odata/. The key is an unquoted GUID (wire §3,
// table).
func parseOp(method, path string, query url.Values, body []byte) (Op, error) {
	m := entityPath.FindStringSubmatch(path)
	if m == nil {
		return Op{}, badRequest("Bad Request - Error in query syntax.")
	}
	op := Op{Method: method, Object: m[1], Key: m[2], Query: query}
	if strings.Contains(path, "(") && !bareGUID.MatchString(op.Key) {
		return op, badRequest("Bad Request - Error in query syntax. The key must be an unquoted GUID.")
	}
	if method != http.MethodPost && method != http.MethodPatch {
		return op, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&op.Body); err != nil || op.Body == nil {
		return op, badRequest("The request is invalid: the body is not a JSON object.")
	}
	return op, nil
}

// execute runs one operation. Success is 200, 201, 204 as in wire §3's table.
func (s *Server) execute(op Op) result {
	if refusal := s.refusal(op); refusal != nil {
		return failure(refusal)
	}
	schema, ok := s.db.schemas[op.Object]
	if !ok {
		return failure(noRoute(op.Object))
	}
	switch {
	case op.Method == http.MethodGet && op.Key == "":
		return s.list(schema, op.Query)
	case op.Method == http.MethodGet:
		return s.one(schema, op.Key, op.Query)
	case op.Method == http.MethodPost && op.Key == "":
		row, err := s.db.insert(schema, op.Body)
		if err != nil {
			return failure(err)
		}
		return result{http.StatusCreated, withContext(row, "$metadata#"+schema.name+"/$entity")}
	case op.Method == http.MethodPatch && op.Key != "":
		if err := s.db.update(schema, op.Key, op.Body); err != nil {
			return failure(err)
		}
		return result{status: http.StatusNoContent}
	case op.Method == http.MethodDelete && op.Key != "":
		if err := s.db.remove(schema, op.Key); err != nil {
			return failure(err)
		}
		return result{status: http.StatusNoContent}
	}
	return failure(&odataError{http.StatusMethodNotAllowed, map[string]any{"Message": "The requested resource does not support http method '" + op.Method + "'."}})
}

func withContext(row Row, context string) Row {
	shownRow := Row{"@odata.context": context}
	for k, v := range row {
		shownRow[k] = v
	}
	return shownRow
}

func (s *Server) one(schema *schema, key string, query url.Values) result {
	row, ok := s.db.find(schema.name, key)
	if !ok {
		return failure(notFound(schema.name, key))
	}
	shownRow, err := s.project(schema, row, query.Get("$select"), query.Get("$expand"))
	if err != nil {
		return failure(err)
	}
	return result{http.StatusOK, withContext(shownRow, "$metadata#"+schema.name+"/$entity")}
}

func (s *Server) list(schema *schema, query url.Values) result {
	rows, err := s.query(schema, query)
	if err != nil {
		return failure(err)
	}
	body := map[string]any{"@odata.context": "$metadata#" + schema.name}
	if query.Get("$count") == "true" {
		body["@odata.count"] = len(rows)
	}
	if rows, err = page(rows, query); err != nil {
		return failure(err)
	}
	value := make([]Row, 0, len(rows))
	for _, row := range rows {
		shownRow, err := s.project(schema, row, query.Get("$select"), query.Get("$expand"))
		if err != nil {
			return failure(err)
		}
		value = append(value, shownRow)
	}
	body["value"] = value
	return result{http.StatusOK, body}
}

var queryOptions = map[string]bool{"$select": true, "$filter": true, "$expand": true, "$orderby": true, "$top": true, "$skip": true, "$count": true}

func (s *Server) query(schema *schema, query url.Values) ([]Row, error) {
	for name := range query {
		if strings.HasPrefix(name, "$") && !queryOptions[name] {
			return nil, badRequest("The query parameter '" + name + "' is not supported.")
		}
	}
	accept := func(Row) bool { return true }
	if filter := query.Get("$filter"); filter != "" {
		var err error
		if accept, err = s.db.parseFilter(schema, filter); err != nil {
			return nil, err
		}
	}
	var rows []Row
	for _, row := range s.db.tables[schema.name] {
		if accept(row) {
			rows = append(rows, row)
		}
	}
	return rows, s.order(schema, rows, query.Get("$orderby"))
}

func (s *Server) order(schema *schema, rows []Row, by string) error {
	keys := strings.Split(by, ",")
	slices.Reverse(keys) // stable sorts, last key first, give the whole order
	for _, key := range keys {
		words := strings.Fields(key)
		if len(words) == 0 {
			continue
		}
		get, _, err := s.db.path(schema, words[0])
		if err != nil {
			return err
		}
		sign := 1
		if len(words) == 2 && words[1] == "desc" {
			sign = -1
		} else if len(words) > 1 && words[1] != "asc" {
			return badRequest("Syntax error in $orderby.")
		}
		slices.SortStableFunc(rows, func(a, b Row) int { return sign * compare(get(a), get(b)) })
	}
	return nil
}

func page(rows []Row, query url.Values) ([]Row, error) {
	number := func(name string, otherwise int) (int, error) {
		text := query.Get(name)
		if text == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, badRequest("Invalid value '" + text + "' for " + name + ".")
		}
		return n, nil
	}
	skip, err := number("$skip", 0)
	if err != nil {
		return nil, err
	}
	top, err := number("$top", maxPage)
	if err != nil {
		return nil, err
	}
	rows = rows[min(skip, len(rows)):]
	return rows[:min(top, maxPage, len(rows))], nil
}

var expandItem = regexp.MustCompile(`([A-Za-z0-9_]+)(?:\(\$select=([A-Za-z0-9_,]+)\))?(?:,|$)`)

func (s *Server) project(schema *schema, row Row, sel, expand string) (Row, error) {
	out := Row{}
	for k, v := range row {
		out[k] = v
	}
	if sel != "" {
		out = Row{}
		for _, key := range strings.Split(sel, ",") {
			c, ok := schema.byKey(strings.TrimSpace(key))
			if !ok {
				return nil, badRequest(fmt.Sprintf("Could not find a property named '%s' on type 'Terrasoft.Configuration.OData.%s'.", key, schema.name))
			}
			out[c.key()] = row[c.key()]
		}
	}
	for _, m := range expandItem.FindAllStringSubmatch(expand, -1) {
		c, ok := schema.byName(m[1])
		if !ok || c.typ != typeLookup {
			return nil, badRequest("Property '" + m[1] + "' cannot be expanded.")
		}
		target, found := s.db.find(c.ref, row.value(c).(string))
		if !found {
			out[c.name] = nil
			continue
		}
		nested, err := s.project(s.db.schemas[c.ref], target, m[2], "")
		if err != nil {
			return nil, err
		}
		out[c.name] = nested
	}
	return out, nil
}

// isJSON says whether a Content-Type is application/json, with any parameters.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}
