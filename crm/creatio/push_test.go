package creatio_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/crm"
	"waggle/crm/creatio/creatiotest"
)

// S0.3: the chat stands in OmniChat once; S2.3: every message of both sides,
// once, in order; M.4: the records equal what was pushed.
func TestPush(t *testing.T) {
	everyWay(t, "S0.3 S2.3 M.4 once and in order", func(t *testing.T, b *bench) {
		p := newPush(3)
		for range 3 {
			b.mustPush(p)
			b.requireOnce(p)
		}
		chat := b.site.Chats()[0]
		want := map[string]any{"Id": p.Chats[0].ID.String(), "Name": "Chat-7", "StatusId": creatiotest.StatusWaiting, "ContactId": p.Contacts[0].ID.String(),
			"ChannelId": p.Channels[0].ID.String(), "QueueId": p.Queues[0].ID.String(), "ChatPreview": "message 1", "LastMessageDirection": int64(0),
			"UnprocessedMsgCount": int64(3), "ChatStartDate": "2026-03-01T12:00:00Z", "Conversation": "", "OperatorId": uuid.Nil.String()}
		for column, value := range want {
			assert.Equal(t, value, chat[column], column)
		}
		messages := b.site.Messages(p.Chats[0].ID.String())
		assert.Equal(t, "Incoming", messages[0]["MessageDirection"])
		assert.Equal(t, "Outcoming", messages[1]["MessageDirection"])
		assert.Less(t, messages[1]["CreatedDate"], messages[2]["CreatedDate"])
		assert.Equal(t, creatiotest.ProviderTelegram, b.site.Row("Channel", p.Channels[0].ID.String())["ProviderId"])
		queue := b.site.Row("ChatQueue", p.Queues[0].ID.String())
		assert.Equal(t, "ForFree", b.site.Row("OperatorRoutingRules", queue["OperatorRoutingRuleId"].(string))["Code"])
	})
}

// A chat's life: Operator at assignment, InProgress at accept, another operator
// after a transfer (S0.25), Completed with how it was closed (S0.21, S1.19), and
// open again.
func TestChatLife(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	first, second := b.site.AddUser("A", "pw", false), b.site.AddUser("B", "pw", false)
	p := newPush(1)
	row := func() creatiotest.Row {
		t.Helper()
		b.mustPush(p)
		return b.site.Row("OmniChat", p.Chats[0].ID.String())
	}
	row()
	chat := &p.Chats[0]
	chat.OperatorID = strings.ToUpper(first.ID)
	assigned := row()
	assert.Equal(t, []any{creatiotest.StatusWaiting, first.ID}, []any{assigned["StatusId"], assigned["OperatorId"]})
	chat.Status, chat.AcceptedAt, chat.FirstReply = crm.InProgress, opened.Add(time.Minute), 90*time.Second
	accepted := row()
	assert.Equal(t, []any{creatiotest.StatusInProgress, "2026-03-01T12:01:00Z", int64(90)}, []any{accepted["StatusId"], accepted["AcceptDate"], accepted["FirstReplyTime"]})
	chat.OperatorID = second.ID
	assert.Equal(t, second.ID, row()["OperatorId"], "S0.25 transferred")
	open := *chat
	chat.Status, chat.ClosedAt, chat.CloseReason, chat.TotalDuration = crm.Completed, opened.Add(time.Hour), "No answer from Client", time.Hour
	closed := row()
	assert.Equal(t, []any{creatiotest.StatusCompleted, "2026-03-01T13:00:00Z", "2026-03-01T13:00:00Z", "No answer from Client", int64(60)},
		[]any{closed["StatusId"], closed["CloseDate"], closed["CompletionDate"], closed["Notes"], closed["ChatDuration"]}, "S0.21 S1.19 closed in the CRM too")
	*chat = open
	reopened := row()
	assert.Equal(t, []any{creatiotest.StatusInProgress, "0001-01-01T00:00:00Z", ""}, []any{reopened["StatusId"], reopened["CompletionDate"], reopened["Notes"]})
	chat.OperatorID, chat.Status = "", crm.BotProcessing
	assert.Equal(t, uuid.Nil.String(), row()["OperatorId"], "S3.60 S3.61 a bot holds it")
}

// What is right is left alone; what someone changed in the CRM is corrected;
// an empty phone does not wipe the CRM's.
func TestPushCorrects(t *testing.T) {
	b := setup(t, crm.APIKey, creatiotest.Options{})
	p := newPush(2)
	b.mustPush(p)
	b.site.ForgetCalls()
	p.Contacts[0].Phone = ""
	b.mustPush(p)
	var written []string
	for _, call := range b.site.Calls() {
		for _, op := range call.Ops {
			if op.Method != "GET" && op.Object != "ChatMessages" {
				written = append(written, op.Method+" "+op.Object)
			}
		}
	}
	assert.Empty(t, written)
	assert.Equal(t, "+12025550123", b.site.Row("Contact", p.Contacts[0].ID.String())["MobilePhone"])
	p.Messages[1].Text = "edited"
	p.Contacts[0].Name = "Ann"
	b.mustPush(p)
	b.requireOnce(p)
	assert.Equal(t, "Ann", b.site.Row("Contact", p.Contacts[0].ID.String())["Name"])
}

