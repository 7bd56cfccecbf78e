package api

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/media"
	"waggle/store"
)

const (
	mediaDeadline = 10 * time.Minute // of giving out a whole file
	mediaWait     = 3                // s, after which to ask again for a file that is being fetched
	// linkLife is how long a link to a file opens it: long enough to play what is on the page.
	linkLife = 15 * time.Minute
)

// mountMedia mounts the attachments, behind authentication.
func (s *Server) mountMedia(r fiber.Router) {
	r.Get("/media/:entry_id/:index", s.getMedia)
}

// linkedMedia gives out a file to who has a link to it, which stands for its session until it ends: what a page shows is loaded
// without headers.
func (s *Server) linkedMedia(c *fiber.Ctx) error {
	link := c.Query("link")
	if link == "" {
		return c.Next()
	}
	entry, index, err := mediaAddress(c)
	if err != nil {
		return err
	}
	environment, err := s.Store.OpenMediaLink(link, entry, index, time.Now())
	if err != nil {
		return unauthorized("link-ended", "The link to this file has ended. Fetch the message again: it comes with a new one.").because(err)
	}
	f, err := s.Store.File(c.UserContext(), environment, entry, index)
	if err != nil {
		return storeProblem(err, "attachment")
	}
	return s.giveFile(c, f)
}

// getMedia gives out a file to who may see its chat. The messenger's own address, which may hold a token, is never shown.
func (s *Server) getMedia(c *fiber.Ctx) error {
	who, v, err := s.viewer(c.UserContext())
	if err != nil {
		return err
	}
	entry, index, err := mediaAddress(c)
	if err != nil {
		return err
	}
	f, err := s.visibleFile(c.UserContext(), who, v, entry, index)
	if err != nil {
		return err
	}
	return s.giveFile(c, f)
}

func mediaAddress(c *fiber.Ctx) (entry uuid.UUID, index int, err error) {
	entry, badID := uuid.Parse(c.Params("entry_id"))
	index, badIndex := strconv.Atoi(c.Params("index"))
	if badID != nil || badIndex != nil {
		return entry, index, notFound("attachment")
	}
	return entry, index, nil
}

// visibleFile finds a file if the caller may see its chat; otherwise it is not there.
func (s *Server) visibleFile(ctx context.Context, who caller, v store.Viewer, entry uuid.UUID, index int) (*store.StoredFile, error) {
	f, err := s.Store.File(ctx, who.Environment, entry, index)
	if err != nil {
		return nil, storeProblem(err, "attachment")
	}
	_, err = s.Store.ChatFor(ctx, who.Environment, f.ChatID, v)
	return f, storeProblem(err, "attachment")
}

// giveFile streams a file, or the range of it that is asked for.
func (s *Server) giveFile(c *fiber.Ctx, f *store.StoredFile) error {
	switch f.State {
	case chat.FileWaiting:
		p := fail(http.StatusConflict, "attachment-not-fetched", "The file is being fetched from the messenger."+because(f.Error))
		p.retryAfter = mediaWait
		return p
	case chat.FileFailed:
		return fail(http.StatusNotFound, "attachment-unavailable", "The file could not be fetched from the messenger; it can be tried again."+because(f.Error))
	}
	from, to, err := mediaRange(c, f.Size)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), mediaDeadline)
	content, err := s.Jobs.Media.Open(ctx, f.Key(), from)
	if err != nil {
		cancel()
		return fail(http.StatusBadGateway, "attachment-unavailable", "The file cannot be read from the file store. The operator finds the cause in the log.").because(err)
	}
	mediaHeaders(c, f)
	stream := &mediaStream{Reader: io.LimitReader(content, to+1-from), content: content, conn: c.Context().Conn(), ctx: ctx, cancel: cancel}
	c.Context().Response.SetBodyStream(stream, int(to+1-from))
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " The last try: " + reason + "."
}

