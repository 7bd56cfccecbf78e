package jobs

import (
	"context"
	"sync"

	"waggle/channels"
	"waggle/store"
)

const profilesAtOnce = 16

// Profiles asks messengers whose messages carry no names for those of new customers. It returns how many it asked for. No message
// waits for it; any number may run at once.
func (j *Jobs) Profiles(ctx context.Context) (int, error) {
	due, err := j.Store.ClaimProfiles(ctx, kindsThat[channels.Profiles](j), profilesAtOnce)
	if err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	for i := range due {
		all.Go(func() { j.askProfile(ctx, &due[i]) })
	}
	all.Wait()
	return len(due), nil
}

// askProfile asks for one name. Failure policy: a messenger that cannot be asked now is asked again later, a few times; then the
// customer goes by his id.
func (j *Jobs) askProfile(ctx context.Context, who *store.Identity) {
	user, err := j.profile(ctx, who)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		e := channels.AsError(err)
		j.Metrics.Errors.WithLabelValues("profile", string(e.Outcome)).Inc()
		j.Log.Info("a customer's name is not known yet", "environment", who.EnvironmentID, "channel", who.ChannelID, "identity", who.ID, "try", who.ProfileTries, "error", err)
		return
	}
	chats, err := j.Store.NoteProfile(ctx, who, user)
	if err != nil {
		j.Log.Error("a customer's name was not kept; it is asked for again", "environment", who.EnvironmentID, "identity", who.ID, "error", err)
		return
	}
	if len(chats) > 0 {
		j.Hints.Look(Look{At: LookCRM, Environment: who.EnvironmentID})
		j.PublishChats(ctx, chats)
	}
}

func (j *Jobs) profile(ctx context.Context, who *store.Identity) (channels.User, error) {
	ctx, cancel := context.WithTimeout(ctx, messengerDeadline)
	defer cancel()
	ch, err := j.Store.Channel(ctx, who.EnvironmentID, who.ChannelID)
	if err != nil {
		return channels.User{}, err
	}
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return channels.User{}, err
	}
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return channels.User{}, err
	}
	return adapter.(channels.Profiles).Profile(ctx, view, who.ExternalID)
}
