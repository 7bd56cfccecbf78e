package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// NewChat is a dialogue that an agent starts.
type NewChat struct {
	ChannelID uuid.UUID
	ContactID uuid.UUID
	Agent     uuid.UUID
	Text      string
}

// StartChat opens a chat with a person who has an identity on the channel, for the agent, and accepts the first message for
// sending. It may exceed his room, which then takes no new chats. No such identity is ErrNotFound; an open chat with the
// person, a channel that is not active or an expired key ErrConflict.
func (s *Store) StartChat(ctx context.Context, environment uuid.UUID, n NewChat, i Idem) (id uuid.UUID, ch Changed, replayed bool, err error) {
	id, replayed, err = idempotent(ctx, s, environment, i, func(ctx context.Context, tx bun.Tx) (uuid.UUID, error) {
		now, err := s.now(ctx, tx)
		if err != nil {
			return uuid.Nil, err
		}
		c, err := s.startedChat(ctx, tx, environment, n, now)
		if err != nil {
			return uuid.Nil, err
		}
		_, ch.Chat, err = s.replyStep(ctx, tx, c, now, Reply{ChatID: c.ID, Agent: n.Agent, Text: n.Text})
		return c.ID, err
	})
	return id, ch, replayed, err
}

// startedChat opens the chat, under the identity's lock, so that no message of his opens another one.
func (s *Store) startedChat(ctx context.Context, tx bun.Tx, environment uuid.UUID, n NewChat, now time.Time) (Chat, error) {
	var identity Identity
	lock := tx.NewSelect().Model(&identity).Where("i.environment_id = ?", environment).Where("i.channel_id = ?", n.ChannelID).
		Where("i.contact_id = ?", n.ContactID).OrderExpr("i.id").Limit(1)
	if err := s.d.forUpdate(lock).Scan(ctx); err != nil {
		return Chat{}, one(err, "identity of contact "+n.ContactID.String())
	}
	open, err := tx.NewSelect().Model((*Chat)(nil)).Where("c.environment_id = ?", environment).Where("c.identity_id = ?", identity.ID).Where("c.closed_at IS NULL").Exists(ctx)
	if err != nil {
		return Chat{}, fmt.Errorf("start a chat: %w", err)
	}
	if open {
		return Chat{}, refused("this person has an open chat on this channel")
	}
	thread, err := s.threadOf(ctx, tx, environment, identity.ID)
	if err != nil {
		return Chat{}, err
	}
	if thread.Elsewhere() {
		return Chat{}, refused(thread.HeldElsewhere())
	}
	valid, err := tx.NewSelect().Model((*SecretKey)(nil)).Where("k.environment_id = ?", environment).Where("k.revoked_at IS NULL").
		Where("k.expires_at IS NULL OR k.expires_at > ?", At(now)).Exists(ctx)
	if err != nil {
		return Chat{}, fmt.Errorf("start a chat: %w", err)
	}
	if !valid {
		return Chat{}, refused("the secret key has expired; no new chats until it is renewed")
	}
	var ch Channel
	if err := tx.NewSelect().Model(&ch).Where("ch.environment_id = ?", environment).Where("ch.id = ?", n.ChannelID).Scan(ctx); err != nil {
		return Chat{}, one(err, "channel "+n.ChannelID.String())
	}
	number, err := s.d.chatNumber(ctx, tx)
	if err != nil {
		return Chat{}, fmt.Errorf("number a chat: %w", err)
	}
	c := Chat{
		ID: newID(), EnvironmentID: environment, Number: number, ChannelID: ch.ID, QueueID: ch.QueueID, IdentityID: identity.ID, UserID: identity.ExternalID, ContactID: identity.ContactID,
		Weight: ch.Weight, OpenedAt: At(now), AgentID: n.Agent, AssignedAt: At(now), AcceptedAt: At(now), AssignmentVersion: 1,
		LastSeq: 1, LastMessageAt: At(now), LastMessageDay: dayOf(now), CRMVersion: 1, OutVersion: 1, ThreadOwner: thread.Owner,
	}
	if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
		return Chat{}, fmt.Errorf("open a chat: %w", err)
	}
	e := Entry{ID: newID(), EnvironmentID: environment, ChatID: c.ID, Seq: 1, Kind: chat.EntryOpened, At: At(now), Author: chat.ByAgent, AgentID: n.Agent}
	if _, err := tx.NewInsert().Model(&e).Exec(ctx); err != nil {
		return Chat{}, fmt.Errorf("open a chat: %w", err)
	}
	if ch.State != chat.ChannelActive {
		_, err := s.sendable(ctx, tx, c)
		return Chat{}, err
	}
	return c, nil
}
