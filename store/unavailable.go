package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// Unavailable reports whether err says that the database could not be reached, broke off, did not answer in time or has no
// disk left, so that the same request may succeed a moment later.
func Unavailable(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return true
	}
	for _, broken := range []error{
		context.DeadlineExceeded, context.Canceled, driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, broken) {
			return true
		}
	}
	var embedded *sqlitedriver.Error
	if errors.As(err, &embedded) {
		switch embedded.Code() & 0xff { // the rest of an extended code tells details
		case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_FULL:
			return true
		}
		return false
	}
	switch c := sqlState(err); {
	case len(c) != 5:
		return false
	case c[:2] == "08", c[:2] == "53", c[:2] == "57": // connection, resources, the operator's intervention
		return true
	case c == "25P03": // an idle transaction was ended
		return true
	}
	return false
}
