package jobs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// messengerDeadline bounds each call while an administrator waits for a messenger; two of them fit into his request.
const messengerDeadline = 13 * time.Second

// Errors of connecting a channel, beside *channels.Error with the messenger's reason and *store.AccountTakenError.
var (
	// ErrNoPublicURL: a webhook needs a public address of this installation (S3.42).
	ErrNoPublicURL = errors.New("this installation has no public URL")
	// ErrOtherAccount: the new credentials belong to another account than the channel's.
	ErrOtherAccount = errors.New("the credentials belong to another account")
)

// ChannelFields are a channel's values by field name, plain and secret ones apart.
type ChannelFields struct {
	Plain  map[string]string
	Secret map[string]string
}

// AddChannel adds a channel and, if active, verifies and connects it. Where that fails nothing is kept, and the error says
// why. In ch everything is set that an administrator chooses; its ID is made here. A replay returns the id of the first
// request's channel.
func (j *Jobs) AddChannel(ctx context.Context, ch *store.Channel, f ChannelFields, active bool, o channels.ConnectOptions, i store.Idem) (uuid.UUID, error) {
	var first uuid.UUID
	// A repetition does not ask the messenger again: it may be away by now, and the answer is known.
	if replayed, err := j.Store.Replay(ctx, ch.EnvironmentID, i, &first); err != nil || replayed {
		return first, err
	}
	ch.ID, ch.State, ch.Fields = uuid.Must(uuid.NewV7()), chat.ChannelInactive, f.Plain
	secrets := store.ChannelSecrets{Fields: f.Secret, HookSecret: newHookSecret()}
	var err error
	if ch.Secrets, err = j.Store.SealSecrets(ch.ID, secrets); err != nil {
		return uuid.Nil, err
	}
	ch.ReceivingWhy, ch.SendingWhy = "The channel was never connected.", "The channel was never connected."
	if !active {
		id, replayed, err := j.Store.CreateChannel(ctx, ch, i)
		if err == nil && !replayed {
			j.publishChannel(ch.EnvironmentID, id)
		}
		return id, err
	}
	view, err := j.verify(ctx, ch, secrets)
	if err != nil {
		return uuid.Nil, err
	}
	// Active before the messenger is told: what it delivers at once must not be dropped.
	ch.State, ch.SendingOK, ch.SendingWhy = chat.ChannelActive, true, ""
	ch.ReceivingWhy = "The messenger is being connected."
	id, replayed, err := j.Store.CreateChannel(ctx, ch, i)
	if err != nil || replayed {
		return id, err
	}
	if err := j.connect(ctx, ch, view, o); err != nil {
		return uuid.Nil, errors.Join(err, j.takeBack(ctx, ch, view, err, i))
	}
	return id, j.connected(ctx, ch)
}

// takeBack undoes the adding of a channel that could not be connected. The caller may be gone; what he asked for is taken
// back all the same.
func (j *Jobs) takeBack(ctx context.Context, ch *store.Channel, view channels.Channel, cause error, i store.Idem) error {
	ctx = context.WithoutCancel(ctx)
	if channels.AsError(cause).Outcome == channels.Unknown {
		// The messenger may have been connected after all.
		j.farewell(ctx, ch, view)
	}
	return j.Store.DiscardChannel(ctx, ch.EnvironmentID, ch.ID, i)
}

// ConnectChannel verifies a channel's account and makes it Active (S2.20, S2.23, S2.26). What the messenger kept while it was
// not Active is dropped (b39). Where it fails the channel stays as it was.
func (j *Jobs) ConnectChannel(ctx context.Context, ch *store.Channel, takeOver bool) error {
	secrets, err := j.Store.OpenSecrets(ch)
	if err != nil {
		return err
	}
	return j.reconnect(ctx, ch, secrets, takeOver)
}

// changeOver gives an Active channel another connection. The row has it before the messenger is told: what the messenger asks
// for while it is being connected, such as X's challenge with a new Secret Key, is answered by it. Where the messenger then
// refuses, the former one is put back.
func (j *Jobs) changeOver(ctx context.Context, was, ch *store.Channel, secrets store.ChannelSecrets, takeOver bool) error {
	view, err := j.verify(ctx, ch, secrets)
	if err != nil {
		return err
	}
	if err := j.Store.ReplaceConnection(ctx, ch, connectionOf(ch)); err != nil {
		return err
	}
	ch.Version++
	if err := j.connect(ctx, ch, view, channels.ConnectOptions{TakeOver: takeOver}); err != nil {
		return errors.Join(err, j.Store.ReplaceConnection(context.WithoutCancel(ctx), ch, connectionOf(was)))
	}
	if err := j.connected(ctx, ch); err != nil {
		return err
	}
	j.leave(ctx, was, view)
	return nil
}

