package jobs

import (
	"context"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// threadNote is what an event tells about who holds its conversation; ok is false where it tells nothing.
func threadNote(e store.Inbound) (n store.ThreadNote, ok bool) {
	n = store.ThreadNote{
		EnvironmentID: e.EnvironmentID, ChannelID: e.ChannelID, UserID: e.Event.User.ID, Word: chat.Thread{At: e.Event.At},
		AccountID: e.AccountID, Key: e.Event.Key,
	}
	switch c := e.Event.Control; {
	case e.Event.Kind == channels.Control && c.Owner == channels.Asked:
		n.Asked, n.Word.App = true, c.App
	case e.Event.Kind == channels.Control:
		n.Word.Owner, n.Word.App = chat.ThreadOwner(c.Owner), c.App
	case e.Event.Standby:
		n.Word.Owner = chat.ThreadOthers
		if e.Event.Echo != nil {
			n.Word.App = e.Event.Echo.App
		}
	default:
		return n, false
	}
	return n, true
}

// noteThread takes in what an event tells about who holds its conversation, before the event itself: the chat it opens is a
// bot's from its beginning (S3.56). Taking it in again changes nothing.
func (in *Intake) noteThread(ctx context.Context, e store.Inbound) (store.ReceiveOutcome, error) {
	n, ok := threadNote(e)
	if !ok {
		return store.Ignored, nil
	}
	return in.jobs.noteThread(ctx, n)
}

// comeBack notes the conversations that are ours again without a word: what the client writes comes to us, and not on standby,
// once another app's hold has run out. One that cannot be noted must be delivered again.
func (in *Intake) comeBack(ctx context.Context, events []store.Inbound, out []store.Received) {
	for i, r := range out {
		if r.Err != nil || !r.Elsewhere || events[i].Event.Standby {
			continue
		}
		e := events[i]
		_, out[i].Err = in.jobs.noteThread(ctx, store.ThreadNote{
			EnvironmentID: e.EnvironmentID, ChannelID: e.ChannelID, UserID: e.Event.User.ID, Word: chat.Thread{Owner: chat.ThreadOurs, At: e.Event.At},
			Why: "the client's message came to us",
		})
	}
}

// noteThread takes in who holds a conversation, and gives the hints.
func (j *Jobs) noteThread(ctx context.Context, n store.ThreadNote) (store.ReceiveOutcome, error) {
	noted, err := j.Store.NoteThread(ctx, n)
	if err != nil || noted.Chat.ID == uuid.Nil {
		return noted.Outcome, err
	}
	j.ChatChanged(ctx, noted.Changed)
	if noted.Routes {
		j.Hints.Look(Look{At: LookRoute, Environment: n.EnvironmentID})
		j.Hints.Look(Look{At: LookOut, Environment: n.EnvironmentID})
	}
	return noted.Outcome, nil
}