// mediaRange is which bytes of a file are wanted: the first and the last one. Players ask for parts of sound and films.
func mediaRange(c *fiber.Ctx, size int64) (from, to int64, err error) {
	c.Set(fiber.HeaderAcceptRanges, "bytes")
	wanted := c.Request().Header.Peek(fiber.HeaderRange)
	if len(wanted) == 0 {
		return 0, size - 1, nil
	}
	first, last, err := fasthttp.ParseByteRange(wanted, int(size))
	if err != nil || first > last { // the last 0 bytes
		c.Set(fiber.HeaderContentRange, fmt.Sprintf("bytes */%d", size))
		return 0, 0, fail(http.StatusRequestedRangeNotSatisfiable, "no-such-range", "The file has no such range of bytes.").because(err)
	}
	c.Status(http.StatusPartialContent)
	c.Response().Header.SetContentRange(first, last, int(size))
	return int64(first), int64(last), nil
}

// mediaStream is a file on its way to the caller. Its headers have been sent: an error breaks the connection off, so that half
// a file is not taken for a whole one.
type mediaStream struct {
	io.Reader
	content io.Closer
	conn    net.Conn
	ctx     context.Context // its end is the deadline of the whole file
	cancel  context.CancelFunc
}

func (m *mediaStream) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	// The server's deadline is for a whole answer; a slow line is given its time with each piece.
	if err := m.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return m.Reader.Read(p)
}

func (m *mediaStream) Close() error {
	m.cancel()
	return m.content.Close()
}

// mediaHeaders have a browser show pictures, sound and films in the page that wants them, save everything else, and run nothing.
func mediaHeaders(c *fiber.Ctx, f *store.StoredFile) {
	disposition := "attachment"
	if media.Inline(f.MIME) {
		disposition = "inline"
	}
	c.Set(fiber.HeaderContentType, media.Shown(f.MIME))
	c.Set(fiber.HeaderContentDisposition, mime.FormatMediaType(disposition, map[string]string{"filename": mediaName(f.Name)}))
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; sandbox; frame-ancestors 'none'")
	c.Set(fiber.HeaderCacheControl, "private, max-age=3600")
}

// RetryMedia has a file that could not be fetched tried again.
func (s *Server) RetryMedia(ctx context.Context, r gen.RetryMediaRequestObject) (gen.RetryMediaResponseObject, error) {
	who, v, err := s.actor(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.visibleFile(ctx, who, v, r.EntryID, r.Index); err != nil {
		return nil, err
	}
	f, err := s.Jobs.RetryFile(ctx, who.Environment, r.EntryID, r.Index)
	if err != nil {
		return nil, storeProblem(err, "attachment")
	}
	a := gen.Attachment{Kind: f.Kind, Name: orNull(f.Name)}
	s.fileAnswer(&a, f)
	return gen.RetryMedia202JSONResponse(a), nil
}

// attachmentAnswers is what is attached to a message, each with what became of its file.
func (s *Server) attachmentAnswers(files []store.File) []gen.Attachment {
	answers := make([]gen.Attachment, len(files))
	for i, f := range files {
		answers[i] = gen.Attachment{Kind: f.Kind, Name: orNull(f.Name), Mime: orNull(f.MIME), Phone: orNull(f.Phone)}
		if f.Size > 0 {
			answers[i].Size = &f.Size
		}
		if f.Place != nil {
			answers[i].Place = &gen.Place{Latitude: f.Place.Latitude, Longitude: f.Place.Longitude}
		}
		if f.Stored != nil {
			s.fileAnswer(&answers[i], f.Stored)
		}
	}
	return answers
}

// fileAnswer adds to an attachment what is known of its file.
func (s *Server) fileAnswer(a *gen.Attachment, f *store.StoredFile) {
	state, url := gen.AttachmentState(f.State), jobs.MediaPath(f.EntryID, f.N)
	a.State, a.Error, a.URL = &state, orNull(f.Error), &url
	if f.State != chat.FileStored {
		return
	}
	a.Kind, a.Mime, a.Size = f.Kind, &f.MIME, &f.Size
	link, err := s.Store.MediaLink(f.EnvironmentID, f.EntryID, f.N, time.Now().Add(linkLife))
	if err != nil {
		s.log().Error("no link could be made to a file; it is served to sessions", "file", f.ID, "error", err)
		return
	}
	link = url + "?link=" + link
	a.Link = &link
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
