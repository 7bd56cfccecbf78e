package x

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/x/xtest"
	"waggle/guard"
)

// S4.4: a reply is one OAuth 1.0a-signed message to that person; the double verifies the signature by the full algorithm.
func TestSend(t *testing.T) {
	f := setUp(t)
	sent, err := f.Send(t.Context(), f.ch, channels.Part{Key: "a", UserID: annID, Text: "Hello Ladies + Gentlemen, ☃ & <b>%20</b>", ReplyTo: "1"})
	require.NoError(t, err)
	assert.Equal(t, []xtest.Received{{ID: sent.MessageID, Text: "Hello Ladies + Gentlemen, ☃ & <b>%20</b>"}}, f.ann.Inbox(), "S4.4")
	assert.Equal(t, 1, f.server.Calls("send"))
}

// The error catalogue of wire/x.md §6 as rows.
func TestSendOutcomes(t *testing.T) {
	refuse := xtest.Refuse
	for _, row := range []struct {
		name   string
		fault  double.Fault
		want   channels.Outcome
		reason string
	}{
		{"§6 400", refuse(400, `{"errors":[{"parameters":{"text":["x"]},"message":"bad"}],"title":"Invalid Request","detail":"One or more parameters to your request was invalid.","type":"https://api.twitter.com/2/problems/invalid-request"}`), channels.Permanent, "One or more parameters"},
		{"§6 401", refuse(401, `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`), channels.Broken, "AccessToken, AccessSecret, ConsumerKey and ConsumerSecret"},
		{"S4.13, S4.14 §6 403 oauth1-permissions", refuse(403, `{"detail":"Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.","status":403,"title":"Forbidden","type":"https://api.x.com/2/problems/oauth1-permissions"}`), channels.Broken, "“Read and write and Direct message”"},
		{"S4.14 §6 what to do about it", refuse(403, `{"status":403,"type":"https://api.x.com/2/problems/oauth1-permissions"}`), channels.Broken, "press Regenerate"},
		{"S4.13 §0 code 93", refuse(403, `{"errors":[{"code":93,"message":"This application is not allowed to access or delete your direct messages."}]}`), channels.Broken, "Regenerate"},
		{"§6 403 Bearer", refuse(403, `{"title":"Unsupported Authentication","detail":"Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.  Supported authentication types are [OAuth 1.0a User Context, OAuth 2.0 User Context].","type":"https://api.twitter.com/2/problems/unsupported-authentication","status":403}`), channels.Broken, "Application-Only"},
		{"§6 403 of another kind", refuse(403, `{"title":"Forbidden","type":"about:blank","status":403,"detail":"This operation is not permitted."}`), channels.Permanent, "X refused the message: Forbidden: This operation is not permitted."},
		{"§6 403 code 349", refuse(403, `{"errors":[{"code":349,"message":"You cannot send messages to this user."}]}`), channels.Permanent, "You cannot send messages to this user."},
		{"§6 403 code 150", refuse(403, `{"errors":[{"code":150,"message":"You cannot send messages to users who are not following you."}]}`), channels.Permanent, "not following you"},
		{"S4.28, S4.29 §6 402 A", refuse(402, xtest.NoCreditsOld), channels.Broken, "no credits"},
		{"S4.28, S4.29 §6 402 B", refuse(402, xtest.NoCreditsNew), channels.Broken, "no credits"},
		{"S4.29 §6 402 A without its status", refuse(403, xtest.NoCreditsOld), channels.Broken, "then redrive"},
		{"§6 402 of a proxy", refuse(402, "pay"), channels.Broken, "top it up"},
		{"wrapped in errors[]", refuse(403, `{"errors":[{"type":"https://api.x.com/2/problems/oauth1-permissions"}]}`), channels.Broken, "Regenerate"},
		{"§6 404", refuse(404, `{"title":"Not Found Error","detail":"Could not find user"}`), channels.Permanent, "Could not find user"},
		{"§6 5xx", xtest.ServerError(), channels.Unknown, "may or may not"},
		{"502 with HTML", double.BadGateway(), channels.Unknown, "may or may not"},
		{"403 with HTML", refuse(403, "<html>"), channels.Unknown, "may or may not"},
		{"connection lost", double.Drop(), channels.Unknown, "may or may not"},
		{"connection lost after it was taken", double.AfterAccepting(double.Drop()), channels.Unknown, "may or may not"},
		{"201 without an id", refuse(201, `{"data":{}}`), channels.Unknown, "may or may not"},
		{"201 without JSON", refuse(201, ``), channels.Unknown, "may or may not"},
		{"307", refuse(307, ``).With("Location", "/elsewhere"), channels.Unknown, "may or may not"},
		{"a key in X's words", refuse(400, `{"detail":"oauth_token `+testToken+` `+testBearer+`"}`), channels.Permanent, "…"},
		{"words without end", refuse(400, `{"detail":"`+strings.Repeat("x", 5000)+`"}`), channels.Permanent, "x…"},
		{"the text in X's words", refuse(400, `{"detail":"text [do not show me]"}`), channels.Permanent, "text […]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext("send", row.fault)
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "do not show me"})
			e := asError(t, err)
			assert.Equal(t, row.want, e.Outcome)
			assert.Contains(t, e.Reason, row.reason)
			assert.NotContains(t, err.Error(), "do not show me")
			assert.Less(t, len(err.Error()), 1500)
			assert.Equal(t, 1, f.server.Calls("send"), "sent once, never repeated")
		})
	}
}

