package channelstest

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
)

// Files is what a messenger carries beside words; zero where it carries nothing.
type Files struct {
	// What comes in: a customer's one message with these pictures, in the requests the double posts of it.
	Send  func(caption string, pictures ...[]byte) []channels.Request
	Album bool    // one message may have several
	Lost  []Fault // what can become of a picture before it is opened, and what that must mean

	// What goes out.
	Received func() []File     // the files this customer has received, oldest first
	Shown    map[string]string // what the messenger shows a file of each of Waggle's kinds as; the others it refuses
	Faults   []Fault           // what can go wrong with the sending of a file, beside the Faults of every Send
}

// File is a file in a customer's messenger.
type File struct {
	As      string // one of Files.Shown
	MIME    string
	Name    string // empty where the messenger shows none
	Caption string
	Content []byte
}

// fileName is what the files of agents are called; no error may show it.
const fileName = "Ann’s bill № 7.pdf"

func files(t *testing.T, h Harness) {
	s := start(t, h)
	can := s.Adapter.Describe().Capabilities
	_, opens := s.Adapter.(channels.FileOpener)
	assert.Equal(t, s.Files.Send != nil, opens, "who brings files opens them")
	assert.Equal(t, can.Attachments, s.Files.Received != nil, "what is said of files is shown")
	if opens {
		t.Run("a customer's picture", func(t *testing.T) { picture(t, start(t, h)) })
		t.Run("a customer's picture outlives the credentials", func(t *testing.T) { pictureAndCredentials(t, start(t, h)) })
		t.Run("what is no file opens nothing", func(t *testing.T) { noPicture(t, start(t, h)) })
		for i, f := range s.Files.Lost {
			t.Run("a customer's picture: "+f.Name, func(t *testing.T) {
				s := start(t, h)
				ref := s.receive(t, s.Files.Send("", []byte("one"))[0]).Attachments[0].Ref
				s.meet(t, s.Files.Lost[i], func(ctx context.Context) error { _, err := s.open(ctx, ref); return err })
			})
		}
	}
	if s.Files.Album {
		t.Run("an album", func(t *testing.T) { album(t, start(t, h)) })
	}
	if can.Attachments {
		sendFiles(t, h)
		return
	}
	t.Run("no file is sent", func(t *testing.T) {
		s := start(t, h)
		_, err := s.Adapter.Send(within(t, patience), s.Channel, s.filePart(0, "document", ""))
		_ = requireOutcome(t, s, err, channels.Permanent, fileName)
		assert.Empty(t, s.Inbox())
	})
}

// open reads a file of a customer.
func (s Subject) open(ctx context.Context, ref string) ([]byte, error) {
	file, err := s.Adapter.(channels.FileOpener).OpenFile(ctx, s.Channel, ref)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err == nil && file.Size >= 0 && file.Size != int64(len(content)) {
		err = errors.New("its size is not the one told")
	}
	return content, err
}

// holds requires an attachment to be a picture with this content, however often it is opened.
func (s Subject) holds(t *testing.T, a channels.Attachment, want string) {
	t.Helper()
	assert.Equal(t, "photo", a.Kind)
	assert.NotEmpty(t, a.Name)
	require.NotEmpty(t, a.Ref)
	for range 2 {
		content, err := s.open(within(t, patience), a.Ref)
		require.NoError(t, err)
		assert.Equal(t, want, string(content))
	}
}

func picture(t *testing.T, s Subject) {
	requests := s.Files.Send("look at this", []byte("one"))
	require.Len(t, requests, 1)
	e := s.receive(t, requests[0])
	assert.Equal(t, channels.Message, e.Kind)
	assert.Equal(t, "look at this", e.Text)
	assert.Empty(t, e.Album, "it is the whole message")
	assert.Equal(t, e, s.receive(t, requests[0]), "a repetition is the same")
	require.Len(t, e.Attachments, 1)
	s.holds(t, e.Attachments[0], "one")

	other := s.receive(t, s.Files.Send("", []byte("two"))[0])
	assert.Empty(t, other.Text)
	require.Len(t, other.Attachments, 1)
	assert.False(t, e.Attachments[0].Same(other.Attachments[0]), "the next one is another file")
	s.holds(t, other.Attachments[0], "two")
	s.holds(t, e.Attachments[0], "one")
}

