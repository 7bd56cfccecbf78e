package creatio

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waggle/crm"
)

// Ids that are the same on every Creatio site (wire/creatio.md §5).
var statusIDs = map[crm.ChatStatus]uuid.UUID{
	crm.Waiting:       uuid.MustParse("79bccffa-8c8b-4863-b376-a69d2244182b"),
	crm.InProgress:    uuid.MustParse("81737bdd-60c7-4ef7-bb75-52c53d5c38c1"),
	crm.Completed:     uuid.MustParse("a1b0184b-0a54-4a47-ba08-a5772105d3b2"),
	crm.BotProcessing: uuid.MustParse("b05fbf72-69ed-41a7-be7c-af3ec13b08c7"),
}

var providerIDs = map[string]uuid.UUID{
	"telegram":  uuid.MustParse("645170ab-c67a-4dcc-9def-c0e5236bdfe0"),
	"messenger": uuid.MustParse("50491c6c-d82b-4b86-b38c-99262d11a5ac"),
	"whatsapp":  uuid.MustParse("1398dc73-b428-4e21-b97a-c1bb6b4bc621"),
}

// Directions of messages: the text of ChatMessages and the number of OmniChat
// (wire/creatio.md §6 names Outcoming; the numbers are UNVERIFIED).
const (
	incoming, incomingCode = "Incoming", 0
	outgoing, outgoingCode = "Outcoming", 1
)

// shortText is the longest text of a ShortText column, in characters.
const shortText = 50

// record is one row in its wanted state. Values are string, int, bool,
// uuid.UUID and time.Time; a zero id or time is an empty column. A nil map of
// fields only demands that the row exists.
type record struct {
	id     uuid.UUID
	object string
	fields map[string]any
}

func queueRecord(q crm.Queue, rule uuid.UUID) record {
	fields := map[string]any{"Name": q.Name, "ChatTimeout": q.TimeoutMinutes}
	if rule != uuid.Nil {
		fields["OperatorRoutingRuleId"] = rule
	}
	return record{q.ID, "ChatQueue", fields}
}

func channelRecord(c crm.Channel, provider uuid.UUID) record {
	return record{c.ID, "Channel", map[string]any{"Name": c.Name, "ProviderId": provider, "ChatQueueId": c.QueueID, "IsActive": c.Active}}
}

// contactRecord leaves out an empty phone and e-mail, so that what someone
// entered in the CRM is not wiped.
func contactRecord(c crm.Contact) record {
	if !c.Own {
		return record{c.ID, "Contact", nil}
	}
	fields := map[string]any{"Name": c.Name}
	if c.Phone != "" {
		fields["MobilePhone"] = c.Phone
	}
	if c.Email != "" {
		fields["Email"] = c.Email
	}
	return record{c.ID, "Contact", fields}
}

func identityRecord(i crm.Identity) record {
	return record{i.ID, "ContactIdentity", map[string]any{"ContactId": i.ContactID, "ChannelId": i.ChannelID, "ChannelIdentity": i.ExternalID}}
}

// chatRecord never names Conversation, which belongs to Creatio. How the chat
// was closed stands in Notes, because OmniChat has no column for it.
// FirstReplyTime is in seconds, ChatDuration in minutes. CompletionDate is the
// actual end and CloseDate the one by timeout; both are set, because reports
// read either.
func chatRecord(c crm.Chat) record {
	direction := outgoingCode
	if c.LastIncoming {
		direction = incomingCode
	}
	return record{c.ID, "OmniChat", map[string]any{
		"Name": c.Name, "Notes": c.CloseReason, "StatusId": statusIDs[c.Status], "ContactId": c.ContactID, "ChannelId": c.ChannelID,
		"QueueId": c.QueueID, "OperatorId": operator(c.OperatorID), "ChatPreview": c.Preview, "LastMessageDirection": direction,
		"UnprocessedMsgCount": c.Unprocessed, "FirstReplyTime": int(c.FirstReply / time.Second),
		"ChatDuration": int(c.TotalDuration / time.Minute), "ChatStartDate": c.StartedAt, "AcceptDate": c.AcceptedAt,
		"CloseDate": c.ClosedAt, "CompletionDate": c.ClosedAt,
	}}
}

// operator keeps what is no id as it is, so that the site refuses it with a
// reason.
func operator(id string) any {
	if id == "" {
		return uuid.Nil
	}
	if parsed, err := uuid.Parse(id); err == nil {
		return parsed
	}
	return id
}

// messageRecord keeps the columns' limits: Sender and Recipient are short
// texts, Message is unlimited. CreatedDate orders the messages of a chat.
func messageRecord(m crm.Message) record {
	direction := outgoing
	if m.Incoming {
		direction = incoming
	}
	return record{m.ID, "ChatMessages", map[string]any{
		"OmniChatId": m.ChatID, "ChannelId": m.ChannelID, "MessageDirection": direction, "Message": m.Text,
		"Sender": shortened(m.Sender), "Recipient": shortened(m.Recipient),
		"Timestamp": strconv.FormatInt(m.CreatedAt.UnixMilli(), 10), "CreatedDate": m.CreatedAt,
	}}
}

func shortened(s string) string {
	if runes := []rune(s); len(runes) > shortText {
		return string(runes[:shortText])
	}
	return s
}

// inserted is the body that creates the record. Empty columns are left out.
func (r record) inserted() map[string]any {
	body := map[string]any{"Id": r.id.String()}
	for key, value := range r.fields {
		if v := onWire(value); v != nil {
			body[key] = v
		}
	}
	return body
}

// differences is the body that corrects the row; empty if the row is right. An
// emptied column is null.
func (r record) differences(have row) map[string]any {
	body := map[string]any{}
	for key, value := range r.fields {
		if !same(value, have[key]) {
			body[key] = onWire(value)
		}
	}
	return body
}

func onWire(value any) any {
	switch v := value.(type) {
	case uuid.UUID:
		if v == uuid.Nil {
			return nil
		}
		return v.String()
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return value
}

// same compares a wanted value with what the site shows. It knows an empty
// lookup as the zero GUID, an empty date as the year 1 (wire/creatio.md §3),
// numbers as text (IEEE754Compatible), and dates to the millisecond.
func same(want, have any) bool {
	text, _ := have.(string)
	switch w := want.(type) {
	case uuid.UUID:
		id, err := uuid.Parse(text)
		return err == nil && id == w || text == "" && w == uuid.Nil
	case time.Time:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || at.Year() <= 1 {
			return w.IsZero()
		}
		return at.Truncate(time.Millisecond).Equal(w.Truncate(time.Millisecond))
	case int:
		if number, ok := have.(json.Number); ok {
			text = number.String()
		}
		return text == strconv.Itoa(w) || text == "" && w == 0
	case bool:
		b, _ := have.(bool)
		return b == w
	case string:
		return text == w
	}
	return false
}

// columns names every column that the records of one object want, and Id.
func columns(records []record) string {
	keys := map[string]bool{"Id": true}
	for _, r := range records {
		for key := range r.fields {
			keys[key] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(keys)), ",")
}
