package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// receiveParams make the plans generic and independent of the statistics of a young database: with small slices PostgreSQL
// would otherwise plan each call anew, which costs more than the call.
var receiveParams = map[string]any{
	"plan_cache_mode":   "force_generic_plan",
	"enable_seqscan":    "off",
	"enable_hashjoin":   "off",
	"enable_bitmapscan": "off",
	"enable_mergejoin":  "off",
	"jit":               "off", // compiling costs more than the call
}

// receivePool makes the connections on which slices are taken in. They lead where the others lead, but speak PostgreSQL's
// binary protocol, by pgx: arrays that PostgreSQL need not parse, and statements that each connection prepares once.
func receivePool(url string) (*pgxpool.Pool, error) {
	c, err := postgresConnector(url, receiveParams)
	if err != nil {
		return nil, err
	}
	like := c.Config()
	conf, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	conf.MaxConns, conf.MaxConnIdleTime = 4, 5*time.Minute
	to := &conf.ConnConfig.Config
	to.Host, to.User, to.Password, to.Database, to.TLSConfig = like.Addr, like.User, like.Password, like.Database, like.TLSConfig
	to.Fallbacks, to.RuntimeParams, to.ConnectTimeout = nil, map[string]string{"application_name": like.AppName}, like.DialTimeout
	to.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	to.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return like.Dialer(ctx, like.Network, like.Addr)
	}
	conf.AfterConnect = func(ctx context.Context, on *pgx.Conn) error {
		params := like.ConnParams
		pooled, err := isPooled(ctx, on)
		if err != nil {
			return err
		}
		if pooled {
			on.PgConn().CustomData()[behindPooler] = true
			params = maps.Clone(params)
			maps.DeleteFunc(params, func(name string, _ any) bool { return receiveParams[name] != nil })
		}
		return setParams(ctx, on, params)
	}
	return pgxpool.NewWithConfig(context.Background(), conf) // it connects when it is first used
}

// behindPooler marks connections that end at a pooler, such as PgBouncer. From one transaction to the next it may lead them to
// another backend, which does not know a statement that was prepared; and what is set for plans would meet others there.
const behindPooler = "behind a pooler"

// isPooled: PostgreSQL greets with the backend's process id, a pooler with a number of its own.
func isPooled(ctx context.Context, on *pgx.Conn) (bool, error) {
	var backend uint32
	if err := on.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&backend); err != nil {
		return false, fmt.Errorf("ask for the backend: %w", err)
	}
	return backend != on.PgConn().PID(), nil
}

// execMode prepares statements for good where they are met again.
func execMode(on *pgx.Conn) pgx.QueryExecMode {
	if on.PgConn().CustomData()[behindPooler] != nil {
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeCacheStatement
}

// setParams sets a connection's parameters after its start: poolers such as PgBouncer refuse them with it.
func setParams(ctx context.Context, on *pgx.Conn, params map[string]any) error {
	for name, value := range params {
		if _, err := on.Exec(ctx, "SELECT set_config($1, $2, false)", pgx.QueryExecModeExec, name, fmt.Sprint(value)); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// receiveState is the SQLSTATE of an error of these connections; empty: it has none.
func receiveState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
