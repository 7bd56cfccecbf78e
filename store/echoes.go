package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

// Echoed is what became of an echo: a part of ours that is proven to have been sent, or a message somebody else wrote.
type Echoed struct {
	Settled []Settled // the message whose state has changed by it, or why it has failed
	Written uuid.UUID // the chat that somebody else wrote into
}

// NoteEcho takes in a message of the account itself. One of ours is settled as sent, whatever was known of it before, and is not
// shown again: it is known by its key, else by its id, else as the part to this customer with the same text that was tried before
// and whose outcome is open. What somebody else wrote, at the messenger's own inbox or by another app, joins the customer's open chat, or else his
// latest: it answers him, and it is delivered. Of a customer who has no chat yet nothing is kept.
func (s *Store) NoteEcho(ctx context.Context, in Inbound, receipts bool) (out ReceiveOutcome, echoed Echoed, err error) {
	out, err = s.noted(ctx, in, func(ctx context.Context, tx bun.Tx, who *Identity) (out ReceiveOutcome, err error) {
		echoed = Echoed{}
		chats, err := s.latestChats(ctx, tx, who, nil)
		if err != nil || len(chats) == 0 {
			return Ignored, err
		}
		part, known, err := echoedPart(ctx, tx, who, chats, in)
		switch {
		case err != nil:
			return "", err
		case known, part != nil && !slices.Contains(idsOf(chats), part.ChatID): // of long ago: a messenger's list was read again
			return Repeat, nil
		case part != nil:
			echoed.Settled, err = s.prove(ctx, tx, chats, part, in, receipts)
			if len(echoed.Settled) == 0 {
				return Repeat, err
			}
			return Stored, err
		}
		echoed.Written, err = s.writtenElsewhere(ctx, tx, who, chats, in)
		return Stored, err
	})
	return out, echoed, err
}

// echoSlack is how far the messenger's clock may be behind ours.
const echoSlack = 5 * time.Minute

// echoedPart finds the part of ours that an echo shows; nil where there is none. known: the echo stands in the timeline already, as
// somebody else's message.
func echoedPart(ctx context.Context, tx bun.Tx, who *Identity, chats []Chat, in Inbound) (part *Part, known bool, err error) {
	if part, err = partByID(ctx, tx, who, in.Event); err != nil || part != nil {
		return part, false, err
	}
	if known, err = written(ctx, tx, in); err != nil || known || in.Event.Echo.PartKey != "" {
		return nil, known, err
	}
	part, err = partByText(ctx, tx, who, chats, in.Event)
	return part, false, err
}

// partByID finds the part with an echo's key or id, in any chat of the customer.
func partByID(ctx context.Context, tx bun.Tx, who *Identity, e channels.Event) (*Part, error) {
	all := tx.NewSelect().Table("chats").Column("id").Where("contact_id = ?", who.ContactID).Where("identity_id = ?", who.ID)
	find := func(where string, id any) (*Part, error) {
		return firstTried(ctx, tx.NewSelect().Where("pt.environment_id = ?", who.EnvironmentID).Where("pt.chat_id IN (?)", all).Where(where, id), func(Part) bool { return true })
	}
	if key, err := uuid.Parse(e.Echo.PartKey); err == nil {
		if part, err := find("pt.id = ?", key); err != nil || part != nil {
			return part, err
		}
	}
	return find("pt.external_id = ?", chat.Storable(e.MessageID))
}

// partByText finds the part with an echo's text whose outcome is open and that was tried before the echo was written.
func partByText(ctx context.Context, tx bun.Tx, who *Identity, chats []Chat, e channels.Event) (*Part, error) {
	q := tx.NewSelect().Where("pt.environment_id = ?", who.EnvironmentID).Where("pt.chat_id IN (?)", bun.List(idsOf(chats))).Where("pt.external_id IS NULL").Where("pt.attempts > 0").
		Where("pt.state IN (?)", bun.List(unproven))
	if !e.At.IsZero() {
		q = q.Where("pt.attempted_at <= ?", At(e.At.Add(echoSlack)))
	}
	return firstTried(ctx, q, func(p Part) bool { return chat.SameText(p.Text, e.Text) })
}

// firstTried is the part that q selects and that is meant which was tried first; nil where there is none.
func firstTried(ctx context.Context, q *bun.SelectQuery, meant func(Part) bool) (*Part, error) {
	var parts []Part
	if err := q.Model(&parts).OrderExpr("pt.attempted_at").Scan(ctx); err != nil {
		return nil, fmt.Errorf("look for the part of an echo: %w", err)
	}
	if i := slices.IndexFunc(parts, meant); i >= 0 {
		return &parts[i], nil
	}
	return nil, nil
}

// written reports whether an echo stands in the timeline as somebody else's message.
func written(ctx context.Context, tx bun.Tx, in Inbound) (bool, error) {
	known, err := tx.NewSelect().Model((*Entry)(nil)).Where("t.environment_id = ?", in.EnvironmentID).Where("t.channel_id = ?", in.ChannelID).Where("t.account_id = ?", in.AccountID).
		Where("t.event_key = ?", chat.Storable(in.Event.Key)).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for the message of an echo: %w", err)
	}
	return known, nil
}

