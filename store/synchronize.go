package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
	"waggle/crm"
)

// SyncAgents brings the environment's agents to the CRM's users: new ones become agents, enabled but offline; names follow;
// who is gone from the CRM is disabled, and his open chats go back to their queues. Agents that were deleted here stay so.
func (s *Store) SyncAgents(ctx context.Context, environment uuid.UUID, users []crm.User) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		var agents []Agent
		if err := tx.NewSelect().Model(&agents).Where("environment_id = ?", environment).Where("crm_user_id IS NOT NULL").Scan(ctx); err != nil {
			return err
		}
		known := make(map[string]*Agent, len(agents))
		for i := range agents {
			known[agents[i].CRMUserID] = &agents[i]
		}
		var fresh, renamed []Agent
		for _, u := range users {
			a := known[u.ID]
			delete(known, u.ID)
			switch {
			case a == nil:
				fresh = append(fresh, Agent{
					ID: newID(), EnvironmentID: environment, CRMUserID: u.ID, Name: u.Name, Enabled: true, Status: chat.Offline, StatusAt: At(now), CreatedAt: At(now),
				})
			case a.Name != u.Name:
				renamed = append(renamed, Agent{ID: a.ID, Name: u.Name})
			}
		}
		// First who is gone: his chats are locked before any agent is.
		for _, gone := range known {
			if err := s.agentGone(ctx, tx, gone); err != nil {
				return err
			}
		}
		for i := range renamed {
			if _, err := tx.NewUpdate().Model(&renamed[i]).Column("name").WherePK().Where("environment_id = ?", environment).Exec(ctx); err != nil {
				return err
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		_, err = tx.NewInsert().Model(&fresh).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("bring the agents to the CRM's users: %w", err)
	}
	return nil
}

func (s *Store) agentGone(ctx context.Context, tx bun.Tx, a *Agent) error {
	if !a.Enabled {
		return nil
	}
	if _, err := s.lockAgentChats(ctx, tx, a.EnvironmentID, a.ID); err != nil {
		return err
	}
	if _, err := tx.NewUpdate().Model(a).Set("enabled = ?", false).Set("status = ?", chat.Offline).WherePK().Where("environment_id = ?", a.EnvironmentID).Exec(ctx); err != nil {
		return err
	}
	_, err := s.returnChats(ctx, tx, a.EnvironmentID, a.ID, "the agent is no longer a user of the CRM")
	return err
}

// forgottenAtOnce is how many rows ForgetPushed locks together: customers and pushes wait for them.
const forgottenAtOnce = 1_000

// ForgetPushed forgets what the CRM was last seen to have of the environment's channels, queues, contacts and identities, so
// that the next pushes prove it anew.
func (s *Store) ForgetPushed(ctx context.Context, environment uuid.UUID) error {
	for _, table := range []string{"channels", "queues", "contacts", "identities"} {
		for after, more := uuid.Nil, true; more; {
			ids, err := s.forgetPushed(ctx, table, environment, after)
			if err != nil {
				return fmt.Errorf("forget what the CRM has of %s: %w", table, err)
			}
			if more = len(ids) == forgottenAtOnce; more {
				after = ids[len(ids)-1]
			}
		}
	}
	return nil
}

// forgetPushed forgets the next rows of a table after an id. It changes those alone that it has locked in their order: one that was
// proven meanwhile would be locked out of it.
func (s *Store) forgetPushed(ctx context.Context, table string, environment, after uuid.UUID) (ids []uuid.UUID, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		ids = nil
		known := tx.NewSelect().Table(table).Column("id").Where("environment_id = ?", environment).Where("crm_pushed <> ''").Where("id > ?", after).
			OrderExpr("id").Limit(forgottenAtOnce)
		if err := s.d.forUpdate(known).Scan(ctx, &ids); err != nil || len(ids) == 0 {
			return err
		}
		_, err := tx.NewUpdate().Table(table).Set("crm_pushed = ''").Where("environment_id = ?", environment).Where("id IN (?)", bun.List(ids)).Exec(ctx)
		return err
	})
	return ids, err
}

// MarkDirty lets the next up to limit chats after an id be proven anew from their first entry. It returns the last one's id;
// zero: there was none.
func (s *Store) MarkDirty(ctx context.Context, environment, after uuid.UUID, limit int) (uuid.UUID, error) {
	var ids []uuid.UUID
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		ids = nil
		q := tx.NewSelect().Model((*Chat)(nil)).Column("id").Where("environment_id = ?", environment).Where("id > ?", after).
			Where("held_reason IS NULL").OrderExpr("id").Limit(limit)
		if err := s.d.forUpdate(q).Scan(ctx, &ids); err != nil || len(ids) == 0 {
			return err
		}
		_, err := tx.NewUpdate().Table("chats").Set("crm_seq = 0").Set("crm_pushed = ''").Set("crm_failures = 0").
			Set("crm_version = crm_version + 1").Set("crm_due_at = ?", s.d.now()).
			Where("environment_id = ?", environment).Where("id IN (?)", bun.List(ids)).Exec(ctx)
		return err
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("mark chats to be proven: %w", err)
	}
	if len(ids) == 0 {
		return uuid.Nil, nil
	}
	return ids[len(ids)-1], nil
}

// DirtyLeft reports whether a chat that was marked, up to an id, is not settled yet.
func (s *Store) DirtyLeft(ctx context.Context, environment, upTo uuid.UUID) (bool, error) {
	left, err := s.read.NewSelect().Model((*Chat)(nil)).Where("environment_id = ?", environment).Where("crm_due_at IS NOT NULL").
		Where("crm_seq = 0").Where("held_reason IS NULL").Where("id <= ?", upTo).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for what is not proven: %w", err)
	}
	return left, nil
}

// DirtyProgress counts the environment's chats, those up to an id, and what the CRM refuses at present.
func (s *Store) DirtyProgress(ctx context.Context, environment, upTo uuid.UUID) (total, done, refused int64, err error) {
	var n struct{ Total, Done int64 }
	err = s.read.NewSelect().Model((*Chat)(nil)).ColumnExpr("count(*) AS total").ColumnExpr("count(CASE WHEN id <= ? THEN 1 END) AS done", upTo).
		Where("environment_id = ?", environment).Where("held_reason IS NULL").Scan(ctx, &n)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("count what was proven: %w", err)
	}
	failed, err := s.read.NewSelect().Model((*Failure)(nil)).Where("environment_id = ?", environment).
		Where("kind = ?", FailureRefused).Where("status = ?", FailureOpen).Count(ctx)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("count what the CRM refuses: %w", err)
	}
	return n.Total, n.Done, int64(failed), nil
}

// Synchronized notes that what was saved has been synchronized.
func (s *Store) Synchronized(ctx context.Context, environment uuid.UUID) error {
	_, err := s.db.NewUpdate().Table("environments").Set("sync_needed = ?", false).Where("id = ?", environment).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note that the environment is synchronized: %w", err)
	}
	return nil
}
