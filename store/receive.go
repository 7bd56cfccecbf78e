package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
)

// Inbound is one event of a channel to be taken in.
type Inbound struct {
	EnvironmentID uuid.UUID
	ChannelID     uuid.UUID
	AccountID     string
	Event         channels.Event
}

// ReceiveOutcome says what became of an Inbound.
type ReceiveOutcome string

// The outcomes of Receive and of notes. All of them are final: the messenger may be answered 2xx.
const (
	Stored  ReceiveOutcome = "stored"
	Repeat  ReceiveOutcome = "repeat"  // was here before
	Dropped ReceiveOutcome = "dropped" // the channel is not active
	Parking ReceiveOutcome = "parked"  // refused for its data; kept raw
	Ignored ReceiveOutcome = "ignored" // about nobody and nothing of ours
)

// Received is what became of one Inbound. Where Err is set nothing was kept and the messenger must send it again.
type Received struct {
	Outcome ReceiveOutcome
	ChatID  uuid.UUID
	Seq     int64
	Opened  bool      // this event opened the chat
	AgentID uuid.UUID // as in Audience, of a stored one
	QueueID uuid.UUID // as in Audience, of a stored one
	// Elsewhere: the event is in an open chat whose conversation another app holds.
	Elsewhere bool
	Err       error
}

// receiver takes a whole slice in. Its slices hold no event twice, no edit beside its own message, and of an album one piece.
type receiver interface {
	// receive answers for each item. With an error nothing was committed, unless it is a partlyStored.
	receive(ctx context.Context, s *Store, items []receiveItem) ([]Received, error)
	// atOnce is how many transactions at once are worth having.
	atOnce() int
	// tell has a watcher told every statement.
	tell(w watcher)
	close() error
}

// partlyStored is the error of a slice of which a part was committed before it: what is Stored in the answers.
type partlyStored struct {
	answers []Received
	err     error
}

func (p *partlyStored) Error() string { return p.err.Error() }
func (p *partlyStored) Unwrap() error { return p.err }

// ReceiversAtOnce is how many calls of Receive at once are worth having: beyond it they only wait for each other.
func (s *Store) ReceiversAtOnce() int { return s.recv.atOnce() }

// receiveItem is an Inbound with the ids it may need; the JSON names are the fields of the type receive_item.
type receiveItem struct {
	Ord           int             `json:"ord"`
	EnvironmentID uuid.UUID       `json:"environment_id"`
	ChannelID     uuid.UUID       `json:"channel_id"`
	AccountID     string          `json:"account_id"`
	UserID        string          `json:"user_id"`
	UserName      string          `json:"user_name"`
	Username      string          `json:"username"`
	Language      string          `json:"language"`
	Phone         string          `json:"phone"`
	Email         string          `json:"email"`
	Kind          string          `json:"kind"`
	EventKey      string          `json:"event_key"`
	MessageKey    *string         `json:"message_key,omitempty"`
	MessageID     *string         `json:"message_id,omitempty"`
	Album         *string         `json:"album,omitempty"`
	ReplyTo       *string         `json:"reply_to,omitempty"`
	Body          string          `json:"body"`
	Attachments   json.RawMessage `json:"attachments,omitempty"`
	Files         []uuid.UUID     `json:"files,omitempty"` // the ids of its attachments' files, one for each
	ProviderAt    *int64          `json:"provider_at,omitempty"`
	Standby       bool            `json:"standby,omitempty"`
	EntryID       uuid.UUID       `json:"entry_id"`
	OpenedID      uuid.UUID       `json:"opened_id,omitzero"` // these four are set by withIDs
	NewIdentity   uuid.UUID       `json:"new_identity,omitzero"`
	NewContact    uuid.UUID       `json:"new_contact,omitzero"`
	NewChat       uuid.UUID       `json:"new_chat,omitzero"`
}

// plain reports whether the item is a text that stands for itself and tells nothing of the customer. Only these ride in PostgreSQL's shortest way in, continueSQL;
// whatever more an item brings needs the general one.
func (i *receiveItem) plain() bool {
	return i.Kind == string(channels.Message) && i.ReplyTo == nil && i.Album == nil && len(i.Attachments) == 0 && !i.Standby &&
		i.Phone == "" && i.Email == ""
}

