package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// receiving is a store with one environment, its valid key and one active channel.
type receiving struct {
	*store.Store
	t       testing.TB
	env     uuid.UUID
	channel uuid.UUID
}

func newReceiving(t testing.TB, s *store.Store) *receiving {
	t.Helper()
	ctx := context.Background()
	now := store.At(time.Now())
	r := &receiving{Store: s, t: t, env: uuid.Must(uuid.NewV7()), channel: uuid.Must(uuid.NewV7())}
	insert := func(m any) {
		_, err := s.DB().NewInsert().Model(m).Exec(ctx)
		require.NoError(t, err)
	}
	insert(&store.Environment{ID: r.env, CreatedAt: now, CRMKind: "creatio", CRMPrefix: "?", WizardStep: 1, WizardRevision: 1, Display: "popup", CRMState: store.CRMUnchecked})
	insert(&store.SecretKey{ID: uuid.New(), EnvironmentID: r.env, Hash: []byte("hash" + r.env.String()), Hint: "…", Source: "operator", IssuedAt: now})
	insert(&store.Channel{ID: r.channel, EnvironmentID: r.env, Kind: "telegram", Name: "Bot", State: chat.ChannelActive, AccountID: "1" + r.env.String(), Weight: 1, Receive: "webhook", Fields: map[string]string{}, CreatedAt: now, Version: 1})
	return r
}

func (r *receiving) event(user string, id int, text string) store.Inbound {
	return store.Inbound{EnvironmentID: r.env, ChannelID: r.channel, AccountID: "1", Event: channels.Event{
		Kind: channels.Message, Key: fmt.Sprintf("m:%s:%d", user, id), MessageID: fmt.Sprint(id), Text: text,
		User: channels.User{ID: user, Name: "Ann " + user}, At: time.Unix(1780000000, 0),
	}}
}

func (r *receiving) edit(user string, id int, version int, text string) store.Inbound {
	e := r.event(user, id, text)
	e.Event.Kind, e.Event.MessageKey = channels.Edit, e.Event.Key
	e.Event.Key = fmt.Sprintf("e:%s:%d:%d", user, id, version)
	return e
}

func (r *receiving) take(events ...store.Inbound) []store.Received {
	r.t.Helper()
	out := r.Receive(context.Background(), events)
	require.Len(r.t, out, len(events))
	for _, o := range out {
		require.NoError(r.t, o.Err)
	}
	return out
}

func (r *receiving) chats() (all []store.Chat) {
	r.t.Helper()
	require.NoError(r.t, r.DB().NewSelect().Model(&all).Where("environment_id = ?", r.env).Order("id").Scan(context.Background()))
	return all
}

func (r *receiving) timeline(chatID uuid.UUID) (all []store.Entry) {
	r.t.Helper()
	require.NoError(r.t, r.DB().NewSelect().Model(&all).Where("chat_id = ?", chatID).Order("seq").Scan(context.Background()))
	for i, e := range all {
		require.EqualValues(r.t, i+1, e.Seq, "the timeline has no gaps")
	}
	return all
}

func (r *receiving) close(chatID uuid.UUID) {
	r.t.Helper()
	_, err := r.DB().NewUpdate().Model((*store.Chat)(nil)).Set("closed_at = 1, unanswered_since = NULL").Where("id = ?", chatID).Exec(context.Background())
	require.NoError(r.t, err)
}

func eachReceiving(t *testing.T, f func(t *testing.T, r *receiving)) {
	storetest.Each(t, func(t *testing.T, s *store.Store) { f(t, newReceiving(t, s)) })
}

func TestReceiveOpensOneChatAndKeepsOrder_S2_4_S2_5(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		out := r.take(r.event("7", 1, "hello"), r.event("8", 1, "good day"), r.event("7", 2, "anyone?"))
		require.True(t, out[0].Opened)
		require.Equal(t, out[0].ChatID, out[2].ChatID)
		require.NotEqual(t, out[0].ChatID, out[1].ChatID)
		again := r.take(r.event("7", 3, "hm"))
		require.Equal(t, out[0].ChatID, again[0].ChatID)
		require.False(t, again[0].Opened)

		entries := r.timeline(out[0].ChatID)
		require.Len(t, entries, 4)
		require.Equal(t, chat.EntryOpened, entries[0].Kind)
		for i, text := range []string{"hello", "anyone?", "hm"} {
			require.Equal(t, text, entries[i+1].Text)
			require.Equal(t, chat.In, entries[i+1].Direction)
			require.Equal(t, chat.MessageReceived, entries[i+1].State)
		}
		c := r.chats()[0]
		require.EqualValues(t, 4, c.LastSeq)
		require.Equal(t, chat.In, c.LastDirection)
		require.Equal(t, entries[1].At, c.UnansweredSince, "the first unanswered message, not the last")
		require.Equal(t, entries[3].At, c.LastMessageAt)
		require.False(t, c.CRMDueAt.IsZero())
		require.Equal(t, 1, c.Weight)
	})
}