// ReplaceCredentials gives a channel other values of its form or another way to receive; its chats stay. They are verified
// first, and belong to the same account or it is ErrOtherAccount (S3.48). A channel that never was verified takes them
// unseen.
func (j *Jobs) ReplaceCredentials(ctx context.Context, ch *store.Channel, f ChannelFields, receive string, takeOver bool) error {
	secrets, err := j.Store.OpenSecrets(ch)
	if err != nil {
		return err
	}
	changed := *ch
	changed.Fields, changed.Receive = f.Plain, receive
	secrets.Fields = f.Secret
	if changed.Secrets, err = j.Store.SealSecrets(ch.ID, secrets); err != nil {
		return err
	}
	if ch.State == chat.ChannelActive {
		return j.changeOver(ctx, ch, &changed, secrets, takeOver)
	}
	if ch.AccountID == "" {
		return j.replaceIdle(ctx, &changed)
	}
	view, err := j.verify(ctx, &changed, secrets)
	if err != nil {
		return err
	}
	if err := j.replaceIdle(ctx, &changed); err != nil {
		return err
	}
	j.leave(ctx, ch, view)
	return nil
}

// replaceIdle writes down what a channel that is not Active will be connected by.
func (j *Jobs) replaceIdle(ctx context.Context, ch *store.Channel) error {
	if err := j.Store.ReplaceConnection(ctx, ch, connectionOf(ch)); err != nil {
		return err
	}
	j.publishChannel(ch.EnvironmentID, ch.ID)
	return nil
}

func (j *Jobs) reconnect(ctx context.Context, ch *store.Channel, secrets store.ChannelSecrets, takeOver bool) error {
	first := ch.AccountID == ""
	view, err := j.verify(ctx, ch, secrets)
	if err != nil {
		return err
	}
	if first {
		// The account is taken before the messenger is told: another channel's must not be led away from it.
		if err := j.Store.ReplaceConnection(ctx, ch, connectionOf(ch)); err != nil {
			return err
		}
		ch.Version++
	}
	o := channels.ConnectOptions{TakeOver: takeOver, DropPending: ch.State != chat.ChannelActive}
	if err := j.connect(ctx, ch, view, o); err != nil {
		return err
	}
	return j.connected(ctx, ch)
}

// verify asks the messenger whose account this is and puts the answer into ch.
func (j *Jobs) verify(ctx context.Context, ch *store.Channel, secrets store.ChannelSecrets) (channels.Channel, error) {
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return channels.Channel{}, err
	}
	public, err := j.publicURL(ctx, ch)
	if err != nil {
		return channels.Channel{}, err
	}
	if public == "" && ch.Receive == string(channels.Webhook) {
		return channels.Channel{}, ErrNoPublicURL
	}
	view := channelView(ch, secrets, public)
	ctx, cancel := context.WithTimeout(ctx, messengerDeadline)
	defer cancel()
	account, err := adapter.Verify(ctx, view)
	if err != nil {
		return channels.Channel{}, channels.AsError(err)
	}
	if ch.AccountID != "" && ch.AccountID != account.ID {
		return channels.Channel{}, ErrOtherAccount
	}
	ch.AccountID, ch.AccountName, view.AccountID = account.ID, account.Name, account.ID
	return view, nil
}

func (j *Jobs) connect(ctx context.Context, ch *store.Channel, view channels.Channel, o channels.ConnectOptions) error {
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, messengerDeadline)
	defer cancel()
	if err := adapter.Connect(ctx, view, o); err != nil {
		return channels.AsError(err)
	}
	return nil
}

// connected writes down that the messenger delivers now. The messenger has been told already, so that a caller who hung up
// must not leave the row behind.
func (j *Jobs) connected(ctx context.Context, ch *store.Channel) error {
	if err := j.Store.ConnectChannel(context.WithoutCancel(ctx), ch, connectionOf(ch)); err != nil {
		return err
	}
	j.publishChannel(ch.EnvironmentID, ch.ID)
	j.Hints.Look(Look{At: LookOut, Environment: ch.EnvironmentID})
	return nil
}

