package store

import (
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// newestFirst orders q by id, the newest first, and reads one row more than the page has, so that it is known whether there
// are more. The cursor is the id of the last row of the page before.
func newestFirst(q *bun.SelectQuery, p Page) (*bun.SelectQuery, error) {
	q = q.OrderExpr("?TableAlias.id DESC").Limit(p.Limit + 1)
	if p.Cursor == "" {
		return q, nil
	}
	before, err := uuid.Parse(p.Cursor)
	if err != nil {
		return nil, ErrCursor
	}
	return q.Where("?TableAlias.id < ?", before), nil
}

// cutNewest takes the row too many off again and returns the cursor of the next page, empty on the last one.
func cutNewest[T any](rows []T, p Page, id func(T) uuid.UUID) ([]T, string) {
	if len(rows) <= p.Limit {
		return rows, ""
	}
	return rows[:p.Limit], id(rows[p.Limit-1]).String()
}