func TestPushLinksAnExistingContact(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	p := newPush(1)
	existing := uuid.MustParse(b.site.Add("Contact", map[string]any{"Name": "Kept", "Email": "kept@example.com"}))
	p.Contacts[0] = crm.Contact{ID: existing, Name: "Other", Email: "other@example.com"}
	p.Identities[0].ContactID, p.Chats[0].ContactID = existing, existing
	b.mustPush(p)
	assert.Equal(t, "Kept", b.site.Row("Contact", existing.String())["Name"])
	gone := newPush(0)
	gone.Contacts[0].Own = false
	result, err := b.push(gone)
	require.NoError(t, err)
	assert.Equal(t, "the record no longer exists in the CRM", result[gone.Contacts[0].ID].Reason)
	assert.False(t, result[gone.Chats[0].ID].Proven)
}

// A kind Creatio does not know gets one provider of its own name.
func TestChannelProviders(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	for kind, name := range map[string]string{"telegram": "Telegram", "messenger": "Facebook", "x": "x", "custom": "custom"} {
		for range 2 {
			p := newPush(0)
			p.Channels[0].Kind = kind
			b.mustPush(p)
			provider, _ := b.site.Row("Channel", p.Channels[0].ID.String())["ProviderId"].(string)
			assert.Equal(t, name, b.site.Row("ChannelProvider", provider)["Name"])
		}
	}
	assert.Empty(t, b.site.Doubled("ChannelProvider", "Name"))
	b.site.Refuse("Access denied", creatiotest.Inserts("ChannelProvider"))
	p := newPush(0)
	p.Channels[0].Kind = "other"
	b.mustPush(p)
	assert.Equal(t, uuid.Nil.String(), b.site.Row("Channel", p.Channels[0].ID.String())["ProviderId"])
}

// Every way of failing: the records that are proven are there, no other is
// lost, and a repetition brings each once, in order (M.4).
func TestPushThroughFaults(t *testing.T) {
	messages, chats := creatiotest.Inserts("ChatMessages"), creatiotest.Inserts("OmniChat")
	tests := map[string]struct {
		fault func(*creatiotest.Server)
		cause crm.Cause // of the first push; empty: it succeeds
	}{
		"down":                 {func(s *creatiotest.Server) { s.Down() }, crm.Unavailable},
		"500 without a reason": {func(s *creatiotest.Server) { s.Fail(1, 500, creatiotest.Holding(messages)) }, crm.Unavailable},
		"503":                  {func(s *creatiotest.Server) { s.Fail(1, 503, creatiotest.Holding(chats)) }, crm.Unavailable},
		"a $batch crashes": {func(s *creatiotest.Server) {
			s.Crash(1, func(r creatiotest.Request) bool { return strings.HasSuffix(r.Path, "$batch") })
		}, ""},
		"a single call crashes once":    {func(s *creatiotest.Server) { s.Crash(1, creatiotest.Holding(chats)) }, ""},
		"429":                           {func(s *creatiotest.Server) { s.Fail(1, 429, creatiotest.Holding(chats)) }, crm.Limited},
		"login page once":               {func(s *creatiotest.Server) { s.AnswerHTML(1, creatiotest.Holding(chats)) }, ""},
		"login page for ever":           {func(s *creatiotest.Server) { s.AnswerHTML(-1, creatiotest.OData) }, crm.Unavailable},
		"session ended before messages": {func(s *creatiotest.Server) { s.EndSessionAt(1, creatiotest.Holding(messages)) }, ""},
		"session ended before a read":   {func(s *creatiotest.Server) { s.EndSessionAt(1, creatiotest.OData) }, ""},
		"chat done, answer lost":        {func(s *creatiotest.Server) { s.LoseAnswer(1, creatiotest.Holding(chats)) }, crm.Unavailable},
		"messages done, answer lost":    {func(s *creatiotest.Server) { s.LoseAnswer(1, creatiotest.Holding(messages)) }, crm.Unavailable},
		"one answer missing in a batch": {func(s *creatiotest.Server) { s.OmitBatchAnswers(1, messages) }, ""},
		"all answers missing":           {func(s *creatiotest.Server) { s.OmitBatchAnswers(-1, messages) }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			everyWay(t, "M.4", func(t *testing.T, b *bench) {
				b.mustPush(crm.Push{Queues: []crm.Queue{{ID: uuid.New(), Name: "warm"}}})
				p := newPush(5)
				test.fault(b.site)
				result, err := b.push(p)
				if test.cause == "" {
					require.NoError(t, err)
					require.Len(t, result, len(ids(p)))
				} else {
					requireCause(t, test.cause, err)
				}
				for i, m := range p.Messages {
					require.False(t, result[m.ID].Proven && b.site.Row("ChatMessages", m.ID.String()) == nil, "message %d is said to be there", i)
					require.Empty(t, result[m.ID].Reason, "nothing is refused by a fault")
				}
				b.site.Up()
				b.mustPush(p)
				b.requireOnce(p)
			})
		})
	}
}