// What rides in one statement and what needs more meet in one slice, of one customer and of several: his order stands.
func TestReceiveMixesPlainAndRich_S2_5(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		r.take(r.event("ann", 1, "hello"), r.event("ben", 2, "hello"))
		quote, file := r.event("ann", 4, "this one"), r.event("ben", 6, "a photo")
		quote.Event.ReplyTo = "1"
		file.Event.Attachments = []channels.Attachment{{Kind: "photo", Name: "photo.jpg", Ref: "f1"}}
		out := r.take(r.event("ann", 3, "plain"), quote, r.event("ann", 5, "plain again"), file, r.event("ben", 7, "seen?"), r.event("cy", 8, "new"),
			r.event("ann", 1, "hello"))
		for i, want := range []store.ReceiveOutcome{store.Stored, store.Stored, store.Stored, store.Stored, store.Stored, store.Stored, store.Repeat} {
			require.Equal(t, want, out[i].Outcome, "event %d", i)
		}
		for chatID, want := range map[uuid.UUID][]string{
			out[0].ChatID: {"hello", "plain", "this one", "plain again"}, out[3].ChatID: {"hello", "a photo", "seen?"}, out[5].ChatID: {"new"},
		} {
			var texts []string
			for n, e := range r.timeline(chatID) {
				require.EqualValues(t, n+1, e.Seq)
				if e.Kind == chat.EntryMessage {
					texts = append(texts, e.Text)
				}
			}
			require.Equal(t, want, texts)
		}
		require.NotNil(t, r.timeline(out[3].ChatID)[2].Attachments)
	})
}

func TestReceiveDropsRepeats(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		out := r.take(r.event("7", 1, "hello"), r.event("7", 1, "hello"))
		require.Equal(t, store.Stored, out[0].Outcome)
		require.Equal(t, store.Repeat, out[1].Outcome)
		require.Equal(t, store.Repeat, r.take(r.event("7", 1, "hello"))[0].Outcome)
		require.Len(t, r.timeline(out[0].ChatID), 2)

		r.close(out[0].ChatID)
		require.Equal(t, store.Repeat, r.take(r.event("7", 1, "hello"))[0].Outcome)
		require.Len(t, r.chats(), 1, "a repeat after a close opens nothing")
		next := r.take(r.event("7", 1, "hello"), r.event("7", 2, "back again"))
		require.Equal(t, store.Repeat, next[0].Outcome)
		require.True(t, next[1].Opened, "S3.19: the next message opens a new chat")
		require.EqualValues(t, 2, next[1].Seq, "no number is skipped")
	})
}

func TestReceiveKeepsEditsAsHistory(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		chatID := r.take(r.event("7", 1, "helo"))[0].ChatID
		due := r.chats()[0].CRMVersion
		out := r.take(r.edit("7", 1, 1, "hello"), r.edit("7", 1, 2, "hello!"))
		require.Equal(t, chatID, out[1].ChatID)
		entries := r.timeline(chatID)
		require.Len(t, entries, 4)
		require.Equal(t, "helo", entries[1].Text, "the old text stays readable")
		for _, e := range entries[2:] {
			require.Equal(t, chat.EntryEdit, e.Kind)
			require.Equal(t, entries[1].ID, e.TargetID)
		}
		c := r.chats()[0]
		require.Equal(t, entries[1].At, c.LastMessageAt, "b9: an edit moves no clock")
		require.Greater(t, c.CRMVersion, due, "the CRM hears of it")

		r.close(chatID)
		r.take(r.edit("7", 1, 3, "hello!!"))
		require.Len(t, r.chats(), 1, "an edit opens nothing")
		require.Len(t, r.timeline(chatID), 5)
	})
}

func TestReceiveEditBeforeItsMessage(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		out := r.take(r.edit("7", 1, 1, "final"))
		require.True(t, out[0].Opened, "an edit of a message we never had is that message")
		require.Equal(t, store.Repeat, r.take(r.event("7", 1, "first"))[0].Outcome)
		entries := r.timeline(out[0].ChatID)
		require.Len(t, entries, 2)
		require.Equal(t, "final", entries[1].Text)
		require.Equal(t, chat.EntryMessage, entries[1].Kind)
	})
	eachReceiving(t, func(t *testing.T, r *receiving) {
		out := r.take(r.edit("7", 1, 1, "second"), r.event("7", 1, "first"), r.edit("7", 1, 2, "final"))
		require.Equal(t, []store.ReceiveOutcome{store.Stored, store.Repeat, store.Stored},
			[]store.ReceiveOutcome{out[0].Outcome, out[1].Outcome, out[2].Outcome}, "each of a slice has an answer of its own")
		require.Equal(t, "final", r.timeline(out[0].ChatID)[2].Text)
	})
	eachReceiving(t, func(t *testing.T, r *receiving) {
		out := r.take(r.event("7", 1, "first"), r.edit("7", 1, 1, "second"), r.event("7", 2, "next"), r.edit("7", 1, 2, "final"))
		entries := r.timeline(out[0].ChatID)
		require.Len(t, entries, 5, "an edit may ride beside its message")
		for i, text := range []string{"first", "second", "next", "final"} {
			require.Equal(t, text, entries[i+1].Text)
		}
	})
}

