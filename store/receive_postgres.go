package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
)

// postgresReceiver keeps connections of its own, on which its prepared statements are planned once: with small slices
// PostgreSQL would otherwise plan each call anew, which costs more than the call.
type postgresReceiver struct {
	pool *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt // prepared at first use, after the schema stands; database/sql prepares them again on new connections
}

// receiveParams make the plans generic and independent of the statistics of a young database.
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
	return &postgresReceiver{pool: pool, stmts: map[string]*sql.Stmt{}}, nil
}

// atOnce is three: measured at 32 to 256 connections, where one and two leave the machine idle and four stand in each other's way.
func (r *postgresReceiver) atOnce() int { return 3 }

func (r *postgresReceiver) close() error { return r.pool.Close() }

// continueSQL takes in messages of customers who have an open chat, which most messages are: one statement, without the locks
// and look-ups that everything else needs. Updating the chats in the order of their ids is what locks them. It answers for what
// it took; what it leaves out — new customers, closed chats, repeats, channels that are not active — is the function's. A
// simultaneous repeat breaks the unique index and with it the whole statement: then all of the slice is the function's.
const continueSQL = `
WITH known AS (
  SELECT i.*, c.id AS place, s.unmoved, s.unmoved + s.offset_us AS at
  FROM (SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint AS unmoved, offset_us FROM clock LIMIT 1) s
  CROSS JOIN jsonb_to_recordset($1::text::jsonb) AS i (ord int, environment_id uuid, channel_id uuid, account_id text, user_id text,
    event_key text, message_id text, body text, attachments jsonb, provider_at bigint, entry_id uuid)
  CROSS JOIN LATERAL (SELECT id FROM identities WHERE channel_id = i.channel_id AND external_id = i.user_id LIMIT 1) d
  CROSS JOIN LATERAL (SELECT id FROM chats WHERE identity_id = d.id AND closed_at IS NULL LIMIT 1) c
  WHERE (SELECT state FROM channels WHERE id = i.channel_id AND environment_id = i.environment_id) = 'active'
    AND (SELECT id FROM timeline t WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id AND t.event_key = i.event_key LIMIT 1) IS NULL
), numbered AS (
  SELECT k.*, row_number() OVER (PARTITION BY place ORDER BY ord) AS n, count(*) OVER (PARTITION BY place) AS total FROM known k
), moved AS (
  UPDATE chats c SET
    last_seq         = c.last_seq + l.total,
    last_direction   = 'in',
    last_message_at  = l.at,
    unanswered_since = coalesce(c.unanswered_since, l.at),
    closing_since    = NULL,
    agent_due_since  = CASE WHEN c.agent_id IS NOT NULL AND NOT c.on_hold
                            THEN coalesce(c.agent_due_since, l.at) ELSE c.agent_due_since END,
    crm_version      = c.crm_version + 1,
    crm_due_at       = coalesce(c.crm_due_at, l.unmoved)
  FROM numbered l
  -- Spelled so that no index of open chats answers it: the chat is found by its id.
  WHERE l.n = l.total AND c.id = l.place AND coalesce(c.closed_at, 0) = 0
  RETURNING c.id, c.last_seq - l.total AS base, c.agent_id,
    CASE WHEN c.agent_id IS NULL AND c.held_reason IS NULL
         THEN (SELECT q.id FROM queues q WHERE q.id = c.queue_id AND q.rule = 'to_all_agents') END AS queue_id
), taken AS MATERIALIZED (
  SELECT n.*, m.base + n.n AS seq, m.agent_id, m.queue_id FROM numbered n JOIN moved m ON m.id = n.place
), entries AS (
  INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, direction, author, text, attachments, state, channel_id, account_id,
                        event_key, external_id, provider_at)
  SELECT entry_id, environment_id, place, seq, 'message', at, 'in', 'client', body, attachments, 'received', channel_id, account_id,
         event_key, message_id, provider_at FROM taken
)
SELECT ord, 'stored', place, seq, false, agent_id, queue_id FROM taken`

const anySQL = "SELECT r_ord, r_outcome, r_chat, r_seq, r_opened, r_agent, r_queue FROM waggle_receive($1::text::jsonb)"

func (r *postgresReceiver) prepared(ctx context.Context, q string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st, ok := r.stmts[q]; ok {
		return st, nil
	}
	st, err := r.pool.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	r.stmts[q] = st
	return st, nil
}

// receive commits in one or two transactions. If the second fails, the first one's events are repeats when they come again.
func (r *postgresReceiver) receive(ctx context.Context, s *Store, items []receiveItem) ([]Received, error) {
	out := make([]Received, len(items))
	for i := range out {
		out[i].Outcome = Dropped // PostgreSQL answers only for active channels
	}
	left := items
	if !slices.ContainsFunc(items, func(i receiveItem) bool { return i.Kind != string(channels.Message) || i.ReplyTo != nil }) {
		err := r.ask(ctx, continueSQL, items, out)
		if err != nil && !s.d.duplicate(err) && !s.d.deadlock(err) {
			return nil, fmt.Errorf("receive %d events: %w", len(items), err)
		}
		left = slices.DeleteFunc(slices.Clone(items), func(i receiveItem) bool { return out[i.Ord].Outcome == Stored })
	}
	if len(left) == 0 {
		return out, nil
	}
	for i := range left {
		left[i].withIDs()
	}
	if err := r.ask(ctx, anySQL, left, out); err != nil {
		return nil, fmt.Errorf("receive %d events: %w", len(items), err)
	}
	return out, nil
}

// ask runs one statement over items and notes its answers in out, by their Ord.
func (r *postgresReceiver) ask(ctx context.Context, q string, items []receiveItem, out []Received) error {
	input, err := json.Marshal(items)
	if err != nil {
		return err
	}
	st, err := r.prepared(ctx, q)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, string(input))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var answers []answer
	for rows.Next() {
		var a answer
		if err := rows.Scan(&a.ord, &a.outcome, &a.chat, &a.seq, &a.opened, &a.agent, &a.queue); err != nil {
			return err
		}
		if a.ord < 0 || a.ord >= len(out) {
			return errors.New("the database answered for an event that was not asked")
		}
		answers = append(answers, a)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, a := range answers {
		out[a.ord] = Received{
			Outcome: ReceiveOutcome(a.outcome), ChatID: a.chat.UUID, Seq: a.seq.Int64, Opened: a.opened, AgentID: a.agent.UUID, QueueID: a.queue.UUID,
		}
	}
	return nil
}

// answer is one row of what PostgreSQL tells of a slice.
type answer struct {
	ord                int
	outcome            string
	chat, agent, queue uuid.NullUUID
	seq                sql.NullInt64
	opened             bool
}
