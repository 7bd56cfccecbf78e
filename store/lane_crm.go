package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

// PushClaim is the leased lanes of one environment. Each chat's CRMFence proves its lease.
type PushClaim struct {
	Environment Environment
	Chats       []Chat
}

// ClaimPush leases up to limit lanes of an environment that are due. Of one whose CRM was down it leases one only, and only if
// nobody else probes. Held chats are put to sleep: their release wakes them. No chats: there is nothing to push now. ErrLocked
// means that there are such lanes, but others are changing their chats.
func (s *Store) ClaimPush(ctx context.Context, environment uuid.UUID, owner string, limit int, lease time.Duration) (PushClaim, error) {
	var claim PushClaim
	var locked bool
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		claim, locked = PushClaim{}, false
		var open []Environment
		q := s.pushable(tx.NewSelect().Model(&open)).Where("e.id = ?", environment)
		if err := q.Scan(ctx); err != nil || len(open) == 0 {
			return err
		}
		claim.Environment = open[0]
		if claim.Environment.CRMState == CRMUnavailable {
			limit = 1
			// The probe is taken below: the environment is locked before chats, as where its settings change.
			if _, err := s.lockEnvironment(ctx, tx, environment); err != nil {
				return err
			}
		}
		if err := s.sleepHeld(ctx, tx, environment); err != nil {
			return err
		}
		var ids []uuid.UUID
		due := func() *bun.SelectQuery {
			return tx.NewSelect().Model((*Chat)(nil)).Column("id").Where("environment_id = ?", environment).Where("held_reason IS NULL").
				Where("crm_due_at <= ?", s.d.now()).Where("crm_until IS NULL OR crm_until < ?", s.d.now()).OrderExpr("crm_due_at").Limit(limit)
		}
		if err := s.d.skipLocked(due()).Scan(ctx, &ids); err != nil {
			return err
		}
		if len(ids) == 0 {
			var err error
			locked, err = due().Exists(ctx)
			return err
		}
		if claim.Environment.CRMState == CRMUnavailable {
			if mine, err := s.takeProbe(ctx, tx, environment, lease); err != nil || !mine {
				return err
			}
		}
		return tx.NewUpdate().Model((*Chat)(nil)).Set("crm_owner = ?", owner).Set("crm_until = ? + ?", s.d.now(), lease.Microseconds()).
			Set("crm_fence = crm_fence + 1").Where("environment_id = ?", environment).Where("id IN (?)", bun.List(ids)).Returning("*").Scan(ctx, &claim.Chats)
	})
	if err == nil && locked {
		err = ErrLocked
	}
	if err != nil {
		return PushClaim{}, fmt.Errorf("claim lanes to the CRM: %w", err)
	}
	return claim, nil
}

func (s *Store) sleepHeld(ctx context.Context, tx bun.Tx, environment uuid.UUID) error {
	err := s.setOnChats(ctx, tx, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("crm_due_at = NULL") },
		"environment_id = ? AND held_reason IS NOT NULL AND crm_due_at IS NOT NULL", environment)
	return err
}

// PushWork is what the claimed chats need to be pushed. Maps are by id.
type PushWork struct {
	Channels   map[uuid.UUID]*Channel
	Queues     map[uuid.UUID]*Queue
	Contacts   map[uuid.UUID]*Contact
	Identities map[uuid.UUID]*Identity
	Agents     map[uuid.UUID]*Agent
	Entries    map[uuid.UUID][]PushEntry // by chat: what comes after the cursor, in order
	Messages   map[uuid.UUID]*PushMessage
	Last       map[uuid.UUID]uuid.UUID // by chat: its last message, which is among Messages
	Waiting    map[uuid.UUID]int       // by chat: messages the client still has no answer to
}

// PushEntry is one step of the cursor.
type PushEntry struct {
	ID       uuid.UUID
	ChatID   uuid.UUID
	Seq      int64
	Kind     chat.EntryKind
	TargetID uuid.UUID `bun:",nullzero"` // of an addition or edit: the message
}

