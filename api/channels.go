package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// hasChats is seed 3's own sentence (S3.28).
const hasChats = "A channel with at least one integrated chat cannot be deleted. If it is no longer valid, deactivate it instead."

// ListChannels lists the messenger accounts.
func (s *Server) ListChannels(ctx context.Context, r gen.ListChannelsRequestObject) (gen.ListChannelsResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	public, _, err := s.addresses(ctx, c)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.Store.ListChannels(ctx, c.Environment, idOf(r.Params.QueueID), pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "channels")
	}
	items := make([]gen.Channel, len(rows))
	for i := range rows {
		items[i] = channelAnswer(&rows[i], s.describe(rows[i].Kind), public)
	}
	return gen.ListChannels200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// CreateChannel adds a channel: verified, connected and Active, or nothing.
func (s *Server) CreateChannel(ctx context.Context, r gen.CreateChannelRequestObject) (gen.CreateChannelResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	in := *r.Body
	adapter, ok := s.Channels[in.Kind]
	if !ok {
		return nil, invalid(field("kind", "there is no such kind of channel; those there are: "+strings.Join(s.Channels.Kinds(), ", ")))
	}
	d := adapter.Describe()
	if err := mayConfigure(c, d); err != nil {
		return nil, err
	}
	public, crm, err := s.addresses(ctx, c)
	if err != nil {
		return nil, err
	}
	fields, wrong := s.channelFields(d, in.Fields, jobs.ChannelFields{}, defaultsOf(public, crm))
	ch := &store.Channel{
		EnvironmentID: c.Environment, Kind: in.Kind, Name: chat.Storable(in.Name), QueueID: idOf(in.QueueID), Weight: valueOr(in.Weight, 1),
		URL: chat.Storable(valueOr(in.URL, "")), Receive: string(valueOr(in.Receive, gen.ReceiveMode(d.Receive[0]))), AgentsMayStart: valueOr(in.AgentsMayStart, false),
	}
	wrong = append(wrong, s.channelFaults(d, &ch.Name, &ch.URL, in.Receive, ch.AgentsMayStart)...)
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	if err := s.knownQueue(ctx, c, ch.QueueID); err != nil {
		return nil, err
	}
	i, err := idem(ctx, "createChannel", r.Params.IdempotencyKey, in)
	if err != nil {
		return nil, err
	}
	id, err := s.Jobs.AddChannel(ctx, ch, fields, valueOr(in.Active, true), channels.ConnectOptions{TakeOver: valueOr(in.TakeOver, false)}, i)
	if err != nil {
		return nil, connectProblem(err, d)
	}
	answer, err := s.showChannel(ctx, c, id)
	return gen.CreateChannel201JSONResponse(answer), err
}

// GetChannel shows one channel.
func (s *Server) GetChannel(ctx context.Context, r gen.GetChannelRequestObject) (gen.GetChannelResponseObject, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.showChannel(ctx, c, r.ID)
	return gen.GetChannel200JSONResponse(answer), err
}

