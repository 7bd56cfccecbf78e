package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// piece is one picture of an album.
func (r *receiving) piece(user string, id int, album, caption string) store.Inbound {
	e := r.event(user, id, caption)
	e.Event.Album = user + ":" + album
	file := fmt.Sprint("file-", id)
	e.Event.Attachments = []channels.Attachment{{Kind: "photo", Name: "photo.jpg", Ref: file, ID: file}}
	return e
}

// asEdit makes an event the n-th edit of its message.
func asEdit(e store.Inbound, n int, text string) store.Inbound {
	e.Event.Kind, e.Event.MessageKey, e.Event.Text = channels.Edit, e.Event.Key, text
	e.Event.Key = fmt.Sprintf("e:%s:%d", e.Event.Key, n)
	return e
}

// shown is the one message of a chat as it stands, with the names of its files.
func (r *receiving) shown(chatID uuid.UUID) (m store.Message, files []string) {
	r.t.Helper()
	all, err := r.Messages(context.Background(), r.env, chatID, 0, 100)
	require.NoError(r.t, err)
	require.Len(r.t, all, 1, "an album is one message")
	for _, f := range all[0].Now().Files {
		files = append(files, f.ID)
	}
	return all[0], files
}

// Issue 4, Telegram: an album is one message, in any order, repeated, split over transactions.
func TestReceiveAlbum(t *testing.T) {
	want := []string{"file-1", "file-2", "file-3"}
	for name, slices := range map[string][][]int{
		"one transaction":       {{1, 2, 3}},
		"last first":            {{3, 2, 1}},
		"one by one":            {{1}, {2}, {3}},
		"one by one, backwards": {{3}, {2}, {1}},
		"repeated":              {{2, 2, 3}, {2, 3, 3}, {1, 1}, {3, 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			eachReceiving(t, func(t *testing.T, r *receiving) {
				captions := map[int]string{2: "look at these"}
				var chatID uuid.UUID
				seen := map[int]bool{}
				for _, ids := range slices {
					var events []store.Inbound
					for _, id := range ids {
						events = append(events, r.piece("7", id, "A", captions[id]))
					}
					for i, o := range r.take(events...) {
						require.Equal(t, !seen[ids[i]], o.Outcome == store.Stored, "each piece once")
						require.Equal(t, len(seen) == 0, o.Opened)
						seen[ids[i]] = true
						chatID = o.ChatID
					}
					if chatID == uuid.Nil {
						chatID = r.chats()[0].ID
					}
				}
				chatID = r.chats()[0].ID
				m, files := r.shown(chatID)
				require.Equal(t, want, files)
				require.Equal(t, "look at these", m.Now().Text)
				entries := r.timeline(chatID)
				require.Len(t, entries, 4, "opened, a message, two additions")
				for _, e := range entries[2:] {
					require.Equal(t, chat.EntryAddition, e.Kind)
					require.Equal(t, entries[1].ID, e.TargetID)
				}
				c := r.chats()[0]
				require.Equal(t, entries[1].At, c.LastMessageAt, "b9: an addition moves no clock")
				for i, f := range m.Now().Files {
					stored, err := r.File(context.Background(), r.env, f.Entry, f.Index)
					require.NoError(t, err)
					require.Equal(t, want[i], stored.Ref)
				}
			})
		})
	}
}

func TestReceiveAlbumsApart(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		out := r.take(r.piece("7", 1, "A", ""), r.piece("7", 2, "B", ""), r.event("7", 3, "text"), r.piece("7", 4, "A", ""), r.piece("8", 5, "A", ""))
		entries := r.timeline(out[0].ChatID)
		require.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage, chat.EntryMessage, chat.EntryMessage, chat.EntryAddition}, kindsOf(entries))
		require.Equal(t, entries[1].ID, entries[4].TargetID)
		require.NotEqual(t, out[0].ChatID, out[4].ChatID, "another customer's album of the same name")
	})
}

func kindsOf(entries []store.Entry) (kinds []chat.EntryKind) {
	for _, e := range entries {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// wire/messenger.md §3: an edit has its text alone, and nothing comes in order.
func TestReceiveFilesOfAMessageThatCameAfterItsEdit_M_4(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		edit, picture := r.edit("7", 1, 1, "final"), r.piece("7", 1, "", "first")
		picture.Event.Album = ""
		chatID := r.take(edit)[0].ChatID
		r.close(chatID)
		require.Equal(t, store.Stored, r.take(picture)[0].Outcome)
		for range 2 {
			require.Equal(t, store.Repeat, r.take(picture)[0].Outcome)
		}
		require.Len(t, r.chats(), 1, "they open nothing")
		m, files := r.shown(chatID)
		require.Equal(t, "final", m.Now().Text)
		require.Equal(t, []string{"file-1"}, files)
		stored, err := r.File(context.Background(), r.env, m.Now().Files[0].Entry, 0)
		require.NoError(t, err)
		require.Equal(t, "file-1", stored.Ref, "they are fetched")
		r.take(r.edit("7", 1, 2, "final!"))
		m, files = r.shown(chatID)
		require.Equal(t, "final!", m.Now().Text)
		require.Len(t, files, 1)
	})
	eachReceiving(t, func(t *testing.T, r *receiving) {
		picture := r.piece("7", 1, "", "first")
		picture.Event.Album = ""
		out := r.take(r.edit("7", 1, 1, "final"), r.event("7", 2, "next"), picture, picture)
		require.Equal(t, store.Stored, out[2].Outcome, "in one slice, too")
		require.Equal(t, store.Repeat, out[3].Outcome)
		require.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage, chat.EntryMessage, chat.EntryAddition}, kindsOf(r.timeline(out[0].ChatID)))
	})
}