// PushMessage is a message as the CRM should have it: as it stands, at a time that differs from that of every other
// message of the chat by a millisecond at least, in their order, and is the same each time.
type PushMessage struct {
	ID          uuid.UUID
	ChatID      uuid.UUID
	Seq         int64
	Direction   chat.Direction
	Author      chat.Author
	AgentID     uuid.UUID             `bun:",nullzero"`
	ExternalID  string                `bun:",nullzero"`
	First       string                `bun:"text"`                 // what it said at first
	Attachments []channels.Attachment `bun:",nullzero,type:jsonb"` // what it brought at first
	CRMError    string                `bun:"crm_error"`
	CreatedMS   int64                 `bun:"created_ms"` // since 1970, UTC
	Text        string                `bun:"-"`
	Files       []File                `bun:"-"`
}

// LoadPush reads what the claimed chats need, up to limit timeline entries.
func (s *Store) LoadPush(ctx context.Context, claim PushClaim, limit int) (*PushWork, error) {
	l := pushLoader{s: s, environment: claim.Environment.ID, w: &PushWork{
		Entries: map[uuid.UUID][]PushEntry{}, Messages: map[uuid.UUID]*PushMessage{}, Last: map[uuid.UUID]uuid.UUID{}, Waiting: map[uuid.UUID]int{},
	}}
	for _, c := range claim.Chats {
		l.chats = append(l.chats, c.ID)
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return l.entries(ctx, limit) }, l.lasts, l.messages, l.changes, l.waiting,
		func(ctx context.Context) error { return l.parents(ctx, claim.Chats) },
	} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("read what is to be pushed: %w", err)
		}
	}
	return l.w, nil
}

type pushLoader struct {
	s           *Store
	environment uuid.UUID
	chats       []uuid.UUID
	w           *PushWork
	needed      []uuid.UUID // messages
}

func (l *pushLoader) entries(ctx context.Context, limit int) error {
	var rows []PushEntry
	err := l.s.read.NewSelect().TableExpr("timeline AS t").ColumnExpr("t.id, t.chat_id, t.seq, t.kind, t.target_id").
		Join("JOIN chats AS c ON c.id = t.chat_id").Where("t.environment_id = ?", l.environment).Where("t.chat_id IN (?)", bun.List(l.chats)).Where("t.seq > c.crm_seq").
		OrderExpr("c.crm_due_at, t.chat_id, t.seq").Limit(limit).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	for _, e := range rows {
		l.w.Entries[e.ChatID] = append(l.w.Entries[e.ChatID], e)
		switch e.Kind {
		case chat.EntryMessage:
			l.needed = append(l.needed, e.ID)
		case chat.EntryAddition, chat.EntryEdit:
			l.needed = append(l.needed, e.TargetID)
		}
	}
	return nil
}

// lasts finds each chat's last message, for the preview.
func (l *pushLoader) lasts(ctx context.Context) error {
	var rows []struct {
		ID     uuid.UUID
		LastID uuid.UUID `bun:",nullzero"`
	}
	last := l.s.read.NewSelect().TableExpr("timeline AS t").ColumnExpr("t.id").Where("t.chat_id = c.id").Where("t.kind = ?", chat.EntryMessage).
		OrderExpr("t.seq DESC").Limit(1)
	err := l.s.read.NewSelect().TableExpr("chats AS c").ColumnExpr("c.id, (?) AS last_id", last).Where("c.environment_id = ?", l.environment).
		Where("c.id IN (?)", bun.List(l.chats)).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.LastID != uuid.Nil {
			l.w.Last[r.ID] = r.LastID
			l.needed = append(l.needed, r.LastID)
		}
	}
	return nil
}

// messages reads the needed ones. Their times follow from the whole chat's: the n-th is the latest of those before it, moved
// on by its place, so that repeating the push gives the same.
func (l *pushLoader) messages(ctx context.Context) error {
	if len(l.needed) == 0 {
		return nil
	}
	var rows []*PushMessage
	all := l.s.read.NewSelect().TableExpr("timeline AS t").
		ColumnExpr("t.id, t.chat_id, t.seq, t.direction, t.author, t.agent_id, t.external_id, t.text, t.attachments, t.crm_error").
		ColumnExpr("max(t.at / 1000 - t.seq) OVER (PARTITION BY t.chat_id ORDER BY t.seq) + t.seq AS created_ms").
		Where("t.environment_id = ?", l.environment).Where("t.chat_id IN (?)", bun.List(l.chats)).Where("t.kind = ?", chat.EntryMessage)
	err := l.s.read.NewSelect().TableExpr("(?) AS m", all).ColumnExpr("m.*").Where("m.id IN (?)", bun.List(l.needed)).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	for _, m := range rows {
		l.w.Messages[m.ID] = m
	}
	return nil
}

