package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
	"waggle/crm"
)

// Errors of the wizard's Step 1. The texts are for the log; package api words them for the administrator.
var (
	ErrKeyUnknown       = errors.New("no such secret key")
	ErrKeyExpired       = errors.New("the secret key has expired")
	ErrKeyElsewhere     = errors.New("the secret key is used in another environment") // S0.35
	ErrAddressElsewhere = errors.New("the CRM address belongs to an environment with another secret key")
	ErrAPIKeyUnknown    = errors.New("not the API key of this environment")
	ErrAPIKeyMissing    = errors.New("there is no API key to send to the CRM")
)

// MissingStep is the error of a step of the wizard taken before the step it names was filled in.
type MissingStep int

func (m MissingStep) Error() string { return "Step " + strconv.Itoa(int(m)) + " is missing" }

// Unanswered is the error of a Finish that leaves prompts without an answer.
type Unanswered struct{ Prompts []chat.Prompt }

func (u *Unanswered) Error() string {
	return fmt.Sprintf("%d prompts of the wizard are not answered", len(u.Prompts))
}

// Credentials is what the wizard's Step 1 stores, checked.
type Credentials struct {
	SecretKey   string // empty: the one the environment has
	CRMKind     string
	CRMURL      string // normalised
	CRMPrefix   string // "/0", "" or "?" where it is not known
	CRMVersion  string // empty: not known
	PublicURL   *string
	Auth        string // api_key, oauth or login
	Login       string
	Password    string
	APIKey      string // the environment's own, sent back; empty: the one it has
	NewAPIKey   bool   // make one
	IdentityURL string // with ClientID and ClientSecret: the CRM's OAuth client
	ClientID    string
	// ClientSecret is the OAuth client's; empty: the one kept before.
	ClientSecret string
	Checked      bool // the CRM has accepted them
}

// CheckBinding says whether Step 1 may bind the environment to this key and CRM address, without binding it: one of the errors
// above where it may not. PutCredentials decides it again.
func (s *Store) CheckBinding(ctx context.Context, environment uuid.UUID, secretKey, crmURL string) error {
	e, err := s.Environment(ctx, environment)
	if err != nil {
		return err
	}
	_, err = s.bindingKey(ctx, s.read, e, secretKey, crmURL, unlocked)
	return err
}

func unlocked(q *bun.SelectQuery) *bun.SelectQuery { return q }

// bindingKey finds the key that Step 1 names and decides whether it may be used here: it is this environment's, or one that is
// bound nowhere yet. With lock the key's row is kept from others, so that two environments cannot both take it.
func (s *Store) bindingKey(
	ctx context.Context, db bun.IDB, e Environment, secretKey, crmURL string, lock func(*bun.SelectQuery) *bun.SelectQuery,
) (SecretKey, error) {
	var k SecretKey
	q := db.NewSelect().Model(&k).Where("revoked_at IS NULL")
	if secretKey == "" {
		q = q.Where("environment_id = ?", e.ID).OrderExpr("issued_at DESC, id DESC").Limit(1)
	} else {
		q = q.Where("hash = ?", hashToken(secretKey))
	}
	err := one(lock(q).Scan(ctx), "secret key")
	switch {
	case errors.Is(err, ErrNotFound):
		return k, ErrKeyUnknown
	case err != nil:
		return k, err
	}
	now, err := s.now(ctx, db)
	if err != nil {
		return k, err
	}
	if !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt.Time) {
		return k, ErrKeyExpired
	}
	if e.CRMURL != "" && e.CRMURL != crmURL {
		return k, ErrKeyElsewhere
	}
	if k.EnvironmentID != e.ID {
		fresh, err := db.NewSelect().Model((*Environment)(nil)).
			Where("id = ?", k.EnvironmentID).Where("crm_url IS NULL").Where("api_key_hash IS NULL").Exists(ctx)
		if err != nil {
			return k, fmt.Errorf("look for the environment of a secret key: %w", err)
		}
		if !fresh {
			return k, ErrKeyElsewhere
		}
	}
	taken, err := db.NewSelect().Model((*Environment)(nil)).Where("crm_url = ?", crmURL).Where("id <> ?", e.ID).Exists(ctx)
	if err != nil {
		return k, fmt.Errorf("look for a CRM address: %w", err)
	}
	if taken {
		return k, ErrAddressElsewhere
	}
	return k, nil
}

