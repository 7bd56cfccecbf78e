package api

import (
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

const (
	maxMedia      = 50 << 20         // bytes of one attachment
	mediaOpening  = 15 * time.Second // until the messenger begins to answer
	mediaDeadline = 5 * time.Minute  // the whole of a file
)

// shownTypes are the media types a browser may show. Anything else, above all what can carry a script, is bytes.
var shownTypes = []string{
	"image/jpeg", "image/png", "image/gif", "image/webp", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/wav", "audio/webm",
	"video/mp4", "video/webm", "video/quicktime", "application/pdf", "text/plain",
}

// MediaURL is where an attachment of a message is served; public is our public address.
func MediaURL(public string, message uuid.UUID, index int) string {
	return public + base + "/media/" + message.String() + "/" + strconv.Itoa(index)
}

// mountMedia mounts the attachments, behind authentication.
func (s *Server) mountMedia(r fiber.Router) {
	r.Get("/media/:message_id/:index", s.getMedia)
}

// getMedia streams an attachment from its messenger to who may see the chat. The messenger's own address, which may hold a
// token, is never shown.
func (s *Server) getMedia(c *fiber.Ctx) error {
	f, err := s.mediaFile(c)
	if err != nil {
		return err
	}
	if f.Size > maxMedia {
		return fail(http.StatusBadGateway, "attachment-too-large", "The attachment is larger than what is served here.")
	}
	opener, ok := s.Channels[f.Channel.Kind].(channels.FileOpener)
	if !ok {
		return notFound("attachment")
	}
	view, err := s.Jobs.OpenChannel(c.UserContext(), &f.Channel)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), mediaDeadline)
	opening := time.AfterFunc(mediaOpening, cancel)
	file, err := opener.OpenFile(ctx, view, f.Ref)
	if !opening.Stop() && err == nil {
		_ = file.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return fail(http.StatusBadGateway, "attachment-unavailable", "The messenger does not give this attachment now. It may be gone there, or try again later.").because(err)
	}
	if file.Size > maxMedia {
		cancel()
		_ = file.Close()
		return fail(http.StatusBadGateway, "attachment-too-large", "The attachment is larger than what is served here.")
	}
	mediaHeaders(c, f)
	c.Context().Response.SetBodyStream(&mediaStream{file: file, left: maxMedia, conn: c.Context().Conn(), cancel: cancel}, int(file.Size))
	return nil
}

// mediaStream is a file on its way to the caller. Its headers have been sent: an error breaks the connection off, so that half
// a file is not taken for a whole one.
type mediaStream struct {
	file   channels.File
	left   int64
	conn   net.Conn
	cancel context.CancelFunc
}

func (m *mediaStream) Read(p []byte) (int, error) {
	// The server's deadline is for a whole answer; a slow line is given its time with each piece.
	if err := m.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := m.file.Read(p)
	if m.left -= int64(n); m.left < 0 {
		return 0, errors.New("the attachment is larger than what is served here")
	}
	return n, err
}

func (m *mediaStream) Close() error {
	m.cancel()
	return m.file.Close()
}

// mediaFile finds the attachment if the caller may see its chat; otherwise it is not there.
func (s *Server) mediaFile(c *fiber.Ctx) (*store.StoredFile, error) {
	who, err := callerOf(c.UserContext())
	if err != nil {
		return nil, err
	}
	message, badID := uuid.Parse(c.Params("message_id"))
	index, badIndex := strconv.Atoi(c.Params("index"))
	if badID != nil || badIndex != nil {
		return nil, notFound("attachment")
	}
	f, err := s.Store.File(c.UserContext(), who.Environment, message, index)
	if err != nil {
		return nil, storeProblem(err, "attachment")
	}
	_, err = s.Store.ChatFor(c.UserContext(), who.Environment, f.ChatID, store.Viewer{Agent: who.AgentID, All: who.Role != chat.AgentRole})
	return f, storeProblem(err, "attachment")
}

// mediaHeaders make a browser save the file and never run it.
func mediaHeaders(c *fiber.Ctx, f *store.StoredFile) {
	c.Set(fiber.HeaderContentType, mediaType(f.MIME))
	c.Set(fiber.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": mediaName(f.Name)}))
	c.Set(fiber.HeaderCacheControl, "private, max-age=3600")
}

func mediaType(declared string) string {
	t, _, err := mime.ParseMediaType(declared)
	if err != nil || !slices.Contains(shownTypes, t) {
		return fiber.MIMEOctetStream
	}
	return t
}

// mediaName is a file's name without anything a file system or a header could take for something else.
func mediaName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`"<>:|?*/`, r) {
			return -1
		}
		return r
	}, name)
	name = strings.Trim(name, ". ")
	if runes := []rune(name); len(runes) > 120 {
		name = string(runes[len(runes)-120:])
	}
	if name == "" {
		return "attachment"
	}
	return name
}