func TestReceiveEditsOfAlbums(t *testing.T) {
	t.Run("of a piece that came later", func(t *testing.T) {
		eachReceiving(t, func(t *testing.T, r *receiving) {
			second := r.piece("7", 2, "A", "second")
			chatID := r.take(r.piece("7", 1, "A", "first"), second, asEdit(second, 1, "zweiter"))[0].ChatID
			m, files := r.shown(chatID)
			require.Equal(t, "first\nzweiter", m.Now().Text)
			require.Equal(t, []string{"file-1", "file-2"}, files)
			entries := r.timeline(chatID)
			require.Equal(t, chat.EntryEdit, entries[3].Kind)
			require.Equal(t, entries[1].ID, entries[3].TargetID, "it belongs to the message, not to the addition")
		})
	})
	t.Run("of a piece we never had, before and after others", func(t *testing.T) {
		eachReceiving(t, func(t *testing.T, r *receiving) {
			second := r.piece("7", 2, "A", "second")
			out := r.take(asEdit(second, 1, "zweiter"), r.piece("7", 1, "A", ""), second, asEdit(r.piece("7", 3, "A", ""), 1, "third"))
			require.Equal(t, store.Repeat, out[2].Outcome, "the edit was the piece")
			m, files := r.shown(out[0].ChatID)
			require.Equal(t, "zweiter\nthird", m.Now().Text)
			require.Equal(t, []string{"file-1", "file-2", "file-3"}, files)
		})
	})
	t.Run("a late piece of a closed chat opens nothing", func(t *testing.T) {
		eachReceiving(t, func(t *testing.T, r *receiving) {
			chatID := r.take(r.piece("7", 1, "A", ""))[0].ChatID
			r.close(chatID)
			r.take(r.piece("7", 2, "A", ""))
			require.Len(t, r.chats(), 1)
			_, files := r.shown(chatID)
			require.Len(t, files, 2)
		})
	})
	t.Run("an answer to any piece quotes the message", func(t *testing.T) {
		eachReceiving(t, func(t *testing.T, r *receiving) {
			second := r.piece("7", 2, "A", "")
			answer := r.event("7", 9, "this one")
			answer.Event.ReplyTo = "2"
			chatID := r.take(r.piece("7", 1, "A", ""), second, asEdit(second, 1, "x"), answer)[0].ChatID
			entries := r.timeline(chatID)
			require.Equal(t, entries[1].ID, entries[4].ReplyTo)
		})
	})
}

// Ten pieces posted four times each, at once, from several slices.
func TestReceiveAlbumAtOnce(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		var wg sync.WaitGroup
		errs := make(chan error, 40)
		for range 4 {
			for id := 1; id <= 10; id++ {
				wg.Go(func() {
					errs <- r.Receive(context.Background(), []store.Inbound{r.piece("7", id, "A", fmt.Sprint(id))})[0].Err
				})
			}
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.Len(t, r.chats(), 1)
		m, files := r.shown(r.chats()[0].ID)
		require.Len(t, files, 10)
		require.Equal(t, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10", m.Now().Text, "in the album's order, not the one of arrival")
	})
}

// Issue 4, Telegram: a contact a customer shares of himself is offered as the contact's phone.
func TestReceiveKeepsASharedPhone(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		chatID := r.take(r.event("7", 1, "hello"))[0].ChatID
		share := func(id int, phone string) {
			e := r.event("7", id, "Contact: Ann")
			e.Event.User.Phone = phone
			e.Event.Attachments = []channels.Attachment{{Kind: "contact", Name: "Ann", Phone: phone}}
			require.Equal(t, store.Stored, r.take(e)[0].Outcome)
		}
		phone := func() string {
			var c store.Contact
			require.NoError(t, r.DB().NewSelect().Model(&c).Where("environment_id = ?", r.env).Scan(context.Background()))
			return c.Phone
		}
		require.Empty(t, phone())
		share(2, "+43 660 123 45 67")
		require.Equal(t, chat.Phone("+43 660 123 45 67"), phone())
		share(3, "+43 660 999 99 99")
		require.Equal(t, chat.Phone("+43 660 123 45 67"), phone(), "what is known stays")
		require.Len(t, r.timeline(chatID), 4)
	})
}
