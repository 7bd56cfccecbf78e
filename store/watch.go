package store

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// watch has f told every statement that was run.
func (s *Store) watch(f func(statement string)) {
	s.db.AddQueryHook(watcher(f))
	if s.read != s.db {
		s.read.AddQueryHook(watcher(f))
	}
	s.recv.tell(f)
}

type watcher func(statement string)

func (watcher) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (w watcher) AfterQuery(_ context.Context, e *bun.QueryEvent) { w(e.Query) }

var placeholder = regexp.MustCompile(`[?$](\d*)`)

// prepared tells of a statement whose values go beside it. A nil watcher hears nothing.
func (w watcher) prepared(q string, args []any) {
	if w == nil {
		return
	}
	next := 0
	w(placeholder.ReplaceAllStringFunc(q, func(mark string) string {
		next++
		if n, err := strconv.Atoi(mark[1:]); err == nil {
			next = n
		}
		return "'" + strings.ReplaceAll(fmt.Sprint(args[next-1]), "'", "''") + "'"
	}))
}
