package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// ErrReplyTo is a reply_to that is no message of the chat.
var ErrReplyTo = errors.New("reply_to is not a message of this chat")

// Reply is what an agent writes.
type Reply struct {
	ChatID  uuid.UUID
	Agent   uuid.UUID // who writes; zero: an administrator who serves no chats
	Take    bool      // it must be the agent's own chat; a waiting one becomes his, as if he accepted it first
	Text    string
	ReplyTo uuid.UUID     // the message it answers; zero: none
	Window  time.Duration // see SendRules
	Files   []uuid.UUID   // uploads to the chat that go along
}

// SendReply accepts a message for sending and returns its id. A first reply of the chat's agent accepts the chat too. The
// client counts as answered from here on; the closing clock starts only when the message is delivered. While the channel is
// not active (b40), or the client takes no messages of it, it is ErrConflict with the reason. replayed: the Idempotency-Key was used before, nothing was done.
func (s *Store) SendReply(ctx context.Context, environment uuid.UUID, r Reply, i Idem) (message uuid.UUID, ch Changed, replayed bool, err error) {
	message, replayed, err = idempotent(ctx, s, environment, i, func(ctx context.Context, tx bun.Tx) (uuid.UUID, error) {
		c, err := s.lockChat(ctx, tx, environment, r.ChatID)
		if err != nil {
			return uuid.Nil, err
		}
		ch.From = c.AgentID
		l, err := s.sendable(ctx, tx, c)
		if err != nil {
			return uuid.Nil, err
		}
		if err := l.takesMessages(); err != nil {
			return uuid.Nil, err
		}
		if err := s.quotable(ctx, tx, c, r.ReplyTo); err != nil {
			return uuid.Nil, err
		}
		if err := s.inWindow(ctx, tx, c, r.Window); err != nil {
			return uuid.Nil, err
		}
		if c, err = s.acceptByReply(ctx, tx, c, l.Now.Time, r); err != nil {
			return uuid.Nil, err
		}
		e, after, err := s.replyStep(ctx, tx, c, l.Now.Time, r)
		ch.Chat, ch.Reply = after, nil
		if len(r.Files) == 0 && !l.waits(c) {
			ch.Reply = &Message{Entry: e, Versions: versions(e, nil)}
		}
		return e.ID, err
	})
	if replayed {
		ch = Changed{} // of a try that a deadlock broke off
	}
	return message, ch, replayed, err
}

func (s *Store) acceptByReply(ctx context.Context, tx bun.Tx, c Chat, now time.Time, r Reply) (Chat, error) {
	switch {
	case r.Agent != uuid.Nil && c.AgentID == r.Agent:
		return s.acceptOwn(ctx, tx, c, now)
	case r.Take && c.AgentID == uuid.Nil:
		return s.give(ctx, tx, c, now, giving{to: r.Agent, by: r.Agent, accepted: true, demand: waiting})
	case r.Take:
		return c, refused("another agent has the chat")
	default:
		return c, nil
	}
}

func (s *Store) replyStep(ctx context.Context, tx bun.Tx, c Chat, now time.Time, r Reply) (e Entry, after Chat, err error) {
	e = Entry{
		ID: newID(), EnvironmentID: c.EnvironmentID, ChatID: c.ID, Kind: chat.EntryMessage, At: At(now), Direction: chat.Out, Author: chat.ByAgent, AgentID: r.Agent,
		Text: chat.Storable(r.Text), ReplyTo: r.ReplyTo, State: chat.MessageAccepted, ChannelID: c.ChannelID,
	}
	if e.Attachments, err = s.attach(ctx, tx, c, e.ID, r.Files); err != nil {
		return e, Chat{}, err
	}
	after, err = s.step(ctx, tx, c, now, e, EntryData{}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return answered(s.sends(q)).
			Set("last_direction = ?", chat.Out).Set("last_message_at = ?", At(now)).Set("last_message_day = ?", dayOf(now)).Set("closing_since = NULL").
			Set("first_reply_at = coalesce(first_reply_at, ?)", At(now)).
			Where("closed_at IS NULL")
	})
	if err != nil {
		return e, Chat{}, err
	}
	e.Seq = after.LastSeq
	return e, after, s.forgetTries(ctx, tx, c)
}

