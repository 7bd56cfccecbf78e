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
		shown := channelKind(s.Channels[kind].Describe(), public, crm)
		_, shown.Login = s.Channels[kind].(channels.Logins)
		items = append(items, shown)
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

func channelKind(d channels.Description, public, crm string) gen.ChannelKind {
	k := gen.ChannelKind{
		Kind: d.Kind, Title: d.Name, Help: d.Help, Fields: []gen.FormField{}, ReceiveModes: []gen.ReceiveMode{},
		Capabilities: capabilities(d.Capabilities), AdminsOnly: d.AdminsOnly, HookHeader: orNull(d.HookHeader), HookHelp: d.HookHelp,
	}
	defaults := defaultsOf(public, crm)
	for _, f := range d.Fields {
		k.Fields = append(k.Fields, gen.FormField{
			Name: f.Name, Label: f.Label, Required: f.Required, Secret: f.Secret, URL: f.URL, Help: f.Help,
			Pattern: orNull(f.Pattern), Default: orNull(defaults.Replace(f.Default)),
		})
	}
	for _, r := range d.Receive {
		k.ReceiveModes = append(k.ReceiveModes, gen.ReceiveMode(r))
	}
	return k
}

// capabilities shows what a kind can carry; where it sets no limit there is null.
func capabilities(c channels.Capabilities) gen.Capabilities {
	out := gen.Capabilities{
		TextLimit: c.TextLimit, CaptionLimit: c.CaptionLimit, Attachments: c.Attachments, Edits: c.Edits, Replies: true,
		DeliveryReceipts: c.Receipts, ReadReceipts: c.Reads, AgentMayStart: c.StartDialogue, Bots: c.Bots,
	}
	if c.FileLimit > 0 {
		out.AttachmentLimitBytes = &c.FileLimit
	}
	if c.WindowHours > 0 {
		out.WindowHours = &c.WindowHours
	}
	return out
}