// PutCredentials stores Step 1: it binds the key to the environment and its CRM address, and puts the way of authorization in
// force; the other way's secrets are wiped (b34). The token is the API key made by it, if one was asked for.
func (s *Store) PutCredentials(ctx context.Context, environment uuid.UUID, c Credentials) (Environment, Token, error) {
	var made Token
	if c.NewAPIKey {
		made = newToken(APIKeyPrefix)
	}
	e, err := s.changeEnvironment(ctx, environment, func(ctx context.Context, tx bun.Tx, e *Environment) error {
		key, err := s.bindingKey(ctx, tx, *e, c.SecretKey, c.CRMURL, s.d.forUpdate)
		if err != nil {
			return err
		}
		if err := s.takeKey(ctx, tx, key, e.ID); err != nil {
			return err
		}
		if err := s.putAuthorization(e, c, made); err != nil {
			return err
		}
		e.CRMKind, e.CRMURL, e.CRMPrefix = c.CRMKind, c.CRMURL, c.CRMPrefix
		if c.CRMVersion != "" {
			e.CRMVersion = c.CRMVersion
		}
		if c.PublicURL != nil {
			e.PublicURL = *c.PublicURL
		}
		e.WizardStep = max(e.WizardStep, 2)
		e.SyncNeeded = false
		state := CRMUnchecked
		if c.Checked {
			state = CRMOK
		}
		return s.setCRMState(ctx, tx, e, state, "")
	})
	if s.d.duplicate(err) { // another environment took the address meanwhile
		err = ErrAddressElsewhere
	}
	return e, made, err
}

