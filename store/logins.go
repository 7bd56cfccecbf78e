package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
)

const (
	loginWindow = 15 * time.Minute // how long the messenger's window may take
	loginKept   = time.Hour        // how long what it opened can be chosen from
)

// Login is somebody's way through a messenger's login window. What it opened is sealed in Secrets.
type Login struct {
	bun.BaseModel `bun:"table:logins,alias:l"`

	ID            uuid.UUID `bun:",pk"`
	EnvironmentID uuid.UUID `bun:",notnull"`
	Kind          string    `bun:",notnull"`
	StateHash     []byte    `bun:",notnull"`
	Callback      string    `bun:",notnull"` // our address the window returns to
	ExpiresAt     Time      `bun:",notnull"`
	ReturnedAt    Time      `bun:""`
	Why           string    `bun:",notnull"` // why it failed; empty: it did not
	Secrets       []byte    `bun:",nullzero"`
}

// BeginLogin notes that a login window is being opened. The state, which the window gives back, is returned here only; it is good
// once and for a quarter of an hour.
func (s *Store) BeginLogin(ctx context.Context, environment uuid.UUID, kind, callback string) (*Login, string, error) {
	state := newToken("")
	l := &Login{ID: uuid.Must(uuid.NewV7()), EnvironmentID: environment, Kind: kind, StateHash: state.Hash, Callback: callback}
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.unmoved(ctx, tx)
		if err != nil {
			return err
		}
		l.ExpiresAt = At(now.Add(loginWindow))
		_, err = tx.NewDelete().Model((*Login)(nil)).Where("environment_id = ?", environment).Where("expires_at <= ?", At(now)).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(l).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("begin a login: %w", err)
	}
	return l, state.Clear, nil
}

// ReturnLogin finds the login that a window came back from, once. One that is unknown, over or back already is ErrNotFound.
func (s *Store) ReturnLogin(ctx context.Context, kind, state string) (*Login, error) {
	l := new(Login)
	err := s.db.NewUpdate().Model((*Login)(nil)).Set("returned_at = ?", s.d.now()).Set("expires_at = ? + ?", s.d.now(), loginKept.Microseconds()).
		Where("kind = ?", kind).Where("state_hash = ?", hashToken(state)).Where("returned_at IS NULL").Where("expires_at > ?", s.d.now()).
		Returning("*").Scan(ctx, l)
	return l, one(err, "login")
}

// FinishLogin keeps what a login opened, sealed, or why it failed.
func (s *Store) FinishLogin(ctx context.Context, l *Login, opened channels.LoginResult, why string) error {
	plain, err := json.Marshal(opened)
	if err != nil {
		return fmt.Errorf("keep what login %s opened: %w", l.ID, err)
	}
	if l.Secrets, err = s.sealer.Seal(plain, l.ID.String()); err != nil {
		return fmt.Errorf("seal what login %s opened: %w", l.ID, err)
	}
	l.Why = why
	_, err = s.db.NewUpdate().Model(l).Column("why", "secrets").WherePK().Where("environment_id = ?", l.EnvironmentID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep what login %s opened: %w", l.ID, err)
	}
	return nil
}

// Login reads a login that is not over, with what it opened; nothing while the window has not come back.
func (s *Store) Login(ctx context.Context, environment uuid.UUID, kind string, id uuid.UUID) (*Login, channels.LoginResult, error) {
	l, opened := new(Login), channels.LoginResult{}
	err := s.read.NewSelect().Model(l).Where("l.environment_id = ?", environment).Where("l.kind = ?", kind).Where("l.id = ?", id).
		Where("l.expires_at > ?", s.d.now()).Scan(ctx)
	if err != nil {
		return nil, opened, one(err, "login")
	}
	if l.Secrets == nil {
		return l, opened, nil
	}
	plain, err := s.sealer.Open(l.Secrets, l.ID.String())
	if err != nil {
		return nil, opened, fmt.Errorf("open what login %s opened: %w", l.ID, err)
	}
	if json.Unmarshal(plain, &opened) != nil { // the decoder's error might quote a token
		return nil, opened, fmt.Errorf("read what login %s opened: not the JSON that was sealed", l.ID)
	}
	return l, opened, nil
}

// ForgetLogins deletes the logins of all environments that are over, with the tokens they opened.
func (s *Store) ForgetLogins(ctx context.Context) error {
	if _, err := s.db.NewDelete().Model((*Login)(nil)).Where("expires_at <= ?", s.d.now()).Exec(ctx); err != nil {
		return fmt.Errorf("forget logins that are over: %w", err)
	}
	return nil
}

// LoginSettings are what an environment's logins need, with the secret in clear.
func (s *Store) LoginSettings(ctx context.Context, environment uuid.UUID) (channels.LoginSettings, error) {
	e, err := s.Environment(ctx, environment)
	if err != nil {
		return channels.LoginSettings{}, err
	}
	secrets, err := s.Secrets(e)
	return channels.LoginSettings{URL: e.LoginURL, ClientID: e.LoginClientID, ClientSecret: secrets.LoginClientSecret}, err
}

// SetLoginSecret seals the app's secret that logins need into e; an empty one is taken away. e is saved by the caller.
func (s *Store) SetLoginSecret(e *Environment, secret string) error {
	return s.changeSecrets(e, func(all *Secrets) { all.LoginClientSecret = secret })
}
