package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresReceiver keeps connections of its own: see receivePool.
type postgresReceiver struct {
	pool *pgxpool.Pool
	told watcher // of every statement; nil: nobody

	// watchful is how many slices still look for repeats before they write (see continueSQL).
	watchful atomic.Int64
}

// watchfulSlices: repeats come in crowds, when a messenger had no answer for a while.
const watchfulSlices = 256

func newPostgresReceiver(url string) (*postgresReceiver, error) {
	pool, err := receivePool(url)
	return &postgresReceiver{pool: pool}, err
}

// atOnce is three: measured at 32 to 256 connections, where one and two leave the machine idle and four stand in each other's way.
func (r *postgresReceiver) atOnce() int { return 3 }

func (r *postgresReceiver) tell(w watcher) { r.told = w }

func (r *postgresReceiver) close() error {
	r.pool.Close()
	return nil
}

// continueSQL takes in plain messages of customers who have an open chat, which most messages are (see continuing): one
// statement, without the locks and look-ups that everything else needs. Updating the chats in the order of their ids is what
// locks them. It answers for what it took; what it leaves out — new customers and those who had blocked us, closed chats and
// those that changed this moment, conversations that another app holds, channels that are not active — is the function's.
//
// It does not look for repeats, which are rare: the unique index refuses one and with it the whole statement, and all of the slice
// is the function's. For a while then repeats are looked for first, by watchfulSQL, and only they are the function's.
//
// What a node of the plan carries costs at its every start and for every row, so only places in the arrays travel through it;
// what a message holds is fetched from the arrays where the entry is written. Look-ups are scalar with LIMIT 1, so that each is one
// descent of its index in a young database, too.
var continueSQL, watchfulSQL = fmt.Sprintf(takeSQL, ""), fmt.Sprintf(takeSQL, `
      AND (SELECT id FROM timeline t WHERE t.event_key = ($6::text[])[i.n] AND t.channel_id = ($3)[i.n] AND t.account_id = ($4::text[])[i.n] LIMIT 1) IS NULL`)

const takeSQL = `
WITH moved AS (
  UPDATE chats c SET
    last_seq         = c.last_seq + 1,
    last_direction   = 'in',
    last_message_at  = i.at,
    last_message_day = i.at - i.at %% 86400000000,
    unanswered_since = coalesce(c.unanswered_since, i.at),
    closing_since    = NULL,
    agent_due_since  = CASE WHEN c.agent_id IS NOT NULL AND NOT c.on_hold
                            THEN coalesce(c.agent_due_since, i.at) ELSE c.agent_due_since END,
    crm_version      = c.crm_version + 1,
    crm_due_at       = coalesce(c.crm_due_at, i.unmoved)
  FROM (
    SELECT i.n, c.place, s.unmoved, s.unmoved + s.offset_us AS at
    FROM (SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint AS unmoved, offset_us FROM clock LIMIT 1) s
    CROSS JOIN generate_series(1, cardinality($1::int[])) AS i (n)
    CROSS JOIN LATERAL (SELECT id, ctid AS place FROM chats WHERE user_id = ($5::text[])[i.n] AND channel_id = ($3::uuid[])[i.n]
                        AND environment_id IS NOT DISTINCT FROM ($2::uuid[])[i.n] AND closed_at IS NULL LIMIT 1) c
    WHERE ($3)[i.n] = ANY (ARRAY(SELECT id FROM channels WHERE id = ANY ($3) AND state = 'active'))
      AND ($5)[i.n] <> ALL (ARRAY(SELECT external_id FROM identities WHERE external_id = ANY ($5) AND channel_id = ANY ($3) AND blocked_at IS NOT NULL))%s
    ORDER BY c.id
  ) i
  -- Spelled so that no index of open chats answers it: the chat is found by its place.
  WHERE c.ctid = i.place AND coalesce(c.closed_at, 0) = 0 AND c.thread_owner <> 'other'
  RETURNING i.n, c.id, c.last_seq, c.last_message_at, c.agent_id,
    CASE WHEN c.agent_id IS NULL AND c.held_reason IS NULL
          AND c.queue_id = ANY (ARRAY(SELECT id FROM queues WHERE environment_id = ANY ($2) AND rule = 'to_all_agents'))
         THEN c.queue_id END AS queue_id
), entries AS (
  INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, direction, author, text, state, channel_id, account_id,
                        event_key, external_id, provider_at)
  SELECT ($7::uuid[])[n], ($2::uuid[])[n], id, last_seq, 'message', last_message_at, 'in', 'client', ($8::text[])[n], 'received', ($3)[n], ($4::text[])[n],
         ($6::text[])[n], ($9::text[])[n], ($10::bigint[])[n] FROM moved
)
SELECT ($1)[n], 'stored', id, last_seq, false, agent_id, queue_id, false FROM moved`