// Only what X is known to say of a person who takes no messages shows him as blocked; any other 403 is this message's alone.
func TestWhoTakesNoMessages(t *testing.T) {
	detail := func(words string) string {
		return `{"title":"Forbidden","type":"about:blank","status":403,"detail":"` + words + `"}`
	}
	for body, blocked := range map[string]bool{
		`{"errors":[{"code":349,"message":"-"}]}`:                              true,
		`{"errors":[{"code":150,"message":"-"}]}`:                              true,
		detail("You cannot send messages to this user."):                       true,
		detail("You cannot send messages to users who are not following you."): true,
		detail("You do not have permission to DM one or more participants."):   true,
		detail("This operation is not permitted."):                             false,
		detail("Forbidden"): false,
		detail(""):          false,
		`{"errors":[{"code":326,"message":"To protect our users from spam, this account is locked"}]}`: false,
		`{"errors":[{"code":226,"message":"This request looks like it might be automated."}]}`:         false,
	} {
		t.Run(body, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext("send", xtest.Refuse(403, body))
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "x"})
			e := asError(t, err)
			assert.Equal(t, channels.Permanent, e.Outcome)
			assert.Equal(t, blocked, e.Blocked)
			f.server.FailNext("send", xtest.Refuse(403, body))
			_, err = f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "messages to this user"})
			assert.Equal(t, blocked, asError(t, err).Blocked, "whatever is hidden of it")
			f.server.FailNext("send", xtest.Refuse(429, body))
			_, err = f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "x"})
			assert.False(t, asError(t, err).Blocked)
		})
	}
}

