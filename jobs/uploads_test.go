package jobs_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/media"
	"waggle/store"
)

// uploads keeps a file for a chat.
func (w *laneWorld) uploads(chatID uuid.UUID, name, content string) *store.StoredFile {
	w.Helper()
	f := &store.StoredFile{EnvironmentID: w.env, ChatID: chatID, ChannelID: w.channel, Name: name}
	require.NoError(w, w.jobs.Upload(w.ctx, f, strings.NewReader(content), int64(len(content)), media.Limit))
	return f
}

func (w *laneWorld) sends(chatID uuid.UUID, text string, files ...uuid.UUID) (uuid.UUID, error) {
	id, _, _, err := w.store.SendReply(w.ctx, w.env, store.Reply{ChatID: chatID, Text: text, Files: files}, store.Idem{})
	return id, err
}

func TestFilesOfAgentsAreSent(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		photo, bill := w.uploads(id, "photo.jpg", jpeg), w.uploads(id, "bill.pdf", "%PDF-1.7")
		m, err := w.sends(id, "long words", photo.ID, bill.ID)
		require.NoError(t, err)
		var got []string
		w.messenger.program(func(_ channels.Channel, p channels.Part) error {
			if p.File == nil {
				got = append(got, p.Text)
				return nil
			}
			r, err := p.File.Open(w.ctx)
			require.NoError(w, err)
			defer r.Close()
			content, err := io.ReadAll(r)
			require.NoError(w, err)
			require.EqualValues(w, len(content), p.File.Size)
			got = append(got, p.File.Kind+" "+p.File.Name+" "+p.File.MIME+" "+string(content)+p.Text)
			return nil
		})
		w.deliver()
		require.Equal(w, []string{"photo photo.jpg image/jpeg " + jpeg, "document bill.pdf application/pdf %PDF-1.7", "long words"}, got)
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
		w.push(w.env)
		texts := w.crm.messages(id)
		require.Contains(w, texts[1].Text, "photo.jpg: https://waggle.example.com/api/v1/media/"+m.String()+"/0")

		_, err = w.sends(id, "again", photo.ID)
		require.ErrorIs(w, err, store.ErrFiles, "a file is sent once")
		other := w.writes(w.channel, "bob", "hello")
		_, err = w.sends(other, "", w.uploads(id, "x.jpg", jpeg).ID)
		require.ErrorIs(w, err, store.ErrFiles, "and in its own chat")
	})
}

func TestUploadsThatAreNotKept(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		for content, want := range map[string]error{"": media.ErrEmpty, "<html><script>": jobs.ErrNotSendable, strings.Repeat("x", 101): media.ErrTooLarge} {
			f := &store.StoredFile{EnvironmentID: w.env, ChatID: id, ChannelID: w.channel, Name: "a.txt"}
			require.ErrorIs(w, w.jobs.Upload(w.ctx, f, strings.NewReader(content), -1, 100), want)
			_, err := w.jobs.Media.Open(w.ctx, f.Key(), 0)
			require.ErrorIs(w, err, media.ErrNotFound)
			n, err := w.db.NewSelect().Table("files").Count(w.ctx)
			require.NoError(w, err)
			require.Zero(w, n)
		}
	})
}

