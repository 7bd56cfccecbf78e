package store

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// ErrCursor is a cursor that none of our answers gave.
var ErrCursor = errors.New("this cursor is not one that an answer gave")

// Page asks for one page of a list.
type Page struct {
	Limit  int    // items, at least 1
	Cursor string // from the page before; empty: the first page
}

// namePosition is where a list that is ordered by name goes on.
type namePosition struct {
	Name string    `json:"n"`
	ID   uuid.UUID `json:"i"`
}

// byName orders q by name and reads one row more than the page has, so that it is known whether there are more.
func byName(q *bun.SelectQuery, alias string, p Page) (*bun.SelectQuery, error) {
	q = q.OrderExpr("?.name, ?.id", bun.Ident(alias), bun.Ident(alias)).Limit(p.Limit + 1)
	if p.Cursor == "" {
		return q, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return nil, ErrCursor
	}
	var at namePosition
	if err := json.Unmarshal(raw, &at); err != nil {
		return nil, ErrCursor
	}
	return q.Where("(?.name, ?.id) > (?, ?)", bun.Ident(alias), bun.Ident(alias), at.Name, at.ID), nil
}

// cutByName takes the row too many off again and returns the cursor of the next page, empty on the last one.
func cutByName[T any](rows []T, p Page, at func(T) (name string, id uuid.UUID)) ([]T, string) {
	if len(rows) <= p.Limit {
		return rows, ""
	}
	rows = rows[:p.Limit]
	name, id := at(rows[p.Limit-1])
	raw, _ := json.Marshal(namePosition{name, id}) // a string and an id cannot fail
	return rows, base64.RawURLEncoding.EncodeToString(raw)
}