// The budgets of §3: 15 in 15 minutes and 1,440 a day are a time to wait for, for the whole channel.
func TestSendObeysTheBudget(t *testing.T) {
	send := func(f fixture) error {
		_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "x"})
		return err
	}
	t.Run("§3 15 in 15 minutes", func(t *testing.T) {
		f := setUp(t)
		began := f.clock.Now()
		for range 15 {
			require.NoError(t, send(f))
			f.clock.advance(10 * time.Second)
		}
		e := asError(t, send(f))
		assert.Equal(t, channels.RetryAt, e.Outcome)
		assert.True(t, e.WholeChannel)
		assert.Equal(t, began.Add(15*time.Minute).Unix(), e.At.Unix())
		f.clock.advance(e.At.Sub(f.clock.Now()))
		require.NoError(t, send(f), "X permits it at the time it named")
	})
	t.Run("§3 the send that uses it up says when it goes on, so that none is refused", func(t *testing.T) {
		f := setUp(t)
		began := f.clock.Now()
		for i := range 15 {
			sent, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "x"})
			require.NoError(t, err)
			if i < 14 {
				require.True(t, sent.Rest.IsZero())
				continue
			}
			assert.Equal(t, began.Add(15*time.Minute).Unix(), sent.Rest.Unix())
		}
		f.shop.ResetLimits()
		answer := xtest.Refuse(201, `{"data":{"dm_conversation_id":"1-2","dm_event_id":"1582838499983564806"}}`).With("X-Rate-Limit-Remaining", "3").
			With("X-User-Limit-24hour-Remaining", "0").With("X-User-Limit-24hour-Reset", strconv.FormatInt(began.Add(5*time.Hour).Unix(), 10))
		f.server.FailNext("send", answer)
		sent, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "x"})
		require.NoError(t, err)
		assert.Equal(t, began.Add(5*time.Hour).Unix(), sent.Rest.Unix(), "the day's")
	})
	t.Run("§3 a limit ends by X's clock, whatever ours says", func(t *testing.T) {
		for _, wrong := range []time.Duration{-2 * time.Minute, 2 * time.Minute} {
			f := setUp(t)
			f.api.now = func() time.Time { return f.clock.Now().Add(wrong) }
			f.shop.UseUp("send", false)
			assert.Equal(t, f.api.now().Add(15*time.Minute).Unix(), asError(t, send(f)).At.Unix())
		}
	})
	t.Run("§3 1,440 a day", func(t *testing.T) {
		f := setUp(t)
		f.shop.UseUp("send", true)
		e := asError(t, send(f))
		assert.Equal(t, channels.RetryAt, e.Outcome)
		assert.Equal(t, f.clock.Now().Add(24*time.Hour).Unix(), e.At.Unix(), "the day's limit, not the quarter of an hour's")
	})
	for name, row := range map[string]struct {
		header, value string
		want          time.Duration
	}{
		"no time":           {"X-Other", "1", time.Minute},
		"no number":         {"X-Rate-Limit-Reset", "soon", time.Minute},
		"a time long past":  {"X-Rate-Limit-Reset", "1", time.Second},
		"a time never":      {"X-Rate-Limit-Reset", strconv.Itoa(1 << 60), 25 * time.Hour},
		"of the app, a day": {"X-App-Limit-24hour-Remaining", "0", time.Minute},
	} {
		t.Run("§3 429 with "+name, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext("send", xtest.Refuse(429, `{"errors":[{"code":88,"message":"Rate limit exceeded"}]}`).With(row.header, row.value))
			assert.Equal(t, row.want, asError(t, send(f)).At.Sub(f.clock.Now()))
		})
	}
}

// S4.28, S4.29, S4.14: receiving goes on while sending cannot, and sending goes on once the cause is mended.
func TestReceivingGoesOn(t *testing.T) {
	for name, row := range map[string]struct{ breakIt, mend func(fixture) }{
		"S4.28 S4.29 no credits": {func(f fixture) { f.app.SpendCredits(xtest.NoCreditsNew) }, func(f fixture) { f.app.TopUp() }},
		"S4.13 S4.14 permission": {
			func(f fixture) { f.shop.Regenerate(testToken, testSecret, false) },
			func(f fixture) {
				f.shop.Regenerate("4337869213-new", "newSecret", true)
				f.ch.Fields[FieldAccessToken], f.ch.Fields[FieldAccessSecret] = "4337869213-new", "newSecret"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
			row.breakIt(f)
			_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "x"})
			assert.Equal(t, channels.Broken, asError(t, err).Outcome)
			f.ann.Write("are you there?")
			d, err := f.Webhook(t.Context(), f.ch, <-f.posted)
			require.NoError(t, err)
			assert.Equal(t, []string{"are you there?"}, texts(d))
			row.mend(f)
			_, err = f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "yes"})
			require.NoError(t, err)
		})
	}
}

