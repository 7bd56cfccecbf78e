package messenger

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/guard"
)

func (f fixture) send(t *testing.T, text string) error {
	t.Helper()
	_, err := f.Send(t.Context(), f.ch, channels.Part{Key: "part-1", UserID: "2", Text: text, Attempt: 1})
	return err
}

func TestSendAndItsEcho(t *testing.T) {
	f := setUp(t)
	posted := f.hooked(t)
	f.ann.Write("hello")
	<-posted
	sent, err := f.Send(t.Context(), f.ch, channels.Part{Key: "part-1", UserID: "2", Text: strings.Repeat("😀", 1000)})
	require.NoError(t, err)
	got := f.ann.Inbox()
	require.Len(t, got, 1)
	assert.Equal(t, messengertest.Received{
		MID: sent.MessageID, Text: strings.Repeat("😀", 1000), Metadata: "part-1", App: ourApp, At: f.clock.Now(),
	}, got[0])
	echo := f.event(t, posted)
	assert.Equal(t, channels.Echo, echo.Kind)
	assert.Equal(t, sent.MessageID, echo.MessageID)
	assert.Equal(t, "part-1", echo.Echo.PartKey, "the metadata proves the send, even if its answer was lost")

	f.server.FailNext("messages", double.AfterAccepting(double.Drop()))
	assert.Equal(t, channels.Unknown, asError(t, f.send(t, "did it go?")).Outcome)
	echo = f.event(t, posted)
	assert.Equal(t, "part-1", echo.Echo.PartKey, "the only proof after a lost answer")

	f.ann.Type("a colleague answers on the page itself")
	assert.Empty(t, f.event(t, posted).Echo.PartKey)

	f.clock.advance(time.Second)
	f.ann.Arrive(sent.MessageID)
	f.ann.Read()
	arrived, read := f.event(t, posted), f.event(t, posted)
	assert.Equal(t, &channels.ReceiptNote{MessageIDs: []string{sent.MessageID}, Until: f.clock.Now().UTC().Truncate(time.Millisecond)}, arrived.Receipt)
	assert.Equal(t, &channels.ReceiptNote{Read: true, Until: f.clock.Now().UTC().Truncate(time.Millisecond)}, read.Receipt)
}

func TestWindow(t *testing.T) {
	f := setUp(t)
	e := asError(t, f.send(t, "nobody asked"))
	assert.Equal(t, channels.Permanent, e.Outcome, "who never wrote cannot be written to")
	assert.Contains(t, e.Reason, "24 hours")
	f.ann.Write("hello")
	f.clock.advance(24 * time.Hour)
	require.NoError(t, f.send(t, "just in time"))
	f.clock.advance(time.Millisecond)
	e = asError(t, f.send(t, "too late"))
	assert.Equal(t, channels.Permanent, e.Outcome)
	assert.Contains(t, e.Reason, "he must write first")
	f.ann.Write("hello again")
	require.NoError(t, f.send(t, "the window is open again"))
	assert.Equal(t, channels.Permanent, asError(t, f.send(t, strings.Repeat("x", 2001))).Outcome, "2000 characters")
}

