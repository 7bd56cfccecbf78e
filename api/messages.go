package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// ListMessages lists a chat's messages in the order of its timeline.
func (s *Server) ListMessages(ctx context.Context, r gen.ListMessagesRequestObject) (gen.ListMessagesResponseObject, error) {
	c, row, err := s.chatFor(ctx, s.viewer, r.ID)
	if err != nil {
		return nil, err
	}
	var after int64
	if r.Params.Cursor != nil {
		if after, err = strconv.ParseInt(*r.Params.Cursor, 10, 64); err != nil {
			return nil, listProblem(store.ErrCursor, "messages")
		}
	}
	limit := valueOr(r.Params.Limit, defaultLimit)
	rows, err := s.Store.Messages(ctx, c.Environment, r.ID, after, limit+1)
	if err != nil {
		return nil, storeProblem(err, "messages")
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		cursor := strconv.FormatInt(rows[limit-1].Seq, 10)
		next = &cursor
	}
	items := make([]gen.Message, len(rows))
	for i := range rows {
		items[i] = s.messageAnswer(&rows[i])
		waits(&row, &items[i])
	}
	return gen.ListMessages200JSONResponse{Items: items, NextCursor: next}, nil
}

// SendMessage accepts an agent's message for sending.
func (s *Server) SendMessage(ctx context.Context, r gen.SendMessageRequestObject) (gen.SendMessageResponseObject, error) {
	c, v, err := s.actor(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := s.Store.ChannelKind(ctx, c.Environment, r.ID, v)
	if err != nil {
		return nil, storeProblem(err, "chat")
	}
	if strings.TrimSpace(r.Body.Text) == "" && len(r.Body.Files) == 0 {
		return nil, invalid(field("text", "must not be blank, unless there are files"))
	}
	guard, err := idem(ctx, "sendMessage", r.Params.IdempotencyKey, r.ID, r.Body)
	if err != nil {
		return nil, err
	}
	id, changed, replayed, err := s.Store.SendReply(ctx, c.Environment, store.Reply{
		ChatID: r.ID, Agent: c.AgentID, Take: !v.All, Text: r.Body.Text, Files: r.Body.Files, ReplyTo: idOf(r.Body.ReplyTo), Window: s.window(kind),
	}, guard)
	if errors.Is(err, store.ErrFiles) {
		return nil, invalid(field("files", "names a file that was not uploaded to this chat, or that has been sent")).because(err)
	}
	if errors.Is(err, store.ErrReplyTo) {
		return nil, invalid(field("reply_to", "is not a message of this chat")).because(err)
	}
	if err != nil {
		return nil, storeProblem(err, "chat")
	}
	if !replayed {
		s.Jobs.MessageAccepted(ctx, changed)
	}
	if changed.Reply != nil {
		return gen.SendMessage201JSONResponse(s.messageAnswer(changed.Reply)), nil
	}
	answer, err := s.showMessage(ctx, c, r.ID, id)
	return gen.SendMessage201JSONResponse(answer), err
}

// ResendMessage sends once more what failed or whose outcome is unknown: the agent's decision, never Waggle's.
func (s *Server) ResendMessage(ctx context.Context, r gen.ResendMessageRequestObject) (gen.ResendMessageResponseObject, error) {
	c, v, err := s.actor(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := s.Store.ChannelKind(ctx, c.Environment, r.ID, v)
	if err != nil {
		return nil, storeProblem(err, "chat")
	}
	changed, err := s.Store.Resend(ctx, c.Environment, r.ID, r.MessageID, c.AgentID, s.window(kind))
	if err != nil {
		return nil, storeProblem(err, "message")
	}
	s.Jobs.MessageAccepted(ctx, changed)
	answer, err := s.showMessage(ctx, c, r.ID, r.MessageID)
	return gen.ResendMessage200JSONResponse(answer), err
}

func (s *Server) showMessage(ctx context.Context, c caller, chatID, id uuid.UUID) (gen.Message, error) {
	m, err := s.Store.MessageOf(ctx, c.Environment, chatID, id)
	if err != nil {
		return gen.Message{}, storeProblem(err, "message")
	}
	return s.messageAnswer(&m), nil
}

// messageAnswer is a message as answers show it: its present text, and what it said before.
func (s *Server) messageAnswer(m *store.Message) gen.Message {
	now := m.Now()
	a := gen.Message{
		ID: m.ID, ChatID: m.ChatID, Seq: m.Seq, Direction: gen.Direction(m.Direction), Author: gen.Author(m.Author), AgentID: idOrNull(m.AgentID),
		Text: now.Text, ReplyTo: idOrNull(m.ReplyTo), Edits: []gen.MessageEdit{}, DeletedAt: m.Deleted.Ptr(),
		Attachments: s.attachmentAnswers(now.Files), State: gen.MessageState(m.State), Error: orNull(m.Error),
		Parts: []gen.MessagePart{}, CreatedAt: m.At.Time, ProviderAt: m.ProviderAt.Ptr(),
	}
	a.WaitingReason, a.ExpectedAt = s.waiting(m)
	for i, v := range m.Versions {
		if v.Edited {
			before := m.Versions[i-1]
			a.Edits = append(a.Edits, gen.MessageEdit{Text: before.Text, Attachments: s.attachmentAnswers(before.Files), EditedAt: v.At.Time})
		}
	}
	for _, p := range m.Parts {
		a.Parts = append(a.Parts, gen.MessagePart{Index: p.N, State: partState(p.State), ExternalID: orNull(p.ExternalID), Error: orNull(p.Error)})
	}
	return a
}

// waiting says why a message is not sent yet, and when it should be.
func (s *Server) waiting(m *store.Message) (why *string, at *time.Time) {
	if m.Wait == nil {
		return nil, nil
	}
	reason := "The messenger is taking no messages of this channel at the moment; it is sent as soon as it does."
	for _, p := range m.Parts {
		if p.State == chat.PartPlanned && p.Error != "" {
			reason = p.Error
		}
	}
	if m.Wait.Inactive {
		reason = "The channel is Disconnected; it is sent when an administrator connects it again."
		return &reason, nil
	}
	if !m.Wait.Next.IsZero() {
		expected := s.describe(m.Wait.Kind).Capabilities.Budget.ExpectedAt(m.Wait.Next.Time, m.Wait.Ahead)
		at = &expected
	}
	return &reason, at
}

// partState is a part's state in the words of messages: a planned one is accepted.
func partState(s chat.PartState) gen.MessageState {
	if s == chat.PartPlanned {
		return gen.MessageState(chat.MessageAccepted)
	}
	return gen.MessageState(s)
}
