package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// channelHealth shows that the channel sends, and lets all its lanes wait where a limit holds for all of them.
func (j *Jobs) channelHealth(ctx context.Context, send *store.Send, err *channels.Error, o store.PartOutcome) (failed error) {
	ch := send.Channel
	var news bool
	switch {
	case err == nil:
		if !ch.SendingOK || !ch.SendRetryAt.IsZero() {
			news, failed = j.Store.SendingWorks(ctx, &ch, send.At)
		}
	case o.State == chat.PartPlanned && err.WholeChannel:
		why := ""
		if err.At.IsZero() && send.Part.Attempts >= troubleAfter { // a limit with an end is no trouble
			why = o.Reason
		}
		news, failed = j.postpone(ctx, &ch, o.Wait, why)
	}
	if news {
		j.Hints.Publish(Event{Type: "channel", Environment: ch.EnvironmentID, ID: ch.ID})
	}
	return failed
}

// channelBroken shows that the channel cannot send, and why. It is not waited for: what waits fails with the same reason, and the
// next message is a new try.
func (j *Jobs) channelBroken(ctx context.Context, send *store.Send, err *channels.Error) error {
	if err == nil || !cannotSend(err.Outcome) {
		return nil
	}
	ch := send.Channel
	news, failed := j.Store.SendingBroken(ctx, &ch, send.At, err.Reason)
	if news {
		j.tellCannotSend(&ch, err.Reason)
	}
	return failed
}

// channelRests lets all lanes of a channel wait where a send was the last one that a limit allows for now.
func (j *Jobs) channelRests(ctx context.Context, send *store.Send, sent channels.Sent) error {
	wait := time.Until(sent.Rest)
	if wait <= 0 {
		return nil
	}
	_, err := j.postpone(ctx, &send.Channel, wait, "")
	return err
}

// postpone keeps a channel's lanes for a while. Where agents would notice, they are told when their messages are expected to go.
func (j *Jobs) postpone(ctx context.Context, ch *store.Channel, wait time.Duration, why string) (news bool, err error) {
	p, err := j.Store.PostponeSends(ctx, ch, wait, why)
	if err != nil || wait < longestRetry || len(p.Chats) == 0 {
		return p.Health, err
	}
	audiences, err := j.Store.Audiences(ctx, p.Chats)
	for _, a := range audiences {
		j.Hints.Publish(audienceEvent(a, Event{Type: "message", ChatID: a.ChatID, Detail: string(chat.MessageAccepted), ExpectedAt: p.Until}))
	}
	return p.Health, err
}

// customerTakes keeps what a send told about whether the customer takes messages, and shows it in his chat.
func (j *Jobs) customerTakes(ctx context.Context, send *store.Send, took, blocked bool) error {
	if !blocked && (!took || send.User.BlockedAt.IsZero()) {
		return nil
	}
	news, err := j.Store.SetBlocked(ctx, send, blocked)
	if news {
		j.PublishChats(ctx, []uuid.UUID{send.Lane.ChatID})
	}
	return err
}

// cannotSend tells an end that the administrator must do something about.
func cannotSend(o channels.Outcome) bool {
	return o == channels.Broken || o == channels.Refused || o == channels.Foreign
}