// withIDs gives the item the ids of what may have to be made for it: a customer's first message makes all of it.
func (i *receiveItem) withIDs() {
	i.OpenedID, i.NewIdentity, i.NewContact, i.NewChat = newID(), newID(), newID(), newID()
}

// Receive takes a slice of events in: identity, contact, chat, timeline and the facts on the chat, all committed when it
// returns. Events of one user are taken in the order of the slice. The answer has one Received for each event, in order; an
// error of the slice is in each of them.
//
// Where the slice as a whole is refused for its data, each event runs alone, and those whose data are refused are parked.
func (s *Store) Receive(ctx context.Context, events []Inbound) []Received {
	out := make([]Received, len(events))
	failed := failures{}
	inRounds, first := rounds(events)
	for _, round := range inRounds {
		items := make([]receiveItem, len(round))
		for i, at := range round {
			items[i] = newReceiveItem(i, events[at])
		}
		for i, r := range s.receiveRound(ctx, items, failed) {
			out[round[i]] = r
		}
	}
	answerRepeats(out, first)
	return out
}

// eventID is what decides a repeat.
type eventID struct {
	channel uuid.UUID
	account string
	key     string
}

func idOf(e *Inbound) eventID { return eventID{e.ChannelID, e.AccountID, e.Event.Key} }

// Sender is a user of a channel: his events are stored in their order.
type Sender struct {
	ChannelID uuid.UUID
	UserID    string
}

// Sender is who did it.
func (e *Inbound) Sender() Sender { return Sender{e.ChannelID, e.Event.User.ID} }

// rounds splits a slice into those that may ride in one transaction: repeats inside the slice are left out, and an edit
// rides in the round after its message. It returns indexes, and of each event the index of the one that it repeats, or its own.
func rounds(events []Inbound) (all [][]int, first []int) {
	seen := make(map[eventID]int, len(events))
	edited := map[eventID]bool{} // messages that an edit has named
	albums := map[eventID]bool{}
	delayed := map[Sender]bool{}
	now, later := make([]int, 0, len(events)), []int(nil)
	first = make([]int, len(events))
	for i := range events {
		e := &events[i]
		id := idOf(e)
		if before, repeat := seen[id]; repeat {
			first[i] = before
			continue
		}
		seen[id], first[i] = i, i
		user := e.Sender()
		message := eventID{e.ChannelID, e.AccountID, e.Event.MessageKey}
		album := eventID{e.ChannelID, e.AccountID, e.Event.Album}
		edit := e.Event.Kind == channels.Edit
		late := delayed[user] || edited[id] || albums[album]
		if edit && !late {
			_, here := seen[message]
			late = here || edited[message]
		}
		// Of what names one message only the first goes now, and the rest must see what it became: an edit of an unknown message
		// becomes that message, and the message itself is then its repeat. So it is with the pieces of an album. Once one event of a
		// user is delayed, his later ones are too: his order stands.
		if late {
			delayed[user] = true
			later = append(later, i)
			continue
		}
		if edit {
			edited[message] = true
		}
		if e.Event.Album != "" {
			albums[album] = true
		}
		now = append(now, i)
	}
	all = append(all, now)
	for _, i := range later {
		all = append(all, []int{i})
	}
	return all, first
}

// answerRepeats fills in the answers of events that were folded into an earlier one of the same slice.
func answerRepeats(out []Received, first []int) {
	for i, at := range first {
		if at == i {
			continue
		}
		out[i] = out[at]
		out[i].Opened = false
		if out[i].Outcome == Stored {
			out[i].Outcome = Repeat
		}
	}
}

// failures has, by user, the error that one of his events in this slice met. His later ones are not stored before it: when all
// come again, his order stands.
type failures map[Sender]error

func (f failures) of(i receiveItem) error { return f[Sender{i.ChannelID, i.UserID}] }

func (f failures) note(i receiveItem, err error) {
	if err != nil {
		f[Sender{i.ChannelID, i.UserID}] = err
	}
}

