package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// The ErrNotFound of what an agent or a queue is to be stored with.
var (
	ErrNoSuchChannels = fmt.Errorf("a channel the agent is to serve: %w", ErrNotFound)
	ErrNoSuchGroup    = fmt.Errorf("the agent's group: %w", ErrNotFound)
	ErrNoSuchAgents   = fmt.Errorf("an agent of the queue: %w", ErrNotFound)
)

// AgentCard is an agent with what the card shows beside him.
type AgentCard struct {
	Agent
	Channels []uuid.UUID // he serves; empty: all channels of his queues (b16)
	Queues   []uuid.UUID // he is in
	Position int         // queue position: his group's; 0 without a group
}

// AgentFilter narrows a list of agents. Zero values narrow nothing.
type AgentFilter struct {
	Queue  uuid.UUID
	Status chat.AgentStatus
}

// Agent reads one agent's card. A deleted agent is not found.
func (s *Store) Agent(ctx context.Context, environment, id uuid.UUID) (*AgentCard, error) {
	a := new(Agent)
	err := s.read.NewSelect().Model(a).Where("a.environment_id = ?", environment).Where("a.id = ?", id).Where("a.deleted_at IS NULL").Scan(ctx)
	if err != nil {
		return nil, one(err, "agent "+id.String())
	}
	cards, err := s.agentCards(ctx, environment, []Agent{*a})
	if err != nil {
		return nil, err
	}
	return &cards[0], nil
}

// ListAgents returns a page of an environment's agents by name, and the next cursor.
func (s *Store) ListAgents(ctx context.Context, environment uuid.UUID, f AgentFilter, p Page) ([]AgentCard, string, error) {
	var rows []Agent
	q := s.read.NewSelect().Model(&rows).Where("a.environment_id = ?", environment).Where("a.deleted_at IS NULL")
	if f.Queue != uuid.Nil {
		q = q.Where("EXISTS (SELECT 1 FROM queue_agents AS qa WHERE qa.agent_id = a.id AND qa.queue_id = ?)", f.Queue)
	}
	if f.Status != "" {
		q = q.Where("a.status = ?", f.Status)
	}
	q, err := byName(q, "a", p)
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list agents: %w", err)
	}
	rows, next := cutByName(rows, p, func(a Agent) (string, uuid.UUID) { return a.Name, a.ID })
	cards, err := s.agentCards(ctx, environment, rows)
	return cards, next, err
}

// agentCards adds to agents what their cards show.
func (s *Store) agentCards(ctx context.Context, environment uuid.UUID, agents []Agent) ([]AgentCard, error) {
	cards := make([]AgentCard, len(agents))
	if len(agents) == 0 {
		return cards, nil
	}
	at, ids := map[uuid.UUID]*AgentCard{}, make([]uuid.UUID, len(agents))
	for i, a := range agents {
		cards[i], ids[i] = AgentCard{Agent: a, Channels: []uuid.UUID{}, Queues: []uuid.UUID{}}, a.ID
		at[a.ID] = &cards[i]
	}
	var channels []AgentChannel
	var queues []QueueAgent
	var groups []AgentGroup
	err := errors.Join(
		s.read.NewSelect().Model(&channels).Where("environment_id = ?", environment).Where("agent_id IN (?)", bun.List(ids)).Order("channel_id").Scan(ctx),
		s.read.NewSelect().Model(&queues).Where("environment_id = ?", environment).Where("agent_id IN (?)", bun.List(ids)).Order("queue_id").Scan(ctx),
		s.read.NewSelect().Model(&groups).Where("environment_id = ?", environment).Scan(ctx),
	)
	if err != nil {
		return nil, fmt.Errorf("read agents' cards: %w", err)
	}
	for _, c := range channels {
		at[c.AgentID].Channels = append(at[c.AgentID].Channels, c.ChannelID)
	}
	for _, q := range queues {
		at[q.AgentID].Queues = append(at[q.AgentID].Queues, q.QueueID)
	}
	for i := range cards {
		if g := slices.IndexFunc(groups, func(g AgentGroup) bool { return g.ID == cards[i].GroupID }); g >= 0 {
			cards[i].Position = groups[g].Position
		}
	}
	return cards, nil
}

// CreateAgent adds an agent, whose ID is made here, with the channels he serves. A CRM user who is an agent already is
// ErrConflict; one who was deleted comes back under his former id. A channel or group that is not there is ErrNoSuchChannels or
// ErrNoSuchGroup.
func (s *Store) CreateAgent(ctx context.Context, a *Agent, channels []uuid.UUID) error {
	a.ID = newID()
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		a.CreatedAt, a.StatusAt = At(now), At(now)
		if err := s.groupExists(ctx, tx, a.EnvironmentID, a.GroupID); err != nil {
			return err
		}
		if a.CRMUserID != "" {
			former := new(Agent)
			err := tx.NewDelete().Model(former).Where("environment_id = ?", a.EnvironmentID).Where("crm_user_id = ?", a.CRMUserID).
				Where("deleted_at IS NOT NULL").Returning("id, created_at, last_taken_at").Scan(ctx)
			if err == nil {
				a.ID, a.CreatedAt, a.LastTakenAt = former.ID, former.CreatedAt, former.LastTakenAt
			} else if err := one(err, "former agent"); !isNotFound(err) {
				return err
			}
		}
		if _, err := tx.NewInsert().Model(a).Exec(ctx); err != nil {
			return err
		}
		return s.setAgentChannels(ctx, tx, a.EnvironmentID, a.ID, channels)
	})
	return s.agentError("add", a, err)
}

