package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waggle/chat"
	"waggle/crm"
	"waggle/store"
)

// previewLength is how many characters of the last message the chat's record shows.
const previewLength = 100

// records builds the wanted state of a push out of the claimed chats. A parent is part of it only where the CRM was not seen
// to have it as it is now.
type records struct {
	claim  store.PushClaim
	work   *store.PushWork
	public string // our public address, for links to attachments
	push   crm.Push
	// prints has the fingerprint of every record in push but messages, by its id in the CRM.
	prints map[uuid.UUID]string
}

// fingerprint is the same for equal records.
func fingerprint(record any) string {
	raw, _ := json.Marshal(record) // records are plain data
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

// add puts a record into the push, unless the CRM was seen to have it.
func add[T any](r *records, list *[]T, id uuid.UUID, record T, pushed string) {
	print := fingerprint(record)
	if _, twice := r.prints[id]; twice || print == pushed {
		return
	}
	r.prints[id] = print
	*list = append(*list, record)
}

func buildRecords(claim store.PushClaim, work *store.PushWork, public string) *records {
	r := &records{claim: claim, work: work, public: public, prints: map[uuid.UUID]string{}}
	for _, q := range work.Queues {
		record := crm.Queue{ID: q.ID, Name: q.Name, ToAll: q.Rule == chat.ToAllAgents}
		if q.TimeoutMinutes != nil {
			record.TimeoutMinutes = *q.TimeoutMinutes
		}
		add(r, &r.push.Queues, q.ID, record, q.CRMPushed)
	}
	for _, ch := range work.Channels {
		record := crm.Channel{ID: ch.ID, Name: ch.Name, Kind: ch.Kind, QueueID: ch.QueueID, Active: ch.State == chat.ChannelActive}
		add(r, &r.push.Channels, ch.ID, record, ch.CRMPushed)
	}
	for i := range claim.Chats {
		r.addChat(&claim.Chats[i])
	}
	return r
}

func (r *records) addChat(c *store.Chat) {
	contact, identity := r.work.Contacts[c.ContactID], r.work.Identities[c.IdentityID]
	ref := uuid.Nil
	// A contact the CRM refuses is a placeholder: his chats go without him.
	if contact != nil && contact.CRMError == "" {
		ref = contact.CRMRef
		record := crm.Contact{ID: ref, Own: contact.CRMOwn}
		if contact.CRMOwn {
			record.Name, record.Phone, record.Email = contact.Name, contact.Phone, contact.Email
		}
		add(r, &r.push.Contacts, ref, record, contact.CRMPushed)
		if identity != nil && identity.CRMError == "" {
			record := crm.Identity{ID: identity.ID, ContactID: ref, ChannelID: c.ChannelID, ExternalID: identity.ExternalID}
			add(r, &r.push.Identities, identity.ID, record, identity.CRMPushed)
		}
	}
	add(r, &r.push.Chats, c.ID, r.chatRecord(c, ref), c.CRMPushed)
	added := map[uuid.UUID]bool{}
	for _, e := range r.work.Entries[c.ID] {
		m := r.work.Messages[messageOf(e)]
		if m != nil && !added[m.ID] {
			added[m.ID] = true
			r.push.Messages = append(r.push.Messages, r.messageRecord(c, m))
		}
	}
}

// messageOf is the message an entry is, or changes; zero for all others.
func messageOf(e store.PushEntry) uuid.UUID {
	switch e.Kind {
	case chat.EntryMessage:
		return e.ID
	case chat.EntryAddition, chat.EntryEdit:
		return e.TargetID
	default:
		return uuid.Nil
	}
}

// chatRecord is the chat as the CRM shows it: the operator from his assignment on, in progress once he has accepted.
func (r *records) chatRecord(c *store.Chat, contact uuid.UUID) crm.Chat {
	record := crm.Chat{
		ID: c.ID, Name: fmt.Sprintf("Chat-%d", c.Number), Status: crmStatus(c), ContactID: contact, ChannelID: c.ChannelID, QueueID: c.QueueID,
		LastIncoming: c.LastDirection == chat.In, Unprocessed: r.work.Waiting[c.ID],
		StartedAt: c.OpenedAt.Time, AcceptedAt: c.AcceptedAt.Time, ClosedAt: c.ClosedAt.Time, CloseReason: c.CloseReason,
	}
	if a := r.work.Agents[c.AgentID]; a != nil {
		record.OperatorID = a.CRMUserID
	}
	if m := r.work.Messages[r.work.Last[c.ID]]; m != nil {
		record.Preview = preview(m)
	}
	if !c.FirstReplyAt.IsZero() {
		record.FirstReply = c.FirstReplyAt.Sub(c.OpenedAt.Time)
	}
	if !c.ClosedAt.IsZero() {
		record.TotalDuration = c.ClosedAt.Sub(c.OpenedAt.Time)
	}
	return record
}

func crmStatus(c *store.Chat) crm.ChatStatus {
	switch {
	case !c.ClosedAt.IsZero():
		return crm.Completed
	case c.Status() == chat.BotProcessing:
		return crm.BotProcessing
	case c.AgentID != uuid.Nil && !c.AcceptedAt.IsZero():
		return crm.InProgress
	default:
		return crm.Waiting
	}
}

func preview(m *store.PushMessage) string {
	text := m.Text
	if text == "" && len(m.Files) > 0 {
		text = attachmentName(m.Files[0].Name, m.Files[0].Kind)
	}
	if runes := []rune(text); len(runes) > previewLength {
		return string(runes[:previewLength])
	}
	return text
}

func attachmentName(name, kind string) string {
	if name == "" {
		return kind
	}
	return name
}

func (r *records) messageRecord(c *store.Chat, m *store.PushMessage) crm.Message {
	client, channel := "", ""
	if i := r.work.Identities[c.IdentityID]; i != nil {
		client = i.Name
	}
	if ch := r.work.Channels[c.ChannelID]; ch != nil {
		channel = ch.Name
	}
	record := crm.Message{
		ID: m.ID, ChatID: m.ChatID, ChannelID: c.ChannelID, Incoming: m.Direction == chat.In, Text: r.text(m),
		Sender: client, Recipient: channel, CreatedAt: time.UnixMilli(m.CreatedMS).UTC(),
	}
	if !record.Incoming {
		record.Sender, record.Recipient = channel, client
		if a := r.work.Agents[m.AgentID]; a != nil {
			record.Sender = a.Name
		}
	}
	return record
}

// text is a message's text with a line for each attachment, that leads to Waggle and never to the messenger.
func (r *records) text(m *store.PushMessage) string {
	lines := []string{}
	if m.Text != "" {
		lines = append(lines, m.Text)
	}
	for _, f := range m.Files {
		line := attachmentName(f.Name, f.Kind)
		if f.Ref != "" && r.public != "" {
			line += ": " + r.public + MediaPath(f.Entry, f.Index)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// MediaPath is where the attachment with this index of a timeline entry is served, below our public address.
func MediaPath(entry uuid.UUID, index int) string {
	return "/api/v1/media/" + entry.String() + "/" + strconv.Itoa(index)
}
