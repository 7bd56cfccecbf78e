package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// ThreadAction is what somebody asks of the messenger about a conversation that several apps share.
type ThreadAction string

// The actions. Take makes us the owner, Pass another app, Request asks the owner to pass it to us, Release leaves it to whoever
// answers first.
const (
	ThreadTake    ThreadAction = "take"
	ThreadPass    ThreadAction = "pass"
	ThreadRequest ThreadAction = "request"
	ThreadRelease ThreadAction = "release"
)

// ErrNoThreads: on this kind of channel no other app may hold a conversation (S3.57).
var ErrNoThreads = errors.New("on this kind of channel no other app may hold a conversation")

// ChangeThread asks the messenger for an action on an open chat's conversation, once, and notes what came of it. by is the agent
// who asks, zero an administrator: what an agent takes from a bot is his if he has room, otherwise it is routed. Errors:
// ErrNoThreads, store.ErrConflict with the reason where the chat or its channel does not allow it, *channels.Error with the
// messenger's reason.
func (j *Jobs) ChangeThread(ctx context.Context, c *store.Chat, action ThreadAction, app string, by uuid.UUID) error {
	shared, err := j.shared(ctx, c)
	if err != nil {
		return err
	}
	switch {
	case !c.ClosedAt.IsZero():
		return fmt.Errorf("the chat is closed: %w", store.ErrConflict)
	case by != uuid.Nil && by != c.AgentID && !c.Elsewhere():
		return fmt.Errorf("nobody has the chat; accept it first: %w", store.ErrConflict)
	}
	n, err := j.changeThread(ctx, shared, action, app, messengerDeadline)
	if err != nil {
		return err
	}
	n.By = by
	if action == ThreadTake {
		n.Gets = by
	}
	// The messenger has done it: a caller who hung up must not leave the chat behind.
	ctx = context.WithoutCancel(ctx)
	if action == ThreadRequest {
		return j.noteAsking(ctx, c, by, "we asked for the conversation")
	}
	_, err = j.noteThread(ctx, n)
	return err
}

// sharedThread is a conversation with what it takes to ask about it.
type sharedThread struct {
	chat    *store.Chat
	adapter channels.Threads
	channel channels.Channel
	userID  string
}

func (j *Jobs) shared(ctx context.Context, c *store.Chat) (sharedThread, error) {
	ch, err := j.Store.Channel(ctx, c.EnvironmentID, c.ChannelID)
	if err != nil {
		return sharedThread{}, err
	}
	adapter, ok := j.Channels[ch.Kind].(channels.Threads)
	if !ok {
		return sharedThread{}, ErrNoThreads
	}
	if ch.State != chat.ChannelActive {
		return sharedThread{}, fmt.Errorf("the channel %q is not Active; an administrator connects it first: %w", ch.Name, store.ErrConflict)
	}
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return sharedThread{}, err
	}
	user, err := j.Store.ExternalID(ctx, c.EnvironmentID, c.IdentityID)
	return sharedThread{chat: c, adapter: adapter, channel: view, userID: user}, err
}

// changeThread makes one call, inside a deadline, and returns the word that follows from it. The word is as old as the call's
// beginning: what the messenger told since counts more.
func (j *Jobs) changeThread(ctx context.Context, t sharedThread, action ThreadAction, app string, deadline time.Duration) (store.ThreadNote, error) {
	began, err := j.Store.Unmoved(ctx)
	if err != nil {
		return store.ThreadNote{}, err
	}
	n := store.ThreadNote{EnvironmentID: t.chat.EnvironmentID, ChannelID: t.chat.ChannelID, UserID: t.userID, Word: chat.Thread{At: began}}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	switch action {
	case ThreadTake:
		n.Word.Owner, err = chat.ThreadOurs, t.adapter.Take(ctx, t.channel, t.userID)
	case ThreadPass:
		n.Word.Owner, n.Word.App, err = chat.ThreadOthers, app, t.adapter.Pass(ctx, t.channel, t.userID, app)
	case ThreadRequest:
		err = t.adapter.Request(ctx, t.channel, t.userID)
	case ThreadRelease:
		n.Word.Owner, err = chat.ThreadNobodys, t.adapter.Release(ctx, t.channel, t.userID)
	default:
		return n, fmt.Errorf("there is no action %q on a conversation", action)
	}
	if err != nil {
		return n, channels.AsError(err)
	}
	return n, nil
}

// noteAsking writes into a chat's timeline what we asked of the app that holds its conversation.
func (j *Jobs) noteAsking(ctx context.Context, c *store.Chat, by uuid.UUID, what string) error {
	changed, err := j.Store.NoteAsking(ctx, c.EnvironmentID, c.ID, by, what)
	_, err = j.did(ctx, changed, err)
	return err
}
