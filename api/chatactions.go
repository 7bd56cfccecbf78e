package api

import (
	"context"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// actsAs is the agent in whose name a caller does something with a chat: an agent always, an administrator in his own chats; zero:
// an administrator.
func (c caller) actsAs(row *store.ChatView) uuid.UUID {
	if c.Role != chat.AgentRole && row.AgentID != c.AgentID {
		return uuid.Nil
	}
	return c.AgentID
}

// act does something with a chat the caller may see; by is whom he acts as.
func (s *Server) act(ctx context.Context, id uuid.UUID, do func(ctx context.Context, c caller, by uuid.UUID) (store.Changed, error)) (gen.Chat, error) {
	c, row, err := s.chatFor(ctx, s.actor, id)
	if err != nil {
		return gen.Chat{}, err
	}
	return s.acted(ctx, c, id)(do(ctx, c, c.actsAs(&row)))
}

// acted gives the hints after a change and answers with the chat.
func (s *Server) acted(ctx context.Context, c caller, id uuid.UUID) func(store.Changed, error) (gen.Chat, error) {
	return func(changed store.Changed, err error) (gen.Chat, error) {
		if err != nil {
			return gen.Chat{}, storeProblem(err, "chat")
		}
		s.Jobs.ChatChanged(ctx, changed)
		return s.showChat(ctx, c, id)
	}
}

// AcceptChat gives the chat to the caller. It is not looked up as the others are: who was slower, or has no room, is told so
// (409), though he cannot see the chat.
func (s *Server) AcceptChat(ctx context.Context, r gen.AcceptChatRequestObject) (gen.AcceptChatResponseObject, error) {
	c, _, err := s.actor(ctx)
	if err != nil {
		return nil, err
	}
	if c.AgentID == uuid.Nil {
		return nil, conflict("not-an-agent", "Only an agent can accept a chat. An administrator transfers it to one.")
	}
	answer, err := s.acted(ctx, c, r.ID)(s.Store.Accept(ctx, c.Environment, r.ID, c.AgentID))
	return gen.AcceptChat200JSONResponse(answer), err
}

// HoldChat puts the chat on hold.
func (s *Server) HoldChat(ctx context.Context, r gen.HoldChatRequestObject) (gen.HoldChatResponseObject, error) {
	answer, err := s.act(ctx, r.ID, func(ctx context.Context, c caller, by uuid.UUID) (store.Changed, error) {
		return s.Store.Hold(ctx, c.Environment, r.ID, by)
	})
	return gen.HoldChat200JSONResponse(answer), err
}

// UnholdChat takes the chat off hold.
func (s *Server) UnholdChat(ctx context.Context, r gen.UnholdChatRequestObject) (gen.UnholdChatResponseObject, error) {
	answer, err := s.act(ctx, r.ID, func(ctx context.Context, c caller, by uuid.UUID) (store.Changed, error) {
		return s.Store.Unhold(ctx, c.Environment, r.ID, by)
	})
	return gen.UnholdChat200JSONResponse(answer), err
}

// TransferChat gives the chat to an agent with room, a queue or a group: exactly one of them is named.
func (s *Server) TransferChat(ctx context.Context, r gen.TransferChatRequestObject) (gen.TransferChatResponseObject, error) {
	to := r.Body
	if n := countIDs(to.AgentID, to.QueueID, to.GroupID); n != 1 {
		return nil, invalid(field("agent_id", "name exactly one of agent_id, queue_id and group_id"))
	}
	answer, err := s.act(ctx, r.ID, func(ctx context.Context, c caller, by uuid.UUID) (store.Changed, error) {
		switch {
		case to.AgentID != nil:
			return s.Store.TransferToAgent(ctx, c.Environment, r.ID, *to.AgentID, by)
		case to.QueueID != nil:
			return s.Store.TransferToQueue(ctx, c.Environment, r.ID, *to.QueueID, by)
		default:
			return s.Store.TransferToGroup(ctx, c.Environment, r.ID, *to.GroupID, by)
		}
	})
	return gen.TransferChat200JSONResponse(answer), err
}

func countIDs(ids ...*uuid.UUID) (n int) {
	for _, id := range ids {
		if id != nil {
			n++
		}
	}
	return n
}

// CloseChat closes the chat.
func (s *Server) CloseChat(ctx context.Context, r gen.CloseChatRequestObject) (gen.CloseChatResponseObject, error) {
	why := ""
	if r.Body != nil {
		why = chat.Storable(valueOr(r.Body.Reason, ""))
	}
	answer, err := s.act(ctx, r.ID, func(ctx context.Context, c caller, by uuid.UUID) (store.Changed, error) {
		return s.Store.CloseChat(ctx, c.Environment, r.ID, by, why)
	})
	return gen.CloseChat200JSONResponse(answer), err
}

// ReopenChat opens the chat again.
func (s *Server) ReopenChat(ctx context.Context, r gen.ReopenChatRequestObject) (gen.ReopenChatResponseObject, error) {
	answer, err := s.act(ctx, r.ID, func(ctx context.Context, c caller, by uuid.UUID) (store.Changed, error) {
		return s.Store.ReopenChat(ctx, c.Environment, r.ID, by)
	})
	return gen.ReopenChat200JSONResponse(answer), err
}
