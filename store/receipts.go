package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

const (
	chatsLookedAt   = 3         // of a customer, the latest: notes are about what was sent a moment ago
	chatsToReceipt  = 20        // of a customer, the latest: receipts may come late, of what was sent several chats ago
	earlyReceiptAge = time.Hour // after which nobody will ask for a receipt of an unknown message

	receiptAge = 7 * 24 * time.Hour // of what was sent in chats that are not the latest; a receipt of what is older tells too little
)

// NoteReceipt brings what was sent to a customer as far as the messenger says it has come. Settled lists the messages whose
// state has changed.
//
// A receipt may overtake the answer to the send itself. So the messages it names that are not known are kept as long as
// something is on its way to him, and the moment up to which it counts is kept for good: what turns out later to have been sent
// before that moment, by the messenger's own clock, has come as far.
func (s *Store) NoteReceipt(ctx context.Context, in Inbound) (out ReceiveOutcome, settled []Settled, err error) {
	note := receiptOf(in)
	out, err = s.noted(ctx, in, func(ctx context.Context, tx bun.Tx, who *Identity) (ReceiveOutcome, error) {
		settled = nil
		chats, err := s.latestChats(ctx, tx, who, note.concerned(tx, who, s.d.now()))
		if err != nil || len(chats) == 0 {
			return Ignored, err
		}
		further, err := note.keepMoment(ctx, tx, who)
		if err != nil {
			return "", err
		}
		parts, err := note.parts(ctx, tx, who, chats)
		if err != nil {
			return "", err
		}
		if settled, err = s.advance(ctx, tx, chats, parts, note.state); err != nil {
			return "", err
		}
		known, kept, err := s.keepUnknown(ctx, tx, who, chats, note)
		switch {
		case err != nil:
			return "", err
		case further || kept || len(settled) > 0:
			return Stored, nil
		case known:
			return Repeat, nil
		default:
			return Ignored, nil
		}
	})
	return out, settled, err
}

// receipt is a ReceiptNote as the store looks at it.
type receipt struct {
	state chat.PartState // Delivered, Read
	ids   []string
	until Time
}

func receiptOf(in Inbound) receipt {
	r := receipt{state: chat.PartDelivered, until: At(in.Event.Receipt.Until)}
	if in.Event.Receipt.Read {
		r.state = chat.PartRead
	}
	for _, id := range in.Event.Receipt.MessageIDs {
		if id = chat.Storable(id); id != "" {
			r.ids = append(r.ids, id)
		}
	}
	return r
}

// latestChats locks a customer's latest chats and some others of his, in the order of their ids as everybody does, and returns them
// so.
func (s *Store) latestChats(ctx context.Context, tx bun.Tx, who *Identity, others *bun.SelectQuery) ([]Chat, error) {
	var chats []Chat
	q := tx.NewSelect().Model(&chats).Where("c.environment_id = ?", who.EnvironmentID)
	if latest := who.latest(tx, chatsLookedAt); others == nil {
		q = q.Where("c.id IN (?)", latest)
	} else {
		q = q.Where("c.id IN (SELECT id FROM (?) AS l UNION ALL SELECT chat_id FROM (?) AS o)", latest, others)
	}
	err := s.d.forUpdate(q.OrderExpr("c.id")).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the latest chats of identity %s: %w", who.ID, err)
	}
	return chats, nil
}

func (i *Identity) latest(tx bun.Tx, n int) *bun.SelectQuery {
	return latestOf(tx, i.ID, bun.SafeQuery("?", i.ContactID), n)
}

// latestOf finds the n chats of a customer in which something was written last: an old one that was taken up again is among them.
func latestOf(tx bun.Tx, identity uuid.UUID, contact any, n int) *bun.SelectQuery {
	return tx.NewSelect().Table("chats").Column("id").Where("contact_id = (?)", contact).Where("identity_id = ?", identity).
		OrderExpr("coalesce(last_message_at, opened_at) DESC, id DESC").Limit(n)
}