// Whoever only uploads fills no disk: what an environment has uploaded and not sent is bounded.
func TestUnsentUploadsAreBounded(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		large := w.uploads(id, "large.jpg", jpeg)
		w.set("files", "size = ?", store.MaxUnsent-10)
		upload := func(content string, size, limit int64) error {
			f := &store.StoredFile{EnvironmentID: w.env, ChatID: id, ChannelID: w.channel, Name: "a.txt"}
			return w.jobs.Upload(w.ctx, f, strings.NewReader(content), size, limit)
		}
		require.ErrorIs(w, upload("12345678901", 11, media.Limit), store.ErrUnsent)
		require.ErrorIs(w, upload("1", -1, 11), store.ErrUnsent, "it could be larger than what is left")
		require.NoError(w, upload("12345", -1, 10))
		require.NoError(w, upload("12345", 5, media.Limit), "room that was not used is given back")
		require.ErrorIs(w, upload("1", 1, media.Limit), store.ErrUnsent)
		w.set("files", "due_at = due_at - ?", (23 * time.Hour).Microseconds())
		require.ErrorIs(w, upload("1", 1, media.Limit), store.ErrUnsent, "what is there whole waits a day")

		other := w.newEnvironment()
		chats := w.writes(w.newChannel(other), "bob", "hello")
		f := &store.StoredFile{EnvironmentID: other, ChatID: chats, ChannelID: w.channel, Name: "a.txt"}
		require.NoError(w, w.jobs.Upload(w.ctx, f, strings.NewReader("1"), 1, media.Limit), "each environment for itself")

		_, err := w.sends(id, "", large.ID)
		require.NoError(w, err)
		require.NoError(w, upload("1", 1, media.Limit), "what is sent takes no room")
	})
}

// Uploads at one moment do not take the same room, and those that are forgotten give it back.
func TestUploadsShareTheRoom(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		refused := make(chan error, 8)
		for range cap(refused) {
			go func() {
				refused <- w.store.AddFile(w.ctx, &store.StoredFile{EnvironmentID: w.env, ChatID: id, ChannelID: w.channel, Name: "a", Size: store.MaxUnsent / 4})
			}()
		}
		taken := 0
		for range cap(refused) {
			if err := <-refused; err == nil {
				taken++
			} else {
				require.ErrorIs(w, err, store.ErrUnsent)
			}
		}
		require.Equal(w, 4, taken)
		w.set("files", "due_at = due_at - ?", time.Hour.Microseconds())
		require.NoError(w, w.store.AddFile(w.ctx, &store.StoredFile{EnvironmentID: w.env, ChatID: id, ChannelID: w.channel, Name: "a", Size: 1}), "those that broke off take no room")
		w.set("files", "due_at = due_at - 86400000000")
		require.Equal(w, 5, w.fetch(w.env))
		w.uploads(id, "a.jpg", jpeg)
	})
}

func TestUploadsThatNobodySendsAreForgottenAfterADay(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		left, sent := w.uploads(id, "left.jpg", jpeg), w.uploads(id, "sent.jpg", jpeg)
		_, err := w.sends(id, "", sent.ID)
		require.NoError(w, err)
		require.Zero(w, w.fetch(w.env), "not before")
		w.set("files", "due_at = due_at - 86400000000")
		require.Equal(w, 1, w.fetch(w.env))
		_, err = w.jobs.Media.Open(w.ctx, left.Key(), 0)
		require.ErrorIs(w, err, media.ErrNotFound)
		require.Equal(w, jpeg, w.stored(sent))
		_, err = w.sends(id, "", left.ID)
		require.ErrorIs(w, err, store.ErrFiles)
	})
}

// A file that is lost fails its message, and does not keep what comes after it for ever.
func TestAFileThatIsGoneFailsItsMessage(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		photo := w.uploads(id, "photo.jpg", jpeg)
		lost, err := w.sends(id, "", photo.ID)
		require.NoError(t, err)
		next, err := w.sends(id, "next")
		require.NoError(t, err)
		require.NoError(t, w.jobs.Media.Remove(w.ctx, photo.Key()))
		w.messenger.program(func(_ channels.Channel, p channels.Part) error {
			if p.File == nil {
				return nil
			}
			_, err := p.File.Open(w.ctx)
			return &channels.Error{Outcome: channels.RetryAt, Reason: "the file cannot be read", Err: err}
		})
		w.deliver()
		require.Equal(w, chat.MessageFailed, w.entry(lost).State)
		require.Contains(w, w.entry(lost).Error, "upload it again")
		require.Equal(w, chat.MessageDelivered, w.entry(next).State)
	})
}
