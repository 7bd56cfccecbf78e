package store

import (
	"context"

	"github.com/uptrace/bun"
)

// watch has f told every statement that was run.
func (s *Store) watch(f func(statement string)) {
	s.db.AddQueryHook(watcher(f))
	if s.read != s.db {
		s.read.AddQueryHook(watcher(f))
	}
}

type watcher func(statement string)

func (watcher) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (w watcher) AfterQuery(_ context.Context, e *bun.QueryEvent) { w(e.Query) }
