package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// ChatView is a chat with the names and settings people see with it.
type ChatView struct {
	Chat          `bun:",extend"`
	ContactName   string
	AgentName     string
	AgentNickname string
	BlockedAt     Time // since when the customer takes no messages of the channel
	QueueTimeout  *int // minutes of its queue's own completion timeout
	Unserved      bool // it waits, but its channel has no queue and no agent lists it
	ChannelKind   string
	ClientWroteAt Time // his last message in this chat
}

// Viewer is who looks at chats.
type Viewer struct {
	Agent uuid.UUID // whose rights count, unless All
	All   bool      // administrators and chat administrators see every chat
}

// ChatFilter narrows a list of chats; empty fields do not.
type ChatFilter struct {
	Viewer  Viewer
	Waiting bool // those that wait for an agent, oldest first; otherwise newest first
	Status  chat.Status
	Channel uuid.UUID
	Queue   uuid.UUID
	Agent   uuid.UUID
	Contact uuid.UUID
	After   uuid.UUID // the last chat of the page before
	Limit   int
}

// ListChats returns the chats the viewer may see: all, or an agent's own and those offered to him.
func (s *Store) ListChats(ctx context.Context, environment uuid.UUID, f ChatFilter) ([]ChatView, error) {
	var chats []ChatView
	q, err := s.seenBy(ctx, s.chatViews(&chats, environment), environment, f.Viewer)
	if err != nil {
		return nil, err
	}
	q = whereStatus(q, f.Status)
	for column, id := range map[string]uuid.UUID{"channel_id": f.Channel, "queue_id": f.Queue, "agent_id": f.Agent, "contact_id": f.Contact} {
		if id != uuid.Nil {
			q = q.Where("c.? = ?", bun.Ident(column), id)
		}
	}
	order, onwards := "c.id DESC", "c.id < ?"
	if f.Waiting {
		q = whereStatus(q, chat.Waiting)
		order, onwards = "c.id", "c.id > ?"
	}
	if f.After != uuid.Nil {
		q = q.Where(onwards, f.After)
	}
	if err := q.OrderExpr(order).Limit(f.Limit).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list chats: %w", err)
	}
	return chats, nil
}

// ChatFor returns one chat if the viewer may see it; otherwise ErrNotFound.
func (s *Store) ChatFor(ctx context.Context, environment, id uuid.UUID, v Viewer) (ChatView, error) {
	var c ChatView
	q, err := s.seenBy(ctx, s.chatViews(&c, environment).Where("c.id = ?", id), environment, v)
	if err != nil {
		return ChatView{}, err
	}
	return c, one(q.Scan(ctx), "chat "+id.String())
}

// ChannelKind returns the kind of a chat's channel if the viewer may see the chat; otherwise ErrNotFound.
func (s *Store) ChannelKind(ctx context.Context, environment, id uuid.UUID, v Viewer) (kind string, err error) {
	what := "chat " + id.String()
	q := s.read.NewSelect().TableExpr("chats AS c").Column("ch.kind").Join("JOIN channels AS ch ON ch.id = c.channel_id").
		Where("c.environment_id = ?", environment).Where("c.id = ?", id)
	if !v.All && v.Agent != uuid.Nil {
		// Mostly it is his own: then it does not matter what else he is offered.
		own := q.Clone().Where("c.agent_id = ?", v.Agent).Where("c.held_reason IS NULL")
		if err := own.Scan(ctx, &kind); !errors.Is(err, sql.ErrNoRows) {
			return kind, one(err, what)
		}
	}
	if q, err = s.seenBy(ctx, q, environment, v); err != nil {
		return "", err
	}
	return kind, one(q.Scan(ctx, &kind), what)
}

// clientWroteAt is when the client of chat c wrote last; it takes the arguments In, EntryMessage, In.
const clientWroteAt = `CASE WHEN c.last_direction = ? THEN c.last_message_at ELSE
	(SELECT l.at FROM timeline AS l WHERE l.chat_id = c.id AND l.kind = ? AND l.direction = ? ORDER BY l.seq DESC LIMIT 1) END`

func (s *Store) chatViews(dest any, environment uuid.UUID) *bun.SelectQuery {
	return s.read.NewSelect().Model(dest).ColumnExpr("c.*").
		ColumnExpr("coalesce(co.name, '') AS contact_name").
		ColumnExpr("coalesce(a.name, '') AS agent_name").ColumnExpr("coalesce(a.nickname, '') AS agent_nickname").
		ColumnExpr("q.timeout_minutes AS queue_timeout").ColumnExpr("i.blocked_at").
		ColumnExpr("ch.kind AS channel_kind").ColumnExpr(clientWroteAt+" AS client_wrote_at", chat.In, chat.EntryMessage, chat.In).
		ColumnExpr(`(c.queue_id IS NULL AND c.agent_id IS NULL AND c.closed_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM agent_channels AS ac WHERE ac.channel_id = c.channel_id)) AS unserved`).
		Join("JOIN channels AS ch ON ch.id = c.channel_id").
		Join("LEFT JOIN contacts AS co ON co.id = c.contact_id").
		Join("LEFT JOIN identities AS i ON i.id = c.identity_id").
		Join("LEFT JOIN agents AS a ON a.id = c.agent_id").
		Join("LEFT JOIN queues AS q ON q.id = c.queue_id").
		Where("c.environment_id = ?", environment)
}

