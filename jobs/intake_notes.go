package jobs

import (
	"context"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

// takeNotes commits what a messenger reports beside words: about what was sent to a customer, about whether he takes
// messages, about who holds the conversation. Each note is one transaction, and taking it in again changes nothing: after an
// error all of the delivery comes again. One about somebody or something that is not ours is ignored and counted.
func (in *Intake) takeNotes(ctx context.Context, ch *store.Channel, events []channels.Event) (Taken, error) {
	var total Taken
	for _, e := range inbound(ch, events) {
		outcome, err := in.note(ctx, ch.Kind, e)
		if err != nil {
			return Taken{}, err
		}
		switch outcome {
		case store.Stored:
			total.Stored++
		case store.Repeat:
			total.Repeats++
		case store.Dropped:
			total.Dropped++
		default:
			total.Ignored++
		}
		if outcome != store.Ignored { // those are counted by the caller
			in.jobs.Metrics.Received.WithLabelValues(ch.Kind, string(outcome)).Inc()
		}
	}
	if total.Dropped > 0 {
		in.uses.add(store.ChannelUse{Channel: ch.ID, Dropped: int64(total.Dropped)})
	}
	return total, nil
}

// note commits one event that is no word.
func (in *Intake) note(ctx context.Context, kind string, e store.Inbound) (store.ReceiveOutcome, error) {
	thread, err := in.noteThread(ctx, e)
	if err != nil {
		return "", err
	}
	switch e.Event.Kind {
	case channels.Control:
		return thread, nil
	case channels.Receipt:
		return in.noteReceipt(ctx, e)
	case channels.Echo:
		return in.noteEcho(ctx, kind, e)
	case channels.Block, channels.Unblock:
		return in.noteBlock(ctx, e)
	default:
		return store.Ignored, nil
	}
}

// noteReceipt brings what was sent as far as the messenger says it has come.
func (in *Intake) noteReceipt(ctx context.Context, e store.Inbound) (store.ReceiveOutcome, error) {
	outcome, settled, err := in.jobs.Store.NoteReceipt(ctx, e)
	if err == nil {
		in.tellAllSettled(e, settled)
	}
	return outcome, err
}

// noteEcho takes in a message of the account itself: the proof of one of ours, or what somebody wrote elsewhere.
func (in *Intake) noteEcho(ctx context.Context, kind string, e store.Inbound) (store.ReceiveOutcome, error) {
	adapter, err := in.jobs.adapter(kind)
	if err != nil {
		return "", err
	}
	outcome, echoed, err := in.jobs.Store.NoteEcho(ctx, e, adapter.Describe().Capabilities.Receipts)
	if err != nil {
		return outcome, err
	}
	if in.tellAllSettled(e, echoed.Settled); len(echoed.Settled) > 0 {
		in.jobs.Hints.Look(Look{At: LookOut, Environment: e.EnvironmentID}) // its lane may have waited for the proof
	}
	if echoed.Written != uuid.Nil {
		in.jobs.tellWritten(ctx, e.EnvironmentID, echoed.Written)
	}
	return outcome, nil
}

func (in *Intake) tellAllSettled(e store.Inbound, settled []store.Settled) {
	for _, m := range settled {
		in.jobs.tellSettled(e.EnvironmentID, m)
	}
}

// noteBlock keeps whether the customer takes messages, and tells who sees his chat.
func (in *Intake) noteBlock(ctx context.Context, e store.Inbound) (store.ReceiveOutcome, error) {
	outcome, chatID, err := in.jobs.Store.NoteBlock(ctx, e)
	if err == nil && chatID != uuid.Nil {
		in.jobs.PublishChats(ctx, []uuid.UUID{chatID})
	}
	return outcome, err
}
