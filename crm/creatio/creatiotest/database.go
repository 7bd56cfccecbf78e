package creatiotest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Row is one record as OData shows it: lookups under <Lookup>Id, GUIDs in lower
// case, dates RFC 3339 in UTC, integers as int64.
type Row map[string]any

// value is the row's value of a column for comparing; a missing one is the
// column's empty value.
func (r Row) value(c column) any {
	v, ok := r[c.key()]
	if !ok || v == nil {
		return emptyValue(c.typ)
	}
	if s, isText := v.(string); isText && c.typ == typeDate {
		at, _ := time.Parse(time.RFC3339Nano, s)
		return at
	}
	return v
}

func emptyValue(t columnType) any {
	switch t {
	case typeGUID, typeLookup:
		return zeroGUID
	case typeInt:
		return int64(0)
	case typeBool:
		return false
	case typeDate:
		return time.Time{}.UTC()
	default:
		return ""
	}
}

func compare(a, b any) int {
	switch x := a.(type) {
	case time.Time:
		return x.Compare(b.(time.Time))
	case int64:
		return cmp.Compare(x, b.(int64))
	case bool:
		if x == b.(bool) {
			return 0
		}
		return 1
	case string:
		return strings.Compare(x, b.(string))
	}
	return 1
}

// database holds the rows of every object in insertion order, and by Id.
type database struct {
	schemas map[string]*schema
	tables  map[string][]Row
	byID    map[rowKey]Row
	given   map[string][]string // by chat: its operators, one after another
	now     func() time.Time
}

type rowKey struct{ object, id string }

func newDatabase(now func() time.Time) *database {
	return &database{schemas: schemas(), tables: map[string][]Row{}, byID: map[rowKey]Row{}, given: map[string][]string{}, now: now}
}

func (db *database) find(object, id string) (Row, bool) {
	row, ok := db.byID[rowKey{object, strings.ToLower(id)}]
	return row, ok
}

// insert adds a row. The client may supply Id; a second row with the same Id is
// a violated primary key: HTTP 500 with an innererror (wire/creatio.md §3,
// "Client-supplied Id").
func (db *database) insert(s *schema, body map[string]any) (Row, error) {
	row, err := db.decode(s, body)
	if err != nil {
		return nil, err
	}
	for _, c := range s.columns {
		if c.required && row.value(c) == emptyValue(c.typ) {
			return nil, badRequest("Column " + c.name + " is required")
		}
		if _, set := row[c.key()]; !set {
			row[c.key()] = shown(c.typ)
		}
	}
	if row["Id"] == zeroGUID {
		row["Id"] = uuid.NewString()
	}
	if _, exists := db.find(s.name, row["Id"].(string)); exists {
		return nil, dbError(fmt.Sprintf("Violation of PRIMARY KEY constraint 'PK_%s'. Cannot insert duplicate key in object 'dbo.%s'.", s.name, s.name))
	}
	stamp := formatDate(db.now())
	row["CreatedOn"], row["ModifiedOn"] = stamp, stamp
	db.tables[s.name] = append(db.tables[s.name], row)
	db.byID[rowKey{s.name, row["Id"].(string)}] = row
	db.written(s, row)
	return row, nil
}

func (db *database) update(s *schema, id string, body map[string]any) error {
	row, ok := db.find(s.name, id)
	if !ok {
		return notFound(s.name, id)
	}
	changes, err := db.decode(s, body)
	if err != nil {
		return err
	}
	for _, c := range s.columns {
		if _, set := changes[c.key()]; set && c.required && changes.value(c) == emptyValue(c.typ) {
			return badRequest("Column " + c.name + " is required")
		}
	}
	if changed, ok := changes["Id"]; ok && changed != row["Id"] {
		return badRequest("Column Id cannot be changed")
	}
	for k, v := range changes {
		row[k] = v
	}
	row["ModifiedOn"] = formatDate(db.now())
	db.written(s, row)
	return nil
}

// written is what follows from a row that was added or changed.
func (db *database) written(s *schema, row Row) {
	db.syncCommunications(s, row)
	if s.name != "OmniChat" {
		return
	}
	id, operator := row["Id"].(string), row["OperatorId"].(string)
	if all := db.given[id]; len(all) == 0 || all[len(all)-1] != operator {
		db.given[id] = append(all, operator)
	}
}

