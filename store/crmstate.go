package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/crm"
)

// longestCRMWait bounds the wait between two probes of a CRM that is down.
const longestCRMWait = time.Minute

// pushable keeps the environments whose chats may be pushed now: chats are switched on, the wizard's first step is filled in,
// and the CRM neither refuses us nor has a time to be left alone. Credentials that were only saved are tried (b35).
func (s *Store) pushable(q *bun.SelectQuery) *bun.SelectQuery {
	return q.Where("e.chats_enabled").Where("e.auth <> ''").Where("e.crm_url IS NOT NULL").
		Where("e.crm_state IN (?, ?) OR (e.crm_state = ? AND (e.crm_retry_at IS NULL OR e.crm_retry_at <= ?))", CRMOK, CRMUnchecked, CRMUnavailable, s.d.now())
}

// EnvironmentsToPush lists the environments with lanes to the CRM that are due and may be pushed now.
func (s *Store) EnvironmentsToPush(ctx context.Context) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	due := s.read.NewSelect().TableExpr("chats AS c").ColumnExpr("1").Where("c.environment_id = e.id").
		Where("c.crm_due_at <= ?", s.d.now()).Where("c.crm_until IS NULL OR c.crm_until < ?", s.d.now())
	err := s.pushable(s.read.NewSelect().TableExpr("environments AS e").ColumnExpr("e.id")).Where("EXISTS (?)", due).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("list the environments to push: %w", err)
	}
	return ids, nil
}

// takeProbe takes the one try at a CRM that was down; others wait until wait has passed.
func (s *Store) takeProbe(ctx context.Context, tx bun.Tx, environment uuid.UUID, wait time.Duration) (bool, error) {
	return changed(tx.NewUpdate().Model((*Environment)(nil)).Set("crm_retry_at = ? + ?", s.d.now(), wait.Microseconds()).
		Where("id = ?", environment).Where("crm_state = ?", CRMUnavailable).Where("crm_retry_at IS NULL OR crm_retry_at <= ?", s.d.now()).Exec(ctx))
}

// CRMWorks notes that the CRM took a push or a check. news reports whether it did not before.
func (s *Store) CRMWorks(ctx context.Context, environment uuid.UUID) (news bool, err error) {
	news, err = changed(s.db.NewUpdate().Model((*Environment)(nil)).Set("crm_state = ?", CRMOK).Set("crm_error = ''").Set("crm_failures = 0").
		Set("crm_retry_at = NULL").Set("crm_since = ?", s.d.now()).Where("id = ?", environment).Where("crm_state <> ?", CRMOK).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("note that the CRM works: %w", err)
	}
	return news, nil
}

// CRMDown keeps an environment's pushes until wait has passed; where wait is 0 it doubles from one second to a minute. A CRM
// that refuses the credentials stays refused. news reports whether the CRM was thought to work.
func (s *Store) CRMDown(ctx context.Context, environment uuid.UUID, why string, wait time.Duration) (news bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		news = false
		e, err := s.lockEnvironment(ctx, tx, environment)
		if err != nil || e.CRMState == CRMRefused {
			return err
		}
		news = e.CRMState != CRMUnavailable
		if wait == 0 {
			wait = min(time.Second<<min(e.CRMFailures, 10), longestCRMWait)
		}
		_, err = tx.NewUpdate().Model((*Environment)(nil)).Set("crm_state = ?", CRMUnavailable).Set("crm_error = ?", why).
			Set("crm_failures = crm_failures + 1").Set("crm_retry_at = ? + ?", s.d.now(), wait.Microseconds()).
			Set("crm_since = CASE WHEN crm_state = ? THEN crm_since ELSE ? END", CRMUnavailable, s.d.now()).
			Where("id = ?", environment).Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note that the CRM is unavailable: %w", err)
	}
	return news, nil
}

// CRMRefuses notes that the CRM does not accept the credentials it was tried with: nothing is pushed until the administrator
// acts. Credentials that were saved meanwhile have not been tried. news reports whether it is.
func (s *Store) CRMRefuses(ctx context.Context, tried crm.Connection, why string) (news bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		news = false
		e, err := s.lockEnvironment(ctx, tx, tried.Environment)
		if err != nil {
			return err
		}
		now, err := s.Connection(e)
		if err != nil {
			return err
		}
		now.Prefix = tried.Prefix
		if now != tried {
			return nil
		}
		news, err = changed(tx.NewUpdate().Model((*Environment)(nil)).Set("crm_state = ?", CRMRefused).Set("crm_error = ?", why).Set("crm_retry_at = NULL").
			Set("crm_since = ?", s.d.now()).Where("id = ?", e.ID).Where("crm_state <> ?", CRMRefused).Exec(ctx))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note that the CRM refuses us: %w", err)
	}
	return news, nil
}

// SaveSite keeps what a successful check found out.
func (s *Store) SaveSite(ctx context.Context, environment uuid.UUID, site crm.Site) error {
	_, err := s.db.NewUpdate().Model((*Environment)(nil)).Set("crm_prefix = ?", site.Prefix).Set("crm_version = ?", site.Version).
		Where("id = ?", environment).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save what the CRM shows: %w", err)
	}
	return nil
}

// SaveCRMSettings keeps the CRM's values of its system settings, by its codes.
func (s *Store) SaveCRMSettings(ctx context.Context, environment uuid.UUID, values map[string]string) error {
	raw, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("save the CRM's settings: %w", err)
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	row := &Environment{ID: environment, CRMSettings: raw, CRMSettingsAt: At(now)}
	if _, err := s.db.NewUpdate().Model(row).Column("crm_settings", "crm_settings_at").WherePK().Exec(ctx); err != nil {
		return fmt.Errorf("save the CRM's settings: %w", err)
	}
	return nil
}
