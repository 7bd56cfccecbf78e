package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// RequestedKeyLife is how long a requested key is valid (S0.9).
const RequestedKeyLife = 14 * 24 * time.Hour

// The sources of a SecretKey.
const (
	KeyOfOperator = "operator"
	KeyByRequest  = "request"
)

// KeyOwner says whom a key is made for.
type KeyOwner struct {
	Company string
	Phone   string
	Email   string
}

// IssuedKey is a SecretKey with the environment's CRM address; empty while the key is bound to none.
type IssuedKey struct {
	SecretKey `bun:",extend"`

	CRMURL string `bun:"crm_url"`
}

// IssueKey makes a key and an empty environment for it. The key is valid for life, or without end where life is 0. The
// token is returned here only.
func (s *Store) IssueKey(ctx context.Context, owner KeyOwner, life time.Duration) (token string, key SecretKey, err error) {
	return s.makeKey(ctx, owner, KeyOfOperator, life)
}

// RequestKey makes a key for 14 days and an empty environment. A second request for the same e-mail is ErrConflict: it gives
// no key and lengthens nothing (S0.10). owner.Email must be normalised (chat.Email).
func (s *Store) RequestKey(ctx context.Context, owner KeyOwner) (token string, key SecretKey, err error) {
	return s.makeKey(ctx, owner, KeyByRequest, RequestedKeyLife)
}

func (s *Store) makeKey(ctx context.Context, owner KeyOwner, source string, life time.Duration) (string, SecretKey, error) {
	t := newToken(SecretKeyPrefix)
	var key SecretKey
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		environment, err := newEnvironment(ctx, tx, now)
		if err != nil {
			return err
		}
		key = SecretKey{
			ID: newID(), EnvironmentID: environment, Hash: t.Hash, Hint: t.Hint, Source: source,
			Company: owner.Company, Phone: owner.Phone, Email: owner.Email, IssuedAt: At(now),
		}
		if life > 0 {
			key.ExpiresAt = At(now.Add(life))
		}
		_, err = tx.NewInsert().Model(&key).Exec(ctx)
		if s.d.duplicate(err) {
			return fmt.Errorf("a key was already requested for this e-mail: %w", ErrConflict)
		}
		return err
	})
	if err != nil {
		return "", SecretKey{}, fmt.Errorf("make a secret key: %w", err)
	}
	return t.Clear, key, nil
}

// newEnvironment makes an empty environment; its columns have the schema's defaults.
func newEnvironment(ctx context.Context, tx bun.Tx, now time.Time) (uuid.UUID, error) {
	id := newID()
	row := map[string]any{"id": id, "created_at": At(now)}
	_, err := tx.NewInsert().Model(&row).TableExpr("environments").Exec(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("make an environment: %w", err)
	}
	return id, nil
}

// Keys returns all keys of the installation, oldest first. It is the operator's: it crosses environments.
func (s *Store) Keys(ctx context.Context) ([]IssuedKey, error) {
	var keys []IssuedKey
	err := s.read.NewSelect().Model(&keys).ColumnExpr("k.*").ColumnExpr("coalesce(e.crm_url, '') AS crm_url").
		Join("JOIN environments AS e ON e.id = k.environment_id").Order("k.id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the secret keys: %w", err)
	}
	return keys, nil
}

// ExtendKey makes a key valid until the given business time, or without end for the zero time, and releases the chats that
// were held because it had expired. A revoked key is ErrConflict.
func (s *Store) ExtendKey(ctx context.Context, id uuid.UUID, until time.Time) (SecretKey, error) {
	var key SecretKey
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lockKey(ctx, tx, id, &key); err != nil {
			return err
		}
		if !key.RevokedAt.IsZero() {
			return fmt.Errorf("the key is revoked: %w", ErrConflict)
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		key.ExpiresAt = At(until)
		if _, err := tx.NewUpdate().Model(&key).Column("expires_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		if !until.IsZero() && !until.After(now) {
			return nil
		}
		return s.releaseHeld(ctx, tx, key.EnvironmentID, chat.HeldKeyExpired)
	})
	if err != nil {
		return SecretKey{}, fmt.Errorf("extend secret key %s: %w", id, err)
	}
	return key, nil
}

// ReleaseHeld shows the chats that were held because the secret key had expired, wherever a key is valid again (S0.9). It
// returns the environments concerned.
func (s *Store) ReleaseHeld(ctx context.Context) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	held := s.read.NewSelect().TableExpr("chats AS c").ColumnExpr("1").Where("c.environment_id = k.environment_id").Where("c.held_reason IS NOT NULL").
		Where("c.held_reason = ?", chat.HeldKeyExpired)
	err = s.read.NewSelect().TableExpr("secret_keys AS k").ColumnExpr("DISTINCT k.environment_id").Where("k.revoked_at IS NULL").
		Where("k.expires_at IS NULL OR k.expires_at > ?", At(now)).Where("EXISTS (?)", held).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("look for held chats: %w", err)
	}
	for _, id := range ids {
		err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error { return s.releaseHeld(ctx, tx, id, chat.HeldKeyExpired) })
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// releaseHeld shows the chats held for this reason; from now on they wait for an agent like any other.
func (s *Store) releaseHeld(ctx context.Context, tx bun.Tx, environment uuid.UUID, reason string) error {
	err := s.setOnChats(ctx, tx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return s.pushes(q).Set("held_reason = NULL").Set("look_at = 0")
	}, "environment_id = ? AND held_reason = ?", environment, reason)
	if err != nil {
		return fmt.Errorf("release the held chats: %w", err)
	}
	return nil
}

// RevokeKey ends a key at once. Revoking twice is once.
func (s *Store) RevokeKey(ctx context.Context, id uuid.UUID) (SecretKey, error) {
	var key SecretKey
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lockKey(ctx, tx, id, &key); err != nil || !key.RevokedAt.IsZero() {
			return err
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		key.RevokedAt = At(now)
		_, err = tx.NewUpdate().Model(&key).Column("revoked_at").WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return SecretKey{}, fmt.Errorf("revoke secret key %s: %w", id, err)
	}
	return key, nil
}

// ReleaseKey frees a key from the environment it was used in, so that it can be bound to another one (b31). It gets a new,
// empty environment: what the first one holds stays there and is never shown to the next holder of the key.
func (s *Store) ReleaseKey(ctx context.Context, id uuid.UUID) (SecretKey, error) {
	var key SecretKey
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lockKey(ctx, tx, id, &key); err != nil {
			return err
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		if key.EnvironmentID, err = newEnvironment(ctx, tx, now); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&key).Column("environment_id").WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return SecretKey{}, fmt.Errorf("release secret key %s: %w", id, err)
	}
	return key, nil
}

func (s *Store) lockKey(ctx context.Context, tx bun.Tx, id uuid.UUID, key *SecretKey) error {
	return one(s.d.forUpdate(tx.NewSelect().Model(key).Where("k.id = ?", id)).Scan(ctx), "read the key")
}
