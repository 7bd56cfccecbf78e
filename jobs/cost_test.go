package jobs_test

import (
	"context"
	"database/sql"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/driver/pgdriver"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// A tick costs what is due, nothing else: 100 due chats among 200,000 open ones cost at most three times what they cost among
// 2,000. COST_CHATS sets another number than 200,000.
func TestTickCost_S0_21(t *testing.T) {
	if !storetest.HasPostgres() {
		t.Skip("measured on PostgreSQL only; TEST_DATABASE_URL is not set") //nolint:forbidigo // what is bounded is what PostgreSQL does
	}
	many := 200_000
	if n, err := strconv.Atoi(os.Getenv("COST_CHATS")); err == nil {
		many = n
	}
	// The other packages' tests run beside it: a pair taken in a busy moment is taken again.
	var ratio float64
	for range 3 {
		few, lots := tickCost(t, 2_000), tickCost(t, many)
		ratio = float64(lots) / float64(few)
		t.Logf("2,000 chats: %s · %d chats: %s · ratio %.2f", few, many, lots, ratio)
		if ratio <= 3 {
			return
		}
	}
	require.LessOrEqual(t, ratio, 3.0)
}

// A reply costs the worker a bounded number of statements, BEGIN and COMMIT among them: each takes the database about as long as
// another, so that their number decides how many chats can be busy at once.
func TestSendCost_S2_2(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.replies(id, "hi")
		before := w.asked.Load()
		require.Equal(w, 1, w.deliver())
		require.LessOrEqual(w, w.asked.Load()-before, int64(29))
	})
}

// tickCost is how long both processes and the permanent tick take with so many open chats, of which 50 are to be transferred
// and 50 to be closed.
func tickCost(t *testing.T, chats int) time.Duration {
	t.Helper()
	url := storetest.PostgresURL(t)
	s, err := store.Open(context.Background(), store.Options{URL: url, MaxConns: 8})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Migrate(context.Background())
	require.NoError(t, err)
	f := newFloor(t, s)
	f.Set(noLimit)
	f.Set(late)
	// As many agents as such a number of chats needs.
	members := make([]uuid.UUID, 0, chats/200)
	for i := range chats / 200 {
		members = append(members, f.Agent("agent "+strconv.Itoa(i)))
	}
	queue := f.Queue(chat.ToAnAvailableAgent, 0, members...)
	channel := f.Channel(queue, 1)
	ps := append(f.Start(transferAfter(5)), f.Start(closeAfter(5))...)
	seedChats(t, url, f.Env, channel, queue, chats)

	began := time.Now()
	f.tick(ps...)
	took := time.Since(began)

	moved := 0
	for _, p := range ps {
		p, err := f.Process(context.Background(), f.Env, p.ID)
		require.NoError(t, err)
		moved += int(p.Affected)
	}
	require.Equal(t, 100, moved, "all that was due, and nothing else")
	return took
}

// seedChats makes open, accepted chats of all agents: half wait for their agent, half for their client, each since a moment
// ago but for 50 of each half, which are due.
func seedChats(t *testing.T, url string, env, channel, queue uuid.UUID, n int) {
	t.Helper()
	db := sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(url), pgdriver.WithTimeout(time.Minute)))
	defer db.Close()
	// The agents' loads are written once for all.
	_, err := db.Exec(`ALTER TABLE chats DISABLE TRIGGER USER`)
	require.NoError(t, err)
	_, err = db.Exec(`
WITH us AS (SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint AS now),
     team AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS size FROM agents)
INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, user_id, contact_id, weight, opened_at, agent_id, assigned_at, accepted_at,
                   last_seq, last_direction, last_message_at, last_message_day, unanswered_since, agent_due_since, closing_since)
SELECT gen_random_uuid(), $1, i, $2, $3, gen_random_uuid(), 'user ' || i, gen_random_uuid(), 1, at, team.id, at, at, 2,
       CASE WHEN i % 2 = 0 THEN 'in' ELSE 'out' END, at, at - at % 86400000000,
       CASE WHEN i % 2 = 0 THEN at END, CASE WHEN i % 2 = 0 THEN at END, CASE WHEN i % 2 = 1 THEN at END
FROM us, generate_series(1, $4::int) i
CROSS JOIN LATERAL (SELECT us.now - CASE WHEN i <= 100 THEN 600000000 ELSE 1000000 END AS at) w
JOIN team ON team.n = i % team.size`, env.String(), channel.String(), queue.String(), n)
	require.NoError(t, err)
	for _, then := range []string{
		`UPDATE agents AS a SET open_chats = l.n, open_weight = l.n FROM (SELECT agent_id, count(*) AS n FROM chats GROUP BY agent_id) AS l WHERE l.agent_id = a.id`,
		`ALTER TABLE chats ENABLE TRIGGER USER`, `UPDATE environments SET chats_enabled_at = 0`, `ANALYZE chats`, `ANALYZE agents`,
	} {
		_, err = db.Exec(then)
		require.NoError(t, err)
	}
}