// concerned finds the chats with parts that the receipt is about, and with those on their way, which may turn out to be some.
func (r receipt) concerned(tx bun.Tx, who *Identity, now bun.Safe) *bun.SelectQuery {
	return tx.NewSelect().Model((*Part)(nil)).Column("pt.chat_id").Where("pt.environment_id = ?", who.EnvironmentID).
		Where("pt.chat_id IN (SELECT id FROM (?) AS l)", who.latest(tx, chatsToReceipt)).
		Where("pt.attempted_at > ? - ?", now, receiptAge.Microseconds()).
		WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.WhereGroup(" OR ", r.about).WhereGroup(" OR ", underWay)
		})
}

// about chooses the parts the receipt is about that have not come so far yet. Ids are certain. A moment is compared with when the
// messenger took the part by its own clock; where it has not told, with when we knew by ours that it had, which is later: at
// worst a part counts as less far than it is.
func (r receipt) about(q *bun.SelectQuery) *bun.SelectQuery {
	behind := []chat.PartState{chat.PartSent}
	if r.state == chat.PartRead {
		behind = append(behind, chat.PartDelivered)
	}
	return q.Where("pt.state IN (?)", bun.List(behind)).WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("pt.sent_at <= ?", r.until)
		if len(r.ids) > 0 {
			q = q.WhereOr("pt.external_id IN (?)", bun.List(r.ids))
		}
		return q
	})
}

// underWay chooses the parts whose send was tried and is not settled.
func underWay(q *bun.SelectQuery) *bun.SelectQuery {
	return q.Where("pt.attempts > 0").Where("pt.state IN (?)", bun.List(unproven))
}

func idsOf(chats []Chat) []uuid.UUID {
	ids := make([]uuid.UUID, len(chats))
	for i, c := range chats {
		ids[i] = c.ID
	}
	return ids
}

// keepMoment keeps the moment up to which the receipt counts, if it is later than the one before.
func (r receipt) keepMoment(ctx context.Context, tx bun.Tx, who *Identity) (further bool, err error) {
	if r.until.IsZero() {
		return false, nil
	}
	column := bun.Ident("delivered_until")
	if r.state == chat.PartRead {
		column = "read_until"
	}
	return changed(tx.NewUpdate().Model((*Identity)(nil)).Set("? = ?", column, r.until).Where("i.environment_id = ?", who.EnvironmentID).Where("i.id = ?", who.ID).
		Where("i.? IS NULL OR i.? < ?", column, column, r.until).Exec(ctx))
}

// parts are those in these chats that the receipt is about.
func (r receipt) parts(ctx context.Context, tx bun.Tx, who *Identity, chats []Chat) ([]Part, error) {
	var parts []Part
	err := tx.NewSelect().Model(&parts).Where("pt.environment_id = ?", who.EnvironmentID).Where("pt.chat_id IN (?)", bun.List(idsOf(chats))).
		Apply(r.about).OrderExpr("pt.message_id, pt.n").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what a receipt is about: %w", err)
	}
	return parts, nil
}

// advance writes a further state of parts and what it means for their messages.
func (s *Store) advance(ctx context.Context, tx bun.Tx, chats []Chat, parts []Part, to chat.PartState) (settled []Settled, err error) {
	for i := range parts {
		parts[i].State = to
		if _, err := tx.NewUpdate().Model(&parts[i]).Column("state").WherePK().Where("environment_id = ?", parts[i].EnvironmentID).Exec(ctx); err != nil {
			return nil, fmt.Errorf("write part %s: %w", parts[i].ID, err)
		}
	}
	messages := slices.CompactFunc(parts, func(a, b Part) bool { return a.MessageID == b.MessageID })
	for _, p := range messages {
		done, changed, err := s.settleAgain(ctx, tx, chats, p)
		if err != nil {
			return nil, err
		}
		if changed {
			settled = append(settled, done)
		}
	}
	return settled, nil
}

// settleAgain settles the message of a part that has changed.
func (s *Store) settleAgain(ctx context.Context, tx bun.Tx, chats []Chat, p Part) (done Settled, changed bool, err error) {
	at := slices.IndexFunc(chats, func(c Chat) bool { return c.ID == p.ChatID })
	m := new(Entry)
	if err := tx.NewSelect().Model(m).Where("t.environment_id = ?", p.EnvironmentID).Where("t.id = ?", p.MessageID).Scan(ctx); err != nil {
		return done, false, one(err, "message "+p.MessageID.String())
	}
	before := m.State
	if done, err = s.messageDone(ctx, tx, &chats[at], m); err == nil {
		err = startClosing(ctx, tx, &chats[at], done.closing)
	}
	return done, done.State != before, err
}

