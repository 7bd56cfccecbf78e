package api

import (
	"context"
	"errors"
	"fmt"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// ChangeThread takes, passes, asks for or releases the chat's conversation at the messenger.
func (s *Server) ChangeThread(ctx context.Context, r gen.ChangeThreadRequestObject) (gen.ChangeThreadResponseObject, error) {
	c, row, err := s.chatFor(ctx, s.actor, r.ID)
	if err != nil {
		return nil, err
	}
	action, app := jobs.ThreadAction(r.Body.Action), valueOr(r.Body.App, "")
	if app != "" && action != jobs.ThreadPass {
		return nil, invalid(field("app", "names to whom a conversation is passed; leave it out here"))
	}
	if err := s.Jobs.ChangeThread(ctx, &row.Chat, action, app, c.actsAs(&row)); err != nil {
		return nil, s.threadProblem(ctx, &row.Chat, err)
	}
	answer, err := s.showChat(ctx, c, r.ID)
	return gen.ChangeThread200JSONResponse(answer), err
}

// threadProblem says why the messenger was not asked, or what it answered.
func (s *Server) threadProblem(ctx context.Context, c *store.Chat, err error) error {
	var refused *channels.Error
	switch {
	case errors.Is(err, jobs.ErrNoThreads):
		return fail(422, "no-bots", "On this messenger no other app can hold a conversation: there is nobody to take it from or to pass it to.").because(err)
	case !errors.As(err, &refused):
		return storeProblem(err, "chat")
	}
	ch, storeErr := s.Store.Channel(ctx, c.EnvironmentID, c.ChannelID)
	if storeErr != nil {
		return storeProblem(storeErr, "channel")
	}
	d := s.Channels[ch.Kind].Describe()
	if refused.Outcome == channels.Permanent {
		return conflict("thread-refused", fmt.Sprintf("%s refuses this: %s.", d.Name, refused.Reason)).because(err)
	}
	return messengerProblem(refused, d).because(err)
}

// waits says of a message that is not sent yet what it waits for, if its conversation is another app's.
func waits(row *store.ChatView, m *gen.Message) {
	if row.Elsewhere() && row.ClosedAt.IsZero() && m.Direction == gen.DirectionOut && m.State == gen.MessageState(chat.MessageAccepted) {
		m.WaitingReason, m.ExpectedAt = orNull(row.Thread().HeldElsewhere()), nil
	}
}
