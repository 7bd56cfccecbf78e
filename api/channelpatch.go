package api

import (
	"context"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// PatchChannel changes a channel: first its credentials, which the messenger may refuse, then what is our own affair, then
// whether it is in service.
func (s *Server) PatchChannel(ctx context.Context, r gen.PatchChannelRequestObject) (gen.PatchChannelResponseObject, error) {
	ch, d, err := s.channelToChange(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	in := *r.Body
	settings, fields, err := s.channelChange(ctx, ch, d, in)
	if err != nil {
		return nil, err
	}
	defer s.hooks.forget(ch.ID)
	receive, takeOver := string(valueOr(in.Receive, gen.ReceiveMode(ch.Receive))), valueOr(in.TakeOver, false)
	if in.Fields != nil || receive != ch.Receive {
		if err := s.Jobs.ReplaceCredentials(ctx, ch, fields, receive, takeOver); err != nil {
			return nil, connectProblem(err, d)
		}
	}
	if err := s.Store.ChangeChannel(ctx, ch.EnvironmentID, ch.ID, settings); err != nil {
		return nil, storeProblem(err, "channel")
	}
	s.Jobs.Hints.Publish(jobs.Event{Type: "channel", Environment: ch.EnvironmentID, ID: ch.ID})
	if settings.Queue != nil {
		s.Jobs.Hints.Look(jobs.Look{At: jobs.LookRoute, Environment: ch.EnvironmentID})
	}
	if err := s.switchChannel(ctx, ch, in.Active, takeOver); err != nil {
		return nil, connectProblem(err, d)
	}
	answer, err := s.showOwnChannel(ctx, r.ID)
	return gen.PatchChannel200JSONResponse(answer), err
}

// channelChange checks a change and splits it into settings and, where the form's values change, the whole of the new ones.
func (s *Server) channelChange(ctx context.Context, ch *store.Channel, d channels.Description, in gen.ChannelPatch) (store.ChannelSettings, jobs.ChannelFields, error) {
	set := channelSettings(in)
	c, err := callerOf(ctx)
	if err != nil {
		return set, jobs.ChannelFields{}, err
	}
	wrong := s.channelFaults(d, set.Name, set.URL, in.Receive, valueOr(in.AgentsMayStart, false))
	var fields jobs.ChannelFields
	if in.Fields != nil || in.Receive != nil {
		secrets, err := s.Store.OpenSecrets(ch)
		if err != nil {
			return set, fields, err
		}
		public, crm, err := s.addresses(ctx, c)
		if err != nil {
			return set, fields, err
		}
		var faults []gen.FieldError
		fields, faults = s.channelFields(d, in.Fields, jobs.ChannelFields{Plain: ch.Fields, Secret: secrets.Fields}, defaultsOf(public, crm))
		wrong = append(wrong, faults...)
	}
	if len(wrong) > 0 {
		return set, fields, invalid(wrong...)
	}
	if set.Queue == nil {
		return set, fields, nil
	}
	return set, fields, s.knownQueue(ctx, c, *set.Queue)
}

func channelSettings(in gen.ChannelPatch) store.ChannelSettings {
	set := store.ChannelSettings{Weight: in.Weight, AgentsMayStart: in.AgentsMayStart}
	if in.Name != nil {
		name := chat.Storable(*in.Name)
		set.Name = &name
	}
	if in.URL.IsSpecified() {
		url := chat.Storable(orZero(in.URL))
		set.URL = &url
	}
	if in.QueueID.IsSpecified() {
		queue := orZero(in.QueueID)
		set.Queue = &queue
	}
	return set
}

// switchChannel connects or disconnects where a change of Active asks for it.
func (s *Server) switchChannel(ctx context.Context, ch *store.Channel, active *bool, takeOver bool) error {
	if active == nil || *active == (ch.State == chat.ChannelActive) {
		return nil
	}
	// Its version may have moved with its credentials.
	now, err := s.Store.Channel(ctx, ch.EnvironmentID, ch.ID)
	if err != nil {
		return err
	}
	if *active {
		return s.Jobs.ConnectChannel(ctx, now, takeOver)
	}
	return s.Jobs.DisconnectChannel(ctx, now)
}