// pictureAndCredentials: while the messenger does not take the credentials a file is not given up, as the right ones open it.
func pictureAndCredentials(t *testing.T, s Subject) {
	a := s.receive(t, s.Files.Send("", []byte("one"))[0]).Attachments[0]
	renewed := s.Replace()
	if _, err := s.open(within(t, patience), a.Ref); err != nil {
		assert.Contains(t, []channels.Outcome{channels.Refused, channels.Broken, channels.RetryAt}, channels.AsError(err).Outcome, "%v", err)
	}
	s.Channel = renewed
	s.holds(t, a, "one")
}

func noPicture(t *testing.T, s Subject) {
	for _, ref := range []string{"", "nobody's", "../../etc/passwd", "file:///etc/passwd"} {
		_, err := s.open(within(t, patience), ref)
		var e *channels.Error
		require.ErrorAs(t, err, &e, "%s", ref)
		assert.Contains(t, []channels.Outcome{channels.Permanent, channels.RetryAt}, e.Outcome, "%s", ref)
		_ = requireOutcome(t, s, err, e.Outcome)
	}
}

// album: the pictures of one message come in one event, or in several that name the same album.
func album(t *testing.T, s Subject) {
	requests := s.Files.Send("all three", []byte("one"), []byte("two"), []byte("three"))
	var found []channels.Attachment
	var words []string
	keys := map[string]bool{}
	first := s.receive(t, requests[0])
	for _, r := range requests {
		e := s.receive(t, r)
		assert.Equal(t, e, s.receive(t, r), "a repetition is the same")
		assert.Equal(t, channels.Message, e.Kind)
		assert.Equal(t, first.User, e.User)
		assert.Equal(t, first.Album, e.Album)
		assert.False(t, keys[e.Key], "each piece has a key of its own")
		keys[e.Key] = true
		found = append(found, e.Attachments...)
		if e.Text != "" {
			words = append(words, e.Text)
		}
	}
	assert.Equal(t, []string{"all three"}, words, "it is said once")
	assert.Equal(t, len(requests) > 1, first.Album != "", "what comes in pieces says so")
	require.Len(t, found, 3)
	for i, want := range []string{"one", "two", "three"} {
		s.holds(t, found[i], want)
	}
	next := s.receive(t, s.Files.Send("", []byte("four"), []byte("five"))[0])
	assert.Equal(t, first.Album == "", next.Album == first.Album, "the next album is another one")
}

func sendFiles(t *testing.T, h Harness) {
	for kind := range samples() {
		t.Run("a file to be shown as "+kind, func(t *testing.T) { fileOfKind(t, start(t, h), kind) })
	}
	t.Run("a caption", func(t *testing.T) { caption(t, start(t, h)) })
	t.Run("a text that is longer goes beside its file", func(t *testing.T) { besideItsFile(t, start(t, h)) })
	t.Run("a file that is too large is not sent", func(t *testing.T) { tooLarge(t, start(t, h)) })
	t.Run("a file that cannot be opened is not sent", func(t *testing.T) { unreadable(t, start(t, h), nil) })
	t.Run("half a file is not sent", func(t *testing.T) {
		unreadable(t, start(t, h), io.MultiReader(strings.NewReader("half of it"), gone{}))
	})
	t.Run("a file that is shorter than it was is not sent", func(t *testing.T) { unreadable(t, start(t, h), strings.NewReader("short")) })
	t.Run("an idempotent kind shows a repeated file once", func(t *testing.T) {
		s := start(t, h)
		if !s.Adapter.Describe().Capabilities.Idempotent {
			return
		}
		for range 2 {
			_, err := s.Adapter.Send(within(t, patience), s.Channel, s.filePart(0, "photo", ""))
			require.NoError(t, err)
		}
		assert.Len(t, s.Files.Received(), 1)
	})
	if start(t, h).Adapter.Describe().Capabilities.Echoes {
		t.Run("an echo shows the file", func(t *testing.T) { fileEcho(t, start(t, h), false) })
		t.Run("an echo proves the file though the answer was lost", func(t *testing.T) { fileEcho(t, start(t, h), true) })
	}
	for i, f := range faultsOfFiles(start(t, h)) {
		t.Run("fault of a file: "+f.Name, func(t *testing.T) {
			s := start(t, h)
			can, p := s.Adapter.Describe().Capabilities, s.filePart(0, "photo", "")
			if can.CaptionLimit > 0 {
				p.Text = text
			}
			s.meet(t, faultsOfFiles(s)[i], func(ctx context.Context) error {
				_, err := s.Adapter.Send(ctx, s.Channel, p)
				return err
			}, text, fileName)
			got := len(s.Files.Received())
			if f.Want == channels.Unknown || can.Idempotent {
				assert.LessOrEqual(t, got, 1)
			} else {
				assert.Zero(t, got, "it is certain that it was not sent")
			}
		})
	}
}