// ChangeAgent stores the card of a: name, nickname, CRM user, enabled, Max load and group and, unless channels is nil, the
// channels he serves instead of the former ones. An agent who is not enabled any more loses his open chats to their queues (S3.29); ChangeAgent returns them.
func (s *Store) ChangeAgent(ctx context.Context, a *Agent, channels []uuid.UUID) (returned []uuid.UUID, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		returned = nil
		if _, err := s.lockAgentChats(ctx, tx, a.EnvironmentID, a.ID); err != nil {
			return err
		}
		if err := s.groupExists(ctx, tx, a.EnvironmentID, a.GroupID); err != nil {
			return err
		}
		found, err := changed(tx.NewUpdate().Model(a).Column("name", "nickname", "crm_user_id", "enabled", "max_load", "group_id").
			Where("environment_id = ?", a.EnvironmentID).Where("id = ?", a.ID).Where("deleted_at IS NULL").Exec(ctx))
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		if channels != nil {
			if err := s.setAgentChannels(ctx, tx, a.EnvironmentID, a.ID, channels); err != nil {
				return err
			}
		}
		if !a.Enabled {
			returned, err = s.returnChats(ctx, tx, a.EnvironmentID, a.ID, "the agent was deactivated")
		}
		return err
	})
	return returned, s.agentError("change", a, err)
}

func (s *Store) agentError(what string, a *Agent, err error) error {
	switch {
	case err == nil:
		return nil
	case s.d.duplicate(err):
		return fmt.Errorf("this CRM user is an agent already: %w", ErrConflict)
	default:
		return fmt.Errorf("%s agent %s: %w", what, a.ID, err)
	}
}

// DeleteAgent takes an agent out of everything and returns his open chats to their queues. What he wrote stays under his
// name. Sessions of his end.
func (s *Store) DeleteAgent(ctx context.Context, environment, id uuid.UUID) (returned []uuid.UUID, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		returned = nil
		if _, err := s.lockAgentChats(ctx, tx, environment, id); err != nil {
			return err
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		found, err := changed(tx.NewUpdate().Model((*Agent)(nil)).Set("deleted_at = ?", At(now)).Set("enabled = ?", false).
			Set("status = ?", chat.Offline).Set("status_at = ?", At(now)).Set("heartbeat_at = NULL").Set("group_id = NULL").
			Where("environment_id = ?", environment).Where("id = ?", id).Where("deleted_at IS NULL").Exec(ctx))
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		if _, err := tx.NewDelete().Model((*QueueAgent)(nil)).Where("environment_id = ?", environment).Where("agent_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*AgentChannel)(nil)).Where("environment_id = ?", environment).Where("agent_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*Session)(nil)).Set("revoked_at = ?", At(now)).
			Where("environment_id = ?", environment).Where("agent_id = ?", id).Where("revoked_at IS NULL").Exec(ctx)
		if err != nil {
			return err
		}
		returned, err = s.returnChats(ctx, tx, environment, id, "the agent was deleted")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete agent %s: %w", id, err)
	}
	return returned, nil
}

func (s *Store) setAgentChannels(ctx context.Context, tx bun.Tx, environment, agent uuid.UUID, channels []uuid.UUID) error {
	channels = distinct(channels)
	if len(channels) > 0 {
		n, err := tx.NewSelect().Model((*Channel)(nil)).Where("environment_id = ?", environment).Where("id IN (?)", bun.List(channels)).Count(ctx)
		if err != nil {
			return err
		}
		if n != len(channels) {
			return ErrNoSuchChannels
		}
	}
	if _, err := tx.NewDelete().Model((*AgentChannel)(nil)).Where("environment_id = ?", environment).Where("agent_id = ?", agent).Exec(ctx); err != nil {
		return err
	}
	if len(channels) == 0 {
		return nil
	}
	rows := make([]AgentChannel, len(channels))
	for i, c := range channels {
		rows[i] = AgentChannel{AgentID: agent, ChannelID: c, EnvironmentID: environment}
	}
	_, err := tx.NewInsert().Model(&rows).Exec(ctx)
	return err
}

func (s *Store) groupExists(ctx context.Context, tx bun.Tx, environment, group uuid.UUID) error {
	if group == uuid.Nil {
		return nil
	}
	found, err := tx.NewSelect().Model((*AgentGroup)(nil)).Where("environment_id = ?", environment).Where("id = ?", group).Exists(ctx)
	if err == nil && !found {
		err = ErrNoSuchGroup
	}
	return err
}

// agentsExist makes sure that every one of these different agents is one of the environment's: ErrNoSuchAgents otherwise.
func (s *Store) agentsExist(ctx context.Context, tx bun.Tx, environment uuid.UUID, agents []uuid.UUID) error {
	if len(agents) == 0 {
		return nil
	}
	n, err := tx.NewSelect().Model((*Agent)(nil)).Where("environment_id = ?", environment).Where("id IN (?)", bun.List(agents)).Where("deleted_at IS NULL").Count(ctx)
	if err == nil && n != len(agents) {
		err = ErrNoSuchAgents
	}
	return err
}

// distinct returns the different ids, in a stable order.
func distinct(ids []uuid.UUID) []uuid.UUID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
