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

// key orders parents as everybody locks them: identities by id among them.
func (p PushedParent) key() (kind int, id uuid.UUID) {
	switch r := p.Row.(type) {
	case *Contact:
		return 0, r.ID
	case *Identity:
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

// SettlePush writes what a push came to, all at once. Identities go before chats, the global order of locks. A lane that was
// taken over is left alone; a chat that changed meanwhile is due again.
func (s *Store) SettlePush(ctx context.Context, environment uuid.UUID, p PushSettlement) error {
	slices.SortFunc(p.Parents, compareParents)
	slices.SortFunc(p.Chats, func(a, b PushedChat) int { return bytes.Compare(a.Chat.ID[:], b.Chat.ID[:]) })
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		w := pushSettler{s: s, tx: tx, environment: environment, now: now, chats: map[uuid.UUID]*Chat{}}
		for _, c := range p.Chats {
			w.chats[c.Chat.ID] = c.Chat
		}
		for _, parent := range p.Parents {
			if err := w.parent(ctx, parent); err != nil {
				return err
			}
		}
		for _, c := range p.Chats {
			if err := w.chat(ctx, c); err != nil {
				return err
			}
		}
		for _, m := range p.Messages {
			if err := w.message(ctx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("settle a push of environment %s: %w", environment, err)
	}
	return nil
}

type pushSettler struct {
	s           *Store
	tx          bun.Tx
	environment uuid.UUID
	now         time.Time
	chats       map[uuid.UUID]*Chat
}

// parent keeps what the CRM has of a chat's parent, or why it has nothing.
func (w pushSettler) parent(ctx context.Context, p PushedParent) error {
	q := w.tx.NewUpdate().Model(p.Row).WherePK().Set("crm_pushed = ?", p.Fingerprint)
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

// chat moves the cursor unless someone set it back meanwhile, and keeps the fingerprint only of a record that did not change
// meanwhile.
func (w pushSettler) chat(ctx context.Context, p PushedChat) error {
	c := p.Chat
	fingerprint := c.CRMPushed
	if p.Proven {
		fingerprint = p.Fingerprint
	}
	ok, err := changed(w.tx.NewUpdate().Model((*Chat)(nil)).
		Set("crm_seq = CASE WHEN crm_seq = ? THEN ? ELSE crm_seq END", c.CRMSeq, p.Seq).
		Set("crm_pushed = CASE WHEN crm_version = ? THEN ? ELSE '' END", c.CRMVersion, fingerprint).
		Set("crm_error = CASE WHEN ? OR ? THEN ? ELSE crm_error END", p.Proven, p.Refused != "", p.Refused).Set("crm_failures = ?", p.Failures).
		Set("crm_due_at = CASE WHEN crm_version <> ? THEN ? WHEN ? OR last_seq <= ? AND ? THEN NULL ELSE ? + ? END",
			c.CRMVersion, w.s.d.now(), p.Refused != "", p.Seq, p.Proven, w.s.d.now(), p.Wait.Microseconds()).
		Set("crm_owner = ''").Set("crm_until = NULL").
		Where("id = ?", c.ID).Where("environment_id = ?", w.environment).Where("crm_fence = ?", c.CRMFence).Exec(ctx))
	if err != nil || !ok {
		return err
	}
	if p.Refused == "" && !p.Proven {
		return nil
	}
	return w.failure(ctx, Failure{
		Subject: SubjectChat, SubjectKey: c.ID.String(), What: fmt.Sprintf("chat %d", c.Number), ChannelID: c.ChannelID, ChatID: c.ID,
	}, c.CRMError, p.Refused)
}

// message leaves a visible placeholder in place of a message the CRM refuses.
func (w pushSettler) message(ctx context.Context, p SettledMessage) error {
	m := p.Message
	_, err := w.tx.NewUpdate().Model((*Entry)(nil)).Set("crm_error = ?", p.Refused).
		Where("id = ?", m.ID).Where("environment_id = ?", w.environment).Exec(ctx)
	if err != nil {
		return err
	}
	f := Failure{Subject: SubjectMessage, SubjectKey: m.ID.String(), What: messageName(m.Seq, 0), ChatID: m.ChatID}
	if c := w.chats[m.ChatID]; c != nil {
		f.What, f.ChannelID = messageName(m.Seq, c.Number), c.ChannelID
	}
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
		return tx.NewSelect().Model(linked).Where("id = ?", contact.ID).Scan(ctx)
	})
	if err != nil {
		return fmt.Errorf("link contact %s: %w", contact.ID, err)
	}
	contact.CRMRef, contact.CRMOwn, contact.CRMCandidates = linked.CRMRef, linked.CRMOwn, linked.CRMCandidates
	return nil
}