func TestSendToNobody(t *testing.T) {
	f := setUp(t)
	for _, id := range []string{"", "ann", "../dm_events", "12345678901234567890", "1?x=1", "1%2F2"} {
		_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: id, Text: "x"})
		assert.Equal(t, channels.Permanent, asError(t, err).Outcome, id)
	}
	_, err := f.Send(t.Context(), channels.Channel{}, channels.Part{UserID: annID, Text: "x"})
	assert.Equal(t, channels.Broken, asError(t, err).Outcome)
	assert.Zero(t, f.server.Calls("send"))
}

func TestSendTimesOutAfterItWasTaken(t *testing.T) {
	f := setUp(t)
	f.server.FailNext("send", double.AfterAccepting(double.Hang()))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := f.Send(ctx, f.ch, channels.Part{UserID: annID, Text: "x"})
		failed <- err
	}()
	_, err := f.ann.WaitFor(t.Context(), 1)
	require.NoError(t, err)
	cancel()
	err = <-failed
	assert.Equal(t, channels.Unknown, asError(t, err).Outcome)
	require.ErrorIs(t, err, context.Canceled)
}

// c17, S4.7: an address that is not permitted is not called; an error of the way names no key.
func TestWithoutConnection(t *testing.T) {
	client, err := guard.New(guard.Policy{})
	require.NoError(t, err)
	ch := channels.Channel{Fields: keys()}
	_, err = New(client, "https://127.0.0.1:1").Send(t.Context(), ch, channels.Part{UserID: annID, Text: "x"})
	assert.Equal(t, channels.Broken, channels.AsError(err).Outcome, "c17")
	require.ErrorIs(t, err, guard.ErrBlocked)
	_, err = New(client, "https://127.0.0.1:1").Verify(t.Context(), ch)
	assert.Equal(t, channels.Refused, channels.AsError(err).Outcome)

	dial := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("cannot dial with " + testBearer + " and " + encode(testBearer))
	}}}
	_, err = New(dial, "http://x.example").Send(t.Context(), ch, channels.Part{UserID: annID, Text: "x"})
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
}

// An answer that announces 2 GB, or never ends, is read up to a limit.
func TestEndlessAnswers(t *testing.T) {
	written := make(chan int, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(2<<30))
		w.WriteHeader(http.StatusCreated)
		n, chunk := 0, bytes.Repeat([]byte(" "), 1<<20)
		for n < 2<<30 {
			m, err := w.Write(chunk)
			if n += m; err != nil {
				break
			}
		}
		written <- n
	}))
	defer s.Close()
	_, err := New(s.Client(), s.URL).Send(t.Context(), channels.Channel{Fields: keys()}, channels.Part{UserID: annID, Text: "x"})
	assert.Equal(t, channels.Unknown, channels.AsError(err).Outcome)
	assert.Less(t, <-written, 64<<20)
}

func fileOf(kind, mime string, content []byte) *channels.Upload {
	return &channels.Upload{Kind: kind, Name: "a", MIME: mime, Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// §4: a picture in one call, everything else in pieces and after X has looked through it; one message with its caption.
func TestSendFile(t *testing.T) {
	for name, file := range map[string]*channels.Upload{
		"a picture": fileOf("photo", "image/jpeg", []byte("jpeg")),
		"a GIF":     fileOf("photo", "image/gif", bytes.Repeat([]byte("gif"), 3)),
		"a video":   fileOf("video", "video/mp4", bytes.Repeat([]byte("0123456789"), 900_000)),
	} {
		t.Run("§4 "+name, func(t *testing.T) {
			f := setUp(t)
			content, err := file.Open(t.Context())
			require.NoError(t, err)
			want, err := io.ReadAll(content)
			require.NoError(t, err)
			sent, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "look", File: file})
			require.NoError(t, err)
			inbox := f.ann.Inbox()
			require.Len(t, inbox, 1, "text and file are one message")
			assert.Equal(t, sent.MessageID, inbox[0].ID)
			assert.Equal(t, "look", inbox[0].Text)
			assert.True(t, bytes.Equal(want, inbox[0].Media))
			_, err = f.Send(t.Context(), f.ch, channels.Part{UserID: annID, File: file})
			require.NoError(t, err, "without a caption")
		})
	}
}