// Two workers may push one chat at once after a takeover: each record stands
// once, whoever wins (M.4).
func TestPushesAtOnce(t *testing.T) {
	everyWay(t, "M.4 two workers", func(t *testing.T, b *bench) {
		p := newPush(20)
		var pushes sync.WaitGroup
		for range 8 {
			pushes.Go(func() {
				result, err := b.push(p)
				assert.NoError(t, err)
				for _, id := range ids(p) {
					assert.True(t, result[id].Proven, result[id].Reason)
				}
			})
		}
		pushes.Wait()
		assert.ElementsMatch(t, wantedTexts(p), b.texts())
		assert.Len(t, b.site.Chats(), 1)
		assert.Len(t, b.site.Rows("Channel"), 1)
	})
}

// A refused record has a reason without its text, and does not stop the others;
// no later message overtakes an earlier one.
func TestPushRefusedRecord(t *testing.T) {
	everyWay(t, "M.4 refused record", func(t *testing.T, b *bench) {
		p := newPush(4)
		b.site.Refuse("Rule 7 forbids message 2 here", func(op creatiotest.Op) bool { return op.Body["Message"] == "message 2" })
		result, err := b.push(p)
		require.NoError(t, err)
		outcome := result[p.Messages[1].ID]
		assert.False(t, outcome.Proven)
		assert.Equal(t, "the CRM refused the record (HTTP 400): Rule 7 forbids … here", outcome.Reason)
		assert.Equal(t, []string{"message 1", "message 3", "message 4"}, b.texts())
		assert.Len(t, result, len(ids(p)))
		b.site.Up()
		b.mustPush(p)
		assert.Len(t, b.texts(), 4, "redriven")
	})
}

// A record that crashes the site again and again is refused, and stops neither
// the other records nor the environment.
func TestPushCrashingRecord(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	p := newPush(4)
	b.site.Crash(-1, creatiotest.Holding(func(op creatiotest.Op) bool { return op.Body["Message"] == "message 2" }))
	result, err := b.push(p)
	require.NoError(t, err)
	assert.Contains(t, result[p.Messages[1].ID].Reason, "An error has occurred")
	assert.Equal(t, []string{"message 1", "message 3", "message 4"}, b.texts())
}

func TestPushRefusedByTheDatabase(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{})
	p := newPush(1)
	p.Identities[0].ExternalID = strings.Repeat("9", 51)
	p.Messages[0].Sender = strings.Repeat("ж", 60)
	p.Chats[0].OperatorID = "nobody"
	orphan := p.Messages[0]
	orphan.ID, orphan.ChatID = uuid.New(), uuid.New()
	p.Messages = []crm.Message{orphan}
	result, err := b.push(p)
	require.NoError(t, err)
	assert.Contains(t, result[p.Identities[0].ID].Reason, "would be truncated in table 'ContactIdentity'")
	assert.Contains(t, result[p.Chats[0].ID].Reason, "OperatorId")
	assert.Contains(t, result[orphan.ID].Reason, "FOREIGN KEY")
	assert.True(t, result[p.Contacts[0].ID].Proven)
}

func TestPushOfMany(t *testing.T) {
	b := setup(t, crm.OAuth, creatiotest.Options{Framework: true})
	p := newPush(250)
	for i := range 60 {
		chat := p.Chats[0]
		chat.ID, chat.Name = uuid.New(), fmt.Sprintf("Chat-%d", i)
		p.Chats = append(p.Chats, chat)
	}
	b.mustPush(p)
	b.requireOnce(p)
	for _, call := range b.site.Calls() {
		assert.LessOrEqual(t, len(call.Ops), 100)
	}
	b.site.ForgetCalls()
	b.mustPush(p)
	b.requireOnce(p)
	assert.Less(t, len(b.site.Calls()), 40, "a repetition reads in bulk")
}

func TestPushWithoutBatch(t *testing.T) {
	for _, framework := range []bool{true, false} {
		now := time.Now()
		b := setup(t, crm.Login, creatiotest.Options{Framework: framework, NoBatch: true, Now: func() time.Time { return now }})
		batches := func() (n int) {
			for _, call := range b.site.Calls() {
				if strings.HasSuffix(call.Path, "$batch") {
					n++
				}
			}
			return n
		}
		p := newPush(3)
		b.mustPush(p)
		b.requireOnce(p)
		b.mustPush(newPush(3))
		assert.Equal(t, 1, batches(), "asked once and remembered")
		now = now.Add(10 * time.Minute)
		b.mustPush(newPush(3))
		assert.Equal(t, 2, batches(), "for a while")
	}
}

func TestPushToAHiddenObject(t *testing.T) {
	b := setup(t, crm.Login, creatiotest.Options{Hidden: []string{"ContactIdentity"}})
	p := newPush(1)
	result, err := b.push(p)
	assert.Contains(t, requireCause(t, crm.Unavailable, err).Reason, "ContactIdentity")
	assert.True(t, result[p.Contacts[0].ID].Proven, "the result is valid beside the error")
}