// faultsOfFiles are what every send may meet, and what a file's alone. A double that does not answer is left out: how far a file
// has come by then is a matter of speed.
func faultsOfFiles(s Subject) []Fault {
	return slices.DeleteFunc(slices.Concat(s.Faults, s.Files.Faults), func(f Fault) bool { return f.Hangs })
}

// samples are files of every kind Waggle knows, with their types.
func samples() map[string]channels.Upload {
	var photo bytes.Buffer
	_ = png.Encode(&photo, image.NewGray(image.Rect(0, 0, 8, 8))) // a buffer never fails
	all := map[string]channels.Upload{}
	for kind, f := range map[string]struct {
		mime    string
		content []byte
	}{
		"photo": {"image/png", photo.Bytes()}, "document": {"application/pdf", []byte("%PDF-1.7")}, "voice": {"audio/ogg", []byte("OggS\x00")},
		"audio": {"audio/mpeg", []byte("ID3\x03")}, "video": {"video/mp4", []byte("\x00\x00\x00\x18ftypmp42")},
	} {
		all[kind] = channels.Upload{Kind: kind, Name: fileName, MIME: f.mime, Size: int64(len(f.content)), Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(f.content)), nil
		}}
	}
	return all
}

// filePart is the i-th part, with a sample of a kind.
func (s Subject) filePart(i int, kind, caption string) channels.Part {
	p, file := s.part(i, caption), samples()[kind]
	p.File = &file
	return p
}

func contentOf(t *testing.T, u *channels.Upload) []byte {
	t.Helper()
	r, err := u.Open(t.Context())
	require.NoError(t, err)
	defer r.Close()
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	return content
}

func fileOfKind(t *testing.T, s Subject, kind string) {
	p := s.filePart(0, kind, "")
	sent, err := s.Adapter.Send(within(t, patience), s.Channel, p)
	as, taken := s.Files.Shown[kind]
	if !taken {
		_ = requireOutcome(t, s, err, channels.Permanent, fileName)
		assert.Empty(t, s.Inbox())
		return
	}
	require.NoError(t, err)
	assert.NotEmpty(t, sent.MessageID)
	got := s.Files.Received()
	require.Len(t, got, 1, "once")
	assert.Equal(t, as, got[0].As)
	assert.Equal(t, p.File.MIME, got[0].MIME)
	assert.Equal(t, contentOf(t, p.File), got[0].Content)
	assert.Contains(t, []string{"", fileName}, got[0].Name)
	assert.Empty(t, got[0].Caption)
}

