package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// PushSettlement is what a push came to.
type PushSettlement struct {
	Parents  []PushedParent
	Messages []SettledMessage
	Chats    []PushedChat
}

// PushedParent is a channel, queue, contact or identity whose record was proven, or refused for good.
type PushedParent struct {
	Row         any // *Channel, *Queue, *Contact or *Identity
	Fingerprint string
	Refused     string
}

// SettledMessage is a message whose record was refused for good, or that was refused before and is proven now.
type SettledMessage struct {
	Message *PushMessage
	Refused string
}

// PushedChat moves a chat's cursor and gives its lane back.
type PushedChat struct {
	Chat        *Chat // as it was claimed
	Seq         int64 // everything up to here is proven or refused
	Proven      bool  // the CRM has the chat's record as Fingerprint says
	Fingerprint string
	Refused     string        // why the CRM refuses the chat's record; the lane rests until the chat changes or is redriven
	Wait        time.Duration // until what is left is tried again
	Failures    int           // tries in a row that came to nothing
}

// key orders parents as everybody locks them: identities, then contacts, by id among themselves.
func (p PushedParent) key() (kind int, id uuid.UUID) {
	switch r := p.Row.(type) {
	case *Identity:
		return 0, r.ID
	case *Contact:
		return 1, r.ID
	case *Queue:
		return 2, r.ID
	case *Channel:
		return 3, r.ID
	default:
		panic(fmt.Sprintf("a chat has no parent of type %T", p.Row))
	}
}

func compareParents(a, b PushedParent) int {
	kindA, idA := a.key()
	kindB, idB := b.key()
	return cmp.Or(cmp.Compare(kindA, kindB), bytes.Compare(idA[:], idB[:]))
}

// SettlePush writes what a push came to: the parents, then each chat together with its messages. Identities go before contacts
// and these before chats, the global order of locks. A lane that was taken over is left alone; a chat that changed meanwhile is
// due again.
//
// A chat in which something goes on is settled after the others, by itself: whoever waited for it with many others locked would
// let the customers and agents of all of them wait.
func (s *Store) SettlePush(ctx context.Context, environment uuid.UUID, p PushSettlement) error {
	slices.SortFunc(p.Parents, compareParents)
	taken, err := s.settleChats(ctx, environment, p, s.d.skipLocked)
	for _, c := range p.Chats {
		if err == nil && !slices.Contains(taken, c.Chat.ID) {
			_, err = s.settleChats(ctx, environment, PushSettlement{Chats: []PushedChat{c}, Messages: p.Messages}, s.d.forUpdate)
		}
	}
	if err != nil {
		return fmt.Errorf("settle a push of environment %s: %w", environment, err)
	}
	return nil
}

// settleChats settles the parents and those chats that lock takes, all at once, and returns the ids of these chats.
func (s *Store) settleChats(ctx context.Context, environment uuid.UUID, p PushSettlement, lock func(*bun.SelectQuery) *bun.SelectQuery) (taken []uuid.UUID, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		taken = nil
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		w := pushSettler{s: s, tx: tx, environment: environment, now: now, chats: map[uuid.UUID]*Chat{}}
		for _, parent := range p.Parents {
			if err := w.parent(ctx, parent); err != nil {
				return err
			}
		}
		if taken, err = w.take(ctx, p.Chats, lock); err != nil || len(taken) == 0 {
			return err
		}
		chats := slices.DeleteFunc(slices.Clone(p.Chats), func(c PushedChat) bool { return !slices.Contains(taken, c.Chat.ID) })
		if err := w.lanes(ctx, chats); err != nil {
			return err
		}
		for _, c := range chats {
			w.chats[c.Chat.ID] = c.Chat
		}
		for _, m := range p.Messages {
			if w.chats[m.Message.ChatID] == nil {
				continue
			}
			if err := w.message(ctx, m); err != nil {
				return err
			}
		}
		return nil
	})
	return taken, err
}

type pushSettler struct {
	s           *Store
	tx          bun.Tx
	environment uuid.UUID
	now         time.Time
	chats       map[uuid.UUID]*Chat // those that are settled
}

// take locks chats, in the order of their ids as everybody does, and returns those it has got.
func (w pushSettler) take(ctx context.Context, chats []PushedChat, lock func(*bun.SelectQuery) *bun.SelectQuery) (taken []uuid.UUID, err error) {
	if len(chats) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(chats))
	for i, c := range chats {
		ids[i] = c.Chat.ID
	}
	err = lock(w.tx.NewSelect().Model((*Chat)(nil)).Column("id").Where("c.environment_id = ?", w.environment).Where("c.id IN (?)", bun.List(ids)).
		OrderExpr("c.id")).Scan(ctx, &taken)
	return taken, err
}

// parent keeps what the CRM has of a chat's parent, or why it has nothing.
func (w pushSettler) parent(ctx context.Context, p PushedParent) error {
	q := w.tx.NewUpdate().Model(p.Row).WherePK().Where("environment_id = ?", w.environment).Set("crm_pushed = ?", p.Fingerprint)
	var failure Failure
	var before string
	switch r := p.Row.(type) {
	case *Contact:
		failure = Failure{Subject: SubjectContact, SubjectKey: r.ID.String(), What: "a contact"}
		before, q = r.CRMError, q.Set("crm_error = ?", p.Refused)
	case *Identity:
		failure = Failure{Subject: SubjectIdentity, SubjectKey: r.ID.String(), What: "a contact's identity on a channel", ChannelID: r.ChannelID}
		before, q = r.CRMError, q.Set("crm_error = ?", p.Refused)
	}
	if _, err := q.Exec(ctx); err != nil {
		return err
	}
	return w.failure(ctx, failure, before, p.Refused)
}