func whereStatus(q *bun.SelectQuery, status chat.Status) *bun.SelectQuery {
	switch status {
	case "":
		return q
	case chat.Closed:
		return q.Where("c.closed_at IS NOT NULL")
	}
	q = q.Where("c.closed_at IS NULL")
	switch status {
	case chat.Held:
		return q.Where("c.held_reason IS NOT NULL")
	case chat.Waiting:
		return q.Where(waitsForAgent)
	case chat.OnHold:
		return q.Where("c.held_reason IS NULL").Where("c.on_hold")
	case chat.Assigned:
		return q.Where("c.held_reason IS NULL").Where("NOT c.on_hold").Where("c.agent_id IS NOT NULL").Where("c.accepted_at IS NULL")
	case chat.InProgress:
		return q.Where("c.held_reason IS NULL").Where("NOT c.on_hold").Where("c.agent_id IS NOT NULL").Where("c.accepted_at IS NOT NULL")
	default: // with a bot
		return q.Where("c.held_reason IS NULL").Where("c.thread_owner = ?", chat.ThreadOthers)
	}
}

// seenBy narrows q to what the viewer may see. An agent sees the chats that are his, also closed ones, and those he could
// take now: while he is active and has room, waiting chats of his queues "To all agents" (b17), and those of channels
// without a queue that he lists (b16); of both, and of his other queues, what a bot has (S3.60).
func (s *Store) seenBy(ctx context.Context, q *bun.SelectQuery, environment uuid.UUID, v Viewer) (*bun.SelectQuery, error) {
	if v.All {
		return q, nil
	}
	if v.Agent == uuid.Nil {
		return q.Where("1 = 0"), nil
	}
	team, err := s.team(ctx, s.read, environment, v.Agent)
	if err != nil {
		return nil, err
	}
	q = q.Where("c.held_reason IS NULL")
	left := chat.NoRoom
	if len(team) == 1 {
		if ready, _ := team[0].Ready(); ready {
			left = team[0].Limit.Left(team[0].Load)
		}
	}
	if left == chat.NoRoom {
		return q.Where("c.agent_id = ?", v.Agent), nil
	}
	return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("c.agent_id = ?", v.Agent).WhereGroup(" OR ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return offeredTo(q, team[0], left)
		})
	}), nil
}

// offeredTo narrows q to the chats that an agent with so much room left could accept, or take back from a bot.
func offeredTo(q *bun.SelectQuery, a *chat.RoutedAgent, left int) *bun.SelectQuery {
	const listed = "EXISTS (SELECT 1 FROM agent_channels AS ac WHERE ac.agent_id = ? AND ac.channel_id = c.channel_id)"
	const queued = `EXISTS (SELECT 1 FROM queue_agents AS qa JOIN queues AS qq ON qq.id = qa.queue_id
		WHERE qa.agent_id = ? AND qa.queue_id = c.queue_id AND (qq.rule = ? OR c.thread_owner = 'other'))`
	q = q.Where("c.agent_id IS NULL").Where("c.closed_at IS NULL").Where("c.weight <= ?", left)
	if len(a.Channels) == 0 {
		return q.Where(queued, a.ID, chat.ToAllAgents)
	}
	return q.Where(listed, a.ID).WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("c.queue_id IS NULL").WhereOr(queued, a.ID, chat.ToAllAgents)
	})
}

// Chat returns a chat's bare row.
func (s *Store) Chat(ctx context.Context, environment, id uuid.UUID) (Chat, error) {
	var c Chat
	err := s.read.NewSelect().Model(&c).Where("c.id = ?", id).Where("c.environment_id = ?", environment).Scan(ctx)
	return c, one(err, "chat "+id.String())
}

// KnownOn reports whether a contact has an identity on a channel: he has written there, or the messenger's own list names
// him.
func (s *Store) KnownOn(ctx context.Context, environment, channel, contact uuid.UUID) (bool, error) {
	known, err := s.read.NewSelect().Model((*Identity)(nil)).Where("i.environment_id = ?", environment).
		Where("i.channel_id = ?", channel).Where("i.contact_id = ?", contact).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for an identity of contact %s: %w", contact, err)
	}
	return known, nil
}
