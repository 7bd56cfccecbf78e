package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// waitsForThread is the due time of a lane whose conversation another app holds: it is sent once that has changed.
const waitsForThread = int64(math.MaxInt64) - 1

// ThreadNote is a word about who holds a conversation: the messenger's, or what a call of ours has brought about.
type ThreadNote struct {
	EnvironmentID uuid.UUID
	ChannelID     uuid.UUID
	UserID        string      // the client's id on the messenger
	Word          chat.Thread // At zero: now
	Asked         bool        // Word.App asks for the conversation; its owner is as before
	Key           string      // of an Asked: what makes a repeat recognisable
	AccountID     string      // of an Asked: with ChannelID and Key
	Why           string      // for people, why it changed; empty: by the messenger's word
	By            uuid.UUID   // the agent who did it; zero: none of ours
	Gets          uuid.UUID   // the agent who has the chat if it becomes ours and he has room; zero: it is routed
}

// ThreadNoted is what a note has changed.
type ThreadNoted struct {
	Outcome ReceiveOutcome
	Changed      // the open chat; zero: there is none, or it has not changed
	Routes  bool // the chat waits for an agent now
}

// NoteThread takes a word about a conversation in: repeated and in any order, only the latest by the messenger's clock counts.
// What another app holds has no agent, waits for none, and what is not sent yet waits (S3.59–S3.61); what comes back waits for
// an agent and is sent. Once it has returned no send begins that it forbids.
func (s *Store) NoteThread(ctx context.Context, n ThreadNote) (noted ThreadNoted, err error) {
	n.UserID, n.Word.App = chat.Storable(n.UserID), chat.Storable(n.Word.App)
	if known, err := s.stillElsewhere(ctx, n); known || err != nil {
		return ThreadNoted{Outcome: Repeat}, err
	}
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		noted = ThreadNoted{Outcome: Repeat}
		row, now, err := s.lockThread(ctx, tx, &n)
		if err != nil {
			return err
		}
		if row == nil {
			noted.Outcome = Dropped
			return nil
		}
		switch {
		case n.Word.At.Before(row.At.Time):
			return nil
		case n.Asked:
			noted, err = s.asked(ctx, tx, n, now)
			return err
		}
		after, news := row.thread().Told(n.Word)
		_, err = tx.NewUpdate().Model(row).Set("owner = ?", after.Owner).Set("app = ?", after.App).Set("at = ?", At(after.At)).
			WherePK().Where("environment_id = ?", n.EnvironmentID).Exec(ctx)
		if err != nil || !news {
			return err
		}
		noted, err = s.threadChanged(ctx, tx, n, after, now)
		return err
	})
	if err != nil {
		return ThreadNoted{}, fmt.Errorf("note who holds a conversation of channel %s: %w", n.ChannelID, err)
	}
	return noted, nil
}

func (r *ThreadRow) thread() chat.Thread {
	return chat.Thread{Owner: r.Owner, App: r.App, At: r.At.Time}
}

// stillElsewhere notes the word that comes with each message a bot is to answer: nothing changes but its time.
func (s *Store) stillElsewhere(ctx context.Context, n ThreadNote) (bool, error) {
	if n.Asked || n.Word.Owner != chat.ThreadOthers || n.Word.At.IsZero() {
		return false, nil
	}
	known, err := changed(s.db.NewUpdate().Model((*ThreadRow)(nil)).Set("at = ?", At(n.Word.At)).
		Where("channel_id = ?", n.ChannelID).Where("external_id = ?", n.UserID).Where("environment_id = ?", n.EnvironmentID).
		Where("owner = ?", chat.ThreadOthers).Where("app = ? OR ? = ''", n.Word.App, n.Word.App).
		Where("at <= ?", At(n.Word.At)).Where("? <= ?", At(n.Word.At), s.d.now()).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("note that another app still holds a conversation of channel %s: %w", n.ChannelID, err)
	}
	return known, nil
}