func TestSendFileRefused(t *testing.T) {
	f := setUp(t)
	big := fileOf("photo", "image/png", nil)
	big.Size = imageLimit + 1
	for name, file := range map[string]*channels.Upload{
		"§4 a document": fileOf("document", "application/pdf", []byte("pdf")), "§4 a voice message": fileOf("voice", "audio/ogg", []byte("ogg")),
		"§4 a picture above 5 MB": big, "an empty file": fileOf("photo", "image/png", nil),
	} {
		_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, File: file})
		assert.Equal(t, channels.Permanent, asError(t, err).Outcome, name)
	}
	unopened := fileOf("photo", "image/png", []byte("x"))
	unopened.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("gone") }
	_, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, File: unopened})
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
	assert.Zero(t, f.server.Calls("send"))
	assert.Zero(t, f.server.Calls("upload"))
}

// Whatever fails before the message itself has sent nothing.
func TestUploadOutcomes(t *testing.T) {
	for _, row := range []struct {
		name, operation string
		fault           double.Fault
		want            channels.Outcome
	}{
		{"§6 402", "uploadInitialize", xtest.Refuse(402, xtest.NoCreditsNew), channels.Broken},
		{"§6 401", "uploadAppend", xtest.Refuse(401, `{"title":"Unauthorized"}`), channels.Broken},
		{"§6 403 permission", "uploadInitialize", xtest.Refuse(403, `{"type":"https://api.x.com/2/problems/oauth1-permissions"}`), channels.Broken},
		{"§3 429", "uploadInitialize", xtest.Refuse(429, `{}`), channels.RetryAt},
		{"§6 400", "uploadFinalize", xtest.Refuse(400, `{"detail":"not a video"}`), channels.Permanent},
		{"§6 5xx", "uploadFinalize", xtest.ServerError(), channels.RetryAt},
		{"connection lost", "uploadAppend", double.Drop(), channels.RetryAt},
		{"no id", "uploadInitialize", xtest.Refuse(200, `{"data":{}}`), channels.RetryAt},
		{"an id that is a path", "uploadInitialize", xtest.Refuse(200, `{"data":{"id":"../1"}}`), channels.RetryAt},
		{"§4 failed", "uploadFinalize", xtest.Refuse(200, `{"data":{"id":"1","processing_info":{"state":"failed"}}}`), channels.Permanent},
		{"the status gets lost", "uploadStatus", xtest.ServerError(), channels.RetryAt},
		{"no answer in time", "uploadStatus", double.Hang(), channels.Permanent},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := setUp(t)
			f.server.FailNext(row.operation, row.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if row.name != "no answer in time" {
				ctx = t.Context()
			}
			_, err := f.Send(ctx, f.ch, channels.Part{UserID: annID, Text: "x", File: fileOf("video", "video/mp4", []byte("mp4"))})
			assert.Equal(t, row.want, asError(t, err).Outcome, "%v", err)
			assert.Zero(t, f.server.Calls("send"))
		})
	}
	t.Run("§4 processing that does not end within the deadline", func(t *testing.T) {
		f := setUp(t)
		f.wait = wait
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := f.Send(ctx, f.ch, channels.Part{UserID: annID, File: fileOf("video", "video/mp4", []byte("mp4"))})
		e := asError(t, err)
		assert.Equal(t, channels.Permanent, e.Outcome)
		assert.Contains(t, e.Reason, "nothing was sent")
	})
}
