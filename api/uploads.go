package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"waggle/api/gen"
	"waggle/jobs"
	"waggle/media"
	"waggle/store"
)

const (
	uploadDeadline = 10 * time.Minute // the whole of a file
	uploadsAtOnce  = 16               // of one environment
	uploadsRetry   = 5 * time.Second
	maxName        = 255 // characters of a file's name
)

// uploads is where a body may be as large as a file.
var uploads = regexp.MustCompile(`^` + base + `/chats/[^/]+/files/?$`)

// isUpload reports whether a request's body is a file, which its handler reads as it comes.
func isUpload(c *fiber.Ctx) bool {
	return c.Method() == fiber.MethodPost && uploads.MatchString(c.Path())
}

// announced keeps nobody waiting who announces more than is taken anywhere: without it, the server first waits for the beginning
// of such a body as long as for any other.
func announced(h *fasthttp.RequestHeader) (c fasthttp.RequestConfig) {
	if h.ContentLength() > media.Limit {
		c.ReadTimeout, c.MaxRequestBodySize = time.Second, 1
	}
	return c
}

// takeBody reads a request's body, unless it is a file: at most maxBody bytes. What is refused is read on for a while, as many
// clients take a connection that is closed before they have finished for a broken one.
func takeBody(c *fiber.Ctx) error {
	stream := c.Context().RequestBodyStream()
	if stream == nil {
		return nil
	}
	if isUpload(c) {
		// Whatever becomes of it, what is left of the body is never taken for another request.
		c.Context().SetConnectionClose()
		return nil
	}
	size := c.Request().Header.ContentLength()
	body := make([]byte, max(min(size, maxBody), 0))
	var err error
	switch {
	case size > maxBody:
		return tooLarge(c, stream)
	case size >= 0:
		_, err = io.ReadFull(stream, body)
	default:
		body, err = io.ReadAll(io.LimitReader(stream, maxBody+1))
	}
	if err != nil {
		c.Context().SetConnectionClose()
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			return fiber.ErrRequestTimeout
		}
		return fiber.ErrBadRequest
	}
	if len(body) > maxBody {
		return tooLarge(c, stream)
	}
	c.Request().SetBodyRaw(body)
	return nil
}

func tooLarge(c *fiber.Ctx, stream io.Reader) error {
	c.Context().SetConnectionClose()
	readOn(c, stream)
	return fiber.ErrRequestEntityTooLarge
}

// readFilesOn reads a file that was refused, by whoever, before it was read to its end on for a while, as in takeBody.
func readFilesOn(c *fiber.Ctx) error {
	err := c.Next()
	if err != nil && isUpload(c) {
		readOn(c, c.Context().RequestBodyStream())
	}
	return err
}

// readOn reads what is left of a body that is refused, if that is not much.
func readOn(c *fiber.Ctx, stream io.Reader) {
	if size := c.Request().Header.ContentLength(); stream != nil && size >= 0 && size <= 2*maxRead {
		_, _ = io.Copy(io.Discard, stream)
	}
}

// uploadFile takes a file that an agent is going to send. It goes to the file store as it comes.
func (s *Server) uploadFile(c *fiber.Ctx) error {
	f, limit, err := s.newUpload(c)
	if err == nil && !s.uploads.take(f.EnvironmentID, uploadsAtOnce) {
		err = tooMany("uploads at once", uploadsRetry)
	}
	if err != nil {
		return err
	}
	defer s.uploads.give(f.EnvironmentID)
	ctx, cancel := context.WithTimeout(context.Background(), uploadDeadline)
	defer cancel()
	content, size := uploadOf(ctx, c)
	if err := s.Jobs.Upload(ctx, f, content, size, limit); err != nil {
		return uploadProblem(err, limit)
	}
	return c.Status(http.StatusCreated).JSON(gen.UploadedFile{ID: f.ID, Name: f.Name, Kind: f.Kind, Mime: f.MIME, Size: f.Size})
}

// newUpload is the file to be, if the caller may send files to the chat, and how large it may be.
func (s *Server) newUpload(c *fiber.Ctx) (*store.StoredFile, int64, error) {
	ctx := c.UserContext()
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return nil, 0, notFound("chat")
	}
	who, row, err := s.chatFor(ctx, s.actor, id)
	if err != nil {
		return nil, 0, err
	}
	ch, err := s.Store.Channel(ctx, who.Environment, row.ChannelID)
	if err != nil {
		return nil, 0, storeProblem(err, "channel")
	}
	kind, ok := s.Channels[ch.Kind]
	if !ok || !kind.Describe().Capabilities.Attachments {
		return nil, 0, conflict("no-files", "This messenger takes no files from Waggle. Send a text.")
	}
	name := c.Query("name")
	if n := len([]rune(name)); n == 0 || n > maxName {
		return nil, 0, invalid(field("name", fmt.Sprintf("must have 1 to %d characters: what the customer sees the file called", maxName)))
	}
	limit := int64(media.Limit)
	if most := kind.Describe().Capabilities.FileLimit; most > 0 {
		limit = min(limit, most)
	}
	return &store.StoredFile{EnvironmentID: who.Environment, ChatID: row.ID, ChannelID: ch.ID, Name: mediaName(name)}, limit, nil
}

// uploadOf is the body of a request as it comes, and its size, -1 where it is not told.
func uploadOf(ctx context.Context, c *fiber.Ctx) (io.Reader, int64) {
	stream, size := c.Context().RequestBodyStream(), int64(c.Request().Header.ContentLength())
	if stream == nil {
		return http.NoBody, 0
	}
	return &incoming{Reader: stream, ctx: ctx, conn: c.Context().Conn()}, max(size, -1)
}

// incoming is a body on its way. The server's deadline is for a whole request; a slow line is given its time with each piece.
type incoming struct {
	io.Reader
	ctx  context.Context
	conn net.Conn
}

func (i *incoming) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	if err := i.conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	return i.Reader.Read(p)
}

func uploadProblem(err error, limit int64) error {
	switch {
	case errors.Is(err, store.ErrUnsent):
		return conflict("too-many-unsent-files", fmt.Sprintf("%d MB of files wait to be sent, and more are not kept. Send what was uploaded, "+
			"or wait: what is not sent is deleted a day after it was uploaded.", store.MaxUnsent>>20)).because(err)
	case errors.Is(err, media.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, "file-too-large", fmt.Sprintf("The file is larger than the %d MB that can be sent.", limit>>20)).because(err)
	case errors.Is(err, media.ErrEmpty):
		return fail(http.StatusUnprocessableEntity, "empty-file", "The file is empty.").because(err)
	case errors.Is(err, jobs.ErrNotSendable):
		return fail(http.StatusUnprocessableEntity, "file-not-sendable", "Programs and web pages are not sent to customers. Pack it into an archive, or send another file.").because(err)
	case errors.Is(err, media.ErrStore):
		p := fail(http.StatusServiceUnavailable, "file-store-unavailable", "The file could not be kept. Try again; the operator finds the cause in the log.").because(err)
		p.retryAfter = retryUnavailable
		return p
	case store.Unavailable(err):
		return err
	default:
		return fail(http.StatusBadRequest, "incomplete-file", "The file did not arrive whole. Send it again.").because(err)
	}
}