// The error table of wire/messenger.md §4 as rows; each comes with HTTP 400 and once with another status.
func TestOutcomes(t *testing.T) {
	refuse := messengertest.Refuse
	for _, row := range []struct {
		name   string
		fault  double.Fault
		want   channels.Outcome
		reason string
	}{
		{"1/99 may have been sent", refuse(1, 99, "An unknown error occurred"), channels.Unknown, "may or may not"},
		{"1/1357046", refuse(1, 1357046, "Received Invalid JSON reply"), channels.Unknown, "may or may not"},
		{"2", refuse(2, 0, "An unexpected error has occurred. Please retry your request later."), channels.RetryAt, "blocked"},
		{"2 with status 500", messengertest.RefuseWith(500, 2, 0, "An unexpected error has occurred."), channels.RetryAt, "blocked"},
		{"1200", refuse(1200, 0, "Temporary send message failure. Please try again later."), channels.RetryAt, "for the moment"},
		{"4", refuse(4, 0, "Application request limit reached"), channels.RetryAt, "slow down"},
		{"32", refuse(32, 0, "Page request limit reached"), channels.RetryAt, "slow down"},
		{"613", messengertest.TooFast(0), channels.RetryAt, "slow down"},
		{"10/2018278", refuse(10, 2018278, "This message is sent outside of allowed window."), channels.Permanent, "24 hours"},
		{"10/2018065", refuse(10, 2018065, "This message is sent outside of allowed window."), channels.Permanent, "24 hours"},
		{"S3.59 10/2018300", refuse(10, 2018300, "Another app is controlling this thread"), channels.Elsewhere, "another app holds"},
		{"S3.36 10", refuse(10, 0, "Application does not have permission for this action"), channels.Broken, "pages_messaging"},
		{"100", refuse(100, 0, "Invalid parameter"), channels.Permanent, "Invalid parameter"},
		{"100/2018001", refuse(100, 2018001, "No matching user found"), channels.Permanent, "does not know this customer"},
		{"100/33", refuse(100, 33, "Unsupported post request."), channels.Permanent, "Unsupported"},
		{"100 for the proof", refuse(100, 0, "Invalid appsecret_proof provided in the API argument"), channels.Broken, "app secret"},
		{"190", refuse(190, 0, "Invalid OAuth access token."), channels.Broken, "log in"},
		{"S3.36 190/460", messengertest.RefuseWith(401, 190, 460, "The session has been invalidated"), channels.Broken, "log in"},
		{"S3.36 200", messengertest.RefuseWith(403, 200, 2018028, "Cannot message users who are not admins"), channels.Broken, "permit"},
		{"S3.36 230", refuse(230, 0, "Requires pages_messaging permission"), channels.Broken, "pages_messaging"},
		{"551", refuse(551, 1545041, "This person isn't available right now."), channels.Permanent, "cannot be reached"},
		{"200 of one customer", refuse(200, 1545041, "(#200) This person isn't available right now."), channels.Permanent, "cannot be reached"},
		{"200 by its words", refuse(200, 0, "(#200) This person isn't receiving messages from you right now"), channels.Permanent, "cannot be reached"},
		{"10 by its words", refuse(10, 2018108, "(#10) This person isn't receiving messages from you right now"), channels.Permanent, "cannot be reached"},
		{"a limit of the page's token", refuse(80001, 0, "There have been too many calls to this Page account."), channels.RetryAt, "slow down"},
		{"a limit of Messenger", refuse(80006, 0, "There have been too many calls to this Messenger account."), channels.RetryAt, "slow down"},
		{"an unknown code", refuse(4242, 0, "Something new"), channels.Permanent, "Something new"},
		{"an unknown code with status 500", messengertest.RefuseWith(500, 4242, 0, "Something new"), channels.Unknown, "may or may not"},
		{"502 with HTML", double.BadGateway(), channels.Unknown, "may or may not"},
		{"connection lost", double.Drop(), channels.Unknown, "may or may not"},
		{"a token in the words", refuse(100, 0, "EAABtoken"), channels.Permanent, "…"},
		{"endless words", refuse(100, 0, strings.Repeat("x", 1000)), channels.Permanent, "x…"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := setUp(t)
			f.ch.Fields[FieldToken] = "EAABtoken" // no call gets as far as this token's check
			f.server.FailNext("messages", row.fault)
			e := asError(t, f.send(t, "do not show me"))
			assert.Equal(t, row.want, e.Outcome)
			assert.Contains(t, e.Reason, row.reason)
			assert.Equal(t, row.reason == "cannot be reached", e.Blocked)
			assert.NotContains(t, e.Error(), "do not show me")
			assert.Less(t, len(e.Error()), 1000)
			assert.Equal(t, e.WholeChannel, !e.At.IsZero())
		})
	}
}

func TestRetriesAndLimits(t *testing.T) {
	f := setUp(t)
	for _, code := range []int{2, 1200} {
		for attempt := 1; attempt <= fewTries; attempt++ {
			f.server.FailNext("messages", messengertest.Refuse(code, 0, "Please retry your request later."))
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: "2", Text: "x", Attempt: attempt})
			want := channels.RetryAt
			if attempt == fewTries {
				want = channels.Permanent
			}
			assert.Equal(t, want, asError(t, err).Outcome, "try %d: few times, then it is final", attempt)
		}
	}
	f.server.FailNext("messages", messengertest.TooFast(90))
	began := time.Now()
	e := asError(t, f.send(t, "x"))
	assert.True(t, e.WholeChannel)
	assert.WithinDuration(t, began.Add(90*time.Second), e.At, 5*time.Second)
	f.server.FailNext("messages", messengertest.Refuse(4, 0, "Application request limit reached"))
	assert.WithinDuration(t, time.Now().Add(limitPause), asError(t, f.send(t, "x")).At, 5*time.Second)
}