// changes brings the messages to how they stand.
func (l *pushLoader) changes(ctx context.Context) error {
	if len(l.needed) == 0 {
		return nil
	}
	var rows []Entry
	err := l.s.read.NewSelect().Model(&rows).Column("id", "kind", "target_id", "external_id", "text", "attachments").
		Where("t.environment_id = ?", l.environment).Where("t.target_id IN (?)", bun.List(l.needed)).Where("t.kind IN (?, ?)", chat.EntryAddition, chat.EntryEdit).OrderExpr("t.seq").Scan(ctx)
	if err != nil {
		return err
	}
	changes := map[uuid.UUID][]Entry{}
	for _, e := range rows {
		changes[e.TargetID] = append(changes[e.TargetID], e)
	}
	for _, m := range l.w.Messages {
		all := versions(Entry{ID: m.ID, Kind: chat.EntryMessage, ExternalID: m.ExternalID, Text: m.First, Attachments: m.Attachments}, changes[m.ID])
		now := all[len(all)-1]
		m.Text, m.Files = now.Text, now.Files
	}
	return nil
}

func (l *pushLoader) waiting(ctx context.Context) error {
	var rows []struct {
		ChatID uuid.UUID
		N      int
	}
	err := l.s.read.NewSelect().TableExpr("timeline AS t").ColumnExpr("t.chat_id, count(*) AS n").Join("JOIN chats AS c ON c.id = t.chat_id").
		Where("t.environment_id = ?", l.environment).Where("t.chat_id IN (?)", bun.List(l.chats)).Where("t.kind = ?", chat.EntryMessage).Where("t.direction = ?", chat.In).
		Where("t.at >= c.unanswered_since").GroupExpr("t.chat_id").Scan(ctx, &rows)
	for _, r := range rows {
		l.w.Waiting[r.ChatID] = r.N
	}
	return err
}

func (l *pushLoader) parents(ctx context.Context, chats []Chat) (err error) {
	var channelIDs, queueIDs, contactIDs, identityIDs, agentIDs []uuid.UUID
	for _, c := range chats {
		channelIDs, contactIDs, identityIDs = append(channelIDs, c.ChannelID), append(contactIDs, c.ContactID), append(identityIDs, c.IdentityID)
		queueIDs, agentIDs = append(queueIDs, c.QueueID), append(agentIDs, c.AgentID)
	}
	for _, m := range l.w.Messages {
		agentIDs = append(agentIDs, m.AgentID)
	}
	if l.w.Channels, err = rowsByID(ctx, l, channelIDs, func(r *Channel) uuid.UUID { return r.ID }); err != nil {
		return err
	}
	for _, ch := range l.w.Channels {
		queueIDs = append(queueIDs, ch.QueueID)
	}
	if l.w.Queues, err = rowsByID(ctx, l, queueIDs, func(r *Queue) uuid.UUID { return r.ID }); err != nil {
		return err
	}
	if l.w.Contacts, err = rowsByID(ctx, l, contactIDs, func(r *Contact) uuid.UUID { return r.ID }); err != nil {
		return err
	}
	if l.w.Identities, err = rowsByID(ctx, l, identityIDs, func(r *Identity) uuid.UUID { return r.ID }); err != nil {
		return err
	}
	l.w.Agents, err = rowsByID(ctx, l, agentIDs, func(r *Agent) uuid.UUID { return r.ID })
	return err
}

func rowsByID[T any](ctx context.Context, l *pushLoader, ids []uuid.UUID, id func(*T) uuid.UUID) (map[uuid.UUID]*T, error) {
	found := map[uuid.UUID]*T{}
	if ids = distinct(ids); len(ids) == 0 {
		return found, nil
	}
	var rows []*T
	if err := l.s.read.NewSelect().Model(&rows).Where("environment_id = ?", l.environment).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, err
	}
	for _, r := range rows {
		found[id(r)] = r
	}
	return found, nil
}
