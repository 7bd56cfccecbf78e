package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Failure is something that did not get through. Nothing of it is lost: it is kept until somebody has looked at it.
type Failure struct {
	bun.BaseModel `bun:"table:failures,alias:f"`

	ID            uuid.UUID       `bun:",pk"`
	EnvironmentID uuid.UUID       `bun:",notnull"`
	Kind          string          `bun:",notnull"`
	Status        string          `bun:",notnull"`
	Subject       string          `bun:",notnull"`
	SubjectKey    string          `bun:",notnull"` // the subject's id; of an event its channel and key
	What          string          `bun:",notnull"`
	Error         string          `bun:",notnull"`
	ChannelID     uuid.UUID       `bun:",nullzero"`
	ChatID        uuid.UUID       `bun:",nullzero"`
	Raw           json.RawMessage `bun:",nullzero,type:jsonb"` // of a parked event
	Attempts      int             `bun:",notnull"`
	FirstAt       Time            `bun:",notnull"`
	LastAt        Time            `bun:",notnull"`
	DiscardedBy   string          `bun:",notnull"`
	DiscardedAt   Time            `bun:""`
}

// The kinds of Failure.
const (
	FailureParked  = "parked"  // an incoming event the store refused for its data
	FailureRefused = "refused" // a record the CRM refused
	FailureUnsent  = "unsent"  // an agent's message that failed, or whose fate is unknown
)

// The statuses of a Failure.
const (
	FailureOpen      = "open"
	FailureRedriven  = "redriven" // given back to be tried again; open again if that fails
	FailureDiscarded = "discarded"
)

// What a Failure is about.
const (
	SubjectEvent    = "event"
	SubjectMessage  = "message"
	SubjectChat     = "chat"
	SubjectContact  = "contact"
	SubjectIdentity = "identity"
)

// noteFailure records a failure, or that it happened again: then it is open again, unless it was discarded.
func (s *Store) noteFailure(ctx context.Context, db bun.IDB, f Failure, now time.Time) error {
	f.ID, f.Status, f.Attempts, f.FirstAt, f.LastAt = newID(), FailureOpen, 1, At(now), At(now)
	_, err := db.NewInsert().Model(&f).On("CONFLICT (environment_id, kind, subject, subject_key) DO UPDATE").
		Set("attempts = f.attempts + 1").Set("last_at = EXCLUDED.last_at").Set("error = EXCLUDED.error").
		Set("status = CASE WHEN f.status = ? THEN f.status ELSE EXCLUDED.status END", FailureDiscarded).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note a failure of %s %s: %w", f.Subject, f.SubjectKey, err)
	}
	return nil
}

// mendFailure notes that what had failed is through, or is tried again because somebody wants it: if that fails, it is open again.
func mendFailure(ctx context.Context, tx bun.Tx, environment uuid.UUID, kind, subject string, id uuid.UUID) error {
	_, err := tx.NewUpdate().Model((*Failure)(nil)).Set("status = ?", FailureRedriven).
		Where("environment_id = ?", environment).Where("kind = ?", kind).Where("subject = ?", subject).Where("subject_key = ?", id.String()).
		Where("status = ?", FailureOpen).Exec(ctx)
	if err != nil {
		return fmt.Errorf("mend the failure of %s %s: %w", subject, id, err)
	}
	return nil
}

// FailureFilter says which failures are meant; empty fields match all.
type FailureFilter struct {
	Kind      string
	ChannelID uuid.UUID
	ChatID    uuid.UUID
	Error     string // part of the error's text
}

func (f FailureFilter) apply(q *bun.SelectQuery, environment uuid.UUID, status string) *bun.SelectQuery {
	q = q.Where("environment_id = ?", environment).Where("status = ?", status)
	if f.Kind != "" {
		q = q.Where("kind = ?", f.Kind)
	}
	if f.ChannelID != uuid.Nil {
		q = q.Where("channel_id = ?", f.ChannelID)
	}
	if f.ChatID != uuid.Nil {
		q = q.Where("chat_id = ?", f.ChatID)
	}
	if f.Error != "" {
		literal := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(f.Error)
		q = q.Where(`error LIKE ? ESCAPE '\'`, "%"+literal+"%")
	}
	return q
}

// Failures lists an environment's failures with a status, newest first, and returns the next page's cursor.
func (s *Store) Failures(ctx context.Context, environment uuid.UUID, status string, filter FailureFilter, p Page) ([]Failure, string, error) {
	rows := []Failure{}
	q, err := newestFirst(filter.apply(s.read.NewSelect().Model(&rows), environment, status), p)
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list failures: %w", err)
	}
	rows, next := cutNewest(rows, p, func(f Failure) uuid.UUID { return f.ID })
	return rows, next, nil
}

// Failure reads one failure of the environment.
func (s *Store) Failure(ctx context.Context, environment, id uuid.UUID) (Failure, error) {
	var f Failure
	err := s.read.NewSelect().Model(&f).Where("environment_id = ?", environment).Where("id = ?", id).Scan(ctx)
	return f, one(err, "failure "+id.String())
}

// DiscardFailure gives a failure up and keeps who did it, and when.
func (s *Store) DiscardFailure(ctx context.Context, environment, id uuid.UUID, by string) (Failure, error) {
	return s.changeFailure(ctx, environment, id, func(_ context.Context, _ bun.Tx, f *Failure, now time.Time) error {
		f.Status, f.DiscardedBy, f.DiscardedAt = FailureDiscarded, by, At(now)
		return nil
	})
}

