package store

import (
	"context"
	"database/sql"
	"encoding/json"
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
	db   *sql.DB
	told watcher // of every statement; nil: nobody

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// atOnce is one: SQLite has one writer at a time.
func (r *sqliteReceiver) atOnce() int { return 1 }

func (r *sqliteReceiver) tell(w watcher) { r.told = w }

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
	t := sqliteTaking{ctx: ctx, tx: tx, told: r.told, stmts: stmts, bound: map[string]*sql.Stmt{}, channels: map[uuid.UUID]*sqliteChannel{}}
	if err := t.row(sqlClock).Scan(&t.unmoved, &t.now); err != nil {
		return nil, err
	}
	out := make([]Received, len(items))
	for i := range items {
		item := items[i] // what becomes of it here is forgotten if it is taken again, alone
		if out[i], err = t.take(&item); err != nil {
			return nil, err
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, err
	}
	return out, nil
}

// The statements of a taking.
const (
	sqlClock = `SELECT u, u + offset_us FROM clock, (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS u)`

	sqlChannel = `SELECT queue_id, weight FROM channels WHERE id = ? AND environment_id = ? AND state = 'active'`

	sqlIdentity = `SELECT id, contact_id, blocked_at IS NOT NULL FROM identities WHERE channel_id = ? AND external_id = ?`

	sqlUnblock = `UPDATE identities SET blocked_at = NULL WHERE id = ?`

	sqlNewIdentity = `INSERT INTO identities (id, environment_id, channel_id, external_id, contact_id, name, username, language, created_at, profile_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, CASE WHEN ?6 = ?4 THEN 0 END)`

	sqlNewContact = `INSERT INTO contacts (id, environment_id, name, phone, email, created_at) VALUES (?, ?, ?, ?, ?, ?)`

	sqlIntroduced = `UPDATE contacts SET phone = CASE WHEN phone = '' THEN ?2 ELSE phone END, email = CASE WHEN email = '' THEN ?3 ELSE email END
WHERE id = ?1 AND (phone = '' AND ?2 <> '' OR email = '' AND ?3 <> '')`

	sqlByKey = `SELECT coalesce(target_id, id), chat_id FROM timeline WHERE channel_id = ? AND account_id = ? AND event_key = ?`

	sqlByKeyWithoutFiles = `SELECT id, chat_id FROM timeline
WHERE channel_id = ? AND account_id = ? AND event_key = ? AND kind = 'message' AND attachments IS NULL`

	sqlByAlbum = `SELECT id, chat_id FROM timeline WHERE channel_id = ? AND account_id = ? AND album = ?`

	sqlRepeat = `SELECT c.closed_at IS NULL AND c.thread_owner = 'other' FROM timeline t JOIN chats c ON c.id = t.chat_id
WHERE t.channel_id = ? AND t.account_id = ? AND t.event_key = ?`

	sqlNumber = `UPDATE counters SET value = value + 1 WHERE name = 'chat_number' RETURNING value`

	sqlKeyValid = `SELECT count(*) FROM secret_keys WHERE environment_id = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`

	sqlNewChat = `INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, user_id, contact_id, weight, opened_at, held_reason,
last_seq, last_direction, last_message_at, last_message_day, unanswered_since, crm_due_at, thread_owner, thread_app, thread_since, bot_due_since)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?14, ?7, ?8, ?9, ?10, 2, 'in', ?9, ?9 - ?9 % 86400000000, ?9, ?11, ?12, ?13, CASE WHEN ?12 <> '' THEN ?9 END, CASE WHEN ?12 = 'other' THEN ?9 END)
RETURNING id, last_seq, ` + sqlAudience

	sqlOpened = `INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, author) VALUES (?, ?, ?, 1, 'opened', ?, 'client')`

	sqlThread = `SELECT owner, app FROM threads WHERE channel_id = ? AND external_id = ?`

	sqlMessageCame = `UPDATE chats SET last_seq = last_seq + 1, last_direction = 'in', last_message_at = ?1, last_message_day = ?1 - ?1 % 86400000000,
unanswered_since = coalesce(unanswered_since, ?1), closing_since = NULL,
agent_due_since = CASE WHEN agent_id IS NOT NULL AND NOT on_hold THEN coalesce(agent_due_since, ?1) ELSE agent_due_since END,
bot_due_since = CASE WHEN thread_owner = 'other' AND unanswered_since IS NULL THEN ?1 ELSE bot_due_since END,
crm_version = crm_version + 1, crm_due_at = coalesce(crm_due_at, ?2) WHERE identity_id = ?3 AND closed_at IS NULL
RETURNING id, last_seq, ` + sqlAudience

	sqlChangeCame = `UPDATE chats SET last_seq = last_seq + 1, crm_version = crm_version + 1, crm_due_at = coalesce(crm_due_at, ?1)
WHERE id = ?2 RETURNING id, last_seq, ` + sqlAudience

	sqlAudience = `agent_id, CASE WHEN agent_id IS NULL AND held_reason IS NULL
THEN (SELECT q.id FROM queues q WHERE q.id = queue_id AND q.rule = 'to_all_agents') END,
closed_at IS NULL AND thread_owner = 'other'`

	sqlQuoted = `SELECT coalesce(target_id, id) FROM timeline WHERE chat_id = ?1 AND external_id = ?2
UNION ALL SELECT message_id FROM parts WHERE chat_id = ?1 AND external_id = ?2 LIMIT 1`

	sqlEntry = `INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, direction, author, text, target_id, reply_to, attachments, state,
channel_id, account_id, event_key, external_id, album, provider_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'client', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	sqlFiles = `INSERT INTO files (id, environment_id, chat_id, entry_id, n, channel_id, ref, kind, name, state, created_at, due_at)
SELECT ?1 ->> a.key, ?2, ?3, ?4, a.key, ?5, a.value ->> 'ref', a.value ->> 'kind', a.value ->> 'name', 'waiting', ?6, ?7
FROM json_each(?8) AS a WHERE a.value ->> 'ref' <> ''`
)

func (r *sqliteReceiver) prepared(ctx context.Context) (map[string]*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stmts != nil {
		return r.stmts, nil
	}
	stmts := map[string]*sql.Stmt{}
	for _, q := range []string{
		sqlClock, sqlChannel, sqlIdentity, sqlUnblock, sqlNewIdentity, sqlNewContact, sqlIntroduced, sqlByKey, sqlByKeyWithoutFiles, sqlByAlbum, sqlRepeat, sqlNumber,
		sqlKeyValid, sqlThread, sqlNewChat, sqlOpened, sqlMessageCame, sqlChangeCame, sqlQuoted, sqlEntry, sqlFiles,
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
	ctx      context.Context
	tx       *sql.Tx
	told     watcher
	stmts    map[string]*sql.Stmt
	bound    map[string]*sql.Stmt         // stmts, bound to tx
	channels map[uuid.UUID]*sqliteChannel // those read in this slice; nil: not active
	unmoved  int64
	now      int64
}

// sqliteChannel is what a new chat takes from its channel.
type sqliteChannel struct {
	queue  uuid.NullUUID
	weight int
}

func (t *sqliteTaking) stmt(q string) *sql.Stmt {
	st := t.bound[q]
	if st == nil {
		st = t.tx.StmtContext(t.ctx, t.stmts[q])
		t.bound[q] = st
	}
	return st
}

func (t *sqliteTaking) row(q string, args ...any) *sql.Row {
	t.told.prepared(q, args)
	return t.stmt(q).QueryRowContext(t.ctx, args...)
}

func (t *sqliteTaking) exec(q string, args ...any) error {
	t.told.prepared(q, args)
	_, err := t.stmt(q).ExecContext(t.ctx, args...)
	return err
}

func (t *sqliteTaking) take(i *receiveItem) (Received, error) {
	ch, err := t.channel(i)
	if err != nil {
		return Received{}, err
	}
	if ch == nil {
		return Received{Outcome: Dropped}, nil
	}
	who, err := t.identity(i)
	if err != nil {
		return Received{}, err
	}
	kind, target, targetChat, err := t.target(i)
	if err != nil {
		return Received{}, err
	}
	if repeat, elsewhere, err := t.repeated(i); repeat || err != nil {
		return Received{Outcome: Repeat, Elsewhere: elsewhere}, err
	}
	if target.Valid {
		out, err := t.place(sqlChangeCame, t.unmoved, targetChat)
		if err != nil {
			return Received{}, err
		}
		return out, t.entry(i, kind, out, target)
	}
	if who.blocked { // who writes takes messages again
		if err := t.exec(sqlUnblock, who.id); err != nil {
			return Received{}, err
		}
	}
	out, err := t.place(sqlMessageCame, t.now, t.unmoved, who.id)
	if errors.Is(err, sql.ErrNoRows) {
		out, err = t.open(i, who, ch)
	}
	if err != nil {
		return Received{}, err
	}
	return out, t.entry(i, kind, out, target)
}

// channel returns the channel of an item; nil if it is not active.
func (t *sqliteTaking) channel(i *receiveItem) (*sqliteChannel, error) {
	ch, known := t.channels[i.ChannelID]
	if known {
		return ch, nil
	}
	ch = &sqliteChannel{}
	err := t.row(sqlChannel, i.ChannelID, i.EnvironmentID).Scan(&ch.queue, &ch.weight)
	if errors.Is(err, sql.ErrNoRows) {
		ch, err = nil, nil
	}
	if err == nil {
		t.channels[i.ChannelID] = ch
	}
	return ch, err
}

// place changes or makes the chat of an entry and says where the entry belongs and who may know of it.
func (t *sqliteTaking) place(q string, args ...any) (Received, error) {
	out := Received{Outcome: Stored}
	var agent, queue uuid.NullUUID
	err := t.row(q, args...).Scan(&out.ChatID, &out.Seq, &agent, &queue, &out.Elsewhere)
	out.AgentID, out.QueueID = agent.UUID, queue.UUID
	return out, err
}

// sqliteCustomer is who wrote.
type sqliteCustomer struct {
	id, contact uuid.UUID
	blocked     bool
}

func (t *sqliteTaking) identity(i *receiveItem) (who sqliteCustomer, err error) {
	err = t.row(sqlIdentity, i.ChannelID, i.UserID).Scan(&who.id, &who.contact, &who.blocked)
	if err == nil && (i.Phone != "" || i.Email != "") {
		err = t.exec(sqlIntroduced, who.contact, i.Phone, i.Email)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return who, err
	}
	i.withIDs()
	err = t.exec(sqlNewIdentity, i.NewIdentity, i.EnvironmentID, i.ChannelID, i.UserID, i.NewContact, i.UserName, i.Username, i.Language, t.now)
	if err == nil {
		err = t.exec(sqlNewContact, i.NewContact, i.EnvironmentID, i.UserName, i.Phone, i.Email, t.now)
	}
	return sqliteCustomer{id: i.NewIdentity, contact: i.NewContact}, err
}

// target finds out what an item is: a message, or what belongs to one. An edit of a message we never had becomes that message.
// Where edits bring no files, those of the message itself, which comes later, belong to it then; a piece of an album we have
// belongs to its message.
func (t *sqliteTaking) target(i *receiveItem) (kind chat.EntryKind, message uuid.NullUUID, chatID uuid.UUID, err error) {
	if i.Kind == string(channels.Edit) && i.MessageKey != nil {
		found, err := t.find(sqlByKey, i, *i.MessageKey, &message, &chatID)
		if found || err != nil {
			return chat.EntryEdit, message, chatID, err
		}
		i.Kind, i.EventKey = string(channels.Message), *i.MessageKey
	}
	if i.Kind == string(channels.Message) && len(i.Attachments) > 0 {
		found, err := t.find(sqlByKeyWithoutFiles, i, i.EventKey, &message, &chatID)
		if found {
			i.EventKey, i.Body = i.EventKey+"/files", ""
		}
		if found || err != nil {
			return chat.EntryAddition, message, chatID, err
		}
	}
	if i.Album != nil {
		found, err := t.find(sqlByAlbum, i, *i.Album, &message, &chatID)
		if found || err != nil {
			return chat.EntryAddition, message, chatID, err
		}
	}
	return chat.EntryMessage, message, chatID, nil
}

// repeated reports whether an event was here before, and whether it is in a conversation another app holds now.
func (t *sqliteTaking) repeated(i *receiveItem) (repeat, elsewhere bool, err error) {
	err = t.row(sqlRepeat, i.ChannelID, i.AccountID, i.EventKey).Scan(&elsewhere)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, elsewhere, err
}

// find looks for an entry of the item's account by one of its keys.
func (t *sqliteTaking) find(q string, i *receiveItem, key string, id *uuid.NullUUID, chatID *uuid.UUID) (bool, error) {
	err := t.row(q, i.ChannelID, i.AccountID, key).Scan(id, chatID)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (t *sqliteTaking) open(i *receiveItem, who sqliteCustomer, ch *sqliteChannel) (Received, error) {
	i.withIDs()
	var number int64
	if err := t.row(sqlNumber).Scan(&number); err != nil {
		return Received{}, err
	}
	var keys int
	if err := t.row(sqlKeyValid, i.EnvironmentID, t.now).Scan(&keys); err != nil {
		return Received{}, err
	}
	var held any
	if keys == 0 {
		held = chat.HeldKeyExpired
	}
	var owner, app string
	if err := t.row(sqlThread, i.ChannelID, i.UserID).Scan(&owner, &app); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Received{}, err
	}
	out, err := t.place(sqlNewChat, i.NewChat, i.EnvironmentID, number, i.ChannelID, ch.queue, who.id, who.contact, ch.weight, t.now, held, t.unmoved, owner, app, i.UserID)
	if err != nil {
		return Received{}, err
	}
	out.Opened = true
	return out, t.exec(sqlOpened, i.OpenedID, i.EnvironmentID, i.NewChat, t.now)
}

func (t *sqliteTaking) entry(i *receiveItem, kind chat.EntryKind, at Received, target uuid.NullUUID) error {
	var direction chat.Direction
	var state chat.MessageState
	var album *string
	var attachments any
	var quoted uuid.NullUUID
	if kind == chat.EntryMessage {
		direction, state, album = chat.In, chat.MessageReceived, i.Album
	}
	if i.ReplyTo != nil {
		if err := t.row(sqlQuoted, at.ChatID, *i.ReplyTo).Scan(&quoted); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if len(i.Attachments) > 0 {
		attachments = string(i.Attachments)
	}
	err := t.exec(sqlEntry, i.EntryID, i.EnvironmentID, at.ChatID, at.Seq, string(kind), t.now, string(direction), i.Body, target, quoted, attachments,
		string(state), i.ChannelID, i.AccountID, i.EventKey, i.MessageID, album, i.ProviderAt)
	if err != nil || len(i.Files) == 0 {
		return err
	}
	ids, err := json.Marshal(i.Files)
	if err != nil {
		return err
	}
	return t.exec(sqlFiles, string(ids), i.EnvironmentID, at.ChatID, i.EntryID, i.ChannelID, t.now, t.unmoved, attachments)
}
