package runner

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	_ "waggle/store" // brings the drivers
)

// Database is the installation's database seen past Waggle and past the weather: to count what is there, and to let time
// pass that no test can wait for.
type Database struct {
	url    string // of PostgreSQL, with the schema; empty: SQLite
	schema string
	sql    *sql.DB
}

// longestStatement is how long a statement of ours may take: one fills tens of thousands of rows or counts a million.
const longestStatement = 5 * time.Minute

// newSchema makes a schema of its own in the PostgreSQL database at base.
func newSchema(ctx context.Context, base string) (*Database, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("the database's URL is malformed")
	}
	d := &Database{schema: "proof_" + strings.ReplaceAll(uuid.NewString(), "-", "")}
	admin, err := sql.Open("pg", base)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "CREATE SCHEMA "+d.schema); err != nil {
		return nil, fmt.Errorf("make a schema in PostgreSQL: %w", err)
	}
	q := u.Query()
	q.Set("search_path", d.schema)
	u.RawQuery = q.Encode()
	d.url = u.String()
	q.Set("read_timeout", longestStatement.String())
	u.RawQuery = q.Encode()
	d.sql, err = sql.Open("pg", u.String())
	return d, err
}

// openFile reads the SQLite file a process writes.
func openFile(path string) (*Database, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	return &Database{sql: db}, err
}

// through is the database's URL by way of another address.
func (d *Database) through(addr string) string {
	u, err := url.Parse(d.url)
	if err != nil {
		return d.url
	}
	u.Host = addr
	return u.String()
}

// Schema is the schema of PostgreSQL that everything is in; empty: SQLite.
func (d *Database) Schema() string { return d.schema }

func (d *Database) close(ctx context.Context) {
	if d.schema != "" {
		_, _ = d.sql.ExecContext(ctx, "DROP SCHEMA "+d.schema+" CASCADE")
	}
	_ = d.sql.Close()
}

// Int reads one number.
func (d *Database) Int(ctx context.Context, query string) (n int, err error) {
	if err := d.sql.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	return n, nil
}

// Query reads rows; the caller closes them.
func (d *Database) Query(ctx context.Context, query string) (*sql.Rows, error) {
	rows, err := d.sql.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	return rows, nil
}

// Exec changes rows and returns how many. It keeps to no order of locks, so that it may be a deadlock's victim: then it is
// tried again.
func (d *Database) Exec(ctx context.Context, query string) (int, error) {
	r, err := d.sql.ExecContext(ctx, query)
	for try := 1; err != nil && strings.Contains(err.Error(), "40P01") && try < 10; try++ {
		r, err = d.sql.ExecContext(ctx, query)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// Held tells of PostgreSQL's transactions that are older than two seconds: what each does, for how long, and which it waits for.
// Statements carry their values as text, so only how they begin is told.
func (d *Database) Held(ctx context.Context) string {
	if d.schema == "" {
		return ""
	}
	rows, err := d.Query(ctx, `SELECT format('%s %s for %s s, waits for %s (%s): %s', pid, state, round(extract(epoch FROM clock_timestamp() - xact_start)),
		pg_blocking_pids(pid)::text, coalesce(wait_event, '-'), left(regexp_replace(query, '\s+', ' ', 'g'), 100))
		FROM pg_stat_activity WHERE datname = current_database() AND xact_start < clock_timestamp() - interval '2 s' ORDER BY xact_start`)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for line := ""; rows.Next(); {
		if err := rows.Scan(&line); err != nil {
			return err.Error()
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return strings.Join(all, "\n")
}

// EndLeases ends every lease on work, as the minute does that nobody wants to wait for after a crash. It returns how many
// lanes were leased.
func (d *Database) EndLeases(ctx context.Context) (lanes int, err error) {
	for _, lane := range []string{"crm", "out"} {
		n, err := d.Exec(ctx, fmt.Sprintf("UPDATE chats SET %[1]s_until = 1 WHERE %[1]s_until IS NOT NULL", lane))
		if err != nil {
			return lanes, err
		}
		lanes += n
	}
	_, err = d.Exec(ctx, "UPDATE jobs SET until_at = 1 WHERE until_at IS NOT NULL")
	return lanes, err
}

// Quiet tells whether no chat has anything to do or being done towards either side.
func (d *Database) Quiet(ctx context.Context) (bool, error) {
	n, err := d.Int(ctx, "SELECT count(*) FROM chats WHERE crm_due_at IS NOT NULL OR out_due_at IS NOT NULL OR crm_until IS NOT NULL OR out_until IS NOT NULL")
	return n == 0, err
}

// Gaps counts the chats whose timeline is not numbered 1, 2, 3 … to the end.
func (d *Database) Gaps(ctx context.Context) (int, error) {
	return d.Int(ctx, `SELECT count(*) FROM chats AS c WHERE c.last_seq <> (SELECT count(*) FROM timeline AS t WHERE t.chat_id = c.id)
		OR c.last_seq <> (SELECT coalesce(max(t.seq), 0) FROM timeline AS t WHERE t.chat_id = c.id)`)
}