// columns are the parameters of takeSQL: one array for each field.
func columns(items []*receiveItem) []any {
	return []any{
		column(items, func(i *receiveItem) int32 { return int32(i.Ord) }), //nolint:gosec // of one slice
		column(items, func(i *receiveItem) pgtype.UUID { return pgUUID(i.EnvironmentID) }),
		column(items, func(i *receiveItem) pgtype.UUID { return pgUUID(i.ChannelID) }),
		column(items, func(i *receiveItem) string { return i.AccountID }),
		column(items, func(i *receiveItem) string { return i.UserID }),
		column(items, func(i *receiveItem) string { return i.EventKey }),
		column(items, func(i *receiveItem) pgtype.UUID { return pgUUID(i.EntryID) }),
		column(items, func(i *receiveItem) string { return i.Body }),
		column(items, func(i *receiveItem) *string { return i.MessageID }),
		column(items, func(i *receiveItem) *int64 { return i.ProviderAt }),
	}
}

func column[T any](items []*receiveItem, of func(*receiveItem) T) pgtype.FlatArray[T] {
	all := make(pgtype.FlatArray[T], len(items))
	for i, item := range items {
		all[i] = of(item)
	}
	return all
}

func pgUUID(id [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// continuing picks what may ride in continueSQL: plain messages, and of each customer the first of the slice at most, so that
// his order stands.
func continuing(items []receiveItem) []*receiveItem {
	ride := make([]*receiveItem, 0, len(items))
	met := make(map[Sender]bool, len(items))
	for at := range items {
		i := &items[at]
		who := Sender{i.ChannelID, i.UserID}
		if !met[who] && i.plain() {
			ride = append(ride, i)
		}
		met[who] = true
	}
	return ride
}

const anySQL = "SELECT r_ord, r_outcome, r_chat, r_seq, r_opened, r_agent, r_queue, r_elsewhere FROM waggle_receive($1::text::jsonb)"

// receive commits in one or two transactions. If the second fails, the first one's events are stored all the same.
func (r *postgresReceiver) receive(ctx context.Context, s *Store, items []receiveItem) ([]Received, error) {
	out := make([]Received, len(items))
	for i := range out {
		out[i].Outcome = Dropped // PostgreSQL answers only for active channels
	}
	if ride := continuing(items); len(ride) > 0 {
		err := r.ask(ctx, out, r.shortest(), columns(ride)...)
		if err != nil && !s.d.duplicate(err) && !s.d.deadlock(err) {
			return nil, fmt.Errorf("receive %d events: %w", len(items), err)
		}
		if s.d.duplicate(err) {
			r.watchful.Store(watchfulSlices)
		}
	}
	var left []receiveItem
	for i := range items {
		if out[items[i].Ord].Outcome != Stored {
			items[i].withIDs()
			left = append(left, items[i])
		}
	}
	if len(left) == 0 {
		return out, nil
	}
	input, err := json.Marshal(left)
	if err == nil {
		err = r.ask(ctx, out, anySQL, string(input))
	}
	if err != nil {
		return nil, &partlyStored{out, fmt.Errorf("receive %d events: %w", len(items), err)}
	}
	return out, nil
}

// shortest is the statement for plain messages.
func (r *postgresReceiver) shortest() string {
	if r.watchful.Load() > 0 && r.watchful.Add(-1) >= 0 {
		return watchfulSQL
	}
	return continueSQL
}

// ask runs one statement and, once it is committed, notes its answers in out, by their Ord.
func (r *postgresReceiver) ask(ctx context.Context, out []Received, q string, args ...any) error {
	on, err := r.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer on.Release()
	// The deadline is the connection's own: to heed a context, pgx starts a goroutine for every statement.
	wire := on.Conn().PgConn().Conn()
	deadline, _ := ctx.Deadline()
	if err := wire.SetDeadline(deadline); err != nil {
		return err
	}
	defer func() {
		if !on.Conn().IsClosed() { // or pgx is ending it, by a deadline of its own
			_ = wire.SetDeadline(time.Time{})
		}
	}()
	r.told.prepared(q, args)
	rows, err := on.Query(context.Background(), q, append([]any{execMode(on.Conn())}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	answers := make([]answer, 0, len(out))
	for rows.Next() {
		var a answer
		if err := rows.Scan(&a.ord, &a.outcome, &a.chat, &a.seq, &a.opened, &a.agent, &a.queue, &a.elsewhere); err != nil {
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
			Outcome: ReceiveOutcome(a.outcome), ChatID: a.chat.Bytes, Seq: a.seq.Int64, Opened: a.opened, AgentID: a.agent.Bytes, QueueID: a.queue.Bytes,
			Elsewhere: a.elsewhere,
		}
	}
	return nil
}

// answer is one row of what PostgreSQL tells of a slice.
type answer struct {
	ord                int
	outcome            string
	chat, agent, queue pgtype.UUID
	seq                pgtype.Int8
	opened, elsewhere  bool
}
