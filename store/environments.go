package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
	"waggle/crm"
)

// Environment returns one environment.
func (s *Store) Environment(ctx context.Context, id uuid.UUID) (Environment, error) {
	var e Environment
	err := s.read.NewSelect().Model(&e).Where("id = ?", id).Scan(ctx)
	return e, one(err, "environment")
}

// lockEnvironment reads an environment and keeps others from changing it until the transaction ends.
func (s *Store) lockEnvironment(ctx context.Context, tx bun.Tx, id uuid.UUID) (Environment, error) {
	var e Environment
	err := s.d.forUpdate(tx.NewSelect().Model(&e).Where("id = ?", id)).Scan(ctx)
	return e, one(err, "environment")
}

// Secrets are what an environment must send to its CRM. They are kept sealed and never logged or answered.
type Secrets struct {
	Password     string `json:"password,omitempty"`
	APIKey       string `json:"api_key,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`

	LoginClientSecret string `json:"login_client_secret,omitempty"`
}

// Secrets opens the environment's sealed secrets.
func (s *Store) Secrets(e Environment) (Secrets, error) {
	var secrets Secrets
	if e.Secrets == nil {
		return secrets, nil
	}
	plain, err := s.sealer.Open(e.Secrets, e.ID.String())
	if err != nil {
		return secrets, fmt.Errorf("open the secrets of environment %s: %w", e.ID, err)
	}
	if json.Unmarshal(plain, &secrets) != nil { // the decoder's error might quote a secret
		return secrets, fmt.Errorf("read the secrets of environment %s: not the JSON that was sealed", e.ID)
	}
	return secrets, nil
}

// seal puts secrets into the environment's row; none at all become NULL.
func (s *Store) seal(e *Environment, secrets Secrets) error {
	e.Secrets = nil
	if secrets == (Secrets{}) {
		return nil
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return fmt.Errorf("write the secrets of environment %s: %w", e.ID, err)
	}
	if e.Secrets, err = s.sealer.Seal(plain, e.ID.String()); err != nil {
		return fmt.Errorf("seal the secrets of environment %s: %w", e.ID, err)
	}
	return nil
}

// Connection is the environment's way into its CRM, secrets opened. An environment whose wizard's Step 1 is not filled in has
// none: ErrNotFound.
func (s *Store) Connection(e Environment) (crm.Connection, error) {
	if e.CRMURL == "" || e.Auth == "" {
		return crm.Connection{}, fmt.Errorf("connection to the CRM: %w", ErrNotFound)
	}
	secrets, err := s.Secrets(e)
	if err != nil {
		return crm.Connection{}, err
	}
	return crm.Connection{
		Environment: e.ID, URL: e.CRMURL, Prefix: e.CRMPrefix, Auth: crm.Auth(e.Auth),
		Login: e.Login, Password: secrets.Password, APIKey: secrets.APIKey,
		IdentityURL: e.IdentityURL, ClientID: e.ClientID, ClientSecret: secrets.ClientSecret,
	}, nil
}

// FromCRM is what the CRM's settings were when last read, by their codes; empty before the first Synchronize.
func (e *Environment) FromCRM() map[string]string {
	values := map[string]string{}
	if len(e.CRMSettings) > 0 && json.Unmarshal(e.CRMSettings, &values) != nil {
		return map[string]string{}
	}
	return values
}

// SimultaneousLimit is the limit in force of open chats for an agent without a Max load; 0 means none.
func (e *Environment) SimultaneousLimit() int {
	return chat.SimultaneousChats(e.SimultaneousChats, e.FromCRM()).Value
}

// AcceptTimeout is the number of minutes in force that an agent has to accept a chat.
func (e *Environment) AcceptTimeout() int {
	return chat.AcceptTimeout(e.AcceptTimeoutMinutes, e.FromCRM()).Value
}

// BotTimeout is after how many minutes in force a silent bot's conversation is asked back; 0: never.
func (e *Environment) BotTimeout() int { return chat.BotTimeout(e.BotTimeoutMinutes).Value }

// CurrentKey is the secret key the environment goes by, expired or not: the latest that is not revoked.
func (s *Store) CurrentKey(ctx context.Context, environment uuid.UUID) (SecretKey, error) {
	var k SecretKey
	err := s.read.NewSelect().Model(&k).Where("environment_id = ?", environment).Where("revoked_at IS NULL").
		OrderExpr("issued_at DESC, id DESC").Limit(1).Scan(ctx)
	return k, one(err, "secret key")
}

// ReplaceAPIKey makes a new API key and puts it in force; the token is returned here only. The old key stops at once, or after
// overlapMinutes. oldUntil is when it stops; zero where there was none.
func (s *Store) ReplaceAPIKey(ctx context.Context, environment uuid.UUID, overlapMinutes int) (key Token, oldUntil Time, err error) {
	key = newToken(APIKeyPrefix)
	_, err = s.changeEnvironment(ctx, environment, func(ctx context.Context, tx bun.Tx, e *Environment) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		oldUntil = Time{}
		if e.APIKeyHash != nil {
			oldUntil = At(now.Add(minutes(overlapMinutes)))
		}
		return s.putAPIKey(e, key, oldUntil, overlapMinutes > 0)
	})
	return key, oldUntil, err
}

// putAPIKey writes a new API key into e; the old one works until oldUntil where keepOld.
func (s *Store) putAPIKey(e *Environment, key Token, oldUntil Time, keepOld bool) error {
	old := e.APIKeyHash
	e.OldAPIKeyHash, e.OldAPIKeyUntil = nil, Time{}
	if keepOld && old != nil {
		e.OldAPIKeyHash, e.OldAPIKeyUntil = old, oldUntil
	}
	e.APIKeyHash, e.APIKeyHint = key.Hash, key.Hint
	return s.changeSecrets(e, func(secrets *Secrets) { secrets.APIKey = key.Clear })
}

// changeSecrets opens the environment's secrets, lets change have them and seals them again.
func (s *Store) changeSecrets(e *Environment, change func(*Secrets)) error {
	secrets, err := s.Secrets(*e)
	if err != nil {
		return err
	}
	change(&secrets)
	return s.seal(e, secrets)
}

// changeEnvironment lets change have the locked row and writes it back, all in one transaction.
func (s *Store) changeEnvironment(ctx context.Context, id uuid.UUID, change func(ctx context.Context, tx bun.Tx, e *Environment) error) (Environment, error) {
	var e Environment
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var err error
		if e, err = s.lockEnvironment(ctx, tx, id); err != nil {
			return err
		}
		if err := change(ctx, tx, &e); err != nil {
			return err
		}
		return s.saveEnvironment(ctx, tx, &e)
	})
	return e, err
}

// saveEnvironment writes back what administrators change. The row is locked, so that nothing else is lost.
func (s *Store) saveEnvironment(ctx context.Context, tx bun.Tx, e *Environment) error {
	_, err := tx.NewUpdate().Model(e).WherePK().ExcludeColumn("id", "created_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("save environment %s: %w", e.ID, err)
	}
	return nil
}

// setCRMState records how the connection to the CRM stands; since is kept while the state stays the same.
func (s *Store) setCRMState(ctx context.Context, tx bun.Tx, e *Environment, state, why string) error {
	if e.CRMState != state || e.CRMSince.IsZero() {
		unmoved, err := s.unmoved(ctx, tx)
		if err != nil {
			return err
		}
		e.CRMSince = At(unmoved)
	}
	e.CRMState, e.CRMError, e.CRMFailures, e.CRMRetryAt = state, why, 0, Time{}
	return nil
}