// takeKey gives a key that was bound nowhere to this environment in place of its former one, and shows what was held because
// that had expired.
func (s *Store) takeKey(ctx context.Context, tx bun.Tx, k SecretKey, environment uuid.UUID) error {
	if k.EnvironmentID == environment {
		return nil
	}
	now, err := s.now(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.NewUpdate().Model((*SecretKey)(nil)).Set("revoked_at = ?", At(now)).
		Where("environment_id = ?", environment).Where("revoked_at IS NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("revoke the former secret key: %w", err)
	}
	ok, err := changed(tx.NewUpdate().Model((*SecretKey)(nil)).Set("environment_id = ?", environment).
		Where("id = ?", k.ID).Where("environment_id = ?", k.EnvironmentID).Exec(ctx))
	if err != nil {
		return fmt.Errorf("bind a secret key: %w", err)
	}
	if !ok {
		return ErrKeyElsewhere
	}
	return s.releaseHeld(ctx, tx, environment, chat.HeldKeyExpired)
}

// putAuthorization puts one way into the CRM in force and wipes the other's secrets.
func (s *Store) putAuthorization(e *Environment, c Credentials, made Token) error {
	e.Auth = c.Auth
	if c.Auth == string(crm.Login) {
		e.Login, e.IdentityURL, e.ClientID = c.Login, "", ""
		e.APIKeyHash, e.APIKeyHint, e.OldAPIKeyHash, e.OldAPIKeyUntil = nil, "", nil, Time{}
		return s.seal(e, Secrets{Password: c.Password})
	}
	e.Login, e.IdentityURL, e.ClientID = "", c.IdentityURL, c.ClientID
	err := s.changeSecrets(e, func(secrets *Secrets) {
		secrets.Password = ""
		if c.ClientSecret != "" || c.Auth != string(crm.OAuth) {
			secrets.ClientSecret = c.ClientSecret
		}
	})
	if err != nil {
		return err
	}
	switch {
	case made.Clear != "":
		return s.putAPIKey(e, made, Time{}, false)
	case e.APIKeyHash == nil:
		return ErrAPIKeyMissing
	case c.APIKey == "":
		return s.keptAPIKey(e)
	case !bytes.Equal(e.APIKeyHash, hashToken(c.APIKey)):
		return ErrAPIKeyUnknown
	default: // it may have been kept for incoming calls only
		return s.changeSecrets(e, func(secrets *Secrets) { secrets.APIKey = c.APIKey })
	}
}

// keptAPIKey says whether the environment still has the API key that its CRM is to be sent: after a login was saved in the left
// panel only its hash is left. An OAuth client needs none.
func (s *Store) keptAPIKey(e *Environment) error {
	secrets, err := s.Secrets(*e)
	if err == nil && secrets.APIKey == "" && e.Auth == string(crm.APIKey) {
		return ErrAPIKeyMissing
	}
	return err
}

// PutWaitingPeriods stores Step 2. The periods are checked by chat.ClientPeriod and chat.AgentPeriod before.
func (s *Store) PutWaitingPeriods(ctx context.Context, environment uuid.UUID, client, agent chat.Period) (Environment, error) {
	return s.changeEnvironment(ctx, environment, func(_ context.Context, _ bun.Tx, e *Environment) error {
		if e.Auth == "" {
			return MissingStep(1)
		}
		e.CloseOn, e.CloseMinutes = client.On, client.Minutes
		e.TransferOn, e.TransferMinutes = agent.On, agent.Minutes
		e.WizardStep = 3
		return nil
	})
}

// Finished is what a Finish did. It is kept, so that the same Finish again gives the same answer.
type Finished struct {
	Revision     int // of the run that was finished
	Started      []Process
	Cancelled    []Process
	ChatsEnabled bool
}

// FinishWizard finishes a run of the wizard once, however often it is sent: the same Idempotency-Key or the same revision gives
// the first answer again and replayed (b27). revision 0 means the present run. The prompts come as the instances stand at this
// moment; where one has no answer nothing is done and the error is *Unanswered (b29). Yes cancels the instances found, No
// leaves them beside the one that is started (b26).
func (s *Store) FinishWizard(ctx context.Context, environment uuid.UUID, revision int, answers chat.Answers, i Idem) (f Finished, replayed bool, err error) {
	var same bool
	f, replayed, err = idempotent(ctx, s, environment, i, func(ctx context.Context, tx bun.Tx) (Finished, error) {
		var f Finished
		var err error
		f, same, err = s.finishRun(ctx, tx, environment, revision, answers)
		return f, err
	})
	return f, replayed || same, err
}

// finishRun finishes one run, or finds that it is finished already.
func (s *Store) finishRun(ctx context.Context, tx bun.Tx, environment uuid.UUID, revision int, answers chat.Answers) (Finished, bool, error) {
	e, err := s.lockEnvironment(ctx, tx, environment)
	if err != nil {
		return Finished{}, false, err
	}
	if revision == 0 {
		revision = e.WizardRevision
	}
	run := Idem{Operation: "finishWizard of a run", Key: strconv.Itoa(revision), RequestHash: []byte{}}
	earlier, err := s.claimKey(ctx, tx, environment, run)
	if err != nil {
		return Finished{}, false, err
	}
	var f Finished
	if earlier != nil {
		return f, true, json.Unmarshal(earlier, &f)
	}
	if revision != e.WizardRevision {
		return Finished{}, false, fmt.Errorf("the wizard is at revision %d: %w", e.WizardRevision, ErrConflict)
	}
	if f, err = s.finish(ctx, tx, &e, answers); err != nil {
		return Finished{}, false, err
	}
	return f, false, keepAnswer(ctx, tx, environment, run, f)
}

// finish carries out a Finish on the locked environment.
func (s *Store) finish(ctx context.Context, tx bun.Tx, e *Environment, answers chat.Answers) (Finished, error) {
	switch {
	case e.Auth == "":
		return Finished{}, MissingStep(1)
	case e.WizardStep < 3 && e.ConfiguredAt.IsZero():
		return Finished{}, MissingStep(2)
	}
	running, err := runningCounts(ctx, tx, e.ID)
	if err != nil {
		return Finished{}, err
	}
	if open := chat.Unanswered(chat.Prompts(running), answers); len(open) > 0 {
		return Finished{}, &Unanswered{open}
	}
	f := Finished{Revision: e.WizardRevision, ChatsEnabled: e.ChatsEnabled}
	for _, name := range chat.Processes {
		if answers[name] {
			cancelled, err := s.cancelRunning(ctx, tx, e.ID, name)
			if err != nil {
				return Finished{}, err
			}
			f.Cancelled = append(f.Cancelled, cancelled...)
		}
		if e.on(name) {
			p, err := s.startProcess(ctx, tx, e.ID, name, e.WizardRevision)
			if err != nil {
				return Finished{}, err
			}
			f.Started = append(f.Started, p)
		}
	}
	now, err := s.now(ctx, tx)
	if err != nil {
		return Finished{}, err
	}
	e.ConfiguredAt, e.WizardRevision, e.WizardStep = At(now), e.WizardRevision+1, 1
	return f, s.saveEnvironment(ctx, tx, e)
}
