package api

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

const defaultSession = time.Hour

// eventSessionEnded tells the event streams that a session was revoked; it is not passed on to browsers.
const eventSessionEnded = "session_ended"

// CreateSession gives the CRM's server a token for its user's browser. Only a server may ask, not a browser with a session: it
// is the CRM's server that states a user's rights, and a session must not prolong itself.
func (s *Server) CreateSession(ctx context.Context, r gen.CreateSessionRequestObject) (gen.CreateSessionResponseObject, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if who.By == bySession {
		return nil, forbidden("Only the CRM's server may ask for a session, with its key.")
	}
	in := newSession(*r.Body)
	if in.Role == chat.AgentRole && in.AgentID == uuid.Nil && in.CRMUserID == "" {
		return nil, invalid(field("crm_user_id", "an agent's session needs this or agent_id"))
	}
	token, session, err := s.Store.OpenSession(ctx, who.Environment, in)
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalid(field(agentField(in), "no agent has this")).because(err)
	}
	if err != nil {
		return nil, err
	}
	return gen.CreateSession201JSONResponse{
		Token: token, ExpiresAt: session.ExpiresAt.Time, Role: gen.Role(session.Role), AgentID: idOrNull(session.AgentID),
	}, nil
}

func newSession(body gen.SessionInput) store.NewSession {
	in := store.NewSession{Role: chat.Role(body.Role), Life: defaultSession}
	if body.AgentID != nil {
		in.AgentID = *body.AgentID
	}
	if body.CRMUserID != nil {
		in.CRMUserID = *body.CRMUserID
	}
	if body.TTLMinutes != nil {
		in.Life = time.Duration(*body.TTLMinutes) * time.Minute
	}
	return in
}

func agentField(in store.NewSession) string {
	if in.AgentID != uuid.Nil {
		return "agent_id"
	}
	return "crm_user_id"
}

// RevokeCurrentSession logs a browser out; its event stream ends too.
func (s *Server) RevokeCurrentSession(ctx context.Context, _ gen.RevokeCurrentSessionRequestObject) (gen.RevokeCurrentSessionResponseObject, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if who.By != bySession {
		return nil, conflict("not-a-session", "This call was made with a key, not with a session token: there is no session to end.")
	}
	if err := s.Store.RevokeSession(ctx, who.Environment, who.SessionID); err != nil {
		return nil, storeProblem(err, "session")
	}
	s.Jobs.Hints.Publish(jobs.Event{Type: eventSessionEnded, Environment: who.Environment, ID: who.SessionID})
	return gen.RevokeCurrentSession204Response{}, nil
}
