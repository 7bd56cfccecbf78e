package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/crm"
	"waggle/store"
)

func down() *crm.Error { return &crm.Error{Cause: crm.Unavailable, Reason: "the CRM answers 500"} }

func (w *laneWorld) requireTexts(chatID uuid.UUID, want ...string) {
	w.Helper()
	require.Equal(w, want, w.crm.texts(chatID))
}

// becomes changes a chat as an agent's action would.
func (w *laneWorld) becomes(chatID uuid.UUID, what string, args ...any) {
	w.Helper()
	now, err := w.store.Unmoved(w.ctx)
	require.NoError(w, err)
	_, err = w.db.NewUpdate().Table("chats").Set(what, args...).Set("crm_version = crm_version + 1").Set("crm_due_at = coalesce(crm_due_at, ?)", store.At(now)).
		Where("id = ?", chatID).Exec(w.ctx)
	require.NoError(w, err)
}

func TestPushBringsTheWholeHistoryOnceInOrder_S2_3(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.writes(w.channel, "ann", "anyone?")
		w.replies(id, "good day")
		w.writes(w.channel, "ann", "thanks")
		require.Equal(w, 1, w.push(w.env))
		w.requireTexts(id, "hello", "anyone?", "good day", "thanks")

		messages := w.crm.messages(id)
		for i := 1; i < len(messages); i++ {
			require.GreaterOrEqual(w, messages[i].CreatedAt.Sub(messages[i-1].CreatedAt), time.Millisecond)
		}
		require.Equal(w, []bool{true, true, false, true}, []bool{messages[0].Incoming, messages[1].Incoming, messages[2].Incoming, messages[3].Incoming})
		require.Equal(w, "Ann ann", messages[0].Sender)
		require.Equal(w, "Ann ann", messages[2].Recipient)

		record := w.crm.chat(id)
		require.Equal(w, crm.Waiting, record.Status)
		require.Equal(w, "thanks", record.Preview)
		require.Equal(w, 1, record.Unprocessed)
		require.True(w, record.LastIncoming)
		require.NotZero(w, record.ContactID)
		first := w.crm.pushes[0]
		require.Len(w, first.Channels, 1)
		require.Len(w, first.Contacts, 1)
		require.Len(w, first.Identities, 1)

		require.Zero(w, w.push(w.env), "nothing is pushed twice")
		w.writes(w.channel, "ann", "bye")
		w.push(w.env)
		last := w.crm.pushes[len(w.crm.pushes)-1]
		require.Empty(w, last.Channels, "parents the CRM has are left alone")
		require.Empty(w, last.Contacts)
		require.Len(w, last.Messages, 1)

		w.set("chats", "crm_seq = 0, crm_pushed = '', crm_due_at = 1")
		w.push(w.env)
		require.Equal(w, messages, w.crm.messages(id)[:4], "repeated, each record is what it was")
	})
}

func TestPushFinalTextsAndAttachments(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		ch, err := w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		event := func(kind channels.EventKind, key, target, text string, files ...channels.Attachment) store.Received {
			out := w.store.Receive(w.ctx, []store.Inbound{{EnvironmentID: w.env, ChannelID: w.channel, AccountID: ch.AccountID, Event: channels.Event{
				Kind: kind, Key: key, MessageKey: target, MessageID: "1", Text: text, Attachments: files, User: channels.User{ID: "ann"},
			}}})
			require.NoError(w, out[0].Err)
			return out[0]
		}
		id := event(channels.Message, "a", "", "helo", channels.Attachment{Kind: "document", Name: "bill.pdf", Ref: "secret-ref"}).ChatID
		event(channels.Message, "b", "", "", channels.Attachment{Kind: "location"})
		w.push(w.env)
		first := w.crm.messages(id)[0]
		require.Equal(w, fmt.Sprintf("helo\nbill.pdf: https://waggle.example.com/api/v1/media/%s/0", first.ID), first.Text)
		require.Equal(w, "location", w.crm.messages(id)[1].Text)
		event(channels.Edit, "c", "a", "hello")
		w.push(w.env)
		require.Equal(w, fmt.Sprintf("hello\nbill.pdf: https://waggle.example.com/api/v1/media/%s/0", first.ID), w.crm.messages(id)[0].Text)
		require.Len(w, w.crm.messages(id), 2, "an edit makes no message")
	})
}

