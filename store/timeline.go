package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// Message is a message of a chat with what happened to it since.
type Message struct {
	Entry
	Versions []Version // what it said and says; the last one is how it stands
	Deleted  Time      // zero: it is not
	Parts    []Part    // in order; none for what was received
	Wait     *Wait     // what it waits for; nil: nothing
}

// Now is the message as it stands.
func (m *Message) Now() Version { return m.Versions[len(m.Versions)-1] }

// Timeline returns a chat's entries with a number above after, in order.
func (s *Store) Timeline(ctx context.Context, environment, chatID uuid.UUID, after int64, limit int) ([]Entry, error) {
	return s.entries(ctx, environment, chatID, after, limit, "")
}

// Messages returns a chat's messages with a number above after, in order.
func (s *Store) Messages(ctx context.Context, environment, chatID uuid.UUID, after int64, limit int) ([]Message, error) {
	entries, err := s.entries(ctx, environment, chatID, after, limit, chat.EntryMessage)
	if err != nil {
		return nil, err
	}
	return s.MessagesOf(ctx, environment, entries)
}

// MessageOf returns one message of a chat.
func (s *Store) MessageOf(ctx context.Context, environment, chatID, id uuid.UUID) (Message, error) {
	var e Entry
	err := s.read.NewSelect().Model(&e).Where("t.id = ?", id).Where("t.environment_id = ?", environment).
		Where("t.chat_id = ?", chatID).Where("t.kind = ?", chat.EntryMessage).Scan(ctx)
	if err != nil {
		return Message{}, one(err, "message "+id.String())
	}
	all, err := s.MessagesOf(ctx, environment, []Entry{e})
	if err != nil {
		return Message{}, err
	}
	return all[0], nil
}

func (s *Store) entries(ctx context.Context, environment, chatID uuid.UUID, after int64, limit int, kind chat.EntryKind) ([]Entry, error) {
	var entries []Entry
	q := s.read.NewSelect().Model(&entries).Where("t.environment_id = ?", environment).Where("t.chat_id = ?", chatID).
		Where("t.seq > ?", after).OrderExpr("t.seq").Limit(limit)
	if kind != "" {
		q = q.Where("t.kind = ?", kind)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the timeline of chat %s: %w", chatID, err)
	}
	return entries, nil
}

// MessagesOf adds histories, deletions and parts to those of the entries that are messages, and leaves the others out.
func (s *Store) MessagesOf(ctx context.Context, environment uuid.UUID, entries []Entry) ([]Message, error) {
	messages := []Message{}
	var ids []uuid.UUID
	for _, e := range entries {
		if e.Kind == chat.EntryMessage {
			messages = append(messages, Message{Entry: e})
			ids = append(ids, e.ID)
		}
	}
	if len(ids) == 0 {
		return messages, nil
	}
	byID := make(map[uuid.UUID]*Message, len(messages))
	for i := range messages {
		byID[messages[i].ID] = &messages[i]
	}
	var later []Entry
	err := s.read.NewSelect().Model(&later).Where("t.environment_id = ?", environment).Where("t.target_id IN (?)", bun.List(ids)).
		Where("t.kind IN (?, ?, ?)", chat.EntryAddition, chat.EntryEdit, chat.EntryDelete).OrderExpr("t.seq").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the history of messages: %w", err)
	}
	changes := map[uuid.UUID][]Entry{}
	for _, e := range later {
		if e.Kind == chat.EntryDelete {
			byID[e.TargetID].Deleted = e.At
		}
		changes[e.TargetID] = append(changes[e.TargetID], e)
	}
	for i := range messages {
		messages[i].Versions = versions(messages[i].Entry, changes[messages[i].ID])
	}
	var parts []Part
	err = s.read.NewSelect().Model(&parts).Where("pt.environment_id = ?", environment).Where("pt.message_id IN (?)", bun.List(ids)).
		OrderExpr("pt.message_id, pt.n").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the parts of messages: %w", err)
	}
	for _, p := range parts {
		m := byID[p.MessageID]
		m.Parts = append(m.Parts, p)
	}
	var files []*File
	for _, m := range messages {
		for _, v := range m.Versions {
			files = appendFiles(files, v.Files)
		}
	}
	if err := s.addStored(ctx, environment, files); err != nil {
		return nil, err
	}
	return messages, s.waits(ctx, environment, byID)
}