// keepUnknown keeps the receipt of messages that are none of ours so far, if something is on its way that may turn out to be
// one of them.
func (s *Store) keepUnknown(ctx context.Context, tx bun.Tx, who *Identity, chats []Chat, r receipt) (known, kept bool, err error) {
	if len(r.ids) == 0 {
		return true, false, nil
	}
	var ours []string
	err = tx.NewSelect().Model((*Part)(nil)).Column("external_id").Where("pt.environment_id = ?", who.EnvironmentID).
		Where("pt.chat_id IN (SELECT id FROM (?) AS l)", who.latest(tx, chatsToReceipt)).
		Where("pt.external_id IN (?)", bun.List(r.ids)).Scan(ctx, &ours)
	if err != nil {
		return false, false, fmt.Errorf("look for the messages of a receipt: %w", err)
	}
	left := slices.DeleteFunc(slices.Clone(r.ids), func(id string) bool { return slices.Contains(ours, id) })
	if len(left) == 0 {
		return true, false, nil
	}
	under, err := tx.NewSelect().Model((*Part)(nil)).Where("pt.environment_id = ?", who.EnvironmentID).Where("pt.chat_id IN (?)", bun.List(idsOf(chats))).
		Apply(underWay).Exists(ctx)
	if err != nil || !under {
		return len(ours) > 0, false, err
	}
	_, err = tx.NewDelete().Table("early_receipts").Where("environment_id = ?", who.EnvironmentID).Where("identity_id = ?", who.ID).
		Where("at < ? - ?", s.d.now(), earlyReceiptAge.Microseconds()).Exec(ctx)
	for _, id := range left {
		if err != nil {
			break
		}
		_, err = tx.NewRaw(`INSERT INTO early_receipts (identity_id, external_id, environment_id, state, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (identity_id, external_id) DO UPDATE SET state = CASE WHEN early_receipts.state = 'read' THEN 'read' ELSE excluded.state END`,
			who.ID, id, who.EnvironmentID, r.state, s.d.now()).Exec(ctx)
	}
	if err != nil {
		return false, false, fmt.Errorf("keep an early receipt: %w", err)
	}
	return true, true, nil
}

// ForgetEarlyReceipts deletes the receipts of messages that nobody has asked for in time.
func (s *Store) ForgetEarlyReceipts(ctx context.Context) error {
	_, err := s.db.NewDelete().Table("early_receipts").Where("at < ? - ?", s.d.now(), earlyReceiptAge.Microseconds()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget early receipts: %w", err)
	}
	return nil
}

// unproven are the states of parts that the messenger may have, though it has not said so.
var unproven = []chat.PartState{chat.PartPlanned, chat.PartSending, chat.PartUnknown}

// catchUp brings a part the messenger has as far as receipts that came before this was known say. SentAt is set where the
// messenger told its time; only then its moments can be compared.
func catchUp(ctx context.Context, tx bun.Tx, c *Chat, part *Part, receipts bool) error {
	if !receipts {
		part.State = part.State.Further(chat.PartDelivered)
		if part.SentAt.IsZero() {
			return nil // a kind that tells neither
		}
	}
	var early chat.PartState
	err := tx.NewDelete().Table("early_receipts").Where("environment_id = ?", c.EnvironmentID).Where("identity_id = ?", c.IdentityID).
		Where("external_id = ?", part.ExternalID).
		Returning("state").Scan(ctx, &early)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look for early receipts of part %s: %w", part.ID, err)
	}
	part.State = part.State.Further(early)
	if part.SentAt.IsZero() {
		return nil
	}
	var who Identity
	if err := tx.NewSelect().Model(&who).Column("delivered_until", "read_until").Where("i.environment_id = ?", c.EnvironmentID).Where("i.id = ?", c.IdentityID).Scan(ctx); err != nil {
		return one(err, "identity "+c.IdentityID.String())
	}
	if !part.SentAt.After(who.DeliveredUntil.Time) {
		part.State = part.State.Further(chat.PartDelivered)
	}
	if !part.SentAt.After(who.ReadUntil.Time) {
		part.State = part.State.Further(chat.PartRead)
	}
	return nil
}
