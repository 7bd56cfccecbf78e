package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"waggle/api/gen"
)

// embeddedAt is over how many connections.
const embeddedAt = 32

// embeddedInbound measures how many webhooks one process takes into its SQLite file, beside what SQLite alone does in a loop
// of one row per commit. They take turns in one run, on the same disk. Chats are switched off meanwhile: what is measured is
// the way in.
func embeddedInbound(ctx context.Context, b *bench) error {
	in, town, err := b.install(ctx, b.embedded())
	if err != nil {
		return err
	}
	defer in.Close()
	off := false
	if err := town.API.Call(ctx, http.MethodPatch, "/api/v1/settings", gen.SettingsPatch{ChatsEnabled: &off}, nil); err != nil {
		return err
	}
	l, err := newLoop(ctx, filepath.Join(b.dir, "loop.db"))
	if err != nil {
		return err
	}
	defer l.close()
	d, err := newDeliveries(ctx, in, "telegram")
	if err != nil {
		return err
	}
	c := comparison{to: "SQLite's own loop"}
	for range rounds {
		r, err := d.round(ctx, embeddedAt, b.roundTime)
		if err != nil {
			return err
		}
		alone, err := l.round(ctx, b.roundTime)
		if err != nil {
			return err
		}
		c.add(r, alone)
	}
	c.report(b, connections(embeddedAt), atLeast(1.5), stated)
	return nil
}

// loop writes rows like pgbench's into a SQLite file, each in a commit of its own, by the product's driver and as durably.
type loop struct {
	db     *sql.DB
	insert *sql.Stmt
	rows   int
}

func newLoop(ctx context.Context, path string) (*loop, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	l := &loop{db: db}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `CREATE TABLE chat_msg (
		id integer PRIMARY KEY, uuid text NOT NULL, channel_id integer NOT NULL, external_id text NOT NULL, chat_id integer NOT NULL,
		text text NOT NULL, payload text NOT NULL, created_at integer NOT NULL, UNIQUE (channel_id, external_id));
		CREATE INDEX chat_msg_chat ON chat_msg (chat_id, created_at)`)
	if err == nil {
		l.insert, err = db.PrepareContext(ctx, `INSERT INTO chat_msg (uuid, channel_id, external_id, chat_id, text, payload, created_at)
			VALUES (?, 1, ?, ?, ?, ?, ?)`)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("prepare SQLite's own loop: %w", err)
	}
	return l, nil
}

func (l *loop) close() { _ = l.db.Close() }

// round is the rows a second of one run.
func (l *loop) round(ctx context.Context, length time.Duration) (float64, error) {
	text, payload := strings.Repeat("x", 100), `{"a": "`+strings.Repeat("x", 291)+`"}`
	began, first := time.Now(), l.rows
	for time.Since(began) < length {
		l.rows++
		_, err := l.insert.ExecContext(ctx, uuid.NewString(), fmt.Sprint(l.rows), l.rows%10_000, text, payload, time.Now().UnixMicro())
		if err != nil {
			return 0, fmt.Errorf("SQLite's own loop: %w", err)
		}
	}
	return float64(l.rows-first) / time.Since(began).Seconds(), nil
}
