package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// sealedTables are the tables with a column secrets, sealed about the row's id, and what tells those who change a row at the
// same time that they have read an older one.
var sealedTables = map[string]string{
	"environments": "id = id", // they lock it before they read
	"channels":     "version = version + 1",
	"logins":       "id = id", // written once
}

// Reseal seals everything with to that to does not open yet, and says how much that was. Afterwards what sealed it before is
// needed no more, provided that no process seals with it any longer. It is the operator's: it crosses environments. What is
// changed meanwhile is looked at again; what nothing opens is an error.
func (s *Store) Reseal(ctx context.Context, to Sealer) (n int, err error) {
	for table, touch := range sealedTables {
		for {
			missed, done, err := s.resealTable(ctx, table, touch, to)
			n += done
			if err != nil {
				return n, fmt.Errorf("seal the secrets of %s anew: %w", table, err)
			}
			if missed == 0 {
				break
			}
		}
	}
	return n, nil
}

// resealTable goes through a table once; missed are the rows that changed under it.
func (s *Store) resealTable(ctx context.Context, table, touch string, to Sealer) (missed, done int, err error) {
	var rows []struct {
		ID      uuid.UUID `bun:"id"`
		Secrets []byte    `bun:"secrets"`
	}
	if err := s.db.NewSelect().Table(table).Column("id", "secrets").Where("secrets IS NOT NULL").Scan(ctx, &rows); err != nil {
		return 0, 0, err
	}
	for _, row := range rows {
		about := row.ID.String()
		if _, err := to.Open(row.Secrets, about); err == nil {
			continue
		}
		plain, err := s.sealer.Open(row.Secrets, about)
		if err != nil {
			return missed, done, err
		}
		sealed, err := to.Seal(plain, about)
		if err != nil {
			return missed, done, err
		}
		same, err := changed(s.db.NewUpdate().Table(table).Set("secrets = ?", sealed).Set(touch).
			Where("id = ?", row.ID).Where("secrets = ?", row.Secrets).Exec(ctx))
		if err != nil {
			return missed, done, err
		}
		if same {
			done++
		} else {
			missed++
		}
	}
	return missed, done, nil
}
