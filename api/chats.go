package api

import (
	"context"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// viewer is the caller and what he may see of chats: administrators of either kind all, an agent what is his or offered to
// him (S1.6, S1.7). While chats are switched off agents see nothing (S1.10).
func (s *Server) viewer(ctx context.Context) (caller, store.Viewer, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return caller{}, store.Viewer{}, err
	}
	v := store.Viewer{Agent: c.AgentID, All: c.Role != chat.AgentRole}
	if v.All {
		return c, v, nil
	}
	return c, v, chatsOn(c)
}

// actor is viewer for what changes a chat: it needs chats to be on for everybody (b24).
func (s *Server) actor(ctx context.Context) (caller, store.Viewer, error) {
	c, v, err := s.viewer(ctx)
	if err != nil || !v.All {
		return c, v, err
	}
	return c, v, chatsOn(c)
}

func chatsOn(c caller) error {
	if !c.ChatsOn {
		return conflict("chats-are-switched-off", "The chats are switched off. An administrator switches them on in the chat settings; nothing is lost meanwhile.")
	}
	return nil
}

// ListChats lists the chats the caller may see.
func (s *Server) ListChats(ctx context.Context, r gen.ListChatsRequestObject) (gen.ListChatsResponseObject, error) {
	c, v, err := s.viewer(ctx)
	if err != nil {
		return nil, err
	}
	p := r.Params
	f := store.ChatFilter{
		Viewer: v, Waiting: valueOr(p.Waiting, false), Status: chat.Status(valueOr(p.Status, "")),
		Channel: idOf(p.ChannelID), Queue: idOf(p.QueueID), Agent: idOf(p.AgentID), Contact: idOf(p.ContactID),
	}
	if valueOr(p.Mine, false) {
		if f.Agent != uuid.Nil && f.Agent != c.AgentID || c.AgentID == uuid.Nil {
			return gen.ListChats200JSONResponse{Items: []gen.Chat{}}, nil
		}
		f.Agent = c.AgentID
	}
	if p.Cursor != nil {
		if f.After, err = uuid.Parse(*p.Cursor); err != nil {
			return nil, listProblem(store.ErrCursor, "chats")
		}
	}
	limit := valueOr(p.Limit, defaultLimit)
	f.Limit = limit + 1
	rows, err := s.Store.ListChats(ctx, c.Environment, f)
	if err != nil {
		return nil, storeProblem(err, "chats")
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		cursor := rows[limit-1].ID.String()
		next = &cursor
	}
	items, err := s.chatAnswers(ctx, c, rows)
	return gen.ListChats200JSONResponse{Items: items, NextCursor: next}, err
}

// chatFor is the chat a caller asks for, if who says that he may see it, and the caller.
func (s *Server) chatFor(ctx context.Context, who func(context.Context) (caller, store.Viewer, error), id uuid.UUID) (caller, store.ChatView, error) {
	c, v, err := who(ctx)
	if err != nil {
		return c, store.ChatView{}, err
	}
	row, err := s.Store.ChatFor(ctx, c.Environment, id, v)
	if err != nil {
		return c, row, storeProblem(err, "chat")
	}
	return c, row, nil
}

// GetChat shows one chat.
func (s *Server) GetChat(ctx context.Context, r gen.GetChatRequestObject) (gen.GetChatResponseObject, error) {
	c, row, err := s.chatFor(ctx, s.viewer, r.ID)
	if err != nil {
		return nil, err
	}
	answer, err := s.chatAnswer(ctx, c, row)
	return gen.GetChat200JSONResponse(answer), err
}

// startRefused is why a dialogue with somebody new does not begin here (S1.1, b20).
const startRefused = "You cannot start a dialogue with a new customer from within the chat"

// StartChat starts a chat with a person who has written on that channel before, where the messenger can and the channel's
// switch is on (b20, S2.6).
func (s *Server) StartChat(ctx context.Context, r gen.StartChatRequestObject) (gen.StartChatResponseObject, error) {
	c, _, err := s.actor(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := s.Store.Channel(ctx, c.Environment, r.Body.ChannelID)
	if err != nil {
		return nil, storeProblem(err, "channel")
	}
	adapter := s.Channels[ch.Kind]
	switch {
	case adapter == nil || !adapter.Describe().Capabilities.StartDialogue:
		return nil, conflict("start-refused", startRefused+": on this messenger the customer writes first.")
	case !ch.AgentsMayStart:
		return nil, conflict("start-refused", startRefused+": the channel does not allow agents to start dialogues.")
	case c.AgentID == uuid.Nil:
		return nil, conflict("start-refused", "Only an agent can start a chat: it becomes his.")
	}
	known, err := s.Store.KnownOn(ctx, c.Environment, ch.ID, r.Body.ContactID)
	if err != nil {
		return nil, storeProblem(err, "contact")
	}
	if !known {
		return nil, conflict("start-refused", startRefused+": this person has never written on this channel.")
	}
	guard, err := idem(ctx, "startChat", r.Params.IdempotencyKey, r.Body)
	if err != nil {
		return nil, err
	}
	id, changed, replayed, err := s.Store.StartChat(ctx, c.Environment, store.NewChat{
		ChannelID: ch.ID, ContactID: r.Body.ContactID, Agent: c.AgentID, Text: r.Body.Text,
	}, guard)
	if err != nil {
		return nil, storeProblem(err, "contact")
	}
	if !replayed {
		s.Jobs.MessageAccepted(ctx, changed)
	}
	answer, err := s.showChat(ctx, c, id)
	return gen.StartChat201JSONResponse(answer), err
}

// showChat is the chat as it stands, whoever may see it now: its caller has just changed it.
func (s *Server) showChat(ctx context.Context, c caller, id uuid.UUID) (gen.Chat, error) {
	row, err := s.Store.ChatFor(ctx, c.Environment, id, store.Viewer{All: true})
	if err != nil {
		return gen.Chat{}, storeProblem(err, "chat")
	}
	return s.chatAnswer(ctx, c, row)
}
