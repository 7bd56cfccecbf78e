package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
)

// sqliteReceiver takes a slice in row by row with prepared statements, in one transaction: SQLite has no round trips to
// save, and one writer at a time makes locks unnecessary.
type sqliteReceiver struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func (r *sqliteReceiver) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for _, st := range r.stmts {
		err = errors.Join(err, st.Close())
	}
	return err
}

func (r *sqliteReceiver) receive(ctx context.Context, _ *Store, items []receiveItem) (_ []Received, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("receive %d events: %w", len(items), err)
		}
	}()
	// Prepared outside the transaction: the one connection is the transaction's own.
	stmts, err := r.prepared(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	t := sqliteTaking{ctx: ctx, tx: tx, stmts: stmts}
	if err := t.row(sqlClock).Scan(&t.unmoved, &t.now); err != nil {
		return nil, err
	}
	out := make([]Received, len(items))
	for i := range items {
		if out[i], err = t.take(&items[i]); err != nil {
			return nil, err
		}
		if err := t.audience(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, tx.Commit()
}

// The statements of a taking.
const (
	sqlClock = `SELECT u, u + offset_us FROM clock, (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS u)`

	sqlChannel = `SELECT queue_id, weight FROM channels WHERE id = ? AND environment_id = ? AND state = 'active'`

	sqlIdentity = `SELECT id, contact_id FROM identities WHERE channel_id = ? AND external_id = ?`

	sqlNewIdentity = `INSERT INTO identities (id, environment_id, channel_id, external_id, contact_id, name, username, language, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

	sqlNewContact = `INSERT INTO contacts (id, environment_id, name, phone, email, created_at) VALUES (?, ?, ?, ?, ?, ?)`

	sqlByKey = `SELECT id, chat_id, kind FROM timeline WHERE channel_id = ? AND account_id = ? AND event_key = ?`

	sqlOpenChat = `SELECT id FROM chats WHERE identity_id = ? AND closed_at IS NULL`

	sqlNumber = `UPDATE counters SET value = value + 1 WHERE name = 'chat_number' RETURNING value`

	sqlKeyValid = `SELECT count(*) FROM secret_keys WHERE environment_id = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`

	sqlNewChat = `INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, contact_id, weight, opened_at, held_reason,
last_seq, last_direction, last_message_at, unanswered_since, crm_due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 2, 'in', ?, ?, ?)`

	sqlOpened = `INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, author) VALUES (?, ?, ?, 1, 'opened', ?, 'client')`

	sqlMessageCame = `UPDATE chats SET last_seq = last_seq + 1, last_direction = 'in', last_message_at = ?1,
unanswered_since = coalesce(unanswered_since, ?1), closing_since = NULL,
agent_due_since = CASE WHEN agent_id IS NOT NULL AND NOT on_hold THEN coalesce(agent_due_since, ?1) ELSE agent_due_since END,
crm_version = crm_version + 1, crm_due_at = coalesce(crm_due_at, ?2) WHERE id = ?3 RETURNING last_seq`

	sqlEditCame = `UPDATE chats SET last_seq = last_seq + 1, crm_version = crm_version + 1, crm_due_at = coalesce(crm_due_at, ?1)
WHERE id = ?2 RETURNING last_seq`

	sqlQuoted = `SELECT id FROM timeline WHERE chat_id = ?1 AND external_id = ?2
UNION ALL SELECT message_id FROM parts WHERE chat_id = ?1 AND external_id = ?2 LIMIT 1`

	sqlAudience = `SELECT c.agent_id, CASE WHEN c.agent_id IS NULL AND c.held_reason IS NULL
THEN (SELECT q.id FROM queues q WHERE q.id = c.queue_id AND q.rule = 'to_all_agents') END FROM chats c WHERE c.id = ?`

	sqlEntry = `INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, direction, author, text, target_id, reply_to, attachments, state,
channel_id, account_id, event_key, external_id, provider_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'client', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func (r *sqliteReceiver) prepared(ctx context.Context) (map[string]*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stmts != nil {
		return r.stmts, nil
	}
	stmts := map[string]*sql.Stmt{}
	for _, q := range []string{
		sqlClock, sqlChannel, sqlIdentity, sqlNewIdentity, sqlNewContact, sqlByKey, sqlOpenChat, sqlNumber, sqlKeyValid,
		sqlNewChat, sqlOpened, sqlMessageCame, sqlEditCame, sqlQuoted, sqlAudience, sqlEntry,
	} {
		st, err := r.db.PrepareContext(ctx, q)
		if err != nil {
			return nil, err
		}
		stmts[q] = st
	}
	r.stmts = stmts
	return stmts, nil
}

// sqliteTaking is one slice being taken in.
type sqliteTaking struct {
	ctx     context.Context
	tx      *sql.Tx
	stmts   map[string]*sql.Stmt
	unmoved int64
	now     int64
}

func (t *sqliteTaking) row(q string, args ...any) *sql.Row {
	return t.tx.StmtContext(t.ctx, t.stmts[q]).QueryRowContext(t.ctx, args...)
}

func (t *sqliteTaking) exec(q string, args ...any) error {
	_, err := t.tx.StmtContext(t.ctx, t.stmts[q]).ExecContext(t.ctx, args...)
	return err
}

func (t *sqliteTaking) take(i *receiveItem) (Received, error) {
	i.withIDs()
	var queue uuid.NullUUID
	var weight int
	err := t.row(sqlChannel, i.ChannelID, i.EnvironmentID).Scan(&queue, &weight)
	if errors.Is(err, sql.ErrNoRows) {
		return Received{Outcome: Dropped}, nil
	}
	if err != nil {
		return Received{}, err
	}
	identity, contact, err := t.identity(i)
	if err != nil {
		return Received{}, err
	}
	target, targetChat, err := t.target(i)
	if err != nil {
		return Received{}, err
	}
	if repeat, err := t.repeated(i); repeat || err != nil {
		return Received{Outcome: Repeat}, err
	}
	if target.Valid {
		var seq int64
		if err := t.row(sqlEditCame, t.unmoved, targetChat).Scan(&seq); err != nil {
			return Received{}, err
		}
		return Received{Outcome: Stored, ChatID: targetChat, Seq: seq}, t.entry(i, chat.EntryEdit, targetChat, seq, target)
	}
	return t.message(i, identity, contact, queue, weight)
}

// audience adds who may know of what was stored.
func (t *sqliteTaking) audience(r *Received) error {
	if r.Outcome != Stored {
		return nil
	}
	var agent, queue uuid.NullUUID
	err := t.row(sqlAudience, r.ChatID).Scan(&agent, &queue)
	r.AgentID, r.QueueID = agent.UUID, queue.UUID
	return err
}

func (t *sqliteTaking) identity(i *receiveItem) (identity, contact uuid.UUID, err error) {
	err = t.row(sqlIdentity, i.ChannelID, i.UserID).Scan(&identity, &contact)
	if !errors.Is(err, sql.ErrNoRows) {
		return identity, contact, err
	}
	err = t.exec(sqlNewIdentity, i.NewIdentity, i.EnvironmentID, i.ChannelID, i.UserID, i.NewContact, i.UserName, i.Username, i.Language, t.now)
	if err == nil {
		err = t.exec(sqlNewContact, i.NewContact, i.EnvironmentID, i.UserName, i.Phone, i.Email, t.now)
	}
	return i.NewIdentity, i.NewContact, err
}

// target finds the message an edit changes. An edit of a message we never had becomes that message.
func (t *sqliteTaking) target(i *receiveItem) (id uuid.NullUUID, chatID uuid.UUID, err error) {
	if i.Kind != string(channels.Edit) || i.MessageKey == nil {
		return id, chatID, nil
	}
	var kind string
	err = t.row(sqlByKey, i.ChannelID, i.AccountID, *i.MessageKey).Scan(&id, &chatID, &kind)
	if errors.Is(err, sql.ErrNoRows) {
		i.Kind, i.EventKey = string(channels.Message), *i.MessageKey
		return id, chatID, nil
	}
	return id, chatID, err
}

func (t *sqliteTaking) repeated(i *receiveItem) (bool, error) {
	var id, chatID uuid.UUID
	var kind string
	err := t.row(sqlByKey, i.ChannelID, i.AccountID, i.EventKey).Scan(&id, &chatID, &kind)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (t *sqliteTaking) message(i *receiveItem, identity, contact uuid.UUID, queue uuid.NullUUID, weight int) (Received, error) {
	var chatID uuid.UUID
	err := t.row(sqlOpenChat, identity).Scan(&chatID)
	if errors.Is(err, sql.ErrNoRows) {
		if err := t.open(i, identity, contact, queue, weight); err != nil {
			return Received{}, err
		}
		return Received{Outcome: Stored, ChatID: i.NewChat, Seq: 2, Opened: true},
			t.entry(i, chat.EntryMessage, i.NewChat, 2, uuid.NullUUID{})
	}
	if err != nil {
		return Received{}, err
	}
	var seq int64
	if err := t.row(sqlMessageCame, t.now, t.unmoved, chatID).Scan(&seq); err != nil {
		return Received{}, err
	}
	return Received{Outcome: Stored, ChatID: chatID, Seq: seq}, t.entry(i, chat.EntryMessage, chatID, seq, uuid.NullUUID{})
}

func (t *sqliteTaking) open(i *receiveItem, identity, contact uuid.UUID, queue uuid.NullUUID, weight int) error {
	var number int64
	if err := t.row(sqlNumber).Scan(&number); err != nil {
		return err
	}
	var keys int
	if err := t.row(sqlKeyValid, i.EnvironmentID, t.now).Scan(&keys); err != nil {
		return err
	}
	var held any
	if keys == 0 {
		held = chat.HeldKeyExpired
	}
	if err := t.exec(sqlNewChat, i.NewChat, i.EnvironmentID, number, i.ChannelID, queue, identity, contact, weight, t.now, held, t.now, t.now, t.unmoved); err != nil {
		return err
	}
	return t.exec(sqlOpened, i.OpenedID, i.EnvironmentID, i.NewChat, t.now)
}

func (t *sqliteTaking) entry(i *receiveItem, kind chat.EntryKind, chatID uuid.UUID, seq int64, target uuid.NullUUID) error {
	var direction chat.Direction
	var state chat.MessageState
	var external, attachments any
	var quoted uuid.NullUUID
	if kind == chat.EntryMessage {
		direction, state = chat.In, chat.MessageReceived
		if i.MessageID != nil {
			external = *i.MessageID
		}
	}
	if i.ReplyTo != nil {
		if err := t.row(sqlQuoted, chatID, *i.ReplyTo).Scan(&quoted); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if len(i.Attachments) > 0 {
		attachments = string(i.Attachments)
	}
	return t.exec(sqlEntry, i.EntryID, i.EnvironmentID, chatID, seq, string(kind), t.now, string(direction), i.Body, target, quoted, attachments,
		string(state), i.ChannelID, i.AccountID, i.EventKey, external, i.ProviderAt)
}