// answered makes the client count as answered until that fails. No bot has to answer him any more.
func answered(q *bun.UpdateQuery) *bun.UpdateQuery { return promised(q).Set("bot_due_since = NULL") }

// promised is answered by what may have to wait for another app to give the conversation back: its silence goes on counting.
func promised(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Set("answered_from = coalesce(unanswered_since, answered_from)").Set("unanswered_since = NULL").
		Set("agent_due_since = NULL").Set("look_at = 0").Set("transfer_why = ''")
}

// sends gives the lane to the messenger work.
func (s *Store) sends(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Set("out_version = out_version + 1").Set("out_due_at = coalesce(out_due_at, ?)", s.d.now()).
		Where("EXISTS (SELECT 1 FROM channels AS ch WHERE ch.id = c.channel_id AND ch.state = ?)", chat.ChannelActive)
}

// pushes gives the lane to the CRM work.
func (s *Store) pushes(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Set("crm_version = crm_version + 1").Set("crm_due_at = coalesce(crm_due_at, ?)", s.d.now())
}

// line is the way to the client of a chat.
type line struct {
	Channel     string            // its name
	State       chat.ChannelState // of the channel
	SendRetryAt Time              // of the channel
	BlockedAt   Time              // since when the client takes no messages, as far as is known
	Now         Time              // business time
	Unmoved     Time              // the database's clock
}

// sendable reads the way to the client of a chat. It is a conflict where the chat is not open, another app has it, or its channel
// is not active.
func (s *Store) sendable(ctx context.Context, tx bun.Tx, c Chat) (l line, err error) {
	if err := mustBeOpen(c); err != nil {
		return l, err
	}
	if c.Elsewhere() {
		return l, refused(c.Thread().HeldElsewhere())
	}
	err = tx.NewSelect().TableExpr("channels AS ch").ColumnExpr("ch.name AS channel, ch.state, ch.send_retry_at, i.blocked_at").
		ColumnExpr("? + clock.offset_us AS now, ? AS unmoved", s.d.now(), s.d.now()).
		Join("JOIN identities AS i ON i.id = ? AND i.environment_id = ch.environment_id", c.IdentityID).Join("CROSS JOIN clock").
		Where("ch.environment_id = ?", c.EnvironmentID).Where("ch.id = ?", c.ChannelID).Scan(ctx, &l)
	if err != nil {
		return l, one(err, "channel "+c.ChannelID.String())
	}
	if l.State != chat.ChannelActive {
		return l, refused(fmt.Sprintf("the channel %q is Disconnected; nothing can be sent until an administrator connects it again", l.Channel))
	}
	return l, nil
}

// takesMessages is the conflict of writing to a client who has blocked the channel. What has failed may be tried again all the
// same (Resend): not every messenger tells when he takes messages again.
func (l line) takesMessages() error {
	if l.BlockedAt.IsZero() {
		return nil
	}
	return refused("the customer has blocked the channel; nothing can be sent to him until he unblocks it or writes again")
}

// waits reports whether what is written in a chat now may have to wait for its channel, or for what was written before it.
func (l line) waits(c Chat) bool {
	return l.SendRetryAt.After(l.Unmoved.Time) || c.OutDueAt.After(l.Unmoved.Time)
}

// inWindow is the conflict of writing to a client for whom the messenger takes nothing any more.
func (s *Store) inWindow(ctx context.Context, tx bun.Tx, c Chat, window time.Duration) error {
	why, err := s.outsideWindow(ctx, tx, &c, window)
	if err == nil && why != "" {
		err = refused(why)
	}
	return err
}

func (s *Store) quotable(ctx context.Context, tx bun.Tx, c Chat, message uuid.UUID) error {
	if message == uuid.Nil {
		return nil
	}
	there, err := tx.NewSelect().Model((*Entry)(nil)).Where("t.environment_id = ?", c.EnvironmentID).Where("t.id = ?", message).
		Where("t.chat_id = ?", c.ID).Where("t.kind = ?", chat.EntryMessage).Exists(ctx)
	if err != nil {
		return fmt.Errorf("read message %s: %w", message, err)
	}
	if !there {
		return ErrReplyTo
	}
	return nil
}
