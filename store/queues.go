package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Queue reads one queue of an environment. A deleted one is not found.
func (s *Store) Queue(ctx context.Context, environment, id uuid.UUID) (*Queue, error) {
	q := new(Queue)
	err := s.read.NewSelect().Model(q).Where("q.environment_id = ?", environment).Where("q.id = ?", id).Where("q.deleted_at IS NULL").Scan(ctx)
	return q, one(err, "queue "+id.String())
}

// ListQueues returns a page of an environment's queues by name, and the next cursor.
func (s *Store) ListQueues(ctx context.Context, environment uuid.UUID, p Page) ([]Queue, string, error) {
	rows := []Queue{}
	q, err := byName(s.read.NewSelect().Model(&rows).Where("q.environment_id = ?", environment).Where("q.deleted_at IS NULL"), "q", p)
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list queues: %w", err)
	}
	rows, next := cutByName(rows, p, func(q Queue) (string, uuid.UUID) { return q.Name, q.ID })
	return rows, next, nil
}

// QueueMembers returns the agents of these queues by queue, each list by name.
func (s *Store) QueueMembers(ctx context.Context, environment uuid.UUID, queues []uuid.UUID) (map[uuid.UUID][]Agent, error) {
	members := map[uuid.UUID][]Agent{}
	if len(queues) == 0 {
		return members, nil
	}
	var rows []struct {
		Agent   `bun:",extend"`
		QueueID uuid.UUID
	}
	err := s.read.NewSelect().Model(&rows).ColumnExpr("a.*, qa.queue_id").Join("JOIN queue_agents AS qa ON qa.agent_id = a.id").
		Where("a.environment_id = ?", environment).Where("qa.queue_id IN (?)", bun.List(queues)).OrderExpr("a.name, a.id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the agents of queues: %w", err)
	}
	for _, r := range rows {
		members[r.QueueID] = append(members[r.QueueID], r.Agent)
	}
	return members, nil
}

// CreateQueue adds a queue with these agents; an agent named twice counts once. q's ID is made here. An agent that is not
// there is ErrNotFound.
func (s *Store) CreateQueue(ctx context.Context, q *Queue, agents []uuid.UUID) error {
	q.ID = newID()
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		q.CreatedAt = At(now)
		if _, err := tx.NewInsert().Model(q).Exec(ctx); err != nil {
			return fmt.Errorf("add queue %q: %w", q.Name, err)
		}
		return s.setQueueAgents(ctx, tx, q.EnvironmentID, q.ID, agents)
	})
}

// ChangeQueue stores q's name, rule and timeout and, unless agents is nil, its agents instead of the former ones.
func (s *Store) ChangeQueue(ctx context.Context, q *Queue, agents []uuid.UUID) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		found, err := changed(tx.NewUpdate().Model(q).Column("name", "rule", "timeout_minutes").
			Where("environment_id = ?", q.EnvironmentID).Where("id = ?", q.ID).Where("deleted_at IS NULL").Exec(ctx))
		if err != nil {
			return fmt.Errorf("change queue %s: %w", q.ID, err)
		}
		if !found {
			return fmt.Errorf("queue %s: %w", q.ID, ErrNotFound)
		}
		if agents == nil {
			return nil
		}
		return s.setQueueAgents(ctx, tx, q.EnvironmentID, q.ID, agents)
	})
}

func (s *Store) setQueueAgents(ctx context.Context, tx bun.Tx, environment, queue uuid.UUID, agents []uuid.UUID) error {
	agents = distinct(agents)
	if err := s.agentsExist(ctx, tx, environment, agents); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*QueueAgent)(nil)).Where("environment_id = ?", environment).Where("queue_id = ?", queue).Exec(ctx); err != nil {
		return fmt.Errorf("set the agents of queue %s: %w", queue, err)
	}
	if len(agents) == 0 {
		return nil
	}
	rows := make([]QueueAgent, len(agents))
	for i, a := range agents {
		rows[i] = QueueAgent{QueueID: queue, AgentID: a, EnvironmentID: environment}
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("set the agents of queue %s: %w", queue, err)
	}
	return nil
}

// DeleteQueue takes a queue out of use; closed chats keep their reference. A queue that a channel or an open chat uses is
// ErrConflict.
func (s *Store) DeleteQueue(ctx context.Context, environment, id uuid.UUID) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		found, err := changed(tx.NewUpdate().Model((*Queue)(nil)).Set("deleted_at = ?", At(now)).
			Where("environment_id = ?", environment).Where("id = ?", id).Where("deleted_at IS NULL").Exec(ctx))
		if err != nil {
			return fmt.Errorf("delete queue %s: %w", id, err)
		}
		if !found {
			return fmt.Errorf("queue %s: %w", id, ErrNotFound)
		}
		if err := s.queueUnused(ctx, tx, environment, id); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*QueueAgent)(nil)).Where("environment_id = ?", environment).Where("queue_id = ?", id).Exec(ctx)
		return err
	})
}

func (s *Store) queueUnused(ctx context.Context, tx bun.Tx, environment, id uuid.UUID) error {
	channels, err := tx.NewSelect().Model((*Channel)(nil)).Where("environment_id = ?", environment).Where("queue_id = ?", id).Exists(ctx)
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", id, err)
	}
	if channels {
		return fmt.Errorf("a channel uses this queue; give it another one first: %w", ErrConflict)
	}
	open, err := tx.NewSelect().Model((*Chat)(nil)).Where("environment_id = ?", environment).Where("queue_id = ?", id).Where("closed_at IS NULL").Exists(ctx)
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", id, err)
	}
	if open {
		return fmt.Errorf("an open chat is in this queue; close or transfer it first: %w", ErrConflict)
	}
	return nil
}
