package jobs

import (
	"context"
	"fmt"
	"maps"

	"waggle/channels"
	"waggle/store"
)

// Hooks is where messengers deliver, below our public address.
const Hooks = "/hooks"

// HookPath is where a channel's webhooks arrive, below our public address.
func HookPath(ch *store.Channel) string { return Hooks + "/" + ch.Kind + "/" + ch.ID.String() }

// OpenChannel gives the adapter's view of a channel: all fields with the secrets in clear, and its webhook's public address,
// empty where this installation has none.
func (j *Jobs) OpenChannel(ctx context.Context, ch *store.Channel) (channels.Channel, error) {
	secrets, err := j.Store.OpenSecrets(ch)
	if err != nil {
		return channels.Channel{}, err
	}
	public, err := j.publicURL(ctx, ch)
	if err != nil {
		return channels.Channel{}, err
	}
	return channelView(ch, secrets, public), nil
}

// publicURL returns our public address as this channel's environment knows it; empty where there is none.
func (j *Jobs) publicURL(ctx context.Context, ch *store.Channel) (string, error) {
	own, err := j.Store.PublicURL(ctx, ch.EnvironmentID)
	if own == "" {
		own = j.PublicURL
	}
	return own, err
}

func channelView(ch *store.Channel, secrets store.ChannelSecrets, public string) channels.Channel {
	fields := map[string]string{}
	maps.Copy(fields, ch.Fields)
	maps.Copy(fields, secrets.Fields)
	view := channels.Channel{
		ID: ch.ID, AccountID: ch.AccountID, Fields: fields, Receive: channels.Receive(ch.Receive), HookSecret: secrets.HookSecret, Since: ch.ConnectedAt.Time,
	}
	if public != "" {
		view.HookURL = public + HookPath(ch)
	}
	return view
}

// adapter returns the adapter of a channel's kind. A kind this version lost is an error of the installation.
func (j *Jobs) adapter(kind string) (channels.Adapter, error) {
	a, ok := j.Channels[kind]
	if !ok {
		return nil, fmt.Errorf("there is no adapter for channels of kind %q", kind)
	}
	return a, nil
}