// prove settles a part as sent. The lane that waited for the proof goes on.
func (s *Store) prove(ctx context.Context, tx bun.Tx, chats []Chat, part *Part, in Inbound, receipts bool) ([]Settled, error) {
	at := At(in.Event.At)
	if part.State.Taken() && part.SentAt.Equal(at.Time) {
		return nil, nil
	}
	c := &chats[slices.IndexFunc(chats, func(c Chat) bool { return c.ID == part.ChatID })]
	m := new(Entry)
	if err := tx.NewSelect().Model(m).Where("t.environment_id = ?", c.EnvironmentID).Where("t.id = ?", part.MessageID).Scan(ctx); err != nil {
		return nil, one(err, "message "+part.MessageID.String())
	}
	before, why := m.State, m.Error
	if !part.State.Taken() {
		part.State = chat.PartSent
	}
	part.ExternalID, part.SentAt, part.Error = chat.Storable(in.Event.MessageID), at, ""
	done, err := s.settlePart(ctx, tx, c, m, part, receipts)
	if err != nil {
		return nil, err
	}
	_, err = tx.NewUpdate().Table("chats").Set("out_due_at = ?", s.d.now()).Where("environment_id = ?", c.EnvironmentID).Where("id = ?", c.ID).
		Where("out_due_at > ?", s.d.now()).Where("out_due_at < ?", waitsForChannel).Where("out_until IS NULL").Exec(ctx)
	if err != nil || done.State == before && m.Error == why {
		return nil, err
	}
	return []Settled{done}, nil
}

// writtenElsewhere appends a message that nobody wrote through Waggle, and returns its chat. One that comes to light only now
// answers nothing that the customer has written since.
func (s *Store) writtenElsewhere(ctx context.Context, tx bun.Tx, who *Identity, chats []Chat, in Inbound) (uuid.UUID, error) {
	item := newReceiveItem(0, in)
	c := chats[len(chats)-1]
	if open := slices.IndexFunc(chats, func(c Chat) bool { return c.ClosedAt.IsZero() }); open >= 0 {
		c = chats[open]
	}
	now, err := s.now(ctx, tx)
	if err != nil {
		return uuid.Nil, err
	}
	e, err := echoEntry(ctx, tx, c, in, item)
	if err != nil {
		return uuid.Nil, err
	}
	late, err := wroteAfter(ctx, tx, in.EnvironmentID, who.ID, in.Event.At)
	if err != nil {
		return uuid.Nil, err
	}
	_, err = s.step(ctx, tx, c, now, e, EntryData{}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		if late {
			return q
		}
		return spokenElsewhere(q, c, now)
	})
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.fetchFiles(ctx, tx, c, e, item.Files, now); err != nil || late {
		return c.ID, err
	}
	return c.ID, s.forgetTries(ctx, tx, c)
}

// fetchFiles has the files of such a message fetched like those of a customer's. ids are theirs, one for each attachment.
func (s *Store) fetchFiles(ctx context.Context, tx bun.Tx, c Chat, e Entry, ids []uuid.UUID, now time.Time) error {
	due, err := s.unmoved(ctx, tx)
	if err != nil {
		return err
	}
	var files []StoredFile
	for n, a := range e.Attachments {
		if a.Ref != "" {
			files = append(files, StoredFile{
				ID: ids[n], EnvironmentID: c.EnvironmentID, ChatID: c.ID, EntryID: e.ID, N: n, ChannelID: c.ChannelID, Ref: a.Ref, Kind: a.Kind, Name: a.Name,
				State: chat.FileWaiting, CreatedAt: At(now), DueAt: At(due),
			})
		}
	}
	if len(files) == 0 {
		return nil
	}
	if _, err := tx.NewInsert().Model(&files).Exec(ctx); err != nil {
		return fmt.Errorf("keep the files of an echo: %w", err)
	}
	return nil
}

// spokenElsewhere is what such a message means for an open chat (b9). In a closed one it only stands.
func spokenElsewhere(q *bun.UpdateQuery, c Chat, now time.Time) *bun.UpdateQuery {
	if !c.ClosedAt.IsZero() {
		return q
	}
	return answered(q).Set("last_direction = ?", chat.Out).Set("last_message_at = ?", At(now)).Set("last_message_day = ?", dayOf(now)).
		Set("closing_since = ?", At(chat.ClosingSince(chat.MessageDelivered, now)))
}

func echoEntry(ctx context.Context, tx bun.Tx, c Chat, in Inbound, item receiveItem) (Entry, error) {
	e := Entry{
		ID: item.EntryID, Kind: chat.EntryMessage, Direction: chat.Out, Author: chat.ByOther, Text: item.Body, State: chat.MessageDelivered,
		ChannelID: in.ChannelID, AccountID: in.AccountID, EventKey: item.EventKey, ExternalID: chat.Storable(in.Event.MessageID), ProviderAt: At(in.Event.At),
	}
	if in.Event.Echo.Bot {
		e.Author = chat.ByBot
	}
	if len(item.Attachments) > 0 {
		if err := json.Unmarshal(item.Attachments, &e.Attachments); err != nil {
			return e, fmt.Errorf("read the attachments of an echo: %w", err)
		}
	}
	if item.ReplyTo == nil {
		return e, nil
	}
	var quoted []uuid.UUID
	theirs := tx.NewSelect().TableExpr("timeline").ColumnExpr("id").Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Where("external_id = ?", *item.ReplyTo)
	ours := tx.NewSelect().TableExpr("parts").ColumnExpr("message_id AS id").Where("environment_id = ?", c.EnvironmentID).Where("chat_id = ?", c.ID).Where("external_id = ?", *item.ReplyTo)
	if err := tx.NewSelect().TableExpr("(? UNION ALL ?) AS found", theirs, ours).ColumnExpr("id").Limit(1).Scan(ctx, &quoted); err != nil {
		return e, fmt.Errorf("look for the message an echo answers: %w", err)
	}
	if len(quoted) > 0 {
		e.ReplyTo = quoted[0]
	}
	return e, nil
}