// failure makes a refusal visible, or ends it.
func (w pushSettler) failure(ctx context.Context, f Failure, before, refused string) error {
	if refused != "" {
		f.EnvironmentID, f.Kind, f.Error = w.environment, FailureRefused, refused
		return w.s.noteFailure(ctx, w.tx, f, w.now)
	}
	if before == "" {
		return nil
	}
	return mendFailure(ctx, w.tx, w.environment, FailureRefused, f.Subject, uuid.MustParse(f.SubjectKey))
}

// pushedLane is what becomes of a chat's lane, as a row.
type pushedLane struct {
	ChatID      uuid.UUID `bun:",type:uuid"`
	Fence       int64
	Version     int64
	Past        int64 // where the cursor was
	Seq         int64
	Proven      bool
	Fingerprint string
	Refused     string
	Failures    int
	Wait        int64 // µs
}

// lanes moves each chat's cursor unless someone set it back meanwhile, and keeps the fingerprint only of a record that did not
// change meanwhile. All chats change in one statement: customers and agents wait for them.
func (w pushSettler) lanes(ctx context.Context, chats []PushedChat) error {
	rows := make([]pushedLane, len(chats))
	for i, p := range chats {
		c := p.Chat
		rows[i] = pushedLane{
			ChatID: c.ID, Fence: c.CRMFence, Version: c.CRMVersion, Past: c.CRMSeq, Seq: p.Seq,
			Proven: p.Proven, Fingerprint: c.CRMPushed, Refused: p.Refused, Failures: p.Failures, Wait: p.Wait.Microseconds(),
		}
		if p.Proven {
			rows[i].Fingerprint = p.Fingerprint
		}
	}
	var ours []uuid.UUID
	err := w.tx.NewUpdate().With("pushed", w.tx.NewValues(&rows)).Model((*Chat)(nil)).TableExpr("pushed AS p").
		Set("crm_seq = CASE WHEN c.crm_seq = p.past THEN p.seq ELSE c.crm_seq END").
		Set("crm_pushed = CASE WHEN c.crm_version = p.version THEN p.fingerprint ELSE '' END").
		Set("crm_error = CASE WHEN p.proven OR p.refused <> '' THEN p.refused ELSE c.crm_error END").Set("crm_failures = p.failures").
		Set(`crm_due_at = CASE WHEN c.crm_version <> p.version THEN ? WHEN p.refused <> '' OR c.last_seq <= p.seq AND p.proven THEN NULL
			ELSE ? + p.wait END`, w.s.d.now(), w.s.d.now()).
		Set("crm_owner = ''").Set("crm_until = NULL").
		Where("c.id = p.chat_id").Where("c.environment_id = ?", w.environment).Where("c.crm_fence = p.fence").Where("c.crm_until IS NOT NULL").
		Returning("id").Scan(ctx, &ours)
	if err != nil {
		return err
	}
	for _, p := range chats {
		if !slices.Contains(ours, p.Chat.ID) || p.Refused == "" && !p.Proven {
			continue
		}
		err := w.failure(ctx, Failure{
			Subject: SubjectChat, SubjectKey: p.Chat.ID.String(), What: fmt.Sprintf("chat %d", p.Chat.Number), ChannelID: p.Chat.ChannelID, ChatID: p.Chat.ID,
		}, p.Chat.CRMError, p.Refused)
		if err != nil {
			return err
		}
	}
	return nil
}

// message leaves a visible placeholder in place of a message the CRM refuses.
func (w pushSettler) message(ctx context.Context, p SettledMessage) error {
	m := p.Message
	_, err := w.tx.NewUpdate().Model((*Entry)(nil)).Set("crm_error = ?", p.Refused).
		Where("id = ?", m.ID).Where("environment_id = ?", w.environment).Exec(ctx)
	if err != nil {
		return err
	}
	c := w.chats[m.ChatID]
	f := Failure{Subject: SubjectMessage, SubjectKey: m.ID.String(), What: messageName(m.Seq, c.Number), ChannelID: c.ChannelID, ChatID: c.ID}
	return w.failure(ctx, f, m.CRMError, p.Refused)
}

// LinkContact keeps which contact of the CRM a contact is. own: Waggle makes it, under the contact's own id. candidates are
// several that fit equally well: a suggestion. A link that stands already is kept and returned.
func (s *Store) LinkContact(ctx context.Context, contact *Contact, ref uuid.UUID, own bool, candidates []uuid.UUID) error {
	linked := &Contact{ID: contact.ID, CRMRef: ref, CRMOwn: own, CRMCandidates: candidates}
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model(linked).Column("crm_ref", "crm_own", "crm_candidates").
			Where("id = ?", contact.ID).Where("environment_id = ?", contact.EnvironmentID).Where("crm_ref IS NULL").Exec(ctx)
		if err != nil {
			return err
		}
		return tx.NewSelect().Model(linked).Where("id = ?", contact.ID).Where("environment_id = ?", contact.EnvironmentID).Scan(ctx)
	})
	if err != nil {
		return fmt.Errorf("link contact %s: %w", contact.ID, err)
	}
	contact.CRMRef, contact.CRMOwn, contact.CRMCandidates = linked.CRMRef, linked.CRMOwn, linked.CRMCandidates
	return nil
}