// What Facebook quotes of a message stands in no error; what it says is understood all the same.
func TestTextStaysOutOfErrors(t *testing.T) {
	f := setUp(t)
	f.ann.Write("hello")
	text := "person, " + strings.Repeat("again and ", 50)
	f.server.FailNext("messages", messengertest.Refuse(100, 0, "(#100) What is '"+text+"'?"), messengertest.Refuse(200, 0, "(#200) This person isn't receiving messages"))
	assert.NotContains(t, asError(t, f.send(t, text)).Error(), "again")
	assert.True(t, asError(t, f.send(t, "person")).Blocked)
}

// The token is a parameter, as wire/messenger.md §4 has it, and is in no error that holds the address.
func TestTokenStaysOutOfErrors(t *testing.T) {
	f := setUp(t)
	f.ann.Write("hello")
	var tokens []string
	f.api.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		tokens = append(tokens, r.URL.Query().Get("access_token"))
		assert.Empty(t, r.Header.Get("Authorization"))
		return nil, errors.New("lost with " + r.URL.Query().Get("access_token") + " and " + r.URL.Query().Get("appsecret_proof"))
	})
	e := asError(t, f.send(t, "x"))
	assert.Equal(t, []string{f.ch.Fields[FieldToken]}, tokens)
	assert.NotContains(t, e.Error(), f.ch.Fields[FieldToken])
	assert.NotContains(t, e.Error(), proof(appSecret, f.ch.Fields[FieldToken]))

	f.api.http.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, guard.ErrBlocked })
	e = asError(t, f.send(t, "x"))
	assert.Equal(t, channels.Broken, e.Outcome)
	assert.Contains(t, e.Reason, "ALLOW_HOSTS")
	require.ErrorIs(t, e, guard.ErrBlocked)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

func file(kind, name, content string) *channels.Upload {
	return &channels.Upload{
		Kind: kind, Name: name, MIME: "application/pdf", Size: int64(len(content)),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func TestSendFile(t *testing.T) {
	f := setUp(t)
	f.ann.Write("hello")
	for kind, want := range map[string]string{"photo": "image", "video": "video", "voice": "audio", "audio": "audio", "document": "file"} {
		f.ann = f.page.Customer("3"+kind, "Ben", "")
		f.ann.Write("hello")
		sent, err := f.Send(t.Context(), f.ch, channels.Part{Key: "k", UserID: f.ann.PSID, File: file(kind, "a \"b\".pdf", "content")})
		require.NoError(t, err)
		got := f.ann.Inbox()
		require.Len(t, got, 1)
		assert.Equal(t, messengertest.Received{
			MID: sent.MessageID, Metadata: "k", App: ourApp, File: []byte("content"), FileName: "a _b_.pdf", FileKind: want, FileMIME: "application/pdf",
			At: f.clock.Now(),
		}, got[0])
	}
	part := channels.Part{Key: "k", UserID: "2", File: file("document", "a.pdf", "content")}
	unreadable := *part.File
	unreadable.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("gone") }
	short := *file("document", "a.pdf", "content")
	short.Size++
	big := *part.File
	big.Size = fileLimit + 1
	for name, row := range map[string]struct {
		file *channels.Upload
		text string
		set  func(fixture)
		want channels.Outcome
	}{
		"too big":               {&big, "", nil, channels.Permanent},
		"with a caption":        {part.File, "a caption", nil, channels.Permanent},
		"unreadable":            {&unreadable, "", nil, channels.RetryAt},
		"shorter than promised": {&short, "", nil, channels.RetryAt},
		"the upload is lost":    {part.File, "", func(f fixture) { f.server.FailNext("message_attachments", double.Drop()) }, channels.RetryAt},
		"the upload is unclear": {part.File, "", func(f fixture) { f.server.FailNext("message_attachments", messengertest.Refuse(1, 99, "x")) }, channels.RetryAt},
		"the upload is refused": {part.File, "", func(f fixture) { f.server.FailNext("message_attachments", messengertest.Refuse(100, 2018047, "x")) }, channels.Permanent},
		"the send is lost":      {part.File, "", func(f fixture) { f.server.FailNext("messages", double.Drop()) }, channels.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			f.ann.Write("hello")
			if row.set != nil {
				row.set(f)
			}
			_, err := f.Send(t.Context(), f.ch, channels.Part{Key: "k", UserID: "2", Text: row.text, File: row.file})
			assert.Equal(t, row.want, asError(t, err).Outcome, "%v", err)
			assert.Empty(t, f.ann.Inbox())
		})
	}
}