// lockThread returns the conversation's row, locked; nil: its channel is not active. The word's time is completed: no word is of
// the future, so that a clock that is wrong once does not outweigh all words to come. now is business time.
func (s *Store) lockThread(ctx context.Context, tx bun.Tx, n *ThreadNote) (row *ThreadRow, now time.Time, err error) {
	active, err := tx.NewSelect().Model((*Channel)(nil)).Where("ch.id = ?", n.ChannelID).Where("ch.environment_id = ?", n.EnvironmentID).
		Where("ch.state = ?", chat.ChannelActive).Exists(ctx)
	if err != nil || !active {
		return nil, now, err
	}
	unmoved, err := s.unmoved(ctx, tx)
	if err != nil {
		return nil, now, err
	}
	if n.Word.At.IsZero() || n.Word.At.After(unmoved) {
		n.Word.At = unmoved
	}
	n.Word.At = At(n.Word.At).Time
	row = &ThreadRow{ChannelID: n.ChannelID, ExternalID: n.UserID, EnvironmentID: n.EnvironmentID, At: Time{time.UnixMicro(0)}}
	if _, err := tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
		return nil, now, err
	}
	lock := tx.NewSelect().Model(row).Where("th.channel_id = ?", n.ChannelID).Where("th.external_id = ?", n.UserID).Where("th.environment_id = ?", n.EnvironmentID)
	if err := s.d.forUpdate(lock).Scan(ctx); err != nil {
		return nil, now, err
	}
	now, err = s.now(ctx, tx)
	return row, now, err
}