func (db *database) remove(s *schema, id string) error {
	row, ok := db.find(s.name, id)
	if !ok {
		return notFound(s.name, id)
	}
	delete(db.byID, rowKey{s.name, row["Id"].(string)})
	db.tables[s.name] = slices.DeleteFunc(db.tables[s.name], func(r Row) bool { return r["Id"] == row["Id"] })
	return nil
}

// decode checks a body against the schema. A lookup is written as <Lookup>Id; a
// navigation path is silently ignored and leaves the lookup empty
// (wire/creatio.md §3, "Lookups"); any other unknown name is refused.
func (db *database) decode(s *schema, body map[string]any) (Row, error) {
	row := Row{}
	for key, raw := range body {
		head, _, _ := strings.Cut(key, "/")
		if c, ok := s.byName(head); ok && c.typ == typeLookup || strings.HasPrefix(key, "@odata.") {
			continue
		}
		c, ok := s.byKey(key)
		if !ok {
			return nil, badRequest(fmt.Sprintf("The property '%s' does not exist on type 'Terrasoft.Configuration.OData.%s'.", key, s.name))
		}
		v, err := db.decodeValue(s, c, raw)
		if err != nil {
			return nil, err
		}
		row[key] = v
	}
	return row, nil
}

func (db *database) decodeValue(s *schema, c column, raw any) (any, error) {
	if raw == nil {
		return shown(c.typ), nil
	}
	wrongType := badRequest(fmt.Sprintf("Cannot convert the value of property '%s' to its type.", c.key()))
	switch c.typ {
	case typeGUID, typeLookup:
		text, _ := raw.(string)
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 {
			return nil, wrongType
		}
		if c.typ == typeLookup && c.ref != "" && id != uuid.Nil {
			if _, ok := db.find(c.ref, id.String()); !ok {
				return nil, dbError(fmt.Sprintf("The statement conflicted with the FOREIGN KEY constraint \"FK_%s_%s\".", s.name, c.key()))
			}
		}
		return id.String(), nil
	case typeInt:
		n, ok := raw.(json.Number)
		if !ok {
			return nil, wrongType
		}
		i, err := n.Int64()
		if err != nil {
			return nil, wrongType
		}
		return i, nil
	case typeBool:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
	case typeDate:
		text, _ := raw.(string)
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return formatDate(at), nil
		}
	case typeText:
		text, ok := raw.(string)
		if ok && c.max > 0 && utf8.RuneCountInString(text) > c.max {
			return nil, dbError(fmt.Sprintf("String or binary data would be truncated in table '%s', column '%s'.", s.name, c.name))
		}
		if ok && strings.ContainsRune(text, 0) {
			return nil, dbError("22021: invalid byte sequence for encoding \"UTF8\": 0x00")
		}
		if ok {
			return text, nil
		}
	}
	return nil, wrongType
}

// shown is what an empty column looks like in an answer: a zero GUID and the
// first date, not null (wire/creatio.md §3, "Empty lookup").
func shown(t columnType) any {
	if t == typeDate {
		return zeroDate
	}
	return emptyValue(t)
}

func formatDate(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.999999Z") }

// syncCommunications keeps the rows of ContactCommunication that Creatio makes
// for a contact's phones and e-mail (wire/creatio.md §5, UNVERIFIED standard
// behaviour).
func (db *database) syncCommunications(s *schema, contact Row) {
	if s.name != "Contact" {
		return
	}
	for key, kind := range map[string]string{"Email": CommunicationEmail, "MobilePhone": CommunicationMobilePhone,
		"Phone": CommunicationWorkPhone, "HomePhone": CommunicationHomePhone} {
		value, _ := contact[key].(string)
		if value == "" || db.hasCommunication(contact["Id"], value) {
			continue
		}
		_, _ = db.insert(db.schemas["ContactCommunication"], map[string]any{"ContactId": contact["Id"],
			"CommunicationTypeId": kind, "Number": value, "SearchNumber": searchNumber(value)})
	}
}

func (db *database) hasCommunication(contact any, number string) bool {
	for _, r := range db.tables["ContactCommunication"] {
		if r["ContactId"] == contact && r["Number"] == number {
			return true
		}
	}
	return false
}

// searchNumber is the digits of a number, last one first (wire/creatio.md §5,
// UNVERIFIED).
func searchNumber(number string) string {
	var reversed []byte
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] >= '0' && number[i] <= '9' {
			reversed = append(reversed, number[i])
		}
	}
	return string(reversed)
}