func connectionOf(ch *store.Channel) store.ChannelConnection {
	return store.ChannelConnection{AccountID: ch.AccountID, AccountName: ch.AccountName, Fields: ch.Fields, Secrets: ch.Secrets, Receive: ch.Receive}
}

// DisconnectChannel takes a channel out of service, here and then at the messenger. A messenger that cannot be told does not
// keep the channel in service: what it delivers is dropped (b39).
func (j *Jobs) DisconnectChannel(ctx context.Context, ch *store.Channel) error {
	was, err := j.Store.DisconnectChannel(ctx, ch.EnvironmentID, ch.ID)
	if err != nil || !was {
		return err
	}
	j.publishChannel(ch.EnvironmentID, ch.ID)
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return err
	}
	j.farewell(context.WithoutCancel(ctx), ch, view)
	return nil
}

// farewell asks the messenger to deliver no more. Its failure is logged and nothing else.
func (j *Jobs) farewell(ctx context.Context, ch *store.Channel, view channels.Channel) {
	ctx, cancel := context.WithTimeout(ctx, messengerDeadline)
	defer cancel()
	adapter, err := j.adapter(ch.Kind)
	if err == nil {
		err = adapter.Disconnect(ctx, view)
	}
	if err != nil {
		j.Log.Warn("the messenger could not be told that the channel is disconnected",
			slog.String("channel", ch.ID.String()), slog.String("kind", ch.Kind), slog.Any("error", err))
	}
}

// DeleteChannel deletes a channel without chats, here and at the messenger; with a chat it is store.ErrHasChats, and the
// channel works on (b37).
func (j *Jobs) DeleteChannel(ctx context.Context, ch *store.Channel) error {
	used, err := j.Store.ChannelHasChats(ctx, ch.EnvironmentID, ch.ID)
	if err != nil {
		return err
	}
	if used {
		return store.ErrHasChats
	}
	if err := j.DisconnectChannel(ctx, ch); err != nil {
		return err
	}
	if err := j.Store.DeleteChannel(ctx, ch.EnvironmentID, ch.ID); err != nil {
		return err
	}
	j.publishChannel(ch.EnvironmentID, ch.ID)
	j.leave(ctx, ch, channels.Channel{})
	return nil
}

// leave ends what a channel's former credentials began at the messenger, which its present ones may not be able to, and connects
// those anew whose deliveries came by its webhook. The change is made and the caller may be gone. Failure policy: it is logged;
// what is left over at the messenger delivers to nobody, and the health of a channel that gets nothing any more tells so.
func (j *Jobs) leave(ctx context.Context, was *store.Channel, now channels.Channel) {
	mover, is := j.Channels[was.Kind].(channels.Mover)
	if !is || was.AccountID == "" || was.Receive != string(channels.Webhook) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), messengerDeadline)
	defer cancel()
	view, err := j.OpenChannel(ctx, was)
	shared := false
	if err == nil {
		shared, err = mover.Leave(ctx, view, now)
	}
	if err != nil {
		j.Log.Warn("what a channel's former credentials began at the messenger may not be ended",
			slog.String("channel", was.ID.String()), slog.String("kind", was.Kind), slog.Any("error", err))
	}
	if shared {
		j.connectOthers(ctx, was)
	}
}

// connectOthers connects the other channels of a channel's kind again.
func (j *Jobs) connectOthers(ctx context.Context, ch *store.Channel) {
	others, err := j.Store.OtherWebhookChannels(ctx, ch)
	if err != nil {
		j.Log.Error("the channels that shared a webhook were not found", slog.String("channel", ch.ID.String()), slog.Any("error", err))
	}
	for i := range others {
		if err := j.connectOther(ctx, &others[i]); err != nil {
			j.Log.Warn("a channel that shared another one's webhook could not be connected anew",
				slog.String("channel", others[i].ID.String()), slog.String("kind", ch.Kind), slog.Any("error", err))
		}
	}
}

// connectOther has its own time, whatever the ones before have used.
func (j *Jobs) connectOther(ctx context.Context, ch *store.Channel) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), messengerDeadline)
	defer cancel()
	return j.ConnectChannel(ctx, ch, false)
}

func (j *Jobs) publishChannel(environment, id uuid.UUID) {
	j.Hints.Publish(Event{Type: "channel", Environment: environment, ID: id})
}

// newHookSecret makes 43 characters of [A-Za-z0-9_-], as channels.Channel promises.
func newHookSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
