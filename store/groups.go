package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// AgentGroup reads one group of an environment.
func (s *Store) AgentGroup(ctx context.Context, environment, id uuid.UUID) (*AgentGroup, error) {
	g := new(AgentGroup)
	err := s.read.NewSelect().Model(g).Where("g.environment_id = ?", environment).Where("g.id = ?", id).Scan(ctx)
	return g, one(err, "agent group "+id.String())
}

// groupPosition is where the list of groups goes on.
type groupPosition struct {
	Position int       `json:"p"`
	ID       uuid.UUID `json:"i"`
}

// ListAgentGroups returns a page of an environment's groups by position, and the next cursor.
func (s *Store) ListAgentGroups(ctx context.Context, environment uuid.UUID, p Page) ([]AgentGroup, string, error) {
	rows := []AgentGroup{}
	q := s.read.NewSelect().Model(&rows).Where("g.environment_id = ?", environment).OrderExpr("g.position, g.id").Limit(p.Limit + 1)
	if p.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
		var at groupPosition
		if err != nil || json.Unmarshal(raw, &at) != nil {
			return nil, "", ErrCursor
		}
		q = q.Where("(g.position, g.id) > (?, ?)", at.Position, at.ID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list agent groups: %w", err)
	}
	if len(rows) <= p.Limit {
		return rows, "", nil
	}
	rows = rows[:p.Limit]
	last := rows[p.Limit-1]
	raw, _ := json.Marshal(groupPosition{last.Position, last.ID}) // a number and an id cannot fail
	return rows, base64.RawURLEncoding.EncodeToString(raw), nil
}

// CreateAgentGroup adds a group, whose ID is made here.
func (s *Store) CreateAgentGroup(ctx context.Context, g *AgentGroup) error {
	g.ID = newID()
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		g.CreatedAt = At(now)
		if _, err := tx.NewInsert().Model(g).Exec(ctx); err != nil {
			return fmt.Errorf("add agent group %q: %w", g.Name, err)
		}
		return nil
	})
}

// ChangeAgentGroup stores g's name and position.
func (s *Store) ChangeAgentGroup(ctx context.Context, g *AgentGroup) error {
	found, err := changed(s.db.NewUpdate().Model(g).Column("name", "position").
		Where("environment_id = ?", g.EnvironmentID).Where("id = ?", g.ID).Exec(ctx))
	if err != nil {
		return fmt.Errorf("change agent group %s: %w", g.ID, err)
	}
	if !found {
		return fmt.Errorf("agent group %s: %w", g.ID, ErrNotFound)
	}
	return nil
}

// DeleteAgentGroup deletes a group; its agents stay, without one.
func (s *Store) DeleteAgentGroup(ctx context.Context, environment, id uuid.UUID) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*Agent)(nil)).Set("group_id = NULL").Where("environment_id = ?", environment).Where("group_id = ?", id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("empty agent group %s: %w", id, err)
		}
		found, err := changed(tx.NewDelete().Model((*AgentGroup)(nil)).Where("environment_id = ?", environment).Where("id = ?", id).Exec(ctx))
		if err != nil {
			return fmt.Errorf("delete agent group %s: %w", id, err)
		}
		if !found {
			return fmt.Errorf("agent group %s: %w", id, ErrNotFound)
		}
		return nil
	})
}