func caption(t *testing.T, s Subject) {
	limit := s.Adapter.Describe().Capabilities.CaptionLimit
	if limit == 0 {
		_, err := s.Adapter.Send(within(t, patience), s.Channel, s.filePart(0, "photo", text))
		_ = requireOutcome(t, s, err, channels.Permanent, text, fileName)
		assert.Empty(t, s.Inbox(), "a caption that cannot be carried is not dropped")
		return
	}
	for i, want := range []string{"<b>&amp; \"quoted\" 世界", strings.Repeat("🐝", limit/2)} {
		_, err := s.Adapter.Send(within(t, patience), s.Channel, s.filePart(i, "photo", want))
		require.NoError(t, err)
		got := s.Files.Received()
		require.Len(t, got, i+1)
		assert.Equal(t, want, got[i].Caption, "as written")
	}
	_, err := s.Adapter.Send(within(t, patience), s.Channel, s.filePart(2, "photo", strings.Repeat("x", limit+1)))
	_ = requireOutcome(t, s, err, channels.Permanent, fileName)
	assert.Len(t, s.Files.Received(), 2)
}

// besideItsFile: what the core makes of a text that is no caption, the messenger takes.
func besideItsFile(t *testing.T, s Subject) {
	can := s.Adapter.Describe().Capabilities
	var want []string
	for i, piece := range chat.Pieces(strings.Repeat("x", can.CaptionLimit)+" y", 1, can.TextLimit, can.CaptionLimit) {
		p := s.part(i, piece.Text)
		if piece.File >= 0 {
			p = s.filePart(i, "photo", piece.Text)
		}
		_, err := s.Adapter.Send(within(t, patience), s.Channel, p)
		require.NoError(t, err)
		want = append(want, piece.Text)
	}
	assert.Greater(t, len(want), 1)
	assert.Equal(t, want, s.Inbox(), "all of it, in order")
	assert.Len(t, s.Files.Received(), 1)
}

func tooLarge(t *testing.T, s Subject) {
	limit := s.Adapter.Describe().Capabilities.FileLimit
	if limit == 0 {
		return
	}
	p := s.filePart(0, "photo", "")
	p.File.Size = limit + 1
	p.File.Open = func(context.Context) (io.ReadCloser, error) {
		assert.Fail(t, "its size is known before it is opened")
		return nil, errors.New("too large")
	}
	_, err := s.Adapter.Send(within(t, patience), s.Channel, p)
	_ = requireOutcome(t, s, err, channels.Permanent, fileName)
	assert.Empty(t, s.Inbox())
}

// unreadable: half a file is no message, which is certain; so the whole of it may be sent later.
func unreadable(t *testing.T, s Subject, content io.Reader) {
	p := s.filePart(0, "photo", "")
	p.File.Size = 1 << 20
	p.File.Open = func(context.Context) (io.ReadCloser, error) {
		if content == nil {
			return nil, errGone
		}
		return io.NopCloser(content), nil
	}
	_, err := s.Adapter.Send(within(t, patience), s.Channel, p)
	_ = requireOutcome(t, s, err, channels.RetryAt, fileName)
	require.Empty(t, s.Inbox())
	_, err = s.Adapter.Send(within(t, patience), s.Channel, s.filePart(0, "photo", ""))
	require.NoError(t, err)
	assert.Len(t, s.Files.Received(), 1)
}

var errGone = errors.New("the disk is gone")

// gone is a disk that does not read.
type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, errGone }

func fileEcho(t *testing.T, s Subject, lose bool) {
	p := s.filePart(0, "photo", "")
	if s.Adapter.Describe().Capabilities.CaptionLimit > 0 {
		p.Text = text
	}
	if lose {
		s.Reports.Lose()
	}
	sent, err := s.Adapter.Send(within(t, patience), s.Channel, p)
	e := s.report(t, s.Reports.Echo(), channels.Echo)
	if lose {
		_ = requireOutcome(t, s, err, channels.Unknown, text, fileName)
	} else {
		require.NoError(t, err)
		assert.Equal(t, sent.MessageID, e.MessageID)
	}
	assert.True(t, e.Echo.PartKey == p.Key || e.Echo.PartKey == "" && e.Text == p.Text, "it can be told which part it was")
	assert.Equal(t, p.Text, e.Text)
	assert.Len(t, e.Attachments, 1)
	assert.Len(t, s.Files.Received(), 1)
}
