package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// LaneState is how much work of one lane is due in the whole installation.
type LaneState struct {
	Lane   string        // crm, out
	Due    int64         // chats
	Oldest time.Duration // how long the one due longest has been due; 0 where none is
}

// Lanes counts what is due. Its cost follows what is due.
func (s *Store) Lanes(ctx context.Context) ([]LaneState, error) {
	now, err := s.Unmoved(ctx)
	if err != nil {
		return nil, err
	}
	states := []LaneState{{Lane: "crm"}, {Lane: "out"}}
	for i := range states {
		column := states[i].Lane + "_due_at"
		var oldest Time
		err := s.read.NewSelect().Table("chats").ColumnExpr("count(*)").ColumnExpr("min(?)", bun.Ident(column)).
			Where("? <= ?", bun.Ident(column), At(now)).Scan(ctx, &states[i].Due, &oldest)
		if err != nil {
			return nil, fmt.Errorf("count what is due: %w", err)
		}
		if !oldest.IsZero() {
			states[i].Oldest = now.Sub(oldest.Time)
		}
	}
	return states, nil
}
