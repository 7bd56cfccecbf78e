package api

import (
	"context"

	"waggle/api/gen"
	"waggle/channels"
)

// ListChannelKinds shows every kind that can be connected, with its form as data.
func (s *Server) ListChannelKinds(ctx context.Context, _ gen.ListChannelKindsRequestObject) (gen.ListChannelKindsResponseObject, error) {
	c, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	public, crm, err := s.addresses(ctx, c)
	if err != nil {
		return nil, err
	}
	items := []gen.ChannelKind{}
	for _, kind := range s.Channels.Kinds() {
		items = append(items, channelKind(s.Channels[kind], public, crm))
	}
	return gen.ListChannelKinds200JSONResponse{Items: items}, nil
}

// addresses returns our public address and the CRM's full one, as the caller's environment knows them; empty where there is
// none.
func (s *Server) addresses(ctx context.Context, c caller) (public, crm string, err error) {
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return "", "", storeProblem(err, "environment")
	}
	return valueOr(s.publicURL(e), ""), addressOut(e), nil
}

func channelKind(a channels.Adapter, public, crm string) gen.ChannelKind {
	d := a.Describe()
	k := gen.ChannelKind{
		Kind: d.Kind, Title: d.Name, Help: d.Help, Fields: []gen.FormField{}, ReceiveModes: []gen.ReceiveMode{},
		Capabilities: gen.Capabilities{
			TextLimit: d.Capabilities.TextLimit, Attachments: d.Capabilities.Attachments, Edits: d.Capabilities.Edits,
			Replies: true, DeliveryReceipts: d.Capabilities.Receipts, AgentMayStart: d.Capabilities.StartDialogue,
		},
	}
	defaults := defaultsOf(public, crm)
	for _, f := range d.Fields {
		k.Fields = append(k.Fields, gen.FormField{
			Name: f.Name, Label: f.Label, Required: f.Required, Secret: f.Secret, Help: f.Help,
			Pattern: orNull(f.Pattern), Default: orNull(defaults.Replace(f.Default)),
		})
	}
	for _, r := range d.Receive {
		k.ReceiveModes = append(k.ReceiveModes, gen.ReceiveMode(r))
	}
	return k
}
