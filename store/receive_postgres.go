package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// postgresReceiver keeps connections of its own, on which the one prepared statement is planned once: with small slices
// PostgreSQL would otherwise plan each call anew, which costs more than the call.
type postgresReceiver struct {
	pool *sql.DB

	mu   sync.Mutex
	stmt *sql.Stmt // prepared at first use, after the schema stands; database/sql prepares it again on new connections
}

// receiveParams make the plan of waggle_receive generic and independent of the statistics of a young database.
var receiveParams = map[string]any{
	"plan_cache_mode":  "force_generic_plan",
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"jit":              "off", // compiling costs more than the call
}

func newPostgresReceiver(url string) (*postgresReceiver, error) {
	c, err := postgresConnector(url, receiveParams)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(4)
	pool.SetMaxIdleConns(4)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return &postgresReceiver{pool: pool}, nil
}

func (r *postgresReceiver) close() error { return r.pool.Close() }

func (r *postgresReceiver) prepared(ctx context.Context) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stmt != nil {
		return r.stmt, nil
	}
	st, err := r.pool.PrepareContext(ctx, "SELECT r_ord, r_outcome, r_chat, r_seq, r_opened FROM waggle_receive($1::text::jsonb)")
	if err != nil {
		return nil, err
	}
	r.stmt = st
	return st, nil
}

func (r *postgresReceiver) receive(ctx context.Context, _ *Store, items []receiveItem) ([]Received, error) {
	input, err := json.Marshal(items)
	if err != nil {
		return nil, fmt.Errorf("receive %d events: %w", len(items), err)
	}
	out := make([]Received, len(items))
	for i := range out {
		out[i].Outcome = Dropped // the function answers only for active channels
	}
	st, err := r.prepared(ctx)
	if err != nil {
		return nil, fmt.Errorf("receive %d events: %w", len(items), err)
	}
	rows, err := st.QueryContext(ctx, string(input))
	if err != nil {
		return nil, fmt.Errorf("receive %d events: %w", len(items), err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var ord int
		var outcome string
		var chatID uuid.NullUUID
		var seq sql.NullInt64
		var opened bool
		if err := rows.Scan(&ord, &outcome, &chatID, &seq, &opened); err != nil {
			return nil, fmt.Errorf("receive %d events: %w", len(items), err)
		}
		if ord < 0 || ord >= len(out) {
			return nil, errors.New("receive: the database answered for an event that was not asked")
		}
		out[ord] = Received{Outcome: ReceiveOutcome(outcome), ChatID: chatID.UUID, Seq: seq.Int64, Opened: opened}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("receive %d events: %w", len(items), err)
	}
	return out, nil
}