func TestPushAClosedChat_S3_18_S1_19(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		agent := uuid.Must(uuid.NewV7())
		w.insert(&store.Agent{ID: agent, EnvironmentID: w.env, CRMUserID: "user-7", Name: "Bob", Enabled: true, Status: chat.Active, StatusAt: store.At(time.Now()), CreatedAt: store.At(time.Now())})
		w.becomes(id, "agent_id = ?, assigned_at = ?", agent, store.At(time.Now()))
		w.push(w.env)
		require.Equal(w, crm.Waiting, w.crm.chat(id).Status, "assigned is not accepted")
		require.Equal(w, "user-7", w.crm.chat(id).OperatorID)
		w.becomes(id, "accepted_at = ?", store.At(time.Now()))
		w.push(w.env)
		require.Equal(w, crm.InProgress, w.crm.chat(id).Status)
		closed := w.chat(id).OpenedAt.Add(90 * time.Minute)
		w.becomes(id, "closed_at = ?, close_reason = ?", store.At(closed), chat.NoAnswerOfClient)
		w.push(w.env)
		record := w.crm.chat(id)
		require.Equal(w, crm.Completed, record.Status)
		require.Equal(w, chat.NoAnswerOfClient, record.CloseReason)
		require.Equal(w, 90*time.Minute, record.TotalDuration)
	})
}

func TestPushLinksContacts(t *testing.T) {
	linked, other := uuid.New(), uuid.New()
	tests := []struct {
		name  string
		found crm.Found
		check func(t *laneWorld, c store.Contact, id uuid.UUID)
	}{
		{"exactly one fits: it is linked, never overwritten", crm.Found{Linked: linked}, func(w *laneWorld, c store.Contact, id uuid.UUID) {
			require.Equal(w, linked, c.CRMRef)
			require.False(w, c.CRMOwn)
			require.Equal(w, linked, w.crm.chat(id).ContactID)
			require.Equal(w, crm.Contact{ID: linked}, w.crm.have[linked])
		}},
		{"several fit: a new one, and a suggestion", crm.Found{Candidates: []uuid.UUID{linked, other}}, func(w *laneWorld, c store.Contact, id uuid.UUID) {
			require.Equal(w, c.ID, c.CRMRef)
			require.True(w, c.CRMOwn)
			require.Equal(w, []uuid.UUID{linked, other}, c.CRMCandidates)
			require.Equal(w, "Ann 4915112345678", w.crm.have[c.ID].(crm.Contact).Name)
		}},
		{"nobody fits: a new one", crm.Found{}, func(w *laneWorld, c store.Contact, id uuid.UUID) {
			require.Equal(w, c.ID, w.crm.chat(id).ContactID)
			require.Empty(w, c.CRMCandidates)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachLane(t, func(w *laneWorld) {
				var asked crm.Lookup
				w.crm.found = func(l crm.Lookup) crm.Found { asked = l; return tt.found }
				id := w.writes(w.channel, "4915112345678", "hello")
				w.push(w.env)
				require.Equal(w, crm.Lookup{ChannelID: w.channel, ExternalID: "4915112345678", Phone: "+4915112345678"}, asked)
				var c store.Contact
				require.NoError(w, w.db.NewSelect().Model(&c).Where("id = ?", w.chat(id).ContactID).Scan(w.ctx))
				tt.check(w, c, id)
			})
		})
	}
}

func TestPushWhileTheCRMIsDown_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		first, second := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hi")
		elsewhere := w.newEnvironment()
		third := w.writes(w.newChannel(elsewhere), "eve", "hey")
		w.crm.fails(w.env, down())
		w.push(w.env)
		e := w.environment()
		require.Equal(w, store.CRMUnavailable, e.CRMState)
		require.Equal(w, "the CRM answers 500", e.CRMError)
		calls := w.crm.count()
		due, err := w.jobs.PushDue(w.ctx)
		require.NoError(w, err)
		require.Equal(w, []uuid.UUID{elsewhere}, due)
		require.Zero(w, w.push(w.env))
		require.Equal(w, calls, w.crm.count(), "it is left alone")
		w.push(elsewhere)
		w.requireTexts(third, "hey")

		since := e.CRMSince
		w.set("environments", "crm_retry_at = 1")
		var probes sync.WaitGroup
		for range 4 {
			probes.Go(func() { _, _ = w.jobs.Push(w.ctx, w.env) })
		}
		probes.Wait()
		require.LessOrEqual(w, w.crm.count(), calls+1+1, "one probes for all")
		e = w.environment()
		require.Equal(w, since, e.CRMSince, "since when it is down stays")
		require.GreaterOrEqual(w, e.CRMFailures, 2)

		w.crm.fails(w.env, nil)
		w.set("environments", "crm_retry_at = 1")
		w.push(w.env)
		w.requireTexts(first, "hello")
		w.requireTexts(second, "hi")
		require.Equal(w, store.CRMOK, w.environment().CRMState)
	})
}

