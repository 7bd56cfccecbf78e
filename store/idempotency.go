package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Idempotency keys (SendMessage, CreateChannel, StartChat, FinishWizard). A store method that creates takes an Idem and
// wraps the whole of its transaction:
//
//	func (s *Store) CreateThing(ctx context.Context, environment uuid.UUID, in NewThing, i Idem) (Thing, bool, error) {
//		return idempotent(ctx, s, environment, i, func(ctx context.Context, tx bun.Tx) (Thing, error) {
//			…only tx…
//		})
//	}
//
// It returns what the method made and whether that is a replay: the answer kept when the same request came first, read back
// from JSON. A replay has no effect, so callers give no hints for it. In package api, idem(ctx, operation, key, parts…) in
// idempotency.go makes the Idem.

// Idem guards one request against being carried out twice. Without a Key nothing is guarded and nothing is kept.
type Idem struct {
	Operation   string // the contract's operationId
	Key         string // as the caller sent it, at most 255 bytes
	RequestHash []byte // of all that makes the request what it is: caller, path and body
}

type idempotencyKey struct {
	bun.BaseModel `bun:"table:idempotency_keys,alias:ik"`

	EnvironmentID uuid.UUID `bun:",pk"`
	Operation     string    `bun:",pk"`
	Key           string    `bun:",pk"`
	RequestHash   []byte    `bun:",notnull"`
	Answer        []byte    `bun:",notnull"`
	CreatedAt     Time      `bun:",notnull"`
}

// idempotent runs f in one transaction, once for all requests with this key; the later ones get the first one's answer and
// true. The same key with another request is ErrConflict. If f fails nothing is kept and the key may be used again. A
// second request that comes while the first still runs waits for it.
func idempotent[T any](ctx context.Context, s *Store, environment uuid.UUID, i Idem, f func(ctx context.Context, tx bun.Tx) (T, error)) (answer T, replayed bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var zero T
		answer, replayed = zero, false
		if i.Key == "" {
			var err error
			answer, err = f(ctx, tx)
			return err
		}
		earlier, err := s.claimKey(ctx, tx, environment, i)
		if err != nil {
			return err
		}
		if earlier != nil {
			replayed = true
			if err := json.Unmarshal(earlier, &answer); err != nil {
				return fmt.Errorf("read the answer kept for an idempotency key of %s: %w", i.Operation, err)
			}
			return nil
		}
		if answer, err = f(ctx, tx); err != nil {
			return err
		}
		return keepAnswer(ctx, tx, environment, i, answer)
	})
	if err != nil {
		var zero T
		return zero, false, err
	}
	return answer, replayed, nil
}

// Replay reads the answer kept for a request that was carried out before, and reports whether there is one. It spares a
// repetition what comes before its transaction; idempotent decides all the same. The same key with another request is
// ErrConflict.
func (s *Store) Replay(ctx context.Context, environment uuid.UUID, i Idem, answer any) (bool, error) {
	if i.Key == "" {
		return false, nil
	}
	row := idempotencyKey{EnvironmentID: environment, Operation: i.Operation, Key: i.Key}
	err := one(s.read.NewSelect().Model(&row).WherePK().Scan(ctx), "an idempotency key of "+i.Operation)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(row.RequestHash, i.RequestHash):
		return false, errKeyUsed
	}
	if err := json.Unmarshal(row.Answer, answer); err != nil {
		return false, fmt.Errorf("read the answer kept for an idempotency key of %s: %w", i.Operation, err)
	}
	return true, nil
}

// errKeyUsed is the ErrConflict of a key that came with another request before.
var errKeyUsed = fmt.Errorf("this Idempotency-Key was used for another request; choose a new one: %w", ErrConflict)

// claimKey takes the key for this transaction, or returns the answer that was kept for it.
func (s *Store) claimKey(ctx context.Context, tx bun.Tx, environment uuid.UUID, i Idem) ([]byte, error) {
	row := idempotencyKey{EnvironmentID: environment, Operation: i.Operation, Key: i.Key, RequestHash: i.RequestHash, Answer: []byte{}}
	// On PostgreSQL this waits for a transaction that has the same key, and then finds its row.
	claimed, err := changed(tx.NewInsert().Model(&row).Value("created_at", "? + (SELECT offset_us FROM clock)", s.d.now()).On("CONFLICT DO NOTHING").Exec(ctx))
	if err != nil {
		return nil, fmt.Errorf("claim an idempotency key of %s: %w", i.Operation, err)
	}
	if claimed {
		return nil, nil
	}
	if err := tx.NewSelect().Model(&row).WherePK().Scan(ctx); err != nil {
		return nil, one(err, "read an idempotency key of "+i.Operation)
	}
	if !bytes.Equal(row.RequestHash, i.RequestHash) {
		return nil, errKeyUsed
	}
	return row.Answer, nil
}

func keepAnswer(ctx context.Context, tx bun.Tx, environment uuid.UUID, i Idem, answer any) error {
	b, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("keep the answer to %s: %w", i.Operation, err)
	}
	_, err = tx.NewUpdate().Model((*idempotencyKey)(nil)).Set("answer = ?", b).
		Where("environment_id = ?", environment).Where("operation = ?", i.Operation).Where("key = ?", i.Key).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the answer to %s: %w", i.Operation, err)
	}
	return nil
}

// ForgetIdempotencyKeys deletes the keys of all environments that are older than age, and says how many those were.
func (s *Store) ForgetIdempotencyKeys(ctx context.Context, age time.Duration) (int64, error) {
	var n int64
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		r, err := tx.NewDelete().Model((*idempotencyKey)(nil)).Where("created_at < ?", At(now.Add(-age))).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget old idempotency keys: %w", err)
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, err
}