func TestReceiveFile(t *testing.T) {
	f := setUp(t)
	posted := f.hooked(t)
	f.ann.SendFile("file", "offer 1.pdf", []byte("content"))
	at := f.event(t, posted).Attachments
	require.Len(t, at, 1)
	assert.Equal(t, "offer 1.pdf", at[0].Name)
	got, err := f.OpenFile(t.Context(), f.ch, at[0].Ref)
	require.NoError(t, err)
	content, err := io.ReadAll(got)
	require.NoError(t, err)
	require.NoError(t, got.Close())
	assert.Equal(t, "content", string(content))
	assert.Equal(t, int64(7), got.Size)

	f.server.ExpireFiles()
	_, err = f.OpenFile(t.Context(), f.ch, at[0].Ref)
	e := asError(t, err)
	assert.Equal(t, channels.Permanent, e.Outcome, "links expire")
	assert.NotContains(t, e.Error(), "oh=")
}

func TestFilesComeFromFacebookOnly(t *testing.T) {
	f := setUp(t)
	for _, ref := range []string{
		"", "x", "http://a.fbcdn.net/x", "https://fbcdn.net.example.com/x", "https://example.com/a.fbcdn.net/x", "https://a.fbcdn.net@example.com/x",
		"https://user@a.fbcdn.net/x", "https://a.fbcdn.net:8443/x", "https://afbcdn.net/x", "file:///etc/passwd", "//a.fbcdn.net/x", "https://169.254.169.254/x",
	} {
		_, err := f.OpenFile(t.Context(), f.ch, ref)
		require.Error(t, err, ref)
		assert.Equal(t, channels.Permanent, channels.AsError(err).Outcome, ref)
		require.ErrorIs(t, err, errElsewhere, ref)
	}
	answers := map[string]*http.Response{
		"https://a.fbcdn.net/1":   {StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://cdn.fbsbx.com/2"}}, Body: http.NoBody},
		"https://cdn.fbsbx.com/2": {StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("x"))},
		"https://a.fbcdn.net/3":   {StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://example.com/2"}}, Body: http.NoBody},
		"https://a.fbcdn.net/4":   {StatusCode: http.StatusServiceUnavailable, Body: http.NoBody},
	}
	a := New(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		assert.Empty(t, r.Header.Get("Authorization"), "no token goes along")
		res := answers[r.URL.String()]
		res.Request = r
		return res, nil
	})}, DefaultAPI)
	got, err := a.OpenFile(t.Context(), f.ch, "https://a.fbcdn.net/1")
	require.NoError(t, err)
	require.NoError(t, got.Close())
	_, err = a.OpenFile(t.Context(), f.ch, "https://a.fbcdn.net/3")
	require.ErrorIs(t, err, errElsewhere, "nor through a redirect")
	_, err = a.OpenFile(t.Context(), f.ch, "https://a.fbcdn.net/4")
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
}

func TestProfile(t *testing.T) {
	f := setUp(t)
	u, err := f.Profile(t.Context(), f.ch, "2")
	require.NoError(t, err)
	assert.Equal(t, channels.User{ID: "2", Name: "Ann Lee"}, u)
	f.ann.HideProfile()
	for name, id := range map[string]string{"hidden": "2", "nobody": "404", "of no shape": "../1"} {
		t.Run(name, func(t *testing.T) {
			u, err := f.Profile(t.Context(), f.ch, id)
			require.NoError(t, err, "some profiles cannot be read")
			assert.Empty(t, u)
		})
	}
	f.server.FailNext("node", messengertest.TooFast(3), double.BadGateway(), messengertest.Refuse(10, 0, "no advanced access"))
	for range 2 {
		u, err = f.Profile(t.Context(), f.ch, "2")
		assert.Equal(t, channels.RetryAt, asError(t, err).Outcome, "it may be asked for again")
		assert.Empty(t, u)
	}
	u, err = f.Profile(t.Context(), f.ch, "2")
	require.NoError(t, err)
	assert.Empty(t, u)
}
