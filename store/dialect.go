package store

import (
	"context"
	"errors"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/driver/pgdriver"
)

// dialect holds what PostgreSQL and SQLite say differently.
type dialect interface {
	// now is the database's own clock in microseconds, as an expression.
	now() bun.Safe
	// forUpdate locks the rows a query reads until the transaction ends.
	forUpdate(q *bun.SelectQuery) *bun.SelectQuery
	// skipLocked locks the rows a query reads and leaves out those that others have locked.
	skipLocked(q *bun.SelectQuery) *bun.SelectQuery
	// lockInOrder locks the rows a query finds in the order of their ids, as everybody does: an UPDATE of many rows would lock
	// them as it meets them.
	lockInOrder(ctx context.Context, tx bun.Tx, q *bun.SelectQuery) error
	// deadlock reports whether the transaction was chosen as a deadlock's victim and may simply be run again.
	deadlock(err error) bool
	// duplicate reports whether a UNIQUE constraint or index refused a row.
	duplicate(err error) bool
	// chatNumber takes the next number of a chat.
	chatNumber(ctx context.Context, tx bun.Tx) (int64, error)
	// badData reports whether a row was refused for what it contains, so that trying again cannot help.
	badData(err error) bool
}

type postgres struct{}

func (postgres) now() bun.Safe { return "(extract(epoch from clock_timestamp()) * 1000000)::bigint" }

// forUpdate lets others refer to the rows meanwhile: their foreign keys would wait otherwise, and close circles of waiting.
func (postgres) forUpdate(q *bun.SelectQuery) *bun.SelectQuery { return q.For("NO KEY UPDATE") }

func (postgres) skipLocked(q *bun.SelectQuery) *bun.SelectQuery {
	return q.For("NO KEY UPDATE SKIP LOCKED")
}

func (d postgres) lockInOrder(ctx context.Context, tx bun.Tx, q *bun.SelectQuery) error {
	_, err := tx.NewSelect().TableExpr("(?) AS locked", d.forUpdate(q.ColumnExpr("id").OrderExpr("id"))).ColumnExpr("count(*)").Exec(ctx)
	return err
}

func (postgres) deadlock(err error) bool {
	c := sqlState(err)
	return c == "40P01" || c == "40001"
}

func (postgres) duplicate(err error) bool { return sqlState(err) == "23505" }

// badData covers class 22 (data exception), 23 (integrity constraint) and 54 (program limit, such as an index row too large).
func (postgres) badData(err error) bool {
	c := sqlState(err)
	return strings.HasPrefix(c, "22") || strings.HasPrefix(c, "23") || strings.HasPrefix(c, "54")
}

func (postgres) chatNumber(ctx context.Context, tx bun.Tx) (n int64, err error) {
	return n, tx.NewSelect().ColumnExpr("nextval('chat_numbers')").Scan(ctx, &n)
}

func sqlState(err error) string {
	var e pgdriver.Error
	if errors.As(err, &e) {
		return e.Field('C')
	}
	return receiveState(err)
}

type sqlite struct{}

func (sqlite) now() bun.Safe { return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)" }

// SQLite has one writer at a time (BEGIN IMMEDIATE): a transaction's rows are locked from its start.
func (sqlite) forUpdate(q *bun.SelectQuery) *bun.SelectQuery { return q }

func (sqlite) skipLocked(q *bun.SelectQuery) *bun.SelectQuery { return q }

func (sqlite) lockInOrder(context.Context, bun.Tx, *bun.SelectQuery) error { return nil }

func (sqlite) chatNumber(ctx context.Context, tx bun.Tx) (n int64, err error) {
	return n, tx.NewUpdate().Table("counters").Set("value = value + 1").Where("name = 'chat_number'").Returning("value").Scan(ctx, &n)
}

func (sqlite) deadlock(error) bool { return false }

func (sqlite) duplicate(err error) bool {
	return err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed")
}

func (sqlite) badData(err error) bool {
	return err != nil && strings.Contains(err.Error(), "constraint failed")
}
