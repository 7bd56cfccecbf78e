package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

const (
	wishesAtOnce    = 16 // conversations that are asked about side by side by one claim
	wishesPerRoute  = 4  // of these of one channel: a messenger that hangs keeps few of them
	wishTries       = 10 // after which a messenger that gives no clear answer is not asked any more
	askedSilentBot  = "another app leaves the client unanswered: we asked it for the conversation"
	tookSilentBot   = "another app left the client unanswered"
	silentBotStays  = "another app leaves the client unanswered, and the messenger neither lets us take the conversation nor ask for it: "
	wishUnavailable = time.Minute // how long a channel that cannot send is left alone
)

// silentBots wishes back the conversations whose other app has left the client unanswered for the environment's period; our own
// outages count as nobody's silence.
func (j *Jobs) silentBots(ctx context.Context, e store.Environment, before time.Time) error {
	if before.IsZero() || e.BotTimeout() == 0 {
		return nil
	}
	for ctx.Err() == nil {
		n, err := j.Store.WishSilentBots(ctx, e.ID, before, batch)
		if n > 0 {
			j.Hints.Look(Look{At: LookThreads, Environment: e.ID})
		}
		j.Metrics.Affected.WithLabelValues("silent bot").Add(float64(n))
		if err != nil || n < batch {
			return err
		}
	}
	return ctx.Err()
}

// Threads asks the messengers what is wished about conversations: back from bots that are silent, released where the chat is
// closed. It returns how many wishes it leased. Any number may run at once.
func (j *Jobs) Threads(ctx context.Context) (int, error) {
	wishes, err := j.Store.ClaimWishes(ctx, wishesAtOnce, wishesPerRoute, j.lease())
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(wishes))
	var all sync.WaitGroup
	for i, w := range wishes {
		all.Go(func() { errs[i] = j.ask(context.WithoutCancel(ctx), w) })
	}
	all.Wait()
	return len(wishes), errors.Join(errs...)
}

// ask asks for one wish. Failure policy: each of these calls may be repeated, so what gave no clear answer is asked again, rarer
// and rarer, wishTries times; a refusal is final. A conversation that cannot be taken is asked for, once. If all fails the chat
// stays the bot's, and its timeline and the administrators' alert say so; one that is not released is nobody's after a day.
func (j *Jobs) ask(ctx context.Context, w store.ThreadWish) error {
	t, err := j.shared(ctx, &w.Chat)
	switch {
	case w.Moot, errors.Is(err, ErrNoThreads), errors.Is(err, store.ErrConflict):
		return j.Store.ForgetWish(ctx, w)
	case err != nil:
		return fmt.Errorf("ask about the conversation of chat %s: %w", w.Chat.ID, err)
	}
	action := ThreadAction(w.Chat.ThreadWish)
	n, err := j.changeThread(ctx, t, action, "", j.sendDeadline())
	if err == nil {
		n.Why = tookSilentBot
		if action == ThreadRelease {
			n.Why = "the chat was closed"
		}
		_, err = j.noteThread(ctx, n)
		return errors.Join(err, j.Store.ForgetWish(ctx, w))
	}
	if refusedThread(err) && action == ThreadTake {
		if _, err = j.changeThread(ctx, t, ThreadRequest, "", j.sendDeadline()); err == nil {
			return errors.Join(j.noteAsking(ctx, &w.Chat, uuid.Nil, askedSilentBot), j.Store.ForgetWish(ctx, w))
		}
	}
	return j.askFailed(ctx, w, err)
}

func refusedThread(err error) bool {
	return channels.AsError(err).Outcome == channels.Permanent
}

// askFailed puts a wish off, or gives it up.
func (j *Jobs) askFailed(ctx context.Context, w store.ThreadWish, err error) error {
	e := channels.AsError(err)
	j.Log.Warn("a conversation could not be changed at its messenger", "environment", w.Chat.EnvironmentID, "channel", w.Chat.ChannelID,
		"chat", w.Chat.ID, "wish", w.Chat.ThreadWish, "try", w.Chat.ThreadTries, "outcome", e.Outcome, "reason", e.Reason, "error", err)
	if e.Outcome != channels.Permanent && w.Chat.ThreadTries < wishTries {
		wait := wishUnavailable
		if e.Outcome == channels.RetryAt || e.Outcome == channels.Unknown {
			wait = retryWait(e.At, w.Chat.ThreadTries)
		}
		return j.Store.PutOffWish(ctx, w, wait)
	}
	if w.Chat.ThreadWish == chat.WishTake {
		j.Hints.Publish(Event{Type: "alert", Environment: w.Chat.EnvironmentID, ID: w.Chat.ID, Detail: fmt.Sprintf("chat %d: %s%s", w.Chat.Number, silentBotStays, e.Reason)})
		if err := j.noteAsking(ctx, &w.Chat, uuid.Nil, silentBotStays+e.Reason); err != nil {
			return err
		}
	}
	return j.Store.ForgetWish(ctx, w)
}

// threadAfterSend notes what the end of a send tells about its conversation: the messenger kept it from us for another app, or
// who answered what was nobody's has it now. Failure policy: it is logged; the next send, or the client's next message, tells it
// again.
func (j *Jobs) threadAfterSend(ctx context.Context, send *store.Send, failure *channels.Error) {
	word := chat.Thread{At: send.At}
	switch {
	case failure != nil && failure.Outcome == channels.Elsewhere:
		word.Owner = chat.ThreadOthers
	case failure == nil && send.User.Thread == chat.ThreadNobodys:
		word.Owner = chat.ThreadOurs
	default:
		return
	}
	_, err := j.noteThread(ctx, store.ThreadNote{EnvironmentID: send.Lane.EnvironmentID, ChannelID: send.Channel.ID, UserID: send.User.ExternalID, Word: word})
	if err != nil {
		j.Log.Warn("who holds a conversation could not be noted after a send", "environment", send.Lane.EnvironmentID, "chat", send.Lane.ChatID, "error", err)
	}
}
