package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// chatAnswer is a chat as answers show it.
func (s *Server) chatAnswer(ctx context.Context, c caller, row store.ChatView) (gen.Chat, error) {
	all, err := s.chatAnswers(ctx, c, []store.ChatView{row})
	if err != nil {
		return gen.Chat{}, err
	}
	return all[0], nil
}

func (s *Server) chatAnswers(ctx context.Context, c caller, rows []store.ChatView) ([]gen.Chat, error) {
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	notBefore, err := s.Store.NotBefore(ctx, e)
	if err != nil {
		return nil, storeProblem(err, "clock")
	}
	answers := make([]gen.Chat, len(rows))
	for i := range rows {
		answers[i] = s.oneChat(&rows[i], &e, notBefore)
	}
	return answers, nil
}

func (s *Server) oneChat(row *store.ChatView, e *store.Environment, notBefore time.Time) gen.Chat {
	a := gen.Chat{
		ID: row.ID, Number: row.Number, ChannelID: row.ChannelID, QueueID: idOrNull(row.QueueID),
		Contact: gen.ContactRef{ID: row.ContactID, Name: row.ContactName},
		Status:  gen.ChatStatus(row.Status()), HeldReason: orNull(s.heldReason(row)), Weight: row.Weight,
		OpenedAt: row.OpenedAt.Time, AssignedAt: row.AssignedAt.Ptr(), AcceptedAt: row.AcceptedAt.Ptr(), ClosedAt: row.ClosedAt.Ptr(),
		CloseReason: orNull(row.CloseReason), LastMessageAt: row.LastMessageAt.Ptr(), UnansweredSince: row.UnansweredSince.Ptr(),
		TransferReason: orNull(row.TransferWhy), BlockedAt: row.BlockedAt.Ptr(), CRM: chatLink(row, e),
	}
	if row.AgentID != uuid.Nil {
		a.Agent = &gen.AgentRef{ID: row.AgentID, Name: row.AgentName, Nickname: orNull(row.AgentNickname)}
	}
	if row.ThreadOwner != chat.ThreadUntold {
		a.Thread = &gen.ChatThread{Owner: gen.ChatThreadOwner(row.ThreadOwner), App: orNull(row.ThreadApp), Since: row.ThreadSince.Ptr()}
	}
	if row.LastDirection != "" {
		d := gen.Direction(row.LastDirection)
		a.LastDirection = &d
	}
	if until, limited := chat.WritableUntil(row.ClientWroteAt.Time, s.window(row.ChannelKind)); limited {
		if row.ClientWroteAt.IsZero() { // he never wrote
			until = row.OpenedAt.Time
		}
		a.WritableUntil = &until
	}
	if at, by := chat.ClosesAt(clockOf(row), periodsOf(row, e, notBefore)); by != "" {
		closesBy := gen.ChatClosesBy(by)
		a.ClosesAt, a.ClosesBy = &at, &closesBy
	}
	return a
}

// window is how long after his last message the messenger takes ours for the client of a chat; 0: always.
func (s *Server) window(channelKind string) time.Duration {
	return s.describe(channelKind).Capabilities.Window()
}

func clockOf(row *store.ChatView) chat.Clock {
	return chat.Clock{
		Closed: !row.ClosedAt.IsZero(), HasAgent: row.AgentID != uuid.Nil, OnHold: row.OnHold,
		ClosingSince: row.ClosingSince.Time, LastMessageAt: row.LastMessageAt.Time,
	}
}

func periodsOf(row *store.ChatView, e *store.Environment, notBefore time.Time) chat.Periods {
	p := chat.Periods{QueueMinutes: valueOr(row.QueueTimeout, 0), ChatsEnabled: e.ChatsEnabled, ChatsEnabledAt: e.ChatsEnabledAt.Time, NotBefore: notBefore}
	if e.CloseOn {
		p.EnvironmentMinutes = valueOr(e.CloseMinutes, 0)
	}
	return p
}

// heldReason says in a sentence why a chat is kept aside or cannot be routed.
func (s *Server) heldReason(row *store.ChatView) string {
	switch {
	case row.HeldReason == chat.HeldKeyExpired:
		reason := "The secret key has expired: new chats are stored but not shown to agents until it is renewed."
		if s.Options.VendorContact != "" {
			reason += " Write to " + s.Options.VendorContact + "."
		}
		return reason
	case row.HeldReason != "":
		return row.HeldReason
	case row.Unserved:
		return "The channel has no queue and no agent lists it: nobody can get this chat."
	default:
		return ""
	}
}

// chatLink is the state of a chat's record in the CRM.
func chatLink(row *store.ChatView, e *store.Environment) gen.CRMLink {
	l := gen.CRMLink{State: gen.CRMStatePending, Error: orNull(row.CRMError)}
	if row.CRMPushed != "" {
		ref := row.ID.String()
		l.Ref = &ref
	}
	switch {
	case row.CRMError != "":
		l.State = gen.CRMStateRefused
	case row.CRMPushed != "" && row.CRMDueAt.IsZero():
		l.State = gen.CRMStatePushed
	case e.CRMState == store.CRMUnavailable || e.CRMState == store.CRMRefused:
		l.State = gen.CRMStatePaused
		l.Error = orNull(e.CRMError)
	}
	return l
}
