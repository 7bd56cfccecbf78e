package store

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// Time is a moment as both databases keep it: a bigint of microseconds since 1970, UTC. The zero Time is NULL.
type Time struct{ time.Time }

// At returns t as the databases keep it: in UTC, cut to whole microseconds.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time{time.UnixMicro(v).UTC()}
	default:
		return fmt.Errorf("scan store.Time: want int64, got %T", src)
	}
	return nil
}

// Ptr returns t as a pointer, nil for the zero Time: the shape of optional times in JSON.
func (t Time) Ptr() *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t.Time
}

// dayOf is the start of a moment's day, in UTC.
func dayOf(t time.Time) Time { return At(t.UTC().Truncate(24 * time.Hour)) }