func (s *Store) receiveRound(ctx context.Context, items []receiveItem, failed failures) []Received {
	var err error
	if len(failed) == 0 {
		var out []Received
		if out, err = s.recv.receive(ctx, s, items); err == nil {
			return out
		}
	}
	out := make([]Received, len(items))
	if part := (*partlyStored)(nil); errors.As(err, &part) {
		out = part.answers
	}
	alone := err == nil || s.d.badData(err) || s.d.deadlock(err)
	for i := range items {
		switch before := failed.of(items[i]); {
		case out[i].Outcome == Stored:
		case before != nil:
			out[i] = Received{Err: before}
		case !alone:
			out[i] = Received{Err: err}
		default:
			out[i] = s.receiveAlone(ctx, items[i])
		}
		failed.note(items[i], out[i].Err)
	}
	return out
}

func (s *Store) receiveAlone(ctx context.Context, item receiveItem) Received {
	item.Ord = 0
	out, err := s.recv.receive(ctx, s, []receiveItem{item})
	if err != nil && (s.d.deadlock(err) || s.d.duplicate(err)) {
		out, err = s.recv.receive(ctx, s, []receiveItem{item})
	}
	switch {
	case err == nil:
		return out[0]
	case s.d.badData(err):
		return s.park(ctx, item, err)
	default:
		return Received{Err: err}
	}
}

// park keeps an event whose data the schema refuses, so that it is visible and can be tried again.
func (s *Store) park(ctx context.Context, item receiveItem, cause error) Received {
	now, err := s.Now(ctx)
	if err != nil {
		return Received{Err: err}
	}
	raw, err := json.Marshal(item)
	if err != nil {
		return Received{Err: fmt.Errorf("park an event: %w", err)}
	}
	key := item.EventKey
	if len(key) > 200 {
		key = key[:200]
	}
	err = s.noteFailure(ctx, s.db, Failure{
		EnvironmentID: item.EnvironmentID, Kind: FailureParked, Subject: SubjectEvent, SubjectKey: item.ChannelID.String() + ":" + chat.Storable(key),
		What: "an incoming message that could not be stored", Error: "the database refuses this message: " + refusal(cause),
		ChannelID: item.ChannelID, Raw: raw,
	}, now)
	if err != nil {
		return Received{Err: fmt.Errorf("park an event: %w", err)}
	}
	return Received{Outcome: Parking}
}

// refusal names the kind of a data error. The database's own text may quote the message.
func refusal(err error) string {
	if c := sqlState(err); c != "" {
		return "SQLSTATE " + c
	}
	return "a constraint failed"
}

func newReceiveItem(ord int, in Inbound) receiveItem {
	e := in.Event
	item := receiveItem{
		Ord: ord, EnvironmentID: in.EnvironmentID, ChannelID: in.ChannelID, AccountID: in.AccountID,
		UserID: chat.Storable(e.User.ID), UserName: chat.Storable(e.User.Name), Username: chat.Storable(e.User.Username),
		Language: chat.Storable(e.User.Language), Phone: chat.Phone(e.User.Phone), Email: chat.Email(e.User.Email),
		Kind: string(e.Kind), EventKey: chat.Storable(e.Key), MessageKey: optional(e.MessageKey), MessageID: optional(e.MessageID),
		Album: optional(e.Album), ReplyTo: optional(e.ReplyTo), Body: chat.Storable(e.Text), Standby: e.Standby,
		EntryID: newID(),
	}
	if item.UserName == "" {
		item.UserName = item.UserID
	}
	if !e.At.IsZero() {
		us := e.At.UnixMicro()
		item.ProviderAt = &us
	}
	if len(e.Attachments) > 0 {
		clean := make([]channels.Attachment, len(e.Attachments))
		for i, a := range e.Attachments {
			a.Kind, a.Name, a.MIME, a.Ref = chat.Storable(a.Kind), chat.Storable(a.Name), chat.Storable(a.MIME), chat.Storable(a.Ref)
			a.ID, a.Phone = chat.Storable(a.ID), chat.Storable(a.Phone)
			clean[i] = a
			item.Files = append(item.Files, newID())
		}
		// Marshalling strings and numbers cannot fail.
		item.Attachments, _ = json.Marshal(clean)
	}
	return item
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	s = chat.Storable(s)
	return &s
}
