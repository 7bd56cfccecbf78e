package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// receivingProcess is a process that takes what messengers deliver.
type receivingProcess struct {
	bun.BaseModel `bun:"table:receivers,alias:rc"`

	Owner  string `bun:",pk"`
	BeatAt Time   `bun:",notnull"`
	Gone   bool   `bun:",notnull"`
}

// silent reports whether nobody knows what it took since its last beat.
func (r receivingProcess) silent(now time.Time, silence time.Duration) bool {
	return r.Gone || now.Sub(r.BeatAt.Time) > silence
}

// Receiving says that the process owner takes deliveries, and has taken all since it said so last. Where one has been silent for
// longer than silence, owner or another, what was delivered since its last beat may be lost: it is to be read, of the channels of
// these kinds.
func (s *Store) Receiving(ctx context.Context, owner string, kinds []string, silence time.Duration) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		all, now, err := s.receivers(ctx, tx)
		if err != nil {
			return err
		}
		var lost Time
		for _, r := range all {
			if !r.silent(now, silence) {
				continue
			}
			if lost.IsZero() || r.BeatAt.Before(lost.Time) {
				lost = r.BeatAt
			}
			if _, err := tx.NewDelete().Model(&r).WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		_, err = tx.NewInsert().Model(&receivingProcess{Owner: owner, BeatAt: At(now)}).On("CONFLICT (owner) DO UPDATE").Set("beat_at = excluded.beat_at").Exec(ctx)
		if err != nil || lost.IsZero() {
			return err
		}
		_, err = hooked(askReread(tx.NewUpdate().Model((*Channel)(nil)), lost, s.d.now()), kinds).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("say that deliveries are taken: %w", err)
	}
	return nil
}

// ReceivingEnds says that the process owner has taken no more deliveries since so long ago. If it has stored all it took and others
// take them now, that is no loss; otherwise what came since is.
func (s *Store) ReceivingEnds(ctx context.Context, owner string, storedAll bool, ago, silence time.Duration) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		all, now, err := s.receivers(ctx, tx)
		if err != nil {
			return err
		}
		left, others := receivingProcess{Owner: owner, BeatAt: At(now.Add(-ago)), Gone: true}, false
		for _, r := range all {
			switch {
			case r.Owner != owner:
				others = others || !r.silent(now, silence)
			case r.silent(now, silence): // it stood still: what came since may be lost, too
				left.BeatAt, storedAll = r.BeatAt, false
			}
		}
		if storedAll && others {
			_, err := tx.NewDelete().Model(&left).WherePK().Exec(ctx)
			return err
		}
		_, err = tx.NewInsert().Model(&left).On("CONFLICT (owner) DO UPDATE").Set("gone = excluded.gone").Set("beat_at = excluded.beat_at").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("say that no more deliveries are taken: %w", err)
	}
	return nil
}

// receivers reads the processes that take deliveries, each for this transaction alone: two that end at once see one another so.
func (s *Store) receivers(ctx context.Context, tx bun.Tx) (all []receivingProcess, now time.Time, err error) {
	if err := s.d.forUpdate(tx.NewSelect().Model(&all).Order("owner")).Scan(ctx); err != nil {
		return nil, time.Time{}, err
	}
	now, err = s.unmoved(ctx, tx)
	return all, now, err
}