// RedriveFailure gives a record that the CRM refused, or a message that was not sent, back to its lane. A parked event is not
// its business: see ReceiveAgain.
func (s *Store) RedriveFailure(ctx context.Context, environment, id uuid.UUID) (Failure, error) {
	return s.changeFailure(ctx, environment, id, func(ctx context.Context, tx bun.Tx, f *Failure, _ time.Time) error {
		if err := s.giveBack(ctx, tx, f); err != nil {
			return err
		}
		f.Status = FailureRedriven
		return nil
	})
}

// changeFailure changes one failure, whatever its status: one that was discarded by mistake can still be redriven, and a record or
// a message that is in no state for it says so itself. Chats are locked before failures, as everywhere.
func (s *Store) changeFailure(ctx context.Context, environment, id uuid.UUID, change func(context.Context, bun.Tx, *Failure, time.Time) error) (Failure, error) {
	var f Failure
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		f = Failure{}
		err := tx.NewSelect().Model(&f).Where("environment_id = ?", environment).Where("id = ?", id).Scan(ctx)
		if err != nil {
			return one(err, "failure "+id.String())
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		before := f.Status
		if err := change(ctx, tx, &f, now); err != nil {
			return err
		}
		ok, err := changed(tx.NewUpdate().Model(&f).Column("status", "discarded_by", "discarded_at").WherePK().
			Where("environment_id = ?", environment).Where("status = ?", before).Exec(ctx))
		if err == nil && !ok {
			err = fmt.Errorf("the failure has just been changed by someone else: %w", ErrConflict)
		}
		return err
	})
	return f, err
}

func (s *Store) giveBack(ctx context.Context, tx bun.Tx, f *Failure) error {
	id, err := uuid.Parse(f.SubjectKey)
	if err != nil {
		return fmt.Errorf("failure %s names no %s: %w", f.ID, f.Subject, ErrConflict)
	}
	if f.Kind == FailureUnsent {
		return s.sendAgain(ctx, tx, f.EnvironmentID, f.ChatID, id)
	}
	return s.pushAgain(ctx, tx, f, id)
}

// pushAgain makes the CRM lane come by the refused record again.
func (s *Store) pushAgain(ctx context.Context, tx bun.Tx, f *Failure, id uuid.UUID) error {
	chats := tx.NewUpdate().Model((*Chat)(nil)).Set("crm_version = crm_version + 1").Set("crm_due_at = ?", s.d.now()).Set("crm_failures = 0").
		Where("environment_id = ?", f.EnvironmentID)
	var record *bun.UpdateQuery
	switch f.Subject {
	case SubjectMessage:
		record = tx.NewUpdate().Model((*Entry)(nil)).Set("crm_error = ''")
		chats = chats.Where("id = ?", f.ChatID).
			Set("crm_seq = CASE WHEN crm_seq < (?0) THEN crm_seq ELSE (?0) END", tx.NewSelect().Model((*Entry)(nil)).ColumnExpr("seq - 1").Where("t.id = ?", id))
	case SubjectChat:
		chats = chats.Set("crm_error = ''").Set("crm_pushed = ''").Where("id = ?", id)
	case SubjectContact:
		// A contact of the CRM that was linked and is gone is looked for anew.
		record = tx.NewUpdate().Model((*Contact)(nil)).Set("crm_error = ''").Set("crm_pushed = ''").
			Set("crm_ref = CASE WHEN crm_own THEN crm_ref END")
		chats = chats.Where("contact_id = ?", id)
	case SubjectIdentity:
		record = tx.NewUpdate().Model((*Identity)(nil)).Set("crm_error = ''").Set("crm_pushed = ''")
		chats = chats.Where("identity_id = ?", id)
	}
	if record != nil {
		if _, err := record.Where("environment_id = ?", f.EnvironmentID).Where("id = ?", id).Exec(ctx); err != nil {
			return fmt.Errorf("redrive %s %s: %w", f.Subject, id, err)
		}
	}
	if _, err := chats.Exec(ctx); err != nil {
		return fmt.Errorf("redrive %s %s: %w", f.Subject, id, err)
	}
	return nil
}

// ReceiveAgain takes a parked event in. If the store still refuses it, it stays, with the new reason.
func (s *Store) ReceiveAgain(ctx context.Context, environment, id uuid.UUID) (Failure, Received, error) {
	f, err := s.Failure(ctx, environment, id)
	if err != nil {
		return f, Received{}, err
	}
	var item receiveItem
	if err := json.Unmarshal(f.Raw, &item); err != nil {
		return f, Received{}, fmt.Errorf("failure %s holds no event: %w", id, ErrConflict)
	}
	r := s.receiveAlone(ctx, item)
	switch {
	case r.Err != nil:
		return f, r, r.Err
	case r.Outcome == Dropped: // not taken in: it must not be forgotten
		return f, r, fmt.Errorf("the channel is not active; connect it first: %w", ErrConflict)
	case r.Outcome != Parking:
		f, err = s.changeFailure(ctx, environment, id, func(_ context.Context, _ bun.Tx, f *Failure, _ time.Time) error {
			f.Status = FailureRedriven
			return nil
		})
		return f, r, err
	}
	f, err = s.Failure(ctx, environment, id)
	return f, r, err
}