func TestReceiveDropsForInactiveChannels_S2_27(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		_, err := r.DB().NewUpdate().Model((*store.Channel)(nil)).Set("state = 'disconnected'").Where("id = ?", r.channel).Exec(context.Background())
		require.NoError(t, err)
		require.Equal(t, store.Dropped, r.take(r.event("7", 1, "hello"))[0].Outcome)
		require.Empty(t, r.chats())

		foreign := r.event("7", 1, "hello")
		foreign.EnvironmentID = uuid.New()
		require.Equal(t, store.Dropped, r.take(foreign)[0].Outcome, "a channel of another environment is no channel")
	})
}

func TestReceiveHoldsWhenTheKeyHasExpired_S0_9(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		_, err := r.DB().NewUpdate().Model((*store.SecretKey)(nil)).Set("expires_at = ?", store.At(time.Now().Add(-time.Second))).Where("environment_id = ?", r.env).Exec(context.Background())
		require.NoError(t, err)
		r.take(r.event("7", 1, "hello"))
		c := r.chats()[0]
		require.Equal(t, chat.Held, c.Status())
		require.Equal(t, chat.HeldKeyExpired, c.HeldReason)
	})
}

func TestReceiveTakesAnyText(t *testing.T) {
	texts := map[string]string{
		"NUL":               "a\x00b",
		"broken UTF-8":      "a\xff\xfeb",
		"10,000 characters": strings.Repeat("ж", 10000),
		"quotes and braces": `{"a": "\u0000 \\ ' ? ?0 $1"}`,
		"empty":             "",
	}
	eachReceiving(t, func(t *testing.T, r *receiving) {
		n := 0
		for name, text := range texts {
			n++
			out := r.take(r.event("7", n, text))
			entries := r.timeline(out[0].ChatID)
			require.Equal(t, chat.Storable(text), entries[len(entries)-1].Text, name)
		}
	})
}

func TestReceiveParksWhatTheSchemaRefuses(t *testing.T) {
	r := newReceiving(t, storetest.Concurrent(t))
	huge := r.event("7", 1, "hello")
	// Incompressible and longer than an index row may be on PostgreSQL; SQLite takes it.
	var b strings.Builder
	for range 400 {
		b.WriteString(uuid.NewString())
	}
	huge.Event.Key = b.String()
	out := r.take(r.event("7", 2, "before"), huge, r.event("8", 3, "after"))
	require.Equal(t, store.Stored, out[0].Outcome)
	require.Equal(t, store.Stored, out[2].Outcome)
	if storetest.HasPostgres() {
		require.Equal(t, store.Parking, out[1].Outcome)
	}
}

func TestReceiveQuotes(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		chatID := r.take(r.event("7", 1, "which one?"))[0].ChatID
		answer := r.event("7", 2, "this one")
		answer.Event.ReplyTo = "1"
		r.take(answer)
		entries := r.timeline(chatID)
		require.Equal(t, entries[1].ID, entries[2].ReplyTo)
	})
}

// One hundred ids, posted sixteen times each at once, from several slices: 100 rows, in one chat a user, without gaps.
func TestReceiveAtOnce(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		var wg sync.WaitGroup
		errs := make(chan error, 16)
		for range 16 {
			wg.Go(func() {
				for from := 0; from < 100; from += 20 {
					var slice []store.Inbound
					for id := from; id < from+20; id++ {
						slice = append(slice, r.event(fmt.Sprint(id%7), id, fmt.Sprint("message ", id)))
					}
					for _, o := range r.Receive(context.Background(), slice) {
						if o.Err != nil {
							errs <- o.Err
							return
						}
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		require.NoError(t, <-errs)
		messages := 0
		all := r.chats()
		require.Len(t, all, 7)
		for _, c := range all {
			entries := r.timeline(c.ID)
			require.EqualValues(t, len(entries), c.LastSeq)
			messages += len(entries) - 1
		}
		require.Equal(t, 100, messages)
		n, err := r.DB().NewSelect().Model((*store.Contact)(nil)).Where("environment_id = ?", r.env).Count(context.Background())
		require.NoError(t, err)
		require.Equal(t, 7, n, "no orphan contacts")
	})
}

func TestReceiveKeepsWhatACustomerTellsLater(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		chatID := r.take(r.event("7", 1, "hello"))[0].ChatID
		told := r.event("7", 2, "this is my number")
		told.Event.User.Phone, told.Event.User.Email = "+49 30 1234567", "ann@example.com"
		require.Equal(t, chatID, r.take(told)[0].ChatID)
		var c store.Contact
		require.NoError(t, r.DB().NewSelect().Model(&c).Where("id = (SELECT contact_id FROM chats WHERE id = ?)", chatID).Scan(context.Background()))
		require.Equal(t, "ann@example.com", c.Email)
		require.NotEmpty(t, c.Phone)
	})
}