// openChatOf locks the user's open chat, and his identity before it, so that none is opened meanwhile; nil: he has none.
func (s *Store) openChatOf(ctx context.Context, tx bun.Tx, n ThreadNote) (*Chat, error) {
	var identity uuid.UUID
	err := s.d.forUpdate(tx.NewSelect().Model((*Identity)(nil)).Column("id").Where("i.environment_id = ?", n.EnvironmentID).
		Where("i.channel_id = ?", n.ChannelID).Where("i.external_id = ?", n.UserID)).Scan(ctx, &identity)
	if err == nil {
		c := new(Chat)
		err = s.d.forUpdate(tx.NewSelect().Model(c).Where("c.environment_id = ?", n.EnvironmentID).Where("c.identity_id = ?", identity).Where("c.closed_at IS NULL")).Scan(ctx)
		if err == nil {
			return c, nil
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return nil, err
}

// asked tells the agents that another app asks for the conversation.
func (s *Store) asked(ctx context.Context, tx bun.Tx, n ThreadNote, now time.Time) (ThreadNoted, error) {
	c, err := s.openChatOf(ctx, tx, n)
	if err != nil || c == nil {
		return ThreadNoted{Outcome: Ignored}, err
	}
	repeat, err := tx.NewSelect().Model((*Entry)(nil)).Where("t.environment_id = ?", n.EnvironmentID).Where("t.channel_id = ?", n.ChannelID).
		Where("t.account_id = ?", n.AccountID).Where("t.event_key = ?", n.Key).Exists(ctx)
	if err != nil || repeat {
		return ThreadNoted{Outcome: Repeat}, err
	}
	e := Entry{Kind: chat.EntryThread, ChannelID: n.ChannelID, AccountID: n.AccountID, EventKey: n.Key}
	after, err := s.step(ctx, tx, *c, now, e, EntryData{Why: "another app" + named(n.Word.App) + " asks for the conversation"}, stillOpen)
	return ThreadNoted{Outcome: Stored, Changed: Changed{Chat: after, From: c.AgentID}}, err
}

func stillOpen(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Where("closed_at IS NULL") }

func named(app string) string {
	if app == "" {
		return ""
	}
	return " (" + app + ")"
}

// threadChanged brings a conversation's new owner into its open chat.
func (s *Store) threadChanged(ctx context.Context, tx bun.Tx, n ThreadNote, t chat.Thread, now time.Time) (ThreadNoted, error) {
	c, err := s.openChatOf(ctx, tx, n)
	if err != nil || c == nil {
		return ThreadNoted{Outcome: Stored}, err
	}
	noted := ThreadNoted{Outcome: Stored, Routes: c.Elsewhere() && !t.Elsewhere()}
	noted.From = c.AgentID
	noted.Chat, err = s.threadStep(ctx, tx, *c, t, n, now)
	if err != nil || n.Gets == uuid.Nil || !noted.Routes {
		return noted, err
	}
	given, err := s.give(ctx, tx, noted.Chat, now, giving{to: n.Gets, by: n.Gets, accepted: true, demand: waiting})
	if errors.Is(err, ErrConflict) || isNotFound(err) { // it waits then, and is routed
		return noted, nil
	}
	noted.Chat = given
	return noted, err
}

// threadStep changes the facts that follow from a conversation's owner.
func (s *Store) threadStep(ctx context.Context, tx bun.Tx, c Chat, t chat.Thread, n ThreadNote, now time.Time) (Chat, error) {
	e := Entry{Kind: chat.EntryThread, Author: authorOf(n.By), AgentID: n.By}
	data := EntryData{Why: threadWhy(t, n.Why)}
	if t.Elsewhere() {
		data.From = c.AgentID
	}
	return s.step(ctx, tx, c, now, e, data, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		q = stillOpen(q).Set("thread_owner = ?", t.Owner).Set("thread_app = ?", t.App).Set("thread_since = ?", At(now)).
			Set("thread_wish = ''").Set("thread_due_at = NULL").Set("thread_tries = 0")
		switch {
		case t.Elsewhere():
			return leaves(q, now)
		case c.Elsewhere():
			return s.comesBack(q)
		default:
			return s.wakes(q)
		}
	})
}

// leaves takes a chat from its agent: another app answers now. What is not sent yet is kept back as it is about to be tried.
func leaves(q *bun.UpdateQuery, now time.Time) *bun.UpdateQuery {
	return q.Set("agent_id = NULL").Set("assigned_at = NULL").Set("accepted_at = NULL").Set("assignment_version = assignment_version + 1").
		Set("on_hold = ?", false).Set("agent_due_since = NULL").Set("closing_since = NULL").Set("look_at = 0").Set("transfer_why = ''").
		Set("bot_due_since = CASE WHEN unanswered_since IS NOT NULL THEN CAST(? AS bigint) END", At(now))
}

// comesBack lets a chat wait for an agent; what waited to be sent is due. The client's silence has not begun: he is to be
// answered by a person.
func (s *Store) comesBack(q *bun.UpdateQuery) *bun.UpdateQuery {
	return s.wakes(q).Set("assignment_version = assignment_version + 1").Set("bot_due_since = NULL").Set("closing_since = NULL")
}

// wakes makes due what waited for the conversation. A send asks the conversation's own row, so that it may have waited in a chat
// that was opened as another app took over, and is not known to be elsewhere.
func (s *Store) wakes(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Set("out_due_at = CASE WHEN out_due_at = ? THEN ? ELSE out_due_at END", waitsForThread, s.d.now())
}

// threadWhy says in the timeline what happened.
func threadWhy(t chat.Thread, why string) string {
	var what string
	switch t.Owner {
	case chat.ThreadOthers:
		what = "another app" + named(t.App) + " holds the conversation"
	case chat.ThreadNobodys:
		what = "the conversation is nobody's"
	default:
		what = "the conversation is ours"
	}
	if why != "" {
		what += ": " + why
	}
	return what
}

// ExternalID is an identity's id on its messenger.
func (s *Store) ExternalID(ctx context.Context, environment, identity uuid.UUID) (id string, err error) {
	err = s.read.NewSelect().Model((*Identity)(nil)).Column("external_id").Where("i.id = ?", identity).Where("i.environment_id = ?", environment).Scan(ctx, &id)
	return id, one(err, "identity "+identity.String())
}

// threadOf is who holds the conversation of an identity, which is locked: whoever changes it waits for us, and finds what we do.
func (s *Store) threadOf(ctx context.Context, tx bun.Tx, environment, identity uuid.UUID) (chat.Thread, error) {
	var row ThreadRow
	err := tx.NewSelect().Model(&row).Join("JOIN identities AS i ON i.channel_id = th.channel_id AND i.external_id = th.external_id").
		Where("i.id = ?", identity).Where("th.environment_id = ?", environment).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return chat.Thread{}, fmt.Errorf("read who holds the conversation of identity %s: %w", identity, err)
	}
	return row.thread(), nil
}