func TestPushStopsWhereTheCRMRefusesTheCredentials(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.crm.fails(w.env, &crm.Error{Cause: crm.Refused, Reason: "the password is wrong"})
		w.push(w.env)
		e := w.environment()
		require.Equal(w, store.CRMRefused, e.CRMState)
		require.Equal(w, "the password is wrong", e.CRMError)
		require.Equal(w, 1, w.hints.count("alert"))
		calls := w.crm.count()
		w.set("environments", "crm_retry_at = 1")
		w.push(w.env)
		require.Equal(w, calls, w.crm.count(), "there is no probe")
		w.crm.fails(w.env, nil)
		w.set("environments", "crm_state = 'ok'")
		w.push(w.env)
		w.requireTexts(id, "hello")
	})
}

func TestPushALimitHasItsOwnTime(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.writes(w.channel, "ann", "hello")
		w.crm.fails(w.env, &crm.Error{Cause: crm.Limited, At: time.Now().Add(10 * time.Minute), Reason: "too many calls"})
		w.push(w.env)
		require.WithinDuration(w, time.Now().Add(10*time.Minute), w.environment().CRMRetryAt.Time, 10*time.Second)
	})
}

func TestPushAnAnswerLostAfterTheCommit(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.crm.after = func() error { return errors.New("connection reset") }
		w.push(w.env)
		require.Zero(w, w.chat(id).CRMSeq, "what is not proven does not count")
		w.crm.after = nil
		w.set("environments", "crm_retry_at = 1")
		w.push(w.env)
		w.requireTexts(id, "hello")
		require.EqualValues(w, 2, w.chat(id).CRMSeq)
	})
}

func TestPushOneRecordRefusedForEver(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.writes(w.channel, "ann", "bad")
		w.writes(w.channel, "ann", "bye")
		w.crm.refuse = func(r any) string {
			if m, ok := r.(crm.Message); ok && m.Text == "bad" {
				return "the value of Message is not allowed"
			}
			return ""
		}
		w.push(w.env)
		w.requireTexts(id, "hello", "bye")
		require.Equal(w, store.CRMOK, w.environment().CRMState)
		failures := w.failures(store.FailureOpen)
		require.Len(w, failures, 1)
		require.Equal(w, fmt.Sprintf("message 3 of chat %d", w.chat(id).Number), failures[0].What)
		require.Equal(w, "the value of Message is not allowed", failures[0].Error)
		require.Equal(w, id, failures[0].ChatID)
		bad := uuid.MustParse(failures[0].SubjectKey)
		require.Equal(w, "the value of Message is not allowed", w.entry(bad).CRMError, "a visible placeholder")
		require.True(w, w.chat(id).CRMDueAt.IsZero())

		_, err := w.jobs.Redrive(w.ctx, w.env, failures[0].ID)
		require.NoError(w, err)
		w.push(w.env)
		failures = w.failures(store.FailureOpen)
		require.Len(w, failures, 1, "refused again, it is open again")
		require.Equal(w, 2, failures[0].Attempts)

		w.crm.refuse = nil
		n, err := w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{Error: "not allowed", ChatID: id})
		require.NoError(w, err)
		require.Equal(w, 1, n)
		w.push(w.env)
		require.ElementsMatch(w, []string{"hello", "bye", "bad"}, w.crm.texts(id))
		require.Empty(w, w.entry(bad).CRMError)
		require.Empty(w, w.failures(store.FailureOpen))
		messages := w.crm.messages(id)
		require.True(w, messages[2].CreatedAt.Before(messages[1].CreatedAt), "its time is still the one of its place")
	})
}

func TestPushARefusedChatRestsUntilItChanges(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id, fine := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hi")
		w.crm.refuse = func(r any) string {
			if c, ok := r.(crm.Chat); ok && c.ID == id {
				return "the queue is archived"
			}
			return ""
		}
		w.push(w.env)
		w.requireTexts(fine, "hi")
		c := w.chat(id)
		require.Equal(w, "the queue is archived", c.CRMError)
		require.True(w, c.CRMDueAt.IsZero())
		require.Len(w, w.failures(store.FailureOpen), 1)
		w.crm.refuse = nil
		w.writes(w.channel, "ann", "again")
		w.push(w.env)
		w.requireTexts(id, "hello", "again")
		require.Empty(w, w.chat(id).CRMError)
		require.Empty(w, w.failures(store.FailureOpen))
	})
}

