package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"waggle/store"
	"waggle/store/storetest"
)

// What is proven while the rest is being locked is not locked out of order: whoever holds it and waits for the rest goes on.
func TestForgetPushedKeepsTheOrderOfLocks(t *testing.T) {
	t.Parallel()
	sc := storetest.NewScene(t, storetest.Postgres(t)) // SQLite has one writer, and no order of locks
	channel := sc.Channel(uuid.Nil, 1)
	for _, user := range []string{"a", "b", "c"} {
		sc.Writes(channel, user)
	}
	var ids []uuid.UUID
	require.NoError(t, sc.DB().NewSelect().Model((*store.Identity)(nil)).Column("id").Where("environment_id = ?", sc.Env).OrderExpr("id").Scan(ctx, &ids))
	pushed := func(ids ...uuid.UUID) {
		t.Helper()
		_, err := sc.DB().NewUpdate().Table("identities").Set("crm_pushed = 'x'").Where("id IN (?)", bun.List(ids)).Exec(ctx)
		require.NoError(t, err)
	}
	begin := func() bun.Tx {
		t.Helper()
		tx, err := sc.DB().BeginTx(ctx, nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback() })
		return tx
	}
	lock := func(tx bun.Tx, id uuid.UUID) error {
		_, err := tx.ExecContext(ctx, "SELECT 1 FROM identities WHERE id = ? FOR NO KEY UPDATE", id)
		return err
	}
	waiting := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			var waits int
			err := sc.DB().NewRaw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%identities%' AND query LIKE ?",
				"%FOR NO KEY UPDATE%").Scan(ctx, &waits)
			return err == nil && waits >= n
		}, time.Minute, 20*time.Millisecond)
	}
	pushed(ids[1], ids[2])
	last, other := begin(), begin()
	require.NoError(t, lock(last, ids[2]))
	forgotten := make(chan error, 1)
	go func() { forgotten <- sc.ForgetPushed(ctx, sc.Env) }()
	waiting(1) // it has the second and waits for the third
	pushed(ids[0])
	require.NoError(t, lock(other, ids[0]))
	got := make(chan error, 1)
	go func() { got <- lock(other, ids[1]) }()
	waiting(2)
	require.NoError(t, last.Commit())
	require.NoError(t, <-forgotten)
	require.NoError(t, <-got)
}
