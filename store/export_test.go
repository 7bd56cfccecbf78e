package store

import "github.com/uptrace/bun"

// DB lets this package's tests arrange rows and look at them.
func (s *Store) DB() *bun.DB { return s.db }