func TestPushARefusedContactIsAPlaceholder(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		w.crm.refuse = func(r any) string {
			if _, ok := r.(crm.Contact); ok {
				return "contacts need an e-mail address"
			}
			return ""
		}
		w.push(w.env)
		w.requireTexts(id, "hello")
		require.Zero(w, w.crm.chat(id).ContactID, "the chat goes without him")
		failures := w.failures(store.FailureOpen)
		require.Len(w, failures, 1, "what hangs on him is not counted too")
		require.Equal(w, store.SubjectContact, failures[0].Subject)
		w.crm.refuse = nil
		_, err := w.jobs.Redrive(w.ctx, w.env, failures[0].ID)
		require.NoError(w, err)
		w.push(w.env)
		require.Equal(w, w.chat(id).ContactID, w.crm.chat(id).ContactID)
	})
}

func TestPushTheSameRefusalOfManyChatsStopsTheEnvironment(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		var ids []uuid.UUID
		for i := range 25 {
			ids = append(ids, w.writes(w.channel, fmt.Sprintf("u%d", i), "hello"))
		}
		w.crm.refuse = func(r any) string {
			if _, ok := r.(crm.Message); ok {
				return "no right to insert ChatMessages"
			}
			return ""
		}
		w.push(w.env)
		e := w.environment()
		require.Equal(w, store.CRMUnavailable, e.CRMState)
		require.Contains(w, e.CRMError, "no right to insert ChatMessages")
		require.Empty(w, w.failures(store.FailureOpen), "it is not their fault")
		w.set("environments", "crm_retry_at = 1")
		w.push(w.env)
		require.Empty(w, w.failures(store.FailureOpen), "nor of the probe")
		w.crm.refuse = nil
		w.set("environments", "crm_retry_at = 1")
		w.push(w.env)
		for _, id := range ids {
			w.requireTexts(id, "hello")
		}
	})
}

// A worker that dies in the middle of a push leaves its leases behind; the records it wrote are met again.
func TestPushAfterAKillInTheMiddle_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		dead, err := w.store.ClaimPush(w.ctx, w.env, "dead", 10, longLease)
		require.NoError(w, err)
		require.Len(w, dead.Chats, 1)
		require.Zero(w, w.push(w.env), "the lease keeps others away")
		w.set("chats", "crm_until = 1")
		w.push(w.env)
		w.requireTexts(id, "hello")
		w.writes(w.channel, "ann", "more")
		require.NoError(w, w.store.SettlePush(w.ctx, w.env, store.PushSettlement{Chats: []store.PushedChat{{Chat: &dead.Chats[0], Seq: 99, Proven: true}}}))
		w.push(w.env)
		w.requireTexts(id, "hello", "more")
	})
}

func TestPushWhatComesDuringAPush(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		var once sync.Once
		w.crm.during = func() {
			once.Do(func() {
				w.writes(w.channel, "ann", "meanwhile")
				w.becomes(id, "close_reason = 'x'")
			})
		}
		require.Equal(w, 2, w.push(w.env))
		w.requireTexts(id, "hello", "meanwhile")
		require.Equal(w, "x", w.crm.chat(id).CloseReason)
		require.Equal(w, "meanwhile", w.crm.chat(id).Preview)
	})
}

func TestPushHoldsHeldChatsBack_S0_9(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.set("secret_keys", "expires_at = 1")
		id := w.writes(w.channel, "ann", "hello")
		require.Zero(w, w.push(w.env))
		_, err := w.jobs.Release(w.ctx)
		require.NoError(w, err)
		require.Zero(w, w.push(w.env))
		w.set("secret_keys", "expires_at = NULL")
		_, err = w.jobs.Release(w.ctx)
		require.NoError(w, err)
		w.push(w.env)
		w.requireTexts(id, "hello")
	})
}

func TestPushALongHistoryInSlices(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "0")
		var slice []store.Inbound
		ch, err := w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		for i := 1; i < 1200; i++ {
			slice = append(slice, store.Inbound{EnvironmentID: w.env, ChannelID: w.channel, AccountID: ch.AccountID, Event: channels.Event{
				Kind: channels.Message, Key: fmt.Sprintf("k%d", i), Text: fmt.Sprint(i), User: channels.User{ID: "ann"},
			}})
		}
		for _, r := range w.store.Receive(context.Background(), slice) {
			require.NoError(w, r.Err)
		}
		require.GreaterOrEqual(w, w.push(w.env), 3)
		messages := w.crm.messages(id)
		require.Len(w, messages, 1200)
		for i := 1; i < len(messages); i++ {
			require.Equal(w, fmt.Sprint(i), messages[i].Text)
			require.GreaterOrEqual(w, messages[i].CreatedAt.Sub(messages[i-1].CreatedAt), time.Millisecond)
		}
	})
}
