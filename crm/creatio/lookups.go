package creatio

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"waggle/crm"
)

// Codes of OperatorRoutingRules (wire/creatio.md §5).
const (
	ruleToAll = "ForEveryone"
	ruleFree  = "ForFree"
)

// routingRule returns the id of a queue's routing rule, read once for a
// session. It is zero on a site that does not show its rules: the queue then
// keeps the one it has.
func (p *pusher) routingRule(ctx context.Context, toAll bool) (uuid.UUID, error) {
	code := ruleFree
	if toAll {
		code = ruleToAll
	}
	if id, known := p.knownID(code); known {
		return id, nil
	}
	rows, err := p.query(ctx, "OperatorRoutingRules", "select", "Id,Code")
	if err != nil && !errors.Is(err, errNoObject) {
		return uuid.Nil, err
	}
	for _, r := range rows {
		if id, err := uuid.Parse(r.text("Id")); err == nil {
			p.rememberID(r.text("Code"), id)
		}
	}
	id, _ := p.knownID(code)
	return id, nil
}

// provider returns the channel provider of a kind. For a kind Creatio does not
// know, a row named after it is found or made, under an id of its own name, so
// that two pushes make one. If the site refuses that, the channel goes without.
func (p *pusher) provider(ctx context.Context, kind string) (uuid.UUID, error) {
	if id, known := providerIDs[kind]; known || kind == "" {
		return id, nil
	}
	if id, known := p.knownID("provider " + kind); known {
		return id, nil
	}
	id, err := p.findOrMakeProvider(ctx, kind)
	if err == nil {
		p.rememberID("provider "+kind, id)
	}
	return id, err
}

func (p *pusher) findOrMakeProvider(ctx context.Context, kind string) (uuid.UUID, error) {
	rows, err := p.query(ctx, "ChannelProvider", "filter", "Name eq "+quoted(kind), "select", "Id", "top", "1")
	if err != nil && !errors.Is(err, errNoObject) {
		return uuid.Nil, err
	}
	if len(rows) > 0 {
		return uuid.Parse(rows[0].text("Id"))
	}
	own := record{uuid.NewSHA1(uuid.NameSpaceURL, []byte("waggle:channel-provider:"+kind)), "ChannelProvider", map[string]any{"Name": kind}}
	making := &pusher{session: p.session, result: crm.Result{}}
	if err := making.bring(ctx, []record{own}, false); err != nil || !making.result[own.id].Proven {
		return uuid.Nil, err
	}
	return own.id, nil
}