// DeleteChannel deletes a channel without chats.
func (s *Server) DeleteChannel(ctx context.Context, r gen.DeleteChannelRequestObject) (gen.DeleteChannelResponseObject, error) {
	ch, _, err := s.channelToChange(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	err = s.Jobs.DeleteChannel(ctx, ch)
	s.hooks.forget(ch.ID)
	switch {
	case errors.Is(err, store.ErrHasChats):
		return nil, conflict("channel-has-chats", hasChats).because(err)
	case err != nil:
		return nil, storeProblem(err, "channel")
	}
	return gen.DeleteChannel204Response{}, nil
}

// ConnectChannel makes a channel Active.
func (s *Server) ConnectChannel(ctx context.Context, r gen.ConnectChannelRequestObject) (gen.ConnectChannelResponseObject, error) {
	ch, d, err := s.channelToChange(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	takeOver := r.Body != nil && valueOr(r.Body.TakeOver, false)
	err = s.Jobs.ConnectChannel(ctx, ch, takeOver)
	s.hooks.forget(ch.ID)
	if err != nil {
		return nil, connectProblem(err, d)
	}
	answer, err := s.showOwnChannel(ctx, r.ID)
	return gen.ConnectChannel200JSONResponse(answer), err
}

// DisconnectChannel takes a channel out of service.
func (s *Server) DisconnectChannel(ctx context.Context, r gen.DisconnectChannelRequestObject) (gen.DisconnectChannelResponseObject, error) {
	ch, d, err := s.channelToChange(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	err = s.Jobs.DisconnectChannel(ctx, ch)
	s.hooks.forget(ch.ID)
	if err != nil {
		return nil, connectProblem(err, d)
	}
	answer, err := s.showOwnChannel(ctx, r.ID)
	return gen.DisconnectChannel200JSONResponse(answer), err
}

// mayConfigure: some kinds are for administrators only (S2.7).
func mayConfigure(c caller, d channels.Description) error {
	if d.AdminsOnly && c.Role != chat.Administrator {
		return forbidden("Only members of the Administrators group can set up channels of kind " + d.Kind + ".")
	}
	return nil
}

// channelToChange reads a channel that the caller may change, with the description of its kind.
func (s *Server) channelToChange(ctx context.Context, id uuid.UUID) (*store.Channel, channels.Description, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return nil, channels.Description{}, err
	}
	ch, err := s.Store.Channel(ctx, c.Environment, id)
	if err != nil {
		return nil, channels.Description{}, storeProblem(err, "channel")
	}
	d := s.describe(ch.Kind)
	return ch, d, mayConfigure(c, d)
}

// describe describes a kind; one that this version lost has a name and no fields.
func (s *Server) describe(kind string) channels.Description {
	if a, ok := s.Channels[kind]; ok {
		return a.Describe()
	}
	return channels.Description{Kind: kind, Name: kind}
}

func (s *Server) showOwnChannel(ctx context.Context, id uuid.UUID) (gen.Channel, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return gen.Channel{}, err
	}
	return s.showChannel(ctx, c, id)
}

func (s *Server) showChannel(ctx context.Context, c caller, id uuid.UUID) (gen.Channel, error) {
	ch, err := s.Store.Channel(ctx, c.Environment, id)
	if err != nil {
		return gen.Channel{}, storeProblem(err, "channel")
	}
	public, _, err := s.addresses(ctx, c)
	if err != nil {
		return gen.Channel{}, err
	}
	return channelAnswer(ch, s.describe(ch.Kind), public), nil
}

// knownQueue makes sure that a queue named in a request is there.
func (s *Server) knownQueue(ctx context.Context, c caller, id uuid.UUID) error {
	if id == uuid.Nil {
		return nil
	}
	_, err := s.Store.Queue(ctx, c.Environment, id)
	if errors.Is(err, store.ErrNotFound) {
		return invalid(field("queue_id", "there is no such queue")).because(err)
	}
	return storeProblem(err, "queue")
}

// channelFaults checks what every kind's channels have; nil is not checked.
func (s *Server) channelFaults(d channels.Description, name, url *string, receive *gen.ReceiveMode, agentsMayStart bool) []gen.FieldError {
	var wrong []gen.FieldError
	if name != nil && strings.TrimSpace(*name) == "" {
		wrong = append(wrong, field("name", "a name is required"))
	}
	if url != nil && *url != "" {
		if err := s.Options.checkURL(*url); err != nil {
			wrong = append(wrong, field("url", err.Error()))
		}
	}
	if receive != nil && !slices.Contains(d.Receive, channels.Receive(*receive)) {
		wrong = append(wrong, field("receive", d.Name+" cannot receive in this way"))
	}
	if agentsMayStart && !d.Capabilities.StartDialogue {
		wrong = append(wrong, field("agents_may_start", "with "+d.Name+" only the customer can start a dialogue"))
	}
	return wrong
}
